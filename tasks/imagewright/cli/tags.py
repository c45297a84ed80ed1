"""`invoke tags`: what an image would be called now, and why; and what the registry has."""

from __future__ import annotations

import json as to_json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from imagewright.cli.project import Project
from imagewright.cli.table import show_table
from imagewright.cli.task import task

if TYPE_CHECKING:
    from imagewright.images.model import Image
    from imagewright.tags.model import Naming, Occasion
    from imagewright.tags.published import PublishedTag


@task(
    positional=["image"],
    help={
        "image": "the images in question, as `invoke build` takes them",
        "published": "show what the registry has instead",
        "event": "say what the run is about: push, tag, pull-request, merge-group, schedule, manual, local",
        "branch": "say which branch it is about",
        "tag": "say which git tag it is about",
        "git_tag": "the same, as `invoke build` spells it",
        "json": "print it as JSON",
    },
)
def tags(
    c: Any,
    image: str,
    published: bool = False,
    event: str | None = None,
    branch: str | None = None,
    tag: str | None = None,
    git_tag: str | None = None,
    json: bool = False,
) -> None:
    """Show the tags that a build of an image would get now, each with the rule that gives it, and those withheld."""
    from imagewright.errors import UsageError
    from imagewright.events.local import ByHand
    from imagewright.images.selection import select

    if published and (event or branch or tag or git_tag):
        raise UsageError("--published asks the registry: it has no use for --event, --branch and --tag")
    if tag and git_tag and tag != git_tag:
        raise UsageError("--tag and --git-tag say the same here: give one of them")
    project = Project.open(c)
    project.by_hand = ByHand(event=event, branch=branch, git_tag=git_tag or tag)
    given: dict[str, list[str]] = {}
    for one in select(image, project.images):
        given.setdefault(one.name, []).extend([one.tag] if one.tag else [])
    if published:
        _show_published(project, [project.by_name[name] for name in given], as_json=json)
    else:
        _show_names(project, given, as_json=json)


def _show_names(project: Project, given: dict[str, list[str]], *, as_json: bool) -> None:
    from imagewright.tags.policy import clashes, given_naming, name_image

    occasion, settings = project.occasion, project.known_settings.tags
    namings = [
        (
            project.by_name[name],
            given_naming(project.by_name[name], tags, occasion, settings)
            if tags
            else name_image(project.by_name[name], occasion, settings),
        )
        for name, tags in given.items()
    ]
    if as_json:
        found = [_document(image, naming) for image, naming in namings]
        print(to_json.dumps({"schema": 1, "occasion": _facts(occasion), "images": found}, indent=2))  # noqa: T201
    else:
        project.say(_told(occasion))
        rows = [
            (image.name, *row)
            for image, naming in namings
            for row in (
                *((one.tag, one.kind, one.rule, one.why) for one in naming.tags),
                *((one.tag, "withheld", one.rule, one.why) for one in naming.withheld),
            )
        ]
        heads, first = ("image", "tag", "kind", "rule", "why"), int(len(namings) == 1)
        styles = ["dim" if row[2] == "withheld" else "" for row in rows]
        show_table(heads[first:], [row[first:] for row in rows], styles)
    if problem := clashes(namings):
        raise problem


def _document(image: Image, naming: Naming) -> dict[str, Any]:
    return {
        "name": image.name,
        "repository": image.repository,
        "tags": [asdict(one) for one in naming.tags],
        "withheld": [asdict(one) for one in naming.withheld],
    }


def _facts(occasion: Occasion) -> dict[str, Any]:
    event = occasion.event
    return {
        "event": event.kind,
        "host": event.host,
        "branch": event.branch,
        "default_branch": event.default_branch,
        "git_tag": event.tag,
        "pull_request": event.pull_request,
        "fork": event.is_fork,
        "commit": occasion.named_commit,
        "dirty": occasion.dirty,
        "date": occasion.date,
    }


def _told(occasion: Occasion) -> str:
    """`push, the branch main (the default one), commit 0123456`."""
    event = occasion.event
    said = [f"event {event.kind}{f': {event.problem}' if event.problem else ''}"]
    if event.pull_request is not None:
        said.append(f"#{event.pull_request}{' of a fork' if event.is_fork else ''}")
    if event.tag:
        said.append(f"the git tag {event.tag}")
    if event.branch:
        mark = " (the default one)" if occasion.is_default_branch else ""
        said.append(f"the branch {event.branch}{mark}")
    if event.branch and event.default_branch is None:
        said.append("no default branch known")
    commit = occasion.named_commit
    said.append(f"commit {commit[:7]}" if commit else "no commit")
    return ", ".join(said) + (", and the work tree differs from it" if occasion.dirty else "")


def _show_published(project: Project, images: list[Image], *, as_json: bool) -> None:
    from imagewright.references import Reference
    from imagewright.registry.client import Registry
    from imagewright.tags.published import published

    found: dict[str, tuple[PublishedTag, ...] | None] = {}
    for repository in dict.fromkeys(image.repository for image in images):
        reference = Reference.parse(repository)
        with Registry(reference.domain) as registry:
            found[repository] = published(registry, reference.path, project.say)
    if as_json:
        documents = [
            {"repository": repository, "exists": tags is not None, "tags": [asdict(tag) for tag in tags or ()]}
            for repository, tags in found.items()
        ]
        print(to_json.dumps({"schema": 1, "repositories": documents}, indent=2))  # noqa: T201
        return
    for repository, tags in found.items():
        if not tags:
            project.say(f"{repository}: {'nothing was pushed there yet' if tags is None else 'it has no tags'}")
    rows = [(repository, *_row(tag)) for repository, tags in found.items() for tag in tags or ()]
    if rows:
        first = int(len(found) == 1)
        heads = ("repository", "tag", "digest", "date", "platforms", "size")
        show_table(heads[first:], [row[first:] for row in rows])


def _row(tag: PublishedTag) -> tuple[str, ...]:
    from imagewright.builds.report.text import short
    from imagewright.config.sizes import size

    return (
        tag.tag,
        short(tag.digest) if tag.digest else "",
        (tag.created or "")[:16].replace("T", " "),
        tag.problem or ", ".join(tag.platforms),
        size(tag.size) if tag.size is not None else "",
    )
