"""`invoke promote`, `retag` and `mirror`: further names and places for an image that is built, by its digest."""

from __future__ import annotations

from typing import Any

from imagewright.cli.task import task

_COMMON = {
    "referrers": "take signatures and SBOMs beside the image along (the default)",
    "dry_run": "show the plan and do nothing",
    "json": "print the plan, and what became of it, as JSON",
}
_EVENT = {
    "event": "what the run is about, instead of what the CI or git says: push, tag, pull-request, schedule, manual",
    "branch": "the branch that it is about",
    "git_tag": "the git tag that it is about",
}


@task(
    positional=["image"],
    help={
        "image": "the image: NAME:TAG, NAME@DIGEST, or a full reference HOST/REPOSITORY:TAG",
        "to": "its new tags, TAG,TAG; also NAME:TAG and HOST/REPOSITORY:TAG",
        "move_versions": "let version tags that are published get this content",
        "allow_downgrade": "let aliases, latest and stable go back to an older version",
        **_COMMON,
        **_EVENT,
    },
)
def promote(
    c: Any,
    image: str,
    to: str = "",
    move_versions: bool = False,
    allow_downgrade: bool = False,
    referrers: bool = True,
    dry_run: bool = False,
    json: bool = False,
    event: str | None = None,
    branch: str | None = None,
    git_tag: str | None = None,
) -> None:
    """Give an image that is published further tags, also in other repositories and registries, without a build."""
    from imagewright.cli.promoting import Promotion, open_project
    from imagewright.errors import UsageError

    if not to:
        raise UsageError("--to says which tags the image gets", hint="`invoke promote app:1.2.3 --to stable`")
    project = open_project(c, event=event, branch=branch, git_tag=git_tag)
    with Promotion(project, "promote", move=move_versions, allow_downgrade=allow_downgrade) as promotion:
        promotion.run(image, to, referrers=referrers, dry_run=dry_run, as_json=json)


@task(
    positional=["image", "old", "new"],
    help={
        "image": "the image, or a full reference HOST/REPOSITORY without a tag",
        "old": "a tag that it has, or a digest",
        "new": "the tags that it gets as well: TAG,TAG",
        "move": "take the new tags from what has them now",
        **_COMMON,
        **_EVENT,
    },
)
def retag(
    c: Any,
    image: str,
    old: str,
    new: str,
    move: bool = False,
    referrers: bool = True,
    dry_run: bool = False,
    json: bool = False,
    event: str | None = None,
    branch: str | None = None,
    git_tag: str | None = None,
) -> None:
    """Give what one tag of an image has to other tags in the same repository; the old tag stays."""
    from imagewright.cli.promoting import Promotion, open_project, within

    project = open_project(c, event=event, branch=branch, git_tag=git_tag)
    with Promotion(project, "retag", move=move) as promotion:
        promotion.run(within(image, old), new, referrers=referrers, dry_run=dry_run, as_json=json)


@task(
    positional=["reference"],
    help={
        "reference": "the image: debian:trixie-slim, ghcr.io/someone/app:1.2",
        "to": "NAME or NAME:TAG in the own registry; the default is REGISTRY/HOST/PATH:TAG",
        **_COMMON,
        **_EVENT,
    },
)
def mirror(
    c: Any,
    reference: str,
    to: str = "",
    referrers: bool = True,
    dry_run: bool = False,
    json: bool = False,
    event: str | None = None,
    branch: str | None = None,
    git_tag: str | None = None,
) -> None:
    """Copy an outside image with all its platforms into the own registry."""
    from imagewright.cli.promoting import Promotion, open_project

    project = open_project(c, event=event, branch=branch, git_tag=git_tag)
    with Promotion(project, "mirror") as promotion:
        promotion.mirror(reference, to, referrers=referrers, dry_run=dry_run, as_json=json)
