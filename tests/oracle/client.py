"""BuildKit's own answers: builds the program in this folder, and talks to it."""

from __future__ import annotations

import hashlib
import json
import os
import select
import shutil
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self, cast

from imagewright.config.models import Settings
from imagewright.services.places import Places
from imagewright.tools.lock import locked

if TYPE_CHECKING:
    from collections.abc import Mapping

SOURCE = Path(__file__).parent
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class File:
    """A regular file, or a symbolic link where `link` is set."""

    text: str = ""
    exec: bool = False
    link: str = ""


@dataclass(frozen=True, slots=True)
class Base:
    """What an outside image gives to its children."""

    env: tuple[str, ...] = ()  # "NAME=value"
    onbuild: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A repository, and how one image is built in it. Paths are relative to the repository."""

    files: Mapping[str, File]
    dockerfile: str = "Dockerfile"
    context: str = "."
    contexts: Mapping[str, str] = field(default_factory=dict)
    args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    platforms: tuple[str, ...] = ("linux/amd64",)
    builder: str = "linux/amd64"
    bases: Mapping[str, Base] = field(default_factory=dict)  # by full reference, or that, a blank and a platform
    hidden_args: tuple[str, ...] = ()  # BuildKit knows them, this package does not: what a secret build arg is
    hidden_bases: tuple[str, ...] = ()  # full references


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What BuildKit does. A path of `used` says what of it counts: read, edit, mode, delete, copy."""

    error: str = ""  # why the front end refuses
    foreign: str = ""  # another front end than docker/dockerfile, which would be started
    fails: str = ""  # why a step would fail
    images: list[str]
    remotes: list[str]
    used: dict[str, list[str]]
    sent: list[str]


class Oracle:
    """The running program."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "GOGC": "400"}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        requests, answers = self._pipes()
        requests.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        answers.close()

    def ask(self, case: Case) -> Answer:
        """What BuildKit makes of it."""
        requests, answers = self._pipes()
        requests.write(json.dumps(asdict(case)).encode() + b"\n")
        requests.flush()
        ready, _, _ = select.select([answers], [], [], PATIENCE_SECONDS)
        assert ready, f"the oracle does not answer {case}"
        line = answers.readline()
        assert line, f"the oracle died of {case}"
        return Answer(**json.loads(line))

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        return cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)


def program() -> Path:
    """The program, built into the cache where it is not there yet: a minute or two."""
    sources = sorted(path for path in SOURCE.iterdir() if path.suffix in (".go", ".mod", ".sum"))
    key = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    folder = Places.of(Settings(), os.environ, SOURCE).tools / "oracle"
    built = folder / key / "oracle"
    with locked(folder / ".lock"):
        if not built.exists():
            if not shutil.which("go"):
                raise AssertionError("there is no `go` on PATH, which builds BuildKit's front end for this test")
            fresh = folder / f"{key}.new"
            flags = ("-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w")
            subprocess.run(
                ["go", "build", *flags, "-o", fresh, "."],
                cwd=SOURCE,
                env={**os.environ, "GOWORK": "off", "GOFLAGS": "", "CGO_ENABLED": "0"},
                check=True,
            )
            for old in folder.glob("*/"):
                shutil.rmtree(old)
            built.parent.mkdir()
            fresh.replace(built)
    return built
