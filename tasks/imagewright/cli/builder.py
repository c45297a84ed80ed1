"""`invoke builder`: the builder, looked at, and created where the configuration describes it."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from imagewright.cli.project import Project
from imagewright.cli.table import show_table
from imagewright.cli.task import task
from imagewright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imagewright.builds.fleet import Difference
    from imagewright.cli.fleet import Deed
    from imagewright.tools.buildx_inspect import Inspected

_LEVELS = "linux/amd64/v"  # of the architecture: three more words for each node
_DID = {"create": "was created", "replace": "was made anew", "remove": "was removed"}
_WOULD = {"create": "would be created", "replace": "would be made anew", "remove": "would be removed"}


@task(
    help={
        "dry-run": "Show what would be done, and do nothing.",
        "replace": "Make it anew, also where a builder of that name was not made by this task, or was changed since.",
        "remove": "Remove the builder that the configuration describes; a remote buildkitd goes on running.",
        "bootstrap": "Start the nodes that can be started, and wait until they answer.",
        "json": "Print what was done, and the nodes, as JSON.",
    }
)
def builder(
    c: Any,
    dry_run: bool = False,
    replace: bool = False,
    remove: bool = False,
    bootstrap: bool = False,
    json: bool = False,
) -> None:
    """Create the builder that the configuration describes, and show its nodes; else show the one that builds.

    What stands as described is left alone. What differs is shown and made anew, if this task made it. A builder of
    that name that somebody else made or changed is only replaced with --replace.
    """
    project = Project.open(c)
    action: Deed = "none"
    found: Sequence[Difference] = ()
    name = project.settings.builder.name
    if project.settings.builder.nodes:
        from imagewright.cli.fleet import Fleet

        fleet = Fleet(project)
        action, found = fleet.to_do(replace=replace, remove=remove)
        if not dry_run:
            fleet.do(action, found)
        stands = not remove and (action == "none" if dry_run else True)
        shown = fleet.docker.inspect(name, bootstrap=bootstrap and not dry_run) if stands else None
    elif replace or remove:
        raise UsageError("the configuration describes no builder", hint="`builder.driver` and `builder.nodes` do")
    else:
        shown = _current(project, bootstrap=bootstrap and not dry_run)
    if json:
        print(json_module.dumps(_document(name, action, found, shown, done=not dry_run), indent=2))  # noqa: T201
        return
    described = bool(project.settings.builder.nodes)
    _say(project, name, action, found, dry_run=dry_run, is_there=described and shown is not None)
    if shown:
        _show(project, shown)
    elif not described:
        project.say("builds are done by a buildkitd on this machine, which the next one starts")


def _current(project: Project, *, bootstrap: bool) -> Inspected | None:
    """The builder that the next build takes; None where that is the local one, which is not there yet."""
    from imagewright.builds.builder import LOCAL, would_be_local
    from imagewright.cli.fleet import docker_with_buildx
    from imagewright.services.docker_folders import buildx_plugin

    name = project.settings.builder.name
    has_buildx = buildx_plugin(project.environ) is not None
    is_local = would_be_local(name, environ=project.environ)
    if is_local and not has_buildx and next(project.places.state.glob("docker-*"), None) is None:
        return None  # no build was done here yet
    docker = docker_with_buildx(project)
    if is_local:
        return docker.inspect(LOCAL) if docker.stored_builder(LOCAL) else None
    return docker.inspect(docker.current_builder().name if name == "auto" else name, bootstrap=bootstrap)


def _document(
    name: str, action: Deed, found: Sequence[Difference], shown: Inspected | None, *, done: bool
) -> Mapping[str, Any]:
    return {
        "schema": 1,
        "name": shown.name if shown else name,
        "driver": shown.driver if shown else None,
        "action": action,
        "done": done,
        "differences": [asdict(one) for one in found],
        "nodes": [{**asdict(node), "answers": node.status == "running"} for node in shown.nodes] if shown else [],
    }


def _say(
    project: Project, name: str, action: Deed, found: Sequence[Difference], *, dry_run: bool, is_there: bool
) -> None:
    """What is done, or would be, and why."""
    for one in found:
        project.say(str(one))
    if action == "refused":
        project.say(f"builder {name} is somebody else's: it would be left alone, unless --replace is given")
    elif action != "none":
        project.say(f"builder {name} {_WOULD[action] if dry_run else _DID[action]}")
    elif is_there:
        project.say(f"builder {name} stands as the configuration describes it")
    elif project.settings.builder.nodes:
        project.say(f"there is no builder {name}")


def _show(project: Project, shown: Inspected) -> None:
    from imagewright.builds.builder import is_local_name

    if shown.error:
        project.say(f"builder {shown.name}: {shown.error}")
    show_table(
        ("builder", "driver", "node", "endpoint", "state", "buildkit", "platforms"),
        [
            (
                shown.name,
                shown.driver,
                node.name,
                node.endpoint,
                "error" if node.error else node.status,
                node.version or "",
                ", ".join(one for one in node.platforms if not one.startswith(_LEVELS)),
            )
            for node in shown.nodes
        ],
    )
    for node in shown.nodes:
        if node.error:
            project.say(f"{node.name}: {node.error}")
        elif node.status != "running":
            is_ours = shown.driver != "remote" or is_local_name(shown.name)
            why = "is not running, and the next build starts it" if is_ours else "does not answer"
            project.say(f"{node.name} {why}")
