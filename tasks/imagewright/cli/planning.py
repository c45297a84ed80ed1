"""From the command line to the plan, and the plan to the reader."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from imagewright.builds.plan import Plan, Reason, plan_named, to_json
from imagewright.builds.request import Request
from imagewright.cli.project import Project
from imagewright.cli.recording import adjusted, recorded
from imagewright.cli.table import show_table
from imagewright.images.model import BuildSecret
from imagewright.images.selection import select

if TYPE_CHECKING:
    from imagewright.builds.bake import BakeOptions

_REASONS = 3  # of one image, in a table


def named_plan(project: Project, names: str, asked: Request) -> Plan:
    """The plan for the names of the command line."""
    named: dict[str, tuple[str, ...]] = {}
    for chosen in select(names, project.images):
        given = named.get(chosen.name, ())
        named[chosen.name] = (*given, chosen.tag) if chosen.tag else given
    # `--tag 1.2` is about the images that were named: another one's 1.2 is not theirs to move.
    given_tags = {name: tags or asked.tags for name, tags in named.items()}
    snapshot = project.snapshot(lambda image: adjusted(image, asked))
    needed = {*named, *(ancestor for name in named for ancestor in project.graph.ancestors(name))}
    return plan_named(
        list(named),
        images=project.by_name,
        graph=project.graph,
        head=project.head,
        tags={image.name: project.tags(image, given_tags.get(image.name, ())) for image in project.images},
        platforms=asked.platforms,
        inputs=recorded(snapshot, needed),
        broken=project.broken,
    )


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
        source=project.repository.origin() if project.repository else None,
    )


def _is_there(project: Project, secret: BuildSecret) -> bool:
    return secret.source in project.environ if secret.kind == "env" else (project.root / secret.source).exists()


def show_plan(project: Project, made: Plan, *, as_json: bool) -> None:
    """The plan on standard output; exit 1 where a Dockerfile cannot be read."""
    if as_json:
        print(json.dumps(to_json(made), indent=2))  # noqa: T201
    elif made.images:
        _show_table(made)
    elif not made.unplanned:
        project.say("nothing has changed")
    for one in made.unplanned:
        project.say(f"error: {one.error or f'{one.image.name} is built on {one.because}, which cannot be read'}")
    if made.unplanned:
        raise Exit(code=1)


def _told(reason: Reason) -> str:
    return f"{reason.path}: {reason.detail}" if reason.path else reason.detail


def _show_table(made: Plan) -> None:
    rows = [
        [
            item.action,
            item.name,
            ", ".join(item.tags),
            ", ".join(item.platforms),
            ", ".join(f"{parent.name} ({parent.origin})" for parent in item.parents) or "",
            "; ".join(_told(reason) for reason in item.reasons[:_REASONS])
            + (f"; and {len(item.reasons) - _REASONS} more" if len(item.reasons) > _REASONS else ""),
        ]
        for item in made.images
    ]
    show_table(("action", "image", "references", "platforms", "parents", "because"), rows)
