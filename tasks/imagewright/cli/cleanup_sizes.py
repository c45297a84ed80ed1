"""`invoke sizes`: what the repositories take, and what of that a cleanup would free."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from imagewright.cleanup.sizes import bytes_together, sizes_of
from imagewright.cli.cleaned import raise_for
from imagewright.cli.cleaning import Cleaning
from imagewright.cli.cleanup_doors import Doors
from imagewright.cli.cleanup_selection import Selection
from imagewright.cli.table import show_table
from imagewright.config.sizes import size
from imagewright.references import Reference

if TYPE_CHECKING:
    from imagewright.cli.cleanup_options import Wishes
    from imagewright.cli.cleanup_reading import Target
    from imagewright.cli.project import Project
    from imagewright.errors import ImagewrightError


def show_sizes(project: Project, wishes: Wishes, *, as_json: bool) -> None:
    """A line for each repository; the sum where there are several of one registry, which keeps what they share once."""
    selection = Selection(project, wishes)
    with Doors(project.environ, kinds=selection.kinds()) as doors:
        targets = Cleaning(project, selection, doors).planned(complete=False)
    measured = [sizes_of(one.picture, one.plan) for one in targets if one.picture and not one.picture.problems]
    if as_json:
        documents = [
            {
                "repository": one.repository,
                "tags": one.tags,
                "images": one.images,
                "manifests": one.manifests,
                "bytes": one.bytes,
                "shared": one.shared,
                "freed": one.freed,
            }
            for one in measured
        ]
        print(json.dumps({"schema": 1, "repositories": documents}, indent=2))  # noqa: T201
    elif measured:
        rows = [
            (
                one.repository,
                str(one.tags),
                str(one.images),
                size(one.bytes),
                size(one.shared),
                "" if one.freed is None else size(one.freed),
            )
            for one in measured
        ]
        show_table(("repository", "tags", "images", "size", "shared", "cleanup frees"), rows)
        hosts = {Reference.parse(one.repository).domain for one in measured}
        for host in sorted(hosts):
            ours = [one for one in measured if Reference.parse(one.repository).domain == host]
            if len(ours) > 1:
                project.say(f"{host}: {size(bytes_together(ours))} in all, what repositories share counted once")
    raise_for([(one.repository, why) for one in targets if (why := _unread(one))])


def _unread(target: Target) -> ImagewrightError | str | None:
    """Why nothing can be said about a repository."""
    problems = target.picture.problems if target.picture else ("it was not read",)
    return target.error or ("; ".join(problems) if problems else None)
