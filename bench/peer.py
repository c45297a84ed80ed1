"""The peer: plain `docker buildx bake`, on the builder and with the docker configuration of this package's builds."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import CannotRunError, environment
from imagewright.builds.builder import resolve
from imagewright.config.load import load
from imagewright.errors import ImagewrightError
from imagewright.services.docker_config import docker_config
from imagewright.services.places import Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Bake:
    """How bake is called."""

    args: tuple[str, ...]
    env: Mapping[str, str]


def bake_printing(root: Path) -> Bake:
    """A bake that builds nothing, and so needs no builder. CannotRunError where buildx cannot be had."""
    with _told():
        settings = load(root, os.environ)
        folder = docker_config(Places.of(settings, os.environ, root), environ=os.environ, say=_say)
    return _bake(folder, "--print")


def bake_building(root: Path, more: Mapping[str, str] | None = None) -> Bake:
    """A bake on the builder that `invoke build` takes for the repository at `root`, with `more` in its environment.

    CannotRunError without a builder.
    """
    environ = environment(more or {})
    with _told():
        settings = load(root, environ)
        places = Places.of(settings, environ, root)
        builder = resolve(settings.builder.name, places, environ=environ, say=_say)
    return _bake(builder.docker_config, "--builder", builder.name)


def _bake(folder: Path | None, *options: str) -> Bake:
    # Without this bake asks before it reads what is outside of the repository: a file for a secret, for example.
    env = {"BUILDX_BAKE_ENTITLEMENTS_FS": "0", **({"DOCKER_CONFIG": str(folder)} if folder else {})}
    return Bake(args=("docker", "buildx", "bake", *options), env=env)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ImagewrightError as error:
        raise CannotRunError(str(error)) from error


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
