"""Families with the real builder and registry: members, variants, parents by exact tag, and what a change builds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.e2e.conftest import Inv, LocalEngine

pytestmark = pytest.mark.e2e

BASE = """\
is_base_image: true
description: What runtimes stand on
licenses: MIT
tags: [2025.09, 2025.10]
"""
RUNTIME = """\
extends: base:2025.10
versions: {tool: 1.2}
tags:
  - name: 3.12.9
    extends: base:2025.09
  - 3.13.7
variants: [semantic]
"""


@pytest.fixture
def family(engine: LocalEngine, inv: Inv, base_image: str, tmp_path: Path) -> Repository:
    """base in two tags, and python in two tags with a variant, on one of them each; committed, not built."""
    (tmp_path / "project").mkdir()
    r = Repository(tmp_path / "project", engine, inv, base_image)
    r.write("images/base/image.yml", BASE)
    r.write("images/base/Dockerfile.jinja2", f"FROM {base_image}\nRUN echo {{{{ tag }}}} > /base\n")
    r.write("images/python/image.yml", RUNTIME)
    r.write("images/python/.dockerignore", "*.jinja2\n")
    r.write("images/python/greeting", "hello\n")
    r.write(
        "images/python/Dockerfile.jinja2", "FROM {{ base }}\nCOPY greeting /greeting\nRUN echo {{ tag }} > /python\n"
    )
    r.write("images/python/Dockerfile.semantic.jinja2", "FROM {{ parent }}\nRUN echo {{ variant }} > /variant\n")
    r.commit()
    return r


def planned(r: Repository, *args: str) -> dict[str, Any]:
    done = r.invoke("changed", *args, "--json")
    assert done.returncode == 0, done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)["images"]}


def layers_of(r: Repository, results: Mapping[str, Any]) -> dict[str, list[str]]:
    return {name: r.layers(f"{r.prefix}/{name.partition(':')[0]}@{digest}") for name, digest in results.items()}


def test_a_member_is_built_on_exactly_its_parents_tag(family: Repository) -> None:
    r = family
    outcome = r.build("python:3.12")
    assert set(outcome.digests()) == {"base:2025.09", "python:3.12.9"}
    layers = layers_of(r, outcome.digests())
    base, python = layers["base:2025.09"], layers["python:3.12.9"]
    assert python[: len(base)] == base

    reference = f"{r.prefix}/python@{outcome.digests()['python:3.12.9']}"
    (r.root.parent / "one").mkdir()
    assert r.contents((reference, "/base"), (reference, "/python"), (reference, "/greeting")) == [
        "2025.09\n",
        "3.12.9\n",
        "hello\n",
    ]
    labels = r.image(reference)["config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == "3.12.9"
    assert labels["org.opencontainers.image.title"] == "python"
    assert labels["io.imagewright.version.tool"] == "1.2"
    base_labels = r.image(f"{r.prefix}/base@{outcome.digests()['base:2025.09']}")["config"]["Labels"]
    assert base_labels["org.opencontainers.image.description"] == "What runtimes stand on"
    assert base_labels["org.opencontainers.image.licenses"] == "MIT"


def test_a_variant_stands_on_its_own_tag_and_a_family_is_all_of_it(family: Repository) -> None:
    r = family
    outcome = r.build("python")
    names = [one["name"] for one in outcome.document["images"]]
    assert set(names) == {
        *("base:2025.09", "base:2025.10", "python:3.12.9", "python:3.13.7"),
        *("python:3.12.9-semantic", "python:3.13.7-semantic"),
    }
    assert names.index("base:2025.09") < names.index("python:3.12.9") < names.index("python:3.12.9-semantic")
    layers = layers_of(r, outcome.digests())
    for child, parent in (
        ("python:3.13.7-semantic", "python:3.13.7"),
        ("python:3.12.9-semantic", "python:3.12.9"),
        ("python:3.13.7", "base:2025.10"),
        ("python:3.12.9", "base:2025.09"),
    ):
        assert layers[child][: len(layers[parent])] == layers[parent], child
    assert len(set(outcome.digests().values())) == len(names)
    again = r.build("python").digests()
    assert again.items() <= outcome.digests().items(), "nothing has changed"
    assert {name for name in names if name.startswith("python:")} <= again.keys()


def test_what_a_change_builds(family: Repository) -> None:
    r = family
    r.build("all")

    r.write("images/python/image.yml", RUNTIME.replace("  - 3.13.7\n", "  - 3.13.7\n  - 3.13.8\n"))
    r.commit()
    assert set(planned(r, "--since", "HEAD~1")) == {"python:3.13.8", "python:3.13.8-semantic"}
    done = r.invoke("build-changed", "--since", "HEAD~1", "--json")
    assert done.returncode == 0, done.stderr
    statuses = {one["name"]: one["status"] for one in json.loads(done.stdout)["images"]}
    built = {name for name, status in statuses.items() if status == "built"}
    assert built == {"python:3.13.8", "python:3.13.8-semantic"}
    assert statuses["base:2025.10"] == "reused"

    r.write("images/python/Dockerfile.semantic.jinja2", "FROM {{ parent }}\nRUN echo new {{ variant }} > /variant\n")
    r.commit()
    assert set(planned(r, "--since", "HEAD~1")) == {f"python:{tag}-semantic" for tag in ("3.12.9", "3.13.7", "3.13.8")}

    r.write("images/base/image.yml", BASE + "variables: {unused: 1}\n")
    r.commit()
    assert planned(r, "--since", "HEAD~1") == {}

    r.write("images/python/greeting", "hello again\n")
    r.commit()
    changed = planned(r, "--since", "HEAD~1")
    assert {name for name in changed if not name.endswith("-semantic")} == {
        f"python:{tag}" for tag in ("3.12.9", "3.13.7", "3.13.8")
    }
    assert [reason["path"] for reason in changed["python:3.13.7"]["reasons"]] == ["images/python/greeting"]


def test_the_plans_own_bake_file_builds_what_was_generated(family: Repository) -> None:
    r = family
    assert r.invoke("generate", "--check").returncode == 1
    assert r.invoke("generate").returncode == 0
    assert r.invoke("generate", "--check").returncode == 0
    done = r.invoke("plan", "python:3.13", "--bake")
    assert done.returncode == 0, done.stderr
    r.write("bake.json", done.stdout)
    r.engine.docker(
        *(
            "buildx",
            "bake",
            "--builder",
            "imagewright-tests",
            "--file",
            "bake.json",
            "--set",
            "*.output=type=cacheonly",
        ),
        cwd=r.root,
    )
