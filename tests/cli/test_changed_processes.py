"""What `invoke changed` starts and loads: as much for many images as for few, and nothing that it has no use for."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.generate import generate

Invoke = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def git_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Has a line for each time that git was started."""
    log, folder = tmp_path / "git.log", tmp_path / "bin"
    folder.mkdir()
    (folder / "git").write_text(f'#!/bin/sh\necho "$*" >>"{log}"\nexec "{shutil.which("git")}" "$@"\n')
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return log


@pytest.fixture
def imports_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python says on standard error what it imports. To be asked for before `invoked`, which takes the environment."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")


def fill(project: Path, images: int) -> None:
    """With a repository of that many images, and a second commit of one file."""
    shutil.rmtree(project)
    generate(project, images, commits=2)


def edit_all(project: Path) -> int:
    """Change, remove and add a file of each app; the number of apps."""
    apps = list(project.glob("apps/*/main.py"))
    for path in apps:
        path.write_text("print('edited')\n")
        path.with_name("settings.toml").unlink()
        (path.parent / "assets/new.html").write_text("not in git\n")
    return len(apps)


@pytest.mark.parametrize("edited", [False, True])
def test_git_is_started_as_often_for_many_images_as_for_few(
    project: Path, invoked: Invoke, git_log: Path, edited: bool
) -> None:
    started = {}
    for images in (10, 60):
        fill(project, images)
        affected = edit_all(project) if edited else 1
        git_log.write_text("")
        done = invoked("changed", "--since", "HEAD~1")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("\nbuild ") == affected
        started[images] = git_log.read_text().splitlines()

    assert len(started[60]) == len(started[10]) > 0, "\n".join(started[60])


@pytest.mark.parametrize("since", ["HEAD", "HEAD~1"])
def test_no_library_for_builds_and_registries_is_loaded(
    imports_are_told: None, project: Path, invoked: Invoke, since: str
) -> None:
    fill(project, 10)

    done = invoked("changed", "--since", since, "--json")

    assert done.returncode == 0, done.stderr
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "imagewright.changes.decide" in loaded
    assert not {"boto3", "urllib3", "pydantic", "python_on_whales", "rich"} & loaded
