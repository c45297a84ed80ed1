"""Settings that are kept between runs are those of the file, and of nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from imagewright.config import remembered as module
from imagewright.config.environment import RESERVED, variables
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
tags:
  rules: {latest: false, mine: {tags: ["{branch}"], when: {event: [push]}}}
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
    assert second.tags.rules["latest"].tags == ()
    assert second.tags.rules["mine"].when.event == ("push",)


def test_another_file_or_environment_is_read_anew(root: Path) -> None:
    memory = root / "cache/settings.json"
    remembered(root, {}, memory)
    assert remembered(root, {"IMAGEWRIGHT_REGISTRY": "localhost:1"}, memory).registry == ("localhost:1",)
    (root / "config/images.yml").write_text("registry: localhost:2\n")
    assert remembered(root, {}, memory).registry == ("localhost:2",)
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
    assert remembered(root, {}, memory).registry == ("ghcr.io/me",)
    memory.write_text(json.dumps({key: ["section"] for key in kept}))
    assert remembered(root, {}, memory).registry == ("ghcr.io/me",)
    assert remembered(root, {}, root / "config/images.yml/none").registry == ("ghcr.io/me",)


def test_the_second_time_no_model_is_loaded(root: Path) -> None:
    memory = root / "settings.json"
    remembered(root, {}, memory)
    code = (
        "import sys; from pathlib import Path; from imagewright.config.remembered import remembered\n"
        f"remembered(Path({str(root)!r}), {{}}, Path({str(memory)!r}))\n"
        "assert not {'pydantic', 'yaml'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_credentials_are_no_part_of_what_is_kept(root: Path) -> None:
    memory = root / "settings.json"
    remembered(root, {"IMAGEWRIGHT_LOGIN_PASSWORD": "one"}, memory)
    before = memory.read_bytes()
    remembered(root, {"IMAGEWRIGHT_LOGIN_PASSWORD": "other"}, memory)
    assert memory.read_bytes() == before


def test_what_is_no_setting_is_known_as_such() -> None:
    assert all(name.startswith(module._NO_SETTINGS) for name in RESERVED)
    assert not any(name.startswith(module._NO_SETTINGS) for name in variables())


def test_the_defaults_need_no_model_either(tmp_path: Path) -> None:
    memory = tmp_path / "settings.json"
    code = (
        "import sys; from pathlib import Path; from imagewright.config.remembered import remembered\n"
        f"remembered(Path({str(tmp_path)!r}), {{'IMAGEWRIGHT_CACHE_DIR': '/x'}}, Path({str(memory)!r}))\n"
        "assert not {'pydantic', 'yaml'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert not memory.exists()


def test_the_defaults_are_those_of_the_models(root: Path) -> None:
    found = remembered(root / "nowhere", {}, root / "settings.json")
    assert not isinstance(found, Settings)
    assert module._tagged(load(root / "nowhere", {})) == json.loads(module.DEFAULTS.read_bytes()).popitem()[1]
    assert images_of(found, root) == images_of(load(root / "nowhere", {}), root)


def test_a_variable_is_no_default(tmp_path: Path) -> None:
    memory = tmp_path / "settings.json"
    assert remembered(tmp_path, {"IMAGEWRIGHT_REGISTRY": "localhost:1"}, memory).registry == ("localhost:1",)
    with pytest.raises(ConfigError, match="IMAGEWRIGHT_NONSENSE"):
        remembered(tmp_path, {"IMAGEWRIGHT_NONSENSE": "1"}, memory)


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/images.yml").write_text("")
    remembered(tmp_path, {}, tmp_path / "settings.json")
    assert (tmp_path / "settings.json").exists()


@pytest.mark.parametrize("text", ["", "{}", '{"other models": ["section", {}]}'])
def test_defaults_of_other_models_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "defaults.json").write_text(text)
    monkeypatch.setattr(module, "DEFAULTS", tmp_path / "defaults.json")
    assert isinstance(remembered(tmp_path, {}, tmp_path / "settings.json"), Settings)
