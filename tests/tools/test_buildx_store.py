from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from imagewright.tools import buildx_store
from imagewright.tools.buildx_store import StoredBuilder, StoredNode


def put_instance(folder: Path, name: str, *endpoints: str, **node: Any) -> None:
    nodes = [{"Name": f"{name}{n}", "Endpoint": end, "Platforms": None, **node} for n, end in enumerate(endpoints)]
    (folder / "instances").mkdir(parents=True, exist_ok=True)
    document = {"Name": name, "Driver": "remote", "Nodes": nodes, "Dynamic": False}
    (folder / "instances" / name.lower()).write_text(json.dumps(document))


def test_a_builder_with_its_nodes(tmp_path: Path) -> None:
    platforms = [{"os": "linux", "architecture": "arm64"}, {"os": "linux", "architecture": "arm", "variant": "v7"}]
    files = {"buildkitd.toml": b64encode(b"debug = true\n").decode(), "broken": "?"}
    put_instance(
        tmp_path, "Fleet", "unix:///a.sock", "tcp://b:1", Platforms=platforms, DriverOpts={"x": "1"}, Files=files
    )
    found = buildx_store.find(tmp_path, "fleet")
    assert found is not None
    assert found.endpoints == ("unix:///a.sock", "tcp://b:1")
    assert found == StoredBuilder(
        name="Fleet",
        driver="remote",
        nodes=tuple(
            StoredNode(
                name=f"Fleet{at}",
                endpoint=endpoint,
                platforms=("linux/arm64", "linux/arm/v7"),
                options={"x": "1"},
                files={"buildkitd.toml": b"debug = true\n", "broken": b""},
            )
            for at, endpoint in enumerate(found.endpoints)
        ),
        digest=found.digest,
    )


def test_whatever_is_changed_about_a_builder_changes_its_digest(tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [{}, {"Flags": ["--debug"]}, {"Files": {"a": ""}}, {"DriverOpts": {"x": "1"}}]
    digests = []
    for change in changes:
        put_instance(tmp_path, "one", "unix:///a.sock", **change)
        found = buildx_store.find(tmp_path, "one")
        assert found is not None
        digests.append(found.digest)
    assert len(set(digests)) == len(changes)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"Name": "x", "Nodes": null}', '{"Nodes": ["x"]}', '{"Nodes": 3}'])
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
