"""What is remembered of families is what they would give if they were read again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagewright.config.models import Settings
from imagewright.errors import ConfigError
from imagewright.images.discover import discover_in
from imagewright.images.families.memory import FamilyMemory
from imagewright.images.survey import survey
from imagewright.images.tree import FILE, Entry, Tree
from imagewright.tags.members import FamilyVersions
from imagewright.tools.git import blob_id

PYTHON = """\
description: A language
versions: {python: "3.13"}
variables: {packages: [a, b], deep: {er: {st: x}}}
secrets: [{id: key, env: KEY}, {id: file, src: a/file, optional: true}]
secret_build_args: [TOKEN]
platforms: [linux/amd64, linux/arm64]
paths: ["scripts/*.sh"]
build_args: {FROM: "{registry}/x"}
labels: {a: b}
aliases: {stable: 3.13.7}
tags: [3.13.7, {name: 3.12.1, aliases: [old], variables: {packages: []}}]
variants: [slim]
"""
FILES = {
    "images/python/image.yml": PYTHON,
    "images/python/Dockerfile.jinja2": "FROM debian\nRUN {{ packages | join(' ') }}\n{% include 'end' %}\n",
    "images/end": "ENV A={{ deep.er.st }}\n",
    "images/app/image.yml": "extends: python\ntags: [1.0.0]\n",
    "images/app/Dockerfile.jinja2": "FROM {{ base }}\n",
    "images/app/test.yml.jinja2": "schemaVersion: 2.0.0\n",
    "Dockerfiles/Dockerfile.plain": "FROM scratch\n",
}


def look(files: Mapping[str, str], memory: FamilyMemory | None, **given: Any) -> dict[str, Any] | str:
    """All that a survey says, or why it says nothing."""
    read = Settings.model_validate(given)
    contents = {path: text.encode() for path, text in files.items()}
    tree = Tree({path: Entry(FILE, blob_id(data)) for path, data in contents.items()}, lambda path, _: contents[path])
    platform, rules = "linux/amd64", FamilyVersions()
    try:
        found = discover_in(tree, read.discover)
        seen = survey(read, found, contents.get, host_platform=platform, rules=rules, memory=memory)
    except ConfigError as error:
        return str(error)
    broken = {name: str(error) for name, error in seen.broken.items()}
    return {
        "images": seen.images,
        "generated": seen.generated,
        "broken": broken,
        "consulted": seen.consulted,
        "notices": seen.notices,
    }


def a_memory(folder: Path) -> FamilyMemory:
    return FamilyMemory(folder / "families.json", [folder / "rules"])


def test_what_is_remembered_is_what_was_made(tmp_path: Path) -> None:
    fresh = look(FILES, None)

    assert look(FILES, a_memory(tmp_path)) == fresh
    assert (tmp_path / "families.json").exists()
    assert look(FILES, a_memory(tmp_path)) == fresh


CHANGES = st.sampled_from(
    (
        ("images/python/image.yml", PYTHON.replace("stable: 3.13.7", "stable: 3.12.1")),
        ("images/python/image.yml", "tags: [2.0.0, 2.0.0]\n"),
        ("images/python/image.yml", None),
        ("images/python/Dockerfile.jinja2", "FROM {{ nothing }}\n"),
        ("images/python/Dockerfile.jinja2", None),
        ("images/python/Dockerfile.slim.jinja2", "FROM {{ parent }}\n"),  # was looked for, and not there
        ("images/end", "ENV A=other\n"),
        ("images/python/end", "ENV A=nearer\n"),
        ("images/test.yml.jinja2", "schemaVersion: 2.0.0\n"),
        ("images/app/image.yml", "extends: plain\ntags: [1.0.0]\n"),
        ("Dockerfiles/Dockerfile.plain", None),
        ("Dockerfiles/Dockerfile.python", "FROM scratch\n"),
        ("images/unrelated", "x"),
    )
)
SETTINGS = st.sampled_from(
    (
        {},
        {"registry": "ghcr.io/me"},
        {"registry": ["ghcr.io/me", "localhost:5050"]},
        {"repository": "{registry}/all/{name}"},
        {"tags": {"aliases": "semver"}},
        {"images": {"python": {"aliases": "none"}}},
        {"images": {"python": {"repository": "r.io/other"}, "app": {"build_args": {"A": "1"}}}},
        {"platforms": ["linux/riscv64"]},
    )
)


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.tuples(CHANGES, SETTINGS), min_size=1, max_size=6))
def test_a_change_of_anything_is_seen(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[tuple[str, str | None], dict[str, Any]]]
) -> None:
    memory = a_memory(tmp_path_factory.mktemp("memory"))
    look(FILES, memory)
    for (path, text), given_ in steps:
        files = {name: old for name, old in FILES.items() if name != path} | ({path: text} if text else {})
        assert look(files, memory, **given_) == look(files, None, **given_)
        assert look(files, memory, **given_) == look(files, None, **given_)


def test_other_rules_forget_it(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "versions.py").write_text("1")
    look(FILES, a_memory(tmp_path))
    _falsify(tmp_path / "families.json")
    assert look(FILES, a_memory(tmp_path)) != look(FILES, None), "it was not asked at all"

    (rules / "versions.py").write_text("22")

    assert look(FILES, a_memory(tmp_path)) == look(FILES, None)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"%s": {}}', '{"%s": []}', '{"%s": {"read": {}, "families": [{}]}}'])
def test_a_spoilt_memory_is_none(tmp_path: Path, text: str) -> None:
    look(FILES, a_memory(tmp_path))
    file = tmp_path / "families.json"
    (key,) = json.loads(file.read_bytes())
    file.write_text(text.replace("%s", key))

    assert look(FILES, a_memory(tmp_path)) == look(FILES, None)


def test_what_is_broken_is_read_again_each_time(tmp_path: Path) -> None:
    look(FILES | {"images/app/Dockerfile.jinja2": "{{ nothing }}"}, a_memory(tmp_path))

    assert not (tmp_path / "families.json").exists()


def test_a_second_call_loads_neither_models_nor_templates(tmp_path: Path) -> None:
    for path, text in {**FILES, "tasks.py": "from imagewright import ns\n"}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    code = """\
import sys
from invoke.main import program
program.run(["invoke", "list"], exit=False)
print(*sorted({"jinja2", "pydantic"} & sys.modules.keys()), file=sys.stderr)
"""

    env = {**os.environ, "IMAGEWRIGHT_CACHE_DIR": str(tmp_path / "cache")}

    def loaded() -> list[str]:
        command = [sys.executable, "-c", code]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stderr.split()

    assert loaded() == ["jinja2", "pydantic"]
    assert loaded() == []


def _falsify(file: Path) -> None:
    file.write_text(file.read_text().replace("RUN a b", "RUN c"))
