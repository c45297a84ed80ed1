"""`invoke cache`: what the S3 layer cache holds, keeping it small, and keeping it sound."""

from __future__ import annotations

from typing import Any

from imagewright.cli.project import Project
from imagewright.cli.task import task


@task(
    defaults={"action": ""},
    help={
        "action": "status: what it holds; prune: delete what no build needs; verify: find caches that cannot be used",
        "unused": "prune caches that no build has written for this long: 30d",
        "budget": "prune the oldest caches until the rest is no larger: 50GB, 200GiB",
        "grace": "let blobs alone that are younger than this, 48h at least",
        "repair": "let verify remove the caches that it finds: the next builds write them again",
        "deep": "let verify read every blob, and not only look for it",
        "dry_run": "delete nothing, which is so without --yes, too",
        "yes": "delete: without it, prune and verify --repair only say what they would do",
        "json": "print it as JSON",
    },
)
def cache(
    c: Any,
    action: str,
    unused: str | None = None,
    budget: str | None = None,
    grace: str | None = None,
    repair: bool = False,
    deep: bool = False,
    dry_run: bool = False,
    yes: bool = False,
    json: bool = False,
) -> None:
    """Show, prune or verify the layer cache in S3; nothing is deleted without --yes."""
    from imagewright.cli.cache_options import cache_wishes, policy_of
    from imagewright.cli.caching import Caching, tell_none

    wishes = cache_wishes(
        action, unused=unused, budget=budget, grace=grace, repair=repair, deep=deep, dry_run=dry_run, yes=yes
    )
    project = Project.open(c)
    settings = project.settings.cache
    policy = policy_of(wishes, settings.prune)
    if settings.type != "s3":
        tell_none(settings.type, project.say, as_json=json)
        return
    judges = wishes.action != "verify"
    caching = Caching.of_project(project, policy, act=wishes.act, as_json=json, judges=judges)
    match wishes.action:
        case "status":
            caching.status()
        case "prune":
            caching.prune()
        case "verify":
            caching.verify(deep=deep, repair=repair)
