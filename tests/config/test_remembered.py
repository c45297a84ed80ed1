"""Settings that are kept between runs are those of the file, and of nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from imagewright.config.load import load
from imagewright.config.models import Settings
from imagewright.config.remembered import remembered
from imagewright.errors import ConfigError
from imagewright.images.catalog import catalog
from imagewright.images.discover import discover
from imagewright.services.places import Places

FILE = """\
registry: ghcr.io/me
platforms: [linux/amd64, linux/arm64]
layers:
  base: {images: [app], paths: [x]}
images:
  app: {build_args: {A: '{registry}/x'}, secrets: [{id: s, env: S}], publishes: [a-*], labels: {a: b}}
bases:
  debian: {debootstrap: trixie, include: [curl]}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("app", "other"):
        (tmp_path / f"Dockerfiles/Dockerfile.{name}").parent.mkdir(exist_ok=True)
        (tmp_path / f"Dockerfiles/Dockerfile.{name}").write_text("FROM scratch\n")
    (tmp_path / "config").mkdir()
    (tmp_path / "config/images.yml").write_text(FILE)
    return tmp_path


def images_of(settings: Settings, root: Path) -> object:
    return catalog(settings, discover(root, settings.discover), host_platform="linux/amd64")


def test_the_second_time_they_say_the_same(root: Path) -> None:
    memory = root / "cache/settings.json"
    first, second = (remembered(root, {}, memory) for _ in range(2))
    assert isinstance(first, Settings)
    assert not isinstance(second, Settings)
    assert images_of(first, root) == images_of(second, root) == images_of(load(root, {}), root)
    assert Places.of(first, {"HOME": "/"}, root) == Places.of(second, {"HOME": "/"}, root)
    assert second.bases["debian"].include == ("curl",)


def test_another_file_or_environment_is_read_anew(root: Path) -> None:
    memory = root / "cache/settings.json"
    remembered(root, {}, memory)
    assert remembered(root, {"IMAGEWRIGHT_REGISTRY": "localhost:1"}, memory).registry == "localhost:1"
    (root / "config/images.yml").write_text("registry: localhost:2\n")
    assert remembered(root, {}, memory).registry == "localhost:2"
    (root / "config/images.yml").write_text("nonsense: 1\n")
    for _ in range(2):
        with pytest.raises(ConfigError, match="nonsense"):
            remembered(root, {}, memory)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": 1}'])
def test_a_broken_memory_is_none(root: Path, text: str) -> None:
    memory = root / "settings.json"
    remembered(root, {}, memory)
    kept = json.loads(memory.read_bytes())
    memory.write_text(text)
    assert remembered(root, {}, memory).registry == "ghcr.io/me"
    memory.write_text(json.dumps({key: ["section"] for key in kept}))
    assert remembered(root, {}, memory).registry == "ghcr.io/me"
    assert remembered(root, {}, root / "config/images.yml/none").registry == "ghcr.io/me"


def test_the_second_time_no_model_is_loaded(root: Path) -> None:
    memory = root / "settings.json"
    remembered(root, {}, memory)
    code = (
        "import sys; from pathlib import Path; from imagewright.config.remembered import remembered\n"
        f"remembered(Path({str(root)!r}), {{}}, Path({str(memory)!r}))\n"
        "assert not {'pydantic', 'yaml'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_credentials_are_no_part_of_what_is_kept(tmp_path: Path) -> None:
    memory = tmp_path / "settings.json"
    remembered(tmp_path, {"IMAGEWRIGHT_LOGIN_PASSWORD": "one"}, memory)
    before = memory.read_bytes()
    remembered(tmp_path, {"IMAGEWRIGHT_LOGIN_PASSWORD": "other"}, memory)
    assert memory.read_bytes() == before
