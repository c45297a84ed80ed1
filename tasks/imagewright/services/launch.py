"""Bringing a service up: a way to its programs, its files and credentials, and the wait until it is healthy."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from imagewright.errors import EnvironmentMissingError
from imagewright.services import credentials, processes, programs, records
from imagewright.services.model import Running
from imagewright.services.processes import START_SECONDS
from imagewright.services.programs import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from imagewright.services.containers import Engine
    from imagewright.services.model import Provided, Service
    from imagewright.services.places import Places

LOG = "log"
_CONTAINER_PROBE_SECONDS = 0.1


def launch(
    service: Service,
    places: Places,
    *,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    engine: Engine | None,
) -> Running:
    """Start a service that does not run, by the first way that works, and write its record.

    EnvironmentMissingError lists the ways and why none works, or says how the service ended.
    """
    folder = places.service(service.name)
    secrets = credentials.ensure(folder, service.secrets)

    def as_process(program: Provided) -> records.Record:
        helpers = {
            name: programs.provide(name, tools=places.tools, environ=environ, say=say) for name in service.helpers
        }
        ready = service.prepare(places, {service.program: program, **helpers}, secrets)
        _write(folder, ready.files, ready.folders)
        _prepare_socket(service, places)
        process = processes.start(
            ready.argv, env=ready.env, environ=environ, log=folder / LOG, answers=lambda: service.answers(places)
        )
        return records.Record(
            name=service.name,
            address=service.address(places),
            how=program.how,
            version=program.version,
            bound_to=service.bound_to(places),
            process=process,
        )

    def as_container() -> records.Record:
        from imagewright.services.containers import DockerEngine

        container, door = service.container(places, secrets), engine or DockerEngine(environ)
        _write(folder, container.files, container.folders)
        started = door.run(f"imagewright-{service.name}", container, folder, service.port(places))

        def healthy() -> bool:
            return door.succeeds(started, container.check) if container.check else service.answers(places)

        if not _comes_true(healthy, lambda: door.alive(started)):
            said = door.output(started)
            door.remove(started)
            raise Unavailable(f"the container of {container.image} did not answer:\n{said}")
        return records.Record(
            name=service.name,
            address=service.container_address or service.address(places),
            how=f"container of {container.image}",
            version=container.image.partition(":")[2],
            bound_to=service.bound_to(places),
            container=started,
        )

    def process_by(take: Callable[[], Provided]) -> Callable[[], records.Record]:
        def way() -> records.Record:
            if service.needs_root and os.geteuid() != 0:
                raise Unavailable(f"{service.program} needs root; without it, use rootless Docker or run it with sudo")
            return as_process(take())

        return way

    ways = [
        (title, process_by(take))
        for title, take in programs.ways(service.program, tools=places.tools, environ=environ, say=say)
    ]
    ways.insert(-1, ("container", as_container))  # before the one that takes minutes
    record = programs.first_of(service.name, ways)
    records.write(folder, record)
    if service.login:
        credentials.login(service.login(places), secrets, environ)
    say(f"started {service.name} {record.version} at {record.address} ({record.how})")
    return Running(
        name=record.name,
        address=record.address,
        pid=record.process.pid if record.process else None,
        how=record.how,
        version=record.version,
    )


def _write(folder: Path, files: Mapping[str, str], folders: tuple[str, ...]) -> None:
    for name in folders:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        credentials.write_private(folder / name, text)


def _prepare_socket(service: Service, places: Places) -> None:
    if service.port(places) is not None:
        return
    socket = places.socket(service.name)
    socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = socket.parent.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:  # somebody put it into /tmp before us
        raise EnvironmentMissingError(
            f"{socket.parent} can be written by others, no socket is put there",
            hint="remove it, or set `services.state` (IMAGEWRIGHT_STATE_DIR) to a shorter path",
        )
    socket.unlink(missing_ok=True)


def _comes_true(healthy: Callable[[], bool], alive: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while not healthy():
        if time.monotonic() > deadline or not alive():
            return False
        time.sleep(_CONTAINER_PROBE_SECONDS)
    return True
