"""Start, stop and look at the local services."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from imagewright.errors import EnvironmentMissingError, UsageError
from imagewright.services import purge, records
from imagewright.services.catalog import SERVICES
from imagewright.services.model import Running, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from imagewright.services.containers import Engine
    from imagewright.services.model import Service, State
    from imagewright.services.places import Places

ALL = "all"


def names(wanted: str) -> tuple[str, ...]:
    """The services that `all`, a name, or names with commas between them mean; UsageError for an unknown one."""
    if wanted == ALL:
        return tuple(SERVICES)
    chosen = tuple(dict.fromkeys(name.strip() for name in wanted.split(",")))
    for name in chosen:
        if name not in SERVICES:
            raise UsageError(f"there is no service {name!r}", hint=f"there are {', '.join(SERVICES)}, and all")
    return chosen


def ensure(
    wanted: Iterable[str],
    places: Places,
    *,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    engine: Engine | None = None,
) -> tuple[Running, ...]:
    """Have these services running and healthy: a few milliseconds where they are. Errors are those of `start`."""
    return tuple(
        _found(SERVICES[name], places, environ, engine) or start(name, places, environ=environ, say=say, engine=engine)
        for name in wanted
    )


def start(
    name: str,
    places: Places,
    *,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    engine: Engine | None = None,
) -> Running:
    """Have one service running and healthy, by the first way that works; what is running stays as it is.

    EnvironmentMissingError where no way leads there, where its port is taken, the disk is full, or it crashes.
    """
    from imagewright.services.foreign import adopt
    from imagewright.services.launch import launch

    service = SERVICES[name]
    try:
        places.service(name).mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(places, name, say):
            running = _found(service, places, environ, engine)
            if running is None:
                _clear(service, places, say)
                running = adopt(service, places, environ)
            if running is None:
                running = launch(service, places, environ=environ, say=say, engine=engine)
            return running
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        raise EnvironmentMissingError(
            f"{name} cannot be started: {error.strerror}",
            where=str(error.filename or places.service(name)),
            hint="free some space, or set `services.state` (IMAGEWRIGHT_STATE_DIR) to a folder that can hold it",
        ) from error


def status(places: Places, *, environ: Mapping[str, str], engine: Engine | None = None) -> tuple[Status, ...]:
    """Every service as it is now; nothing is started or mended."""
    return tuple(_status(service, places, environ, engine) for service in SERVICES.values())


def stop(
    name: str,
    places: Places,
    *,
    say: Callable[[str], None],
    engine: Engine | None = None,
) -> bool:
    """End what `start` started, and nothing else; False where there was nothing to end."""
    folder = places.service(name)
    if not folder.exists():
        return False
    with _locked(places, name, say):
        record = records.read(folder)
        ended = record is not None and _end(record, engine, say)
        _clear(SERVICES[name], places, say if not ended else lambda _text: None)
        return ended


def doomed(chosen: Sequence[str], places: Places) -> tuple[purge.Doomed, ...]:
    """What `remove` would remove, with sizes."""
    return purge.plan([places.service(name) for name in chosen])


def remove(name: str, places: Places, *, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Remove what a stopped service keeps, and docker's login to it; EnvironmentMissingError while it runs."""
    folder = places.service(name)
    if not folder.exists():
        return
    with _locked(places, name, say):
        record = records.read(folder)
        if record and record.process and record.process.alive():
            raise EnvironmentMissingError(f"{name} was started meanwhile, its data stays", hint=f"invoke stop {name}")
        if login := SERVICES[name].login:
            from imagewright.services import credentials

            known = credentials.read(folder)
            if known and credentials.logged_in(login(places), environ, known):
                credentials.logout(login(places), environ)
        purge.remove(folder)


def _found(
    service: Service, places: Places, environ: Mapping[str, str], engine: Engine | None = None
) -> Running | None:
    """The service that `start` started, where it is alive and answers; docker's login to it is mended."""
    folder = places.service(service.name)
    record = records.read(folder)
    if record is None or (record.process and not record.process.alive()):
        return None
    if record.bound_to != service.bound_to(places):
        if record.container and not _engine(engine).alive(record.container):
            return None
        raise EnvironmentMissingError(
            f"{service.name} runs for {record.bound_to}, and the configuration says {service.bound_to(places)}",
            hint=f"`invoke stop {service.name}` (other repositories may use it now), or set `services.state` to a "
            "folder of this repository's own",
        )
    if not _healthy(service, record, places, engine):
        return None
    if service.login:
        from imagewright.services import credentials

        host, known = service.login(places), credentials.read(folder)
        if known and not credentials.logged_in(host, environ, known):
            credentials.login(host, known, environ)
    return _running(record)


def _healthy(service: Service, record: records.Record, places: Places, engine: Engine | None) -> bool:
    if record.container and record.address == service.container_address:  # only docker can reach it
        return _engine(engine).alive(record.container)
    return service.answers(places)


def _running(record: records.Record) -> Running:
    pid = record.process.pid if record.process else None
    return Running(name=record.name, address=record.address, pid=pid, how=record.how, version=record.version)


def _clear(service: Service, places: Places, say: Callable[[str], None]) -> None:
    """Bring the folder of a service that does not answer, or no longer runs, to "stopped"."""
    folder = places.service(service.name)
    if records.exists(folder):
        record = records.read(folder)
        if record is None:
            say(f"{service.name}: its record was damaged and is removed")
        elif record.process and record.process.alive():
            say(f"{service.name} (pid {record.process.pid}) does not answer, it is ended")
            _end(record, None, say)
        elif record.process:
            say(f"{service.name}: pid {record.process.pid} is gone, its stale record is removed")
        records.remove(folder)
    if service.sweep:
        service.sweep(places)


def _end(record: records.Record, engine: Engine | None, say: Callable[[str], None]) -> bool:
    if record.process:
        from imagewright.services import processes

        return processes.stop(
            record.process,
            waiting=lambda: say(f"{record.name}: waiting for it to finish what it does, ten seconds at most"),
        )
    return record.container is not None and _engine(engine).remove(record.container)


def _engine(engine: Engine | None) -> Engine:
    from imagewright.services.containers import DockerEngine

    return engine or DockerEngine(os.environ)


def _status(service: Service, places: Places, environ: Mapping[str, str], engine: Engine | None) -> Status:
    folder = places.service(service.name)
    record = records.read(folder)
    alive = record is not None and (
        record.process.alive() if record.process else _engine(engine).alive(record.container or "")
    )
    foreign = None if alive else service.foreign(places, environ)
    state: State = "stopped"
    if foreign:
        state = "running"
    elif alive and record:
        elsewhere = record.bound_to != service.bound_to(places)  # where it listens is not where we would ask
        state = "running" if elsewhere or _healthy(service, record, places, engine) else "unhealthy"
    elif records.exists(folder):
        state = "crashed"
    return Status(
        name=service.name,
        state=state,
        address=foreign or (record.address if alive and record else service.address(places)),
        pid=record.process.pid if alive and record and record.process else None,
        version=record.version if alive and record else None,
        how="running already" if foreign else record.how if alive and record else None,
        data_bytes=purge.size(folder),
        log=folder / "log",
    )


@contextmanager
def _locked(places: Places, name: str, say: Callable[[str], None]) -> Iterator[None]:
    """One command at a time changes a service. The lock is beside the folder, which a purge removes."""
    path: Path = places.service(name).with_name(f".{name}.lock")
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{name}: waiting for another command that starts or stops it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
