"""From the command line to the plan, and the plan to the reader."""

from __future__ import annotations

import json

from invoke.exceptions import Exit

from imagewright.builds.bake import BakeOptions
from imagewright.builds.plan import Plan, plan_named, to_json
from imagewright.builds.request import Request
from imagewright.cli.project import Project
from imagewright.cli.table import show_table
from imagewright.images.model import BuildSecret
from imagewright.images.selection import select


def named_plan(project: Project, names: str, asked: Request) -> Plan:
    """The plan for the names of the command line."""
    named: dict[str, tuple[str, ...]] = {}
    for chosen in select(names, project.images):
        given = named.get(chosen.name, ())
        named[chosen.name] = (*given, chosen.tag) if chosen.tag else given
    # `--tag 1.2` is about the images that were named: another one's 1.2 is not theirs to move.
    given_tags = {name: tags or asked.tags for name, tags in named.items()}
    return plan_named(
        list(named),
        images=project.by_name,
        graph=project.graph,
        head=project.head,
        tags={image.name: project.tags(image, given_tags.get(image.name, ())) for image in project.images},
        platforms=asked.platforms,
        broken=project.broken,
    )


def bake_options(project: Project, asked: Request) -> BakeOptions:
    """What of the command line and of the repository goes into a bake file."""
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
    for one in made.unplanned:
        project.say(f"error: {one.error or f'{one.image.name} is built on {one.because}, which cannot be read'}")
    if made.unplanned:
        raise Exit(code=1)


def _show_table(made: Plan) -> None:
    rows = [
        [
            item.action,
            item.name,
            ", ".join(item.tags),
            ", ".join(item.platforms),
            ", ".join(f"{parent.name} ({parent.origin})" for parent in item.parents) or "",
            "; ".join(reason.detail for reason in item.reasons),
        ]
        for item in made.images
    ]
    show_table(("action", "image", "references", "platforms", "parents", "because"), rows)
