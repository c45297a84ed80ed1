"""`invoke start`, `invoke stop` and `invoke status`: the local services."""

from __future__ import annotations

import json as json_module
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit

from imagewright.cli.project import Project
from imagewright.cli.table import plain_table, show_table
from imagewright.cli.task import task
from imagewright.config.sizes import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagewright.services.model import Status

_SERVICE = "buildkitd, registry, s3, several with commas between them, or all (the default)"


@task(defaults={"service": "all"}, help={"service": _SERVICE})
def start(c: Any, service: str) -> None:
    """Start local services, and return when they are healthy."""
    from imagewright.services import manager

    project = Project.open(c)
    for running in manager.ensure(manager.names(service), project.places, environ=project.environ, say=project.say):
        print(f"{running.name}  {running.address}  ({running.how})")  # noqa: T201


@task(
    defaults={"service": "all"},
    help={
        "service": _SERVICE,
        "purge": "remove their data, logs and credentials too, after showing what",
        "yes": "remove without asking",
    },
)
def stop(c: Any, service: str, purge: bool = False, yes: bool = False) -> None:
    """Stop the local services that `start` started; nothing else is touched."""
    from imagewright.services import manager

    project = Project.open(c)
    chosen = manager.names(service)
    for name in reversed(chosen):
        ended = manager.stop(name, project.places, say=project.say)
        project.say(f"{name} is stopped" if ended else f"{name} was not running")
    if purge:
        _purge(project, chosen, yes=yes)


@task(defaults={"service": "all"}, help={"service": _SERVICE, "json": "print the status as JSON"})
def status(c: Any, service: str, json: bool = False) -> None:
    """Show the local services: state, address, version, size of their data, log."""
    from imagewright.services import manager

    project = Project.open(c)
    chosen = manager.names(service)
    found = [one for one in manager.status(project.places, environ=project.environ) if one.name in chosen]
    if json:
        document = {"schema": 1, "services": [{**asdict(one), "log": str(one.log)} for one in found]}
        print(json_module.dumps(document, indent=2))  # noqa: T201
    else:
        show_table(_HEADINGS, [_row(one) for one in found])


_HEADINGS = ("service", "state", "address", "pid", "version", "provided", "data", "log")


def _row(one: Status) -> Sequence[str]:
    pid = str(one.pid) if one.pid else "-"
    return (
        one.name,
        one.state,
        one.address,
        pid,
        one.version or "-",
        one.how or "-",
        size(one.data_bytes),
        str(one.log),
    )


def _purge(project: Project, chosen: Sequence[str], *, yes: bool) -> None:
    from imagewright.services import manager

    doomed = manager.doomed(chosen, project.places)
    if not doomed:
        project.say("nothing is kept")
        return
    project.say("these folders are removed, with all images, cache, logs and credentials in them:")
    project.say(plain_table(("folder", "size"), [(str(one.path), size(one.size)) for one in doomed]))
    if not yes:
        if not sys.stdin.isatty():
            raise Exit("nothing was removed: this is no terminal to ask at, `--yes` removes them", code=1)
        print("Remove them? [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):  # the end of input is a no, too
            raise Exit("nothing was removed", code=1)
    for name in chosen:
        manager.remove(name, project.places, environ=project.environ, say=project.say)
    project.say("removed")
