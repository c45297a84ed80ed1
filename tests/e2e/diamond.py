"""A project of four images, each with steps that no other test's have: base, left and right on it, top on those two."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from imagewright.services import manager, purge
from tests.e2e.repository import Repository

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Inv, LocalEngine

NAMES = ("base", "left", "right", "top")


def diamond(folder: Path, engine: LocalEngine, inv: Inv, base_image: str, prefix: str | None = None) -> Repository:
    """The project, in git. No step's result has a time in it: whoever builds it gets the same digests."""
    folder.mkdir()
    r = Repository(folder, engine, inv, base_image)
    r.prefix = prefix or r.prefix
    r.write("right.txt", f"{r.prefix}\n")
    r.dockerfile("base", "FROM BASE", "COPY right.txt /base.txt", "RUN test -s /base.txt")
    r.dockerfile("left", "FROM PREFIX/base", "RUN grep PREFIX /base.txt")
    r.dockerfile("right", "FROM PREFIX/base", "COPY right.txt /right.txt")
    r.dockerfile("top", "FROM PREFIX/left", "COPY --from=PREFIX/right /right.txt /", "RUN cmp /right.txt /base.txt")
    r.git("init", "-q", "-b", "main")
    configure(r, "")
    return r


def configure(r: Repository, text: str) -> None:
    """A configuration, committed: digests are compared, and a changed tree has other labels."""
    r.write("config/images.yml", f'repository: "{r.prefix}/{{name}}"\n{text}')
    r.commit()


def forget(r: Repository, *names: str) -> None:
    """The project without these images."""
    for name in names:
        (r.root / f"Dockerfiles/Dockerfile.{name}").unlink()


def pid_of(name: str, engine: LocalEngine) -> int:
    """The process of a service."""
    (found,) = (one.pid for one in manager.status(engine.places, environ=engine.env) if one.name == name)
    assert found, f"{name} does not run"
    return found


def kill(name: str, engine: LocalEngine) -> None:
    """End a service at once, by its pid."""
    os.kill(pid_of(name, engine), signal.SIGKILL)


def start(name: str, engine: LocalEngine) -> None:
    """Have it running again."""
    manager.ensure((name,), engine.places, environ=engine.env, say=lambda _text: None)


def empty_builder(engine: LocalEngine) -> None:
    """A buildkitd that has never built anything. A prune would keep what something still leases."""
    manager.stop("buildkitd", engine.places, say=lambda _text: None)
    data = engine.places.service("buildkitd") / "data"
    purge.remove(data)
    start("buildkitd", engine)
