from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from imagewright.tools import buildx_store
from imagewright.tools.buildx_store import StoredBuilder


def put_instance(folder: Path, name: str, *endpoints: str, **node: Any) -> None:
    nodes = [{"Name": f"{name}{n}", "Endpoint": end, "Platforms": None, **node} for n, end in enumerate(endpoints)]
    (folder / "instances").mkdir(parents=True, exist_ok=True)
    document = {"Name": name, "Driver": "remote", "Nodes": nodes, "Dynamic": False}
    (folder / "instances" / name.lower()).write_text(json.dumps(document))


def test_a_builder_with_its_nodes_and_platforms(tmp_path: Path) -> None:
    platforms = [{"os": "linux", "architecture": "arm64"}, {"os": "linux", "architecture": "arm", "variant": "v7"}]
    put_instance(tmp_path, "Fleet", "unix:///a.sock", "tcp://b:1", Platforms=platforms)
    assert buildx_store.find(tmp_path, "fleet") == StoredBuilder(
        name="Fleet",
        driver="remote",
        endpoints=("unix:///a.sock", "tcp://b:1"),
        platforms=("linux/arm64", "linux/arm/v7"),
    )


@pytest.mark.parametrize("content", ["", "{", "[]", '{"Name": "x", "Nodes": null}', '{"Nodes": ["x"]}'])
def test_a_damaged_file_is_no_builder(tmp_path: Path, content: str) -> None:
    (tmp_path / "instances").mkdir()
    (tmp_path / "instances/x").write_text(content)
    assert buildx_store.find(tmp_path, "x") is None
    assert buildx_store.find(tmp_path, "y") is None


def test_the_current_builder_belongs_to_its_engine_or_to_all(tmp_path: Path) -> None:
    put_instance(tmp_path, "one", "unix:///a.sock")
    put_instance(tmp_path, "two", "unix:///b.sock")
    assert buildx_store.current(tmp_path, "desktop") is None
    (tmp_path / "current").write_text('{"Key": "desktop", "Name": "one", "Global": false}')
    chosen = buildx_store.current(tmp_path, "desktop")
    assert chosen is not None
    assert chosen.name == "one"
    assert buildx_store.current(tmp_path, "other") is None
    (tmp_path / "defaults").mkdir()
    (tmp_path / "defaults" / sha256(b"other").hexdigest()[:20]).write_text("two")
    default = buildx_store.current(tmp_path, "other")
    assert default is not None
    assert default.name == "two"
    (tmp_path / "current").write_text('{"Key": "desktop", "Name": "one", "Global": true}')
    everywhere = buildx_store.current(tmp_path, "other")
    assert everywhere is not None
    assert everywhere.name == "one"


def test_buildx_config_moves_the_folder(tmp_path: Path) -> None:
    assert buildx_store.folder(tmp_path, {}) == tmp_path / "buildx"
    assert buildx_store.folder(tmp_path, {"BUILDX_CONFIG": "/b"}) == Path("/b")
