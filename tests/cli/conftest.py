"""Projects to run tasks in, as a user does: `invoke` in a folder, with nothing of this machine's user seen."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.forks import Forks


class Invoke(Protocol):
    """Runs `invoke ARGS` in the project, with `more` variables; the finished process, with its output as text."""

    def __call__(self, *args: str, more: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty repository of images: a tasks.py of one line, and git without a commit."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "tasks.py").write_text("from imagewright import ns\n")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


@pytest.fixture
def invoked(project: Path, tmp_path: Path, forks: Forks) -> Invoke:
    """`invoked("list", "--json")` in `project`."""
    scrubbed = ("AWS_", "BUILDX_", "CI_", "DOCKER_", "GIT_", "GITHUB_", "GITLAB_", "IMAGEWRIGHT_", "INVOKE_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(scrubbed)} | {
        "IMAGEWRIGHT_CACHE_DIR": str(tmp_path / "cache"),
        "IMAGEWRIGHT_STATE_DIR": str(tmp_path / "state"),
        "DOCKER_CONFIG": str(tmp_path / "docker"),
        "DOCKER_HOST": f"unix://{tmp_path}/no-engine.sock",
        "BUILDKIT_HOST": f"unix://{tmp_path}/no-buildkitd.sock",
    }

    def run(*args: str, more: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return forks.invoke(*args, cwd=project, env={**env, **(more or {})})

    return run
