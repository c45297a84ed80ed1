"""Programs built from Go modules that are pinned, sums included, in this package's `modules` folder."""

from __future__ import annotations

import fcntl
import re
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from imagewright.errors import EnvironmentMissingError
from imagewright.tools.process import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from importlib.resources.abc import Traversable

_PROGRESS_SECONDS = 5.0
_TAIL_LINES = 8


@dataclass(frozen=True, slots=True)
class _Source:
    path: str  # the module's path in go.mod
    variable: str | None  # the string that `--version` prints, which a release sets by the linker


_SOURCES: Mapping[str, _Source] = {
    "buildkit": _Source("github.com/moby/buildkit", "github.com/moby/buildkit/version.Version"),
    "buildx": _Source("github.com/docker/buildx", "github.com/docker/buildx/version.Version"),
    "registry": _Source("github.com/distribution/distribution/v3", None),  # has it in its source
    "versitygw": _Source("github.com/versity/versitygw", "main.Version"),
}


class GoError(Exception):
    """There is no Go here, or the build failed; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A folder of `modules`: go.mod with its `tool` lines, and go.sum."""

    name: str
    version: str  # of the program's own module, as go.mod pins it: "v0.33.0"
    variable: str | None
    source: Traversable

    def folder(self, tools: Path) -> Path:
        """Where its programs are, below the cache's `tools`."""
        return tools / self.name / self.version


def module(name: str) -> Module:
    """Read the pinned module of this name."""
    known = _SOURCES[name]
    source = files("imagewright.services") / "modules" / name
    pinned = re.search(rf"^\s*{re.escape(known.path)} (v\S+)", (source / "go.mod").read_text(), re.MULTILINE)
    if pinned is None:
        raise GoError(f"modules/{name}/go.mod does not require {known.path}")
    return Module(name=name, version=pinned[1], variable=known.variable, source=source)


def build(module: Module, tools: Path, *, usable: Callable[[], bool], say: Callable[[str], None]) -> Path:
    """Build all programs of a module into its folder, and return that; a minute or two, with progress.

    Builders at the same time wait for each other, and then find `usable` true; each program appears whole or not at
    all. GoError where it cannot be.
    """
    folder = module.folder(tools)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder.parent / ".lock", lambda: say(f"waiting for another build of {module.name}")):
        if not usable():
            with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as scratch:
                for built in _compile(module, Path(scratch), say):
                    built.replace(folder / built.name)
    return folder


def _compile(module: Module, scratch: Path, say: Callable[[str], None]) -> list[Path]:
    if not shutil.which("go"):
        raise GoError("there is no `go` on PATH")
    source, output = scratch / "source", scratch / "bin"
    source.mkdir()
    for name in ("go.mod", "go.sum"):
        (source / name).write_bytes((module.source / name).read_bytes())
    stamp = f" -X {module.variable}={module.version}" if module.variable else ""
    progress = _Progress(f"{module.name} {module.version}", say)
    say(f"building {module.name} {module.version} from its Go modules; this is needed once and takes a minute or two")
    try:
        code = stream(
            ["go", "build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w{stamp}",
             "-o", f"{output}/", "tool"],
            progress.line,
            cwd=source,
            env={"GOWORK": "off", "GOFLAGS": "", "CGO_ENABLED": "0"},
        )  # fmt: skip
    except EnvironmentMissingError as error:
        raise GoError(error.message) from error
    if code:
        raise GoError(f"go build ended with {code}:\n" + "\n".join(f"      {line}" for line in progress.tail))
    say(f"built {module.name} {module.version} in {progress.seconds():.0f} s")
    return sorted(output.iterdir())


class _Progress:
    """Turns go's list of downloads and packages into a line every few seconds."""

    def __init__(self, title: str, say: Callable[[str], None]) -> None:
        self._title, self._say = title, say
        self._started = self._shown = time.monotonic()
        self._downloads = self._packages = 0
        self.tail: list[str] = []

    def seconds(self) -> float:
        return time.monotonic() - self._started

    def line(self, line: str) -> None:
        if line.startswith("go: downloading "):
            self._downloads += 1
        elif " " not in line:
            self._packages += 1
        else:
            self.tail = [*self.tail, line][-_TAIL_LINES:]
        if time.monotonic() - self._shown >= _PROGRESS_SECONDS:
            self._shown = time.monotonic()
            self._say(
                f"  {self._title}: {self._downloads} modules fetched, {self._packages} packages compiled, "
                f"{self.seconds():.0f} s"
            )


@contextmanager
def _locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
