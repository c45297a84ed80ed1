"""What a builder is asked before it builds. Real builders: tests/e2e/test_fleet.py."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from imagewright.builds.builder import Builder
from imagewright.builds.nodes import Node
from imagewright.builds.plan import NO_BASE, NO_HEAD, Plan, PlanImage
from imagewright.cli.equipping import equipped
from imagewright.cli.project import Project, host_platform
from imagewright.errors import EnvironmentMissingError

FOREIGN = "linux/s390x"
DOCKER = f"""#!/bin/sh
echo "$*" >> "$RECORD"
case "$*" in
  *inspect*) printf '%s\\n' 'Name: b' 'Driver: remote' 'Nodes:' 'Name: n0' 'Platforms: {host_platform()}' ;;
  *"buildx build"*) echo "$SAYS" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    program.write_text(DOCKER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("RECORD", str(tmp_path / "calls"))
    monkeypatch.setenv("SAYS", "exec /program: exec format error")
    (tmp_path / "project/Dockerfiles").mkdir(parents=True)
    for name, text in {
        "base": "FROM scratch\nONBUILD RUN make\n",
        "triggered": "FROM localhost:5050/base\n",
        "runs": "FROM debian\nRUN x\n",
        "copies": "FROM debian\nCOPY x /\n",
    }.items():
        (tmp_path / "project/Dockerfiles" / f"Dockerfile.{name}").write_text(text)
    return Project(tmp_path / "project", {"HOME": str(tmp_path), "PATH": os.environ["PATH"]})


def plan(project: Project, *platforms: str) -> Plan:
    images = tuple(
        PlanImage(
            image=image,
            level=0,
            action="build",
            reasons=(),
            parents=(),
            platforms=platforms or image.platforms,
            tags=(),
        )
        for image in project.images
    )
    return Plan(base=NO_BASE, head=NO_HEAD, images=images)


def here(**more: tuple[str, ...]) -> Builder:
    return Builder(name="b", driver="remote", nodes=(Node(name="n0", endpoint="unix:///b.sock", **more),))


def calls(project: Project) -> list[str]:
    record = project.root.parent / "calls"
    return [line.split()[1] for line in record.read_text().splitlines()] if record.exists() else []


def test_what_is_plain_is_not_asked_about(project: Project) -> None:
    builder = here()
    assert equipped(project, plan(project), builder) is builder
    named = here(platforms=(FOREIGN,))
    assert equipped(project, plan(project, FOREIGN), named) is named
    assert calls(project) == []


def test_only_images_that_execute_something_need_an_emulator(project: Project) -> None:
    with pytest.raises(EnvironmentMissingError, match=f"run: runs, triggered for {FOREIGN}\n"):
        equipped(project, plan(project, host_platform(), FOREIGN), here())
    assert calls(project) == ["inspect", "build"]


@pytest.mark.parametrize(("local", "hint"), [(True, "qemu-user-static"), (False, "give the builder a node for")])
def test_what_mends_it_is_of_the_kind_of_builder(project: Project, local: bool, hint: str) -> None:
    builder = replace(here(), name="imagewright" if local else "imagewright-fleet", is_local=local)
    with pytest.raises(EnvironmentMissingError, match=hint):
        equipped(project, plan(project, FOREIGN), builder)


def test_nothing_is_tried_where_nothing_is_executed(project: Project) -> None:
    (project.root / "Dockerfiles/Dockerfile.runs").unlink()
    (project.root / "Dockerfiles/Dockerfile.triggered").unlink()
    known = equipped(project, plan(project, FOREIGN), here())
    assert known.nodes[0].found == (host_platform(),)
    assert calls(project) == ["inspect"]


def test_what_cannot_be_told_is_not_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAYS", "ERROR: no space left on device")
    equipped(project, plan(project, FOREIGN), here())
    assert calls(project) == ["inspect", "build"]
