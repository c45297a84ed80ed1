"""Real repositories: an origin with a little history, and clones of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from imagewright.changes.git_history import GitHistory
from imagewright.events.event import Event
from imagewright.tools.git import find


@dataclass
class Folder:
    """A repository to play with. Each commit is a minute younger than the last one."""

    path: Path
    clock: list[int] = field(default_factory=lambda: [1577934245])

    def git(self, *args: str) -> str:
        self.clock[0] += 60
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        clean |= {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_DATE": f"{self.clock[0]} +0000",
            "GIT_COMMITTER_DATE": f"{self.clock[0]} +0000",
        }
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        done = subprocess.run(
            ["git", *identity, *args], cwd=self.path, env=clean, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, name: str = "file") -> str:
        with (self.path / name).open("a") as file:
            file.write("more\n")
        self.git("add", "-A")
        self.git("commit", "-qm", name)
        return self.id()

    def id(self, revision: str = "HEAD") -> str:
        return self.git("rev-parse", revision)

    def on(self, branch: str, start: str = "HEAD") -> None:
        self.git("checkout", "-qB", branch, start)

    def clone(self, name: str = "clone", *options: str) -> Folder:
        path = self.path.parent / name
        self.git("clone", "-q", *options, f"file://{self.path}", str(path))
        return Folder(path, self.clock)

    def checkout(self, *refs: str, options: tuple[str, ...] = ("--depth=1",), name: str = "checkout") -> Folder:
        """As actions/checkout does: the first ref, detached, nothing else."""
        path = self.path.parent / name
        path.mkdir()
        made = Folder(path, self.clock)
        made.git("init", "-q", "-b", "main")
        made.git("remote", "add", "origin", f"file://{self.path}")
        made.git("fetch", "-q", "--no-tags", *options, "origin", *refs)
        made.git("checkout", "-q", "--detach", "FETCH_HEAD" if len(refs) == 1 else self.id(refs[0]))
        return made

    def refs(self) -> str:
        return self.git("for-each-ref") + str((self.path / ".git" / "FETCH_HEAD").exists())


@pytest.fixture(autouse=True)
def git_without_the_users_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def origin(tmp_path: Path) -> Folder:
    """main with five commits; commits are given by id, to whoever asks."""
    path = tmp_path / "origin"
    path.mkdir()
    made = Folder(path)
    made.git("init", "-q", "-b", "main")
    made.git("config", "uploadpack.allowFilter", "true")
    made.git("config", "uploadpack.allowAnySHA1InWant", "true")
    for number in range(5):
        made.commit(f"file{number}")
    return made


Said = list[str]
Opener = Callable[..., GitHistory]


@pytest.fixture
def said() -> Said:
    return []


@pytest.fixture
def history_of(said: Said) -> Opener:
    def opened(folder: Folder | Path, event: Event | None = None, seconds: float = 60) -> GitHistory:
        repository = find(folder.path if isinstance(folder, Folder) else folder)
        assert repository is not None
        return GitHistory(repository, event or Event(kind="local", host="local"), said.append, seconds=seconds)

    return opened
