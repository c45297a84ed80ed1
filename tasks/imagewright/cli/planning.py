"""From the command line to the plan, and the plan to the reader."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Literal

from invoke.exceptions import Exit

from imagewright.builds.plan import Plan, Reason, plan_named, to_json
from imagewright.builds.platform_gaps import platform_gaps
from imagewright.builds.request import Request
from imagewright.cli.naming import Names, Settled
from imagewright.cli.project import Project
from imagewright.cli.recording import adjusted, recorded
from imagewright.cli.table import show_table
from imagewright.images.model import BuildSecret
from imagewright.images.selection import select

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from imagewright.builds.bake import BakeOptions
    from imagewright.changes.snapshot import Snapshot
    from imagewright.cli.naming import Contents
    from imagewright.errors import DockerfileError

Registry = Literal["silent", "asked", "started"]
"""Whether the registry is asked what it has, and before a push started where it is one of this machine's services."""

_REASONS = 3  # of one image, in a table


def named_plan(project: Project, names: str, asked: Request, *, registry: Registry = "silent") -> Plan:
    """The plan for the names of the command line.

    Where the registry is asked, versions that are published stand or are refused, and what has something newer keeps
    it; otherwise the tags are as the rules give them.
    """
    project.look_ahead()
    named: dict[str, tuple[str, ...]] = {}
    for chosen in select(names, project.images):
        given = named.get(chosen.name, ())
        named[chosen.name] = (*given, chosen.tag) if chosen.tag else given
    # `--tag 1.2` is about the images that were named: another one's 1.2 is not theirs to move.
    called = Names(project, {name: tags or asked.tags for name, tags in named.items()})
    snapshot = project.snapshot(lambda image: adjusted(image, asked))
    needed = {*named, *(ancestor for name in named for ancestor in project.graph.ancestors(name))}
    wanted = [name for name in project.graph.order() if name in needed]
    called.require(project.by_name[name] for name in wanted)
    settled = names_of_run(project, called, snapshot, wanted, asked, registry)
    made = plan_named(
        list(named),
        standing=settled.standing,
        images=project.by_name,
        graph=project.graph,
        head=project.head,
        namings=settled.namings,
        platforms=() if asked.by_digest else asked.platforms,
        inputs=recorded(snapshot, needed),
        broken={**settled.refused, **gaps(project, snapshot, named), **project.broken},
    )
    return part_of(made, asked)


def part_of(made: Plan, asked: Request) -> Plan:
    """What this machine builds of a plan: all of it, but for what is pushed by its digest."""
    if not asked.by_digest:
        return made
    from imagewright.builds.part_plan import narrowed

    every = dict.fromkeys(platform for item in made.to_build for platform in item.platforms)
    return narrowed(made, asked.platforms or tuple(every))


def gaps(project: Project, snapshot: Snapshot, names: Iterable[str]) -> Mapping[str, DockerfileError]:
    """Those of `names`, and of what they are built on, whose parent is not built for a platform that they take."""

    def content(path: str) -> bytes | None:
        try:
            return snapshot.tree.read(path)
        except FileNotFoundError:
            return project.content(path)  # one that git is told to ignore

    return platform_gaps(names, graph=snapshot.graph, readings=snapshot.readings.by_name, content=content)


def names_of_run(
    project: Project, called: Names, contents: Contents, wanted: Sequence[str], asked: Request, registry: Registry
) -> Settled:
    """The names of the images that a run may give, and what the registry has to say about them."""
    images = [contents.images[name] for name in wanted]
    before = {image.name: called.naming(image) for image in images}
    if registry == "silent" or asked.output != "push" or not wanted:
        return Settled(namings=before)
    from imagewright.cli.settling import say_held_back, settle

    if registry == "started":
        from imagewright.cli.preparing import ensure_registry

        ensure_registry(project, images)
    settled = settle(project, called, contents, wanted, allow_downgrade=asked.allow_downgrade)
    say_held_back(project, before, settled.namings)
    return settled


def bake_options(project: Project, asked: Request) -> BakeOptions:
    """What of the command line and of the repository goes into a bake file."""
    from imagewright.builds.bake import BakeOptions

    return BakeOptions(
        output=asked.output,
        no_cache=asked.no_cache,
        build_args=dict(asked.build_args),
        secret_build_args=asked.secret_build_args,
        declare_epoch=project.declare_epoch,
        absent={
            secret
            for image in project.images
            for secret in image.secrets
            if secret.optional and not _is_there(project, secret)
        },
        generated={path: made.content.decode() for path, made in project.survey.generated.items()},
        source=project.repository.origin() if project.repository else None,
        apart=asked.by_digest,
    )


def _is_there(project: Project, secret: BuildSecret) -> bool:
    return secret.source in project.environ if secret.kind == "env" else os.path.exists(project.root / secret.source)  # noqa: PTH110 - an unreadable folder is no error here


def show_plan(project: Project, made: Plan, *, as_json: bool) -> None:
    """The plan on standard output; exit 1 where an image cannot be built."""
    if as_json:
        print(json.dumps(to_json(made), indent=2))  # noqa: T201
    elif made.images:
        _show_table(made)
    elif not made.unplanned:
        project.say("nothing has changed")
    for one in made.unplanned:
        project.say(f"error: {one.error or f'{one.image.name} is built on {one.because}, which cannot be built'}")
    if made.unplanned:
        raise Exit(code=1)


def _told(reason: Reason) -> str:
    return f"{reason.path}: {reason.detail}" if reason.path else reason.detail


def _show_table(made: Plan) -> None:
    rows = [
        [
            item.action,
            item.name,
            item.reference + (f" and {len(item.tags) - 1} more" if len(item.tags) > 1 else ""),
            ", ".join(item.platforms),
            ", ".join(f"{parent.name} ({parent.origin})" for parent in item.parents) or "",
            "; ".join(_told(reason) for reason in item.reasons[:_REASONS])
            + (f"; and {len(item.reasons) - _REASONS} more" if len(item.reasons) > _REASONS else ""),
        ]
        for item in made.images
    ]
    show_table(("action", "image", "reference", "platforms", "parents", "because"), rows)
