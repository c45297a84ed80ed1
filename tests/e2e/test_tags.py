"""What `invoke tags` says beforehand is what a build publishes, and what `--published` shows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.repository import Repository

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Inv, LocalEngine

pytestmark = pytest.mark.e2e


@pytest.fixture
def repository(engine: LocalEngine, inv: Inv, tmp_path: Path) -> Repository:
    (tmp_path / "project").mkdir()
    made = Repository(tmp_path / "project", engine, inv)
    made.configure("images: {app: {version: 1.2.3}}")
    made.dockerfile("app", "FROM scratch", "COPY app.txt /")
    made.write("app.txt", "one")
    made.git("init", "-q", "-b", "main")
    made.commit()
    return made


def published(repository: Repository, name: str = "app") -> list[dict[str, Any]]:
    done = repository.invoke("tags", name, "--published", "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["repositories"]
    tags: list[dict[str, Any]] = found["tags"]
    assert found["exists"] is bool(tags)
    return tags


def test_what_was_never_pushed_is_said(repository: Repository) -> None:
    done = repository.invoke("tags", "app", "--published")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.endswith("/app: nothing was pushed there yet\n")
    assert published(repository) == []


def test_what_is_said_is_what_is_published(repository: Repository) -> None:
    said = json.loads(repository.invoke("tags", "app", "--json").stdout)["images"][0]["tags"]
    outcome = repository.build("app")
    found = published(repository)
    assert {one["tag"] for one in found} == {one["tag"] for one in said}
    assert {one["digest"] for one in found} == {outcome["app"]["digest"]}
    assert {tuple(one["platforms"]) for one in found} == {("linux/amd64",)}
    assert {one["created"] for one in found} == {"2023-11-14T22:13:20Z"}
    assert all(one["size"] > 0 and one["problem"] is None for one in found)

    done = repository.invoke("tags", "app", "--published")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["TAG", "DIGEST", "DATE", "PLATFORMS", "SIZE"]
    assert lines[1].split()[:5] == ["1", outcome["app"]["digest"][7:19], "2023-11-14", "22:13", "linux/amd64"]


def test_a_registry_that_is_not_there(repository: Repository, free_ports: Any) -> None:
    (port,) = free_ports(1)
    done = repository.invoke("tags", "app", "--published", env={"IMAGEWRIGHT_REGISTRY": f"localhost:{port}"})
    assert done.returncode == 3
    assert f"localhost:{port}" in done.stderr
