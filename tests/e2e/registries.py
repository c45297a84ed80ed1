"""Registries of both generations of distribution, each a process and a folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imagewright.services import programs
from imagewright.services.registry import ENV
from imagewright.tools import apt

if TYPE_CHECKING:
    from collections.abc import Callable

    from imagewright.services.places import Places


@dataclass
class Served:
    """A registry of its own, which can be stopped and started again."""

    program: Path
    folder: Path
    host: str
    child: subprocess.Popen[bytes] | None = None
    deletes: bool = True  # as of its next start

    def start(self) -> None:
        config = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.folder / "data")},
                "delete": {"enabled": self.deletes},
            },
            "http": {"addr": self.host},
        }
        (self.folder / "config.yml").write_text(json.dumps(config))
        with (self.folder / "log").open("ab") as log:
            self.child = subprocess.Popen(
                [self.program, "serve", str(self.folder / "config.yml")],
                stdout=log,
                stderr=log,
                env={**os.environ, **ENV},
            )
        wait_for(self.host, self.child, self.folder / "log")

    def kill(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.wait(10)
            self.child = None


def program_of(generation: int, places: Places, tell: Callable[[str], None]) -> Path:
    if generation == 2:
        return apt.unpack(["docker-registry"], cache=places.tools, say=tell) / "usr/bin/docker-registry"
    return programs.provide("registry", tools=places.tools, environ=os.environ, say=tell).path


def wait_for(host: str, child: subprocess.Popen[bytes], log: Path) -> None:
    name, _, port = host.partition(":")
    until = time.monotonic() + 20
    while child.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection((name, int(port)), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError(log.read_text())
