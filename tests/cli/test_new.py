"""`invoke new NAME`: the first image of an empty repository, and those after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imagewright.cli.new import pinned, place_for
from imagewright.errors import UsageError
from tests.images.families.repository import family

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Invoke = Callable[..., subprocess.CompletedProcess[str]]


def test_the_first_image_of_an_empty_repository(project: Path, invoked: Invoke) -> None:
    done = invoked("new", "my-app")
    path = project / "Dockerfiles/Dockerfile.my-app"
    assert done.stderr == (
        "Dockerfiles/Dockerfile.my-app is written. Change it to your needs, then: invoke build my-app\n"
    )
    assert path.read_text().startswith("FROM debian:trixie-slim\n")
    assert "USER root" not in path.read_text()
    assert invoked("list").stdout.splitlines()[1].startswith("my-app ")


def test_it_can_stand_on_an_image_of_the_repository(project: Path, invoked: Invoke) -> None:
    invoked("new", "base")
    invoked("new", "app", "--base", "base")
    text = (project / "Dockerfiles/Dockerfile.app").read_text()
    assert text.startswith("FROM localhost:5050/base\n")
    assert text.index("USER root") < text.index("apt-get") < text.index("USER 10001:10001")
    assert "i_base --> i_app" in invoked("graph").stdout


def test_what_is_there_is_overwritten_only_by_force(project: Path, invoked: Invoke) -> None:
    invoked("new", "app")
    path = project / "Dockerfiles/Dockerfile.app"
    path.write_text("FROM scratch\n")
    done = invoked("new", "app")
    assert "error: Dockerfiles/Dockerfile.app: is there already" in done.stderr
    assert (done.returncode, path.read_text()) == (2, "FROM scratch\n")
    assert invoked("new", "app", "--force").returncode == 0
    assert "apt-get" in path.read_text()


def test_an_image_that_another_pattern_finds_is_there_already(project: Path, invoked: Invoke) -> None:
    (project / "images/app").mkdir(parents=True)
    (project / "images/app/Dockerfile").write_text("FROM scratch\n")
    (project / "config").mkdir()
    patterns = 'discover: ["docker/<name>.Dockerfile", "images/<name>/Dockerfile"]\n'
    (project / "config/images.yml").write_text(patterns)
    assert invoked("new", "other").returncode == 0
    assert (project / "docker/other.Dockerfile").exists()
    done = invoked("new", "app", "--force")
    assert "images/app/Dockerfile: the image app is there already" in done.stderr
    assert done.returncode == 2


def test_help_is_help_and_no_image(project: Path, invoked: Invoke) -> None:
    done = invoked("new", "--help")
    assert "--base" in done.stdout
    assert not (project / "Dockerfiles").exists()


@pytest.mark.parametrize("name", ["", "App", "a/b", "../a", "a b", "-a", "all", "a\n"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be an image's name"):
        place_for(name, ["Dockerfiles/Dockerfile.<name>"])


def test_the_first_pattern_that_names_one_place_is_taken() -> None:
    patterns = ["**/Dockerfile.<name>", "images/<name>/image.yml", "images/<name>/Dockerfile"]
    assert place_for("app", patterns) == "images/app/Dockerfile"
    with pytest.raises(UsageError, match="no `discover` pattern"):
        place_for("app", patterns[:2])


@pytest.mark.parametrize("base", ["debian", "debian:latest", "ghcr.io/me/base"])
def test_a_base_that_changes_without_notice_is_refused(base: str) -> None:
    with pytest.raises(UsageError, match="changes without notice"):
        pinned(base)


def test_a_base_that_is_no_reference_is_refused() -> None:
    with pytest.raises(UsageError, match="is no repository name"):
        pinned("De:bian")


@pytest.mark.parametrize("base", ["ubuntu:26.04", f"debian@sha256:{'0' * 64}"])
def test_a_pinned_base_is_taken_as_it_is(base: str) -> None:
    assert pinned(base) == base


def test_families_are_known(project: Path, invoked: Invoke) -> None:
    for path, text in family("tags: [1.0]\n", name="base").items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    done = invoked("new", "base")
    assert (done.returncode, "the image base is there already, as a family" in done.stderr) == (2, True)
    assert invoked("new", "app", "--base", "base:1.0").returncode == 0
    assert (project / "Dockerfiles/Dockerfile.app").read_text().startswith("FROM localhost:5050/base:1.0\n")
