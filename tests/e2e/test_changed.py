"""`invoke build-changed` with the real builder and registry: what is built, what is reused, and that it is right."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.repository import Repository

if TYPE_CHECKING:
    from tests.e2e.conftest import Inv, LocalEngine

pytestmark = pytest.mark.e2e

LAYERS = """\
layers:
  base: {images: [base]}
  tooling: {images: [tooling]}
  app: {images: [app]}
"""


@pytest.fixture
def repository(engine: LocalEngine, inv: Inv, base_image: str, tmp_path: Path) -> Repository:
    (tmp_path / "project").mkdir()
    return Repository(tmp_path / "project", engine, inv, base_image)


@pytest.fixture
def layered(repository: Repository) -> Repository:
    """base -> tooling -> app, each with a file of its own; committed, not built."""
    r = repository
    r.configure(LAYERS)
    for name, parent in (("base", "BASE"), ("tooling", "PREFIX/base"), ("app", "PREFIX/tooling")):
        r.write(f"{name}.txt", f"{name} 1\n")
        r.dockerfile(name, f"FROM {parent}", f"COPY {name}.txt /{name}", f"RUN cat /{name} > /{name}.copy")
    r.commit()
    return r


def build_changed(r: Repository, *args: str, code: int = 0, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What came of each image, by name."""
    done = r.invoke("build-changed", *args, "--json", env=env)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return {one["name"]: one for one in json.loads(done.stdout)["images"]}


def statuses(results: Mapping[str, Any]) -> dict[str, str]:
    return {name: one["status"] for name, one in results.items()}


def planned(r: Repository, *args: str, code: int = 0) -> dict[str, Any]:
    done = r.invoke("build-changed", "--dry-run", "--json", *args)
    assert done.returncode == code, done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)["images"]}


def test_a_change_builds_what_stands_on_it_and_reuses_the_rest_by_digest(layered: Repository) -> None:
    r = layered
    built = r.build("all")

    r.write("app.txt", "app 2\n")
    r.commit()
    results = build_changed(r, "--since", "HEAD~1")
    assert statuses(results) == {"app": "built", "tooling": "reused"}
    assert results["tooling"]["digest"] == built["tooling"]["digest"]
    tooling = r.layers(f"{r.prefix}/tooling@{built['tooling']['digest']}")
    assert r.layers(r.reference("app"))[: len(tooling)] == tooling
    first = f"{r.prefix}/app@{results['app']['digest']}"

    r.write("tooling.txt", "tooling 2\n")
    r.commit()
    results = build_changed(r, "--since", "HEAD~1")
    assert statuses(results) == {"tooling": "built", "app": "built", "base": "reused"}
    second = f"{r.prefix}/app@{results['app']['digest']}"

    r.write("base.txt", "base 2\n")
    r.commit()
    assert statuses(build_changed(r, "--since", "HEAD~1")) == dict.fromkeys(("base", "tooling", "app"), "built")
    made = r.contents((first, "/app.copy"), (second, "/tooling.copy"), (r.reference("app"), "/base.copy"))
    assert made == ["app 2\n", "tooling 2\n", "base 2\n"]

    r.write("README.md", "nobody copies this\n")
    r.commit()
    assert build_changed(r, "--since", "HEAD~1") == {}


def test_a_layer_is_built_with_what_stands_on_it(layered: Repository) -> None:
    r = layered
    r.build("all")
    assert statuses(build_changed(r, "--since", "HEAD", "--layer", "tooling")) == {
        "tooling": "built",
        "app": "built",
        "base": "reused",
    }


def test_a_parent_that_is_not_published_or_unusable_is_built(layered: Repository) -> None:
    r = layered
    r.write("app.txt", "app 2\n")
    r.commit()
    plan = planned(r, "--since", "HEAD~1")
    assert {name: [reason["kind"] for reason in one["reasons"]] for name, one in plan.items()} == {
        "base": ["missing"],
        "tooling": ["missing"],
        "app": ["file"],
    }
    assert statuses(build_changed(r, "--since", "HEAD~1")) == dict.fromkeys(("base", "tooling", "app"), "built")

    # another's image under one of the tags that the parent is published by: the others still have it
    tooling = r.digest(r.reference("tooling"))
    r.write("tooling.txt", "from another branch\n")
    r.build("tooling")
    r.git("checkout", "--quiet", "tooling.txt")
    parents = {one["name"]: one["digest"] for one in planned(r, "--since", "HEAD~1")["app"]["parents"]}
    assert parents == {"tooling": tooling} != {"tooling": r.digest(r.reference("tooling"))}

    r.write("tooling.txt", "from another branch\n")
    r.build("tooling", "--tag", "dev,master,latest,tooling-stable")
    r.git("checkout", "--quiet", "tooling.txt")
    reasons = planned(r, "--since", "HEAD~1")["tooling"]["reasons"]
    assert [reason["kind"] for reason in reasons] == ["missing"]
    assert "other inputs" in reasons[0]["detail"]


def test_the_registry_tells_what_was_really_published(layered: Repository) -> None:
    r = layered
    r.build("all")
    assert build_changed(r, "--since", "registry") == {}

    r.write("app.txt", "app 2\n")
    r.dockerfile("app", "FROM PREFIX/tooling", "COPY app.txt /app", "RUN false")
    r.commit()
    assert statuses(build_changed(r, "--since", "registry", code=1)) == {"app": "failed", "tooling": "reused"}
    r.write("README.md", "an innocent commit after a run that failed\n")
    r.commit()
    assert list(planned(r, "--since", "registry")) == ["tooling", "app"]
    assert planned(r, "--since", "HEAD~1") == {}

    r.dockerfile("app", "FROM PREFIX/tooling", "COPY app.txt /app")
    r.commit()
    plan = planned(r, "--since", "registry")
    assert {reason["path"] for reason in plan["app"]["reasons"]} == {"Dockerfiles/Dockerfile.app", "app.txt"}
    assert statuses(build_changed(r, "--since", "registry")) == {"app": "built", "tooling": "reused"}
    assert build_changed(r, "--since", "registry") == {}

    # a force push back to where it began, seen from a clone without history
    r.git("reset", "--quiet", "--hard", r.git("rev-list", "--max-parents=0", "HEAD"))
    r.git("commit", "--quiet", "--amend", "--message", "rewritten")
    clone = r.root.parent / "clone"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{r.root}", str(clone)], check=True)
    shallow = Repository(clone, r.engine, r._inv, r.base)
    shallow.prefix = r.prefix
    shallow.git("checkout", "--quiet", ".")
    done = shallow.invoke("changed", "--since", "registry", "--json")
    assert [one["name"] for one in json.loads(done.stdout)["images"]] == ["app"], done.stderr


def test_a_registry_that_does_not_answer_is_an_error_only_where_it_was_asked_for(layered: Repository) -> None:
    r = layered
    nowhere = {"IMAGEWRIGHT_REGISTRY": "localhost:9"}
    done = r.invoke("changed", "--since", "registry", env=nowhere)
    assert done.returncode == 3, done.stderr
    r.write("app.txt", "app 2\n")
    done = r.invoke("build-changed", "--since", "HEAD", "--dry-run", "--json", env=nowhere)
    assert done.returncode == 0, done.stderr
    assert [one["name"] for one in json.loads(done.stdout)["images"]] == ["app"]


def test_images_of_one_repository_are_told_apart_by_their_tags(repository: Repository) -> None:
    r = repository
    shared = f'repository: "{{registry}}/{r.prefix.partition("/")[2]}/all"\n'
    r.write(
        "config/images.yml",
        shared + LAYERS + "images:\n  base: {publishes: [base-*]}\n  tooling: {publishes: [tooling-*]}\n",
    )
    for name, parent in (("base", "BASE"), ("tooling", "PREFIX/all:base-stable"), ("app", "PREFIX/all:tooling-stable")):
        r.write(f"{name}.txt", f"{name} 1\n")
        r.dockerfile(name, f"FROM {parent}", f"COPY {name}.txt /{name}")
    r.commit()
    built = r.build("app")
    assert {one["name"]: one["reference"].rpartition(":")[2] for one in built.document["images"]} == {
        "base": "base-dev",
        "tooling": "tooling-dev",
        "app": "dev",
    }
    r.write("app.txt", "app 2\n")
    results = build_changed(r, "--since", "HEAD")
    assert statuses(results) == {"app": "built", "tooling": "reused"}
    assert results["tooling"]["digest"] == built["tooling"]["digest"]


def test_a_broken_dockerfile_hides_nothing_else(layered: Repository) -> None:
    r = layered
    r.build("all")
    r.write("tooling.txt", "tooling 2\n")
    r.dockerfile("other", "FROM BASE", "COPY tooling.txt /x")
    r.dockerfile("tooling", "FROM PREFIX/base", "COPPY tooling.txt /tooling")
    results = build_changed(r, "--since", "HEAD", code=1)
    assert statuses(results) == {"other": "built", "tooling": "failed", "app": "skipped"}


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_called_unchanged_is_fully_cached_and_the_same(repository: Repository, seed: int) -> None:
    r, chance = repository, random.Random(seed)  # noqa: S311
    folders = [f"src/{letter}" for letter in "abcd"]
    names = [f"image-{number}" for number in range(5)]
    for folder in folders:
        for file in ("one.txt", "two.txt", "run.sh"):
            r.write(f"{folder}/{file}", f"{folder} {file}\n")
    for number, name in enumerate(names):
        parent = f"PREFIX/{chance.choice(names[:number])}" if number and chance.random() < 0.6 else "BASE"
        own = chance.choice(
            [f"COPY {chance.choice(folders)}/*.txt /x/", f"COPY --exclude=*.sh {chance.choice(folders)} /y/",
             f"RUN --mount=type=bind,source={chance.choice(folders)},target=/m cat /m/one.txt > /z"]
        )  # fmt: skip
        r.dockerfile(name, f"FROM {parent}", own)
    r.commit()
    r.build("all")
    before = {name: r.layers(r.reference(name)) for name in names}
    for _ in range(2):
        target = r.root / chance.choice(folders) / chance.choice(["one.txt", "two.txt", "run.sh", "new.txt"])
        match chance.choice(["edit", "mode", "remove"]):
            case "mode" if target.exists():
                target.chmod(0o755)
            case "remove" if target.exists() and target.name != "one.txt":
                target.unlink()
            case _:
                target.write_text(f"{chance.random()}\n")
    r.commit()
    called = {one["name"] for one in json.loads(r.invoke("changed", "--since", "HEAD~1", "--json").stdout)["images"]}
    again = r.build("all")
    for name in set(names) - called:
        log = Path(again[name]["log"]).read_text()
        steps = set(re.findall(r"^(\[.*\d/\d\]) (?:COPY|RUN) ", log, re.MULTILINE))
        cached = set(re.findall(r"^(\[.*\d/\d\]) cached$", log, re.MULTILINE))
        assert steps, log
        assert steps <= cached, log
        assert r.layers(r.reference(name)) == before[name]
