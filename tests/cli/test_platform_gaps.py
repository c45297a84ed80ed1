"""A child for platforms that its parent is not built for, seen by the tasks that plan."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Invoke = Callable[..., subprocess.CompletedProcess[str]]

MESSAGE = "child takes narrow for linux/arm64 here, and narrow is built for linux/amd64 only"
WHERE = "Dockerfiles/Dockerfile.child:1"
CONFIG = """\
registry: ghcr.io/me
platforms: [linux/amd64, linux/arm64]
images:
  narrow: {platforms: [linux/amd64]}
"""


@pytest.fixture
def images(project: Path) -> Path:
    """narrow <- child <- top, where child has a platform more; and other, that stands alone. All committed."""
    (project / "Dockerfiles").mkdir()
    (project / "config").mkdir()
    (project / "config/images.yml").write_text(CONFIG)
    dockerfile(project, "narrow", "FROM scratch")
    dockerfile(project, "child", "FROM ghcr.io/me/narrow")
    dockerfile(project, "top", "FROM ghcr.io/me/child")
    dockerfile(project, "other", "FROM scratch")
    git(project, "add", "--all")
    git(project, "commit", "-q", "--message", "state")
    return project


def dockerfile(project: Path, name: str, text: str) -> None:
    (project / f"Dockerfiles/Dockerfile.{name}").write_text(f"{text}\n")


def git(project: Path, *args: str) -> None:
    command = ["git", "-c", "user.name=T", "-c", "user.email=t@example.org", *args]
    subprocess.run(command, cwd=project, check=True, capture_output=True)


def planned(done: subprocess.CompletedProcess[str], code: int) -> tuple[list[str], dict[str, str | None]]:
    """The images of the plan, and those that cannot be built, with the parent that is in the way."""
    assert done.returncode == code, done.stderr
    assert (MESSAGE in done.stderr) is bool(code)
    document: dict[str, Any] = json.loads(done.stdout)
    names = [one["name"] for one in document["images"]]
    return names, {one["name"]: one["because"] for one in document["unplanned"]}


def test_what_stands_on_the_wrong_platform_is_not_planned_and_the_others_are(images: Path, invoked: Invoke) -> None:
    done = invoked("plan", "all", "--json")
    assert planned(done, 1) == (["narrow", "other"], {"child": None, "top": "child"})
    assert f"error: {WHERE}: {MESSAGE}\n" in done.stderr
    assert "error: top is built on child, which cannot be built\n" in done.stderr
    assert planned(invoked("build", "top", "--dry-run", "--json"), 1) == ([], {"child": None, "top": "child"})
    assert planned(invoked("plan", "narrow,other", "--json"), 0) == (["narrow", "other"], {})
    dockerfile(
        images, "child", "FROM --platform=$BUILDPLATFORM ghcr.io/me/narrow AS a\nFROM scratch\nCOPY --from=a / /"
    )
    assert planned(invoked("plan", "all", "--json"), 0) == (["narrow", "other", "child", "top"], {})


def test_platforms_of_the_command_line_are_for_all_but_not_for_a_part(images: Path, invoked: Invoke) -> None:
    assert planned(invoked("plan", "top", "--platform", "linux/arm64", "--json"), 0) == (["narrow", "child", "top"], {})
    part = ("build", "top", "--platform", "linux/amd64", "--push-by-digest", "--dry-run", "--json")
    assert planned(invoked(*part), 1) == ([], {"child": None, "top": "child"})


def test_a_change_is_refused_in_the_work_tree_and_at_a_commit(images: Path, invoked: Invoke) -> None:
    assert planned(invoked("changed", "--since", "HEAD", "--json"), 0) == ([], {})
    dockerfile(images, "child", "FROM ghcr.io/me/narrow\nLABEL a=b")
    dockerfile(images, "other", "FROM scratch\nLABEL a=b")
    refused = (["other"], {"child": None, "top": "child"})
    assert planned(invoked("changed", "--since", "HEAD", "--json"), 1) == refused
    git(images, "commit", "-qam", "changed")
    dockerfile(images, "child", "FROM scratch")
    assert planned(invoked("changed", "--since", "HEAD~1", "--head", "HEAD", "--json"), 1) == refused
    assert planned(invoked("changed", "--since", "HEAD~1", "--json"), 0) == (["child", "other", "top"], {})


def test_a_dockerfile_that_git_ignores_is_looked_at_too(images: Path, invoked: Invoke) -> None:
    (images / ".gitignore").write_text("Dockerfiles/Dockerfile.hidden\n")
    dockerfile(images, "hidden", "FROM ghcr.io/me/narrow")
    done = invoked("plan", "hidden", "--json")
    assert done.returncode == 1
    assert "Dockerfiles/Dockerfile.hidden:1: hidden takes narrow for linux/arm64" in done.stderr


def test_the_doctor_lists_it(images: Path, invoked: Invoke) -> None:
    done = invoked("doctor", "--json")
    (found,) = [one for one in json.loads(done.stdout)["checks"] if one["name"] == "platforms"]
    assert (found["verdict"], found["found"]) == ("missing", f"{WHERE}: {MESSAGE}")
    assert found["mend"].startswith("give narrow the platform")
    assert done.returncode == 1
