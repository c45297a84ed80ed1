"""BuildKit daemons beside the product's own: the other machines of a fleet, on this one."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from imagewright.services import probes, programs
from imagewright.services.buildkitd import SERVICE, cgroup

if TYPE_CHECKING:
    from imagewright.services.places import Places
    from tests.e2e.conftest import Isolated

_SECONDS = 20


@dataclass(kw_only=True)
class Certificates:
    """An authority, and what it signed: a server on 127.0.0.1 that is called `name`, and a client."""

    folder: Path
    name: str = "arm.example.org"

    def __post_init__(self) -> None:
        self.folder.mkdir()
        new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
        self._openssl(*new, "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
        by_us = (*new, "-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE")
        for who in ("server", "client"):
            names = ("-addext", f"subjectAltName=DNS:{self.name}")
            self._openssl(*by_us, *names, "-subj", f"/CN={who}", "-keyout", f"{who}.key", "-out", f"{who}.pem")

    def _openssl(self, *args: str) -> None:
        done = subprocess.run(["openssl", *args], cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def __getitem__(self, name: str) -> Path:
        return self.folder / name


@dataclass(kw_only=True)
class Buildkitd:
    """A daemon that says to be of one platform. It listens on a socket, and with certificates on a port, too."""

    folder: Path
    isolated: Isolated
    platform: str | None = None
    port: int | None = None
    certificates: Certificates | None = None
    programs: Path | None = None  # beside those on PATH: `buildkit-qemu-…`
    child: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def address(self) -> str:
        return f"unix://{self.folder / 's'}"

    def start(self) -> None:
        buildkitd = _program("buildkitd", self.isolated)
        runc = programs.provide("runc", tools=self.isolated.places.tools, environ=os.environ, say=print)
        config = self.folder / "buildkitd.toml"
        config.write_text(self._config(runc.path))
        named = ["--oci-worker-platform", self.platform] if self.platform else []
        path = ":".join([*([str(self.programs)] if self.programs else []), os.environ["PATH"]])
        with (self.folder / "log").open("ab") as log:
            self.child = subprocess.Popen(
                [buildkitd, "--config", config, *named],
                stdout=log,
                stderr=log,
                env={**os.environ, **runc.env, "PATH": path},
            )
        until = time.monotonic() + _SECONDS
        while not probes.grpc(self.folder / "s"):
            if self.child.poll() is not None or time.monotonic() > until:
                raise AssertionError((self.folder / "log").read_text())
            time.sleep(0.02)

    def stop(self) -> None:
        if self.child is not None:
            self.child.terminate()
            self.child.wait(_SECONDS)
            self.child = None
        sweep(self._places)

    @property
    def _places(self) -> Places:
        return replace(self.isolated.places, state=self.folder)

    def _config(self, runc: Path) -> str:
        tcp = [f"tcp://127.0.0.1:{self.port}"] if self.port else []
        tls = ""
        if made := self.certificates:
            files = {"cert": made["server.pem"], "key": made["server.key"], "ca": made["ca.pem"]}
            tls = "[grpc.tls]\n" + "".join(f"{key} = {json.dumps(str(file))}\n" for key, file in files.items())
        return f"""
root = "{self.folder}/data"
[log]
level = "warn"
[grpc]
address = {json.dumps([self.address, *tcp])}
{tls}
[otel]
socketPath = "{self.folder}/o"
[cdi]
disabled = true
[worker.containerd]
enabled = false
[worker.oci]
enabled = true
binary = "{runc}"
defaultCgroupParent = "{cgroup(self._places)}"
[registry."docker.io"]
mirrors = ["{self.isolated.registry}/docker.io"]
[registry."{self.isolated.registry}"]
http = true
"""


def sweep(places: Places) -> None:
    """Remove the cgroup of a daemon that has ended."""
    assert SERVICE.sweep is not None
    SERVICE.sweep(places)


def steps(isolated: Isolated, address: str) -> str:
    """What the daemon at an address keeps of the steps that it executed."""
    command = [str(_program("buildctl", isolated)), "--addr", address, "du", "--verbose"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _program(name: str, isolated: Isolated) -> Path:
    return programs.provide(name, tools=isolated.places.tools, environ=os.environ, say=print).path
