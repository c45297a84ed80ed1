"""This machine, as `doctor` asks it: programs, services, registries, disk and kernel."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from imagewright.errors import EnvironmentMissingError
from imagewright.services import docker_folders, programs
from imagewright.services.catalog import SERVICES
from imagewright.tools.process import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imagewright.services.places import Places

_SECONDS = 5.0
_CHEAP_WAYS = {"on PATH", "built before"}
_BINFMT = Path("/proc/sys/fs/binfmt_misc")


class ThisMachine:
    """The real one; every question is asked anew, but for the engine's version."""

    def __init__(self, places: Places, environ: Mapping[str, str]) -> None:
        self._places = places
        self._environ = environ

    def python(self) -> str:
        """The version and the path of this Python."""
        return f"{platform.python_version()} ({sys.executable})"

    def program(self, *argv: str) -> str | None:
        """The first line that a program prints, with its path; None where it is missing, fails, or takes too long."""
        path = shutil.which(argv[0], path=self._environ.get("PATH"))
        said = _said(path, *argv[1:]) if path else None
        return f"{said} ({path})" if said else None

    def engine(self) -> str | None:
        """The version of the Docker engine of docker's current context; None where none answers."""
        return self._engine

    @cached_property
    def _engine(self) -> str | None:
        return _said("docker", "version", "--format", "{{.Server.Version}}")

    def builder(self, name: str) -> bool:
        """Whether buildx knows a builder of this name."""
        own = self._own_docker_config()
        return _said("docker", "buildx", "inspect", name, env={"DOCKER_CONFIG": str(own)} if own else None) is not None

    def provided(self, name: str) -> str | None:
        """How a program of the local services is here already: its version and place."""
        ways = programs.ways(name, tools=self._places.tools, environ=self._environ, say=lambda _text: None)
        for way, take in ways:
            if way in _CHEAP_WAYS:
                try:
                    found = take()
                except programs.Unavailable:
                    continue
                return f"{found.version}, {found.how}"
        return None

    def running(self, service: str) -> str | None:
        """The address of a local service that runs and is healthy."""
        known = SERVICES[service]
        if known.answers(self._places):
            return known.address(self._places)
        return known.foreign(self._places, self._environ)

    def login_needed(self, registry: str) -> bool:
        """Ask a registry; whether it wants credentials. Errors are those of `Registry.ping`."""
        from imagewright.registry.client import Registry

        with Registry(registry) as client:
            return client.ping()

    def logged_in(self, registry: str) -> bool:
        """Whether docker's credential store has something for a registry."""
        from imagewright.registry.credentials import find_credential

        return find_credential(registry, self._environ) is not None

    def free_bytes(self) -> int:
        """The space left where images are built and programs are kept, whichever is less."""
        return min(shutil.disk_usage(_existing(folder)).free for folder in (self._places.state, self._places.cache))

    def emulators(self) -> frozenset[str]:
        """The architectures, in QEMU's names, whose programs the kernel hands to an emulator (binfmt_misc)."""
        handlers = _BINFMT.glob("qemu-*") if _BINFMT.is_dir() else ()
        return frozenset(file.name.removeprefix("qemu-") for file in handlers if file.read_text().startswith("enabled"))

    def is_root(self) -> bool:
        """Whether buildkitd and mmdebstrap may do their work."""
        return os.geteuid() == 0

    def _own_docker_config(self) -> Path | None:
        """The folder in which this package keeps buildx, where it was needed and made before."""
        if docker_folders.buildx_plugin(self._environ) is not None:
            return None
        return next(self._places.state.glob("docker-*"), None)


def _said(*argv: str, env: Mapping[str, str] | None = None) -> str | None:
    try:
        done = run(argv, env=env, seconds=_SECONDS)
    except (OSError, EnvironmentMissingError, subprocess.TimeoutExpired):
        return None
    return done.text.partition("\n")[0].strip() or None if done.code == 0 else None


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
