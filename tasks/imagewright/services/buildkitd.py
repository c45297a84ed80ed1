"""BuildKit's daemon: who executes the builds."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from imagewright.services import probes
from imagewright.services.model import Container, Launch, Provided, Secrets, Service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imagewright.services.places import Places

_NAME = "buildkitd"
_CONTAINER = "imagewright-buildkitd"
_CGROUPS = Path("/sys/fs/cgroup")
_SYSTEM_SOCKET = "unix:///run/buildkit/buildkitd.sock"  # buildctl's own default

# docs/buildkitd.toml.md of BuildKit. Garbage is collected by the disk's size, as BuildKit does by default, within
# bounds that fit a laptop. The mirror serves base images that Docker Hub cannot; a miss there goes on to Docker Hub.
_CONFIG = """\
root = {root}

[log]
  level = "warn"

[grpc]
  address = [{address}]

[otel]
  socketPath = {otel}

[cdi]
  disabled = true

[worker.containerd]
  enabled = false

[worker.oci]
  enabled = true
{worker}  gc = true
  reservedSpace = "10%"
  maxUsedSpace = "50%"
  minFreeSpace = "10%"

[registry."docker.io"]
  mirrors = [{mirror}]

[registry.{registry}]
  http = true
"""


def cgroup(places: Places) -> str:
    """The cgroup that holds the build steps of this daemon, and of no other."""
    return f"imagewright-{sha256(os.fsencode(places.service(_NAME))).hexdigest()[:12]}"


def _prepare(places: Places, programs: Mapping[str, Provided], _secrets: Secrets) -> Launch:
    folder, socket = places.service(_NAME), places.socket(_NAME)
    worker = f'  binary = {_toml(programs["runc"].path)}\n  defaultCgroupParent = "{cgroup(places)}"\n'
    return Launch(
        argv=(str(programs[_NAME].path), "--config", str(folder / "buildkitd.toml")),
        env=programs["runc"].env,
        files={"buildkitd.toml": _config(places, str(folder / "data"), f"unix://{socket}", worker)},
        folders=("data",),
    )


def _container(places: Places, _secrets: Secrets) -> Container:
    return Container(
        image="moby/buildkit:v0.33.0",
        args=("--config", "/etc/buildkit/buildkitd.toml"),
        mounts={"buildkitd.toml": "/etc/buildkit/buildkitd.toml", "data": "/var/lib/buildkit"},
        files={"buildkitd.toml": _config(places, "/var/lib/buildkit", "unix:///run/buildkit/buildkitd.sock", "")},
        folders=("data",),
        privileged=True,
        check=("buildctl", "debug", "workers"),
    )


def _config(places: Places, root: str, address: str, worker: str) -> str:
    return _CONFIG.format(
        root=_toml(root),
        address=_toml(address),
        otel=_toml(f"{address.removeprefix('unix://')}.otel"),
        worker=worker,
        mirror=_toml(f"{places.registry}/docker.io"),
        registry=_toml(places.registry),
    )


def _toml(value: str | Path) -> str:
    return json.dumps(str(value), ensure_ascii=False)  # a basic string of TOML is one of JSON


def _foreign(_places: Places, environ: Mapping[str, str]) -> str | None:
    address = environ.get("BUILDKIT_HOST") or _SYSTEM_SOCKET
    return address if address.startswith("unix://") and probes.grpc(Path(address.removeprefix("unix://"))) else None


def _sweep(places: Places) -> None:
    """Kill the build steps that outlived the daemon (it was killed itself), and remove their cgroups."""
    for root in (_CGROUPS, *_CGROUPS.iterdir()):  # version 2, or one hierarchy a controller (cgroups(7))
        parent = root / cgroup(places)
        if not parent.is_dir():
            continue
        groups = [Path(folder) for folder, _, _ in os.walk(parent, topdown=False)]
        for group in groups:
            for pid in (group / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        for group in groups:
            with suppress(OSError):  # what was killed may not be gone yet; an empty cgroup costs nothing
                group.rmdir()


SERVICE = Service(
    name=_NAME,
    program=_NAME,
    helpers=("runc",),
    address=lambda places: f"unix://{places.socket(_NAME)}",
    container_address=f"docker-container://{_CONTAINER}",
    port=lambda _places: None,
    answers=lambda places: probes.grpc(places.socket(_NAME)),
    foreign=_foreign,
    prepare=_prepare,
    container=_container,
    needs_root=True,
    bound_to=lambda places: places.registry,
    sweep=_sweep,
)
