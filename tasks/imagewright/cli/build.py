"""`invoke build` and `invoke plan`."""

from __future__ import annotations

import gc
import json as json_module
from typing import Any

from imagewright.cli.build_options import building, request
from imagewright.cli.project import Project
from imagewright.cli.task import task

_NAMES = "NAME, NAME:TAG, NAME,NAME, a glob such as 'snap*', or all"
OPTIONS = {
    "names": _NAMES,
    "push": "push the images (the default); --no-push only fills the builder's cache",
    "load": "load the images into this machine's Docker engine instead of pushing them",
    "output": "write dist/NAME/TAG/image.tar (tar), or an OCI layout (oci), instead of pushing",
    "platform": "platforms instead of the configured ones: linux/amd64,linux/arm64",
    "tag": "tags of the named images instead of the default ones: 1.2,latest",
    "no_cache": "run every step again",
    "build_arg": "a build argument NAME=VALUE; NAME alone takes the environment's value and shows it nowhere",
    "builder": "the buildx builder, instead of the configured one",
    "dry_run": "show the plan and do nothing",
    "json": "print the result (with --dry-run the plan) as JSON",
    "progress": "auto, plain, tty or quiet",
    "jobs": "how many images build at once, instead of the configured number",
    "fail_fast": "end the run with the first failure; else all that does not depend on it is still built",
    "push_by_digest": "push without tags, for `invoke merge` to join with the platforms that other machines build",
    "digests": "where --push-by-digest tells what it pushed: a folder (dist/digests), or `registry`: by tags there",
    "summary": "write the result as Markdown to this file; in GitHub Actions it goes to the job's summary anyhow",
    "timeline": "write a page with the time line of the run to this file",
    "event": "what the run is about, instead of what the CI or git says: push, tag, pull-request, schedule, manual",
    "branch": "the branch that it is about",
    "git_tag": "the git tag that it is about",
    "allow_downgrade": "let aliases, latest and stable go back to something older",
}


@task(positional=["names"], iterable=["build_arg"], help=OPTIONS)
@building
def build(
    c: Any,
    names: str,
    dry_run: bool = False,
    json: bool = False,
    event: str | None = None,
    branch: str | None = None,
    git_tag: str | None = None,
    **options: Any,
) -> None:
    """Build images and what they are built on, and push them."""
    gc.disable()  # as in `build-changed`
    from imagewright.cli.planning import bake_options, named_plan, show_plan
    from imagewright.events.local import ByHand

    asked = request(**options)
    project = Project.open(c)
    project.by_hand = ByHand(event=event, branch=branch, git_tag=git_tag)
    made = named_plan(project, names, asked, registry="asked" if dry_run else "started")
    if dry_run:
        show_plan(project, made, as_json=json)
        return
    from imagewright.cli.apply import apply_and_report

    gc.enable()
    apply_and_report(project, made, asked, bake_options(project, asked), as_json=json)


@task(
    defaults={"names": ""},
    help={
        "names": f"{_NAMES}; without names, what a change affects",
        "since": "build only what has changed since this commit, branch or tag; `registry`: since it was published",
        "head": "look at this commit instead of the work tree",
        "json": "print the plan as JSON",
        "bake": "print it as a docker-bake file for plain `docker buildx bake`",
        "platform": OPTIONS["platform"],
        "tag": OPTIONS["tag"],
        "event": OPTIONS["event"],
        "branch": OPTIONS["branch"],
        "git_tag": OPTIONS["git_tag"],
    },
)
def plan(
    c: Any,
    names: str,
    since: str | None = None,
    head: str | None = None,
    json: bool = False,
    bake: bool = False,
    platform: str | None = None,
    tag: str | None = None,
    event: str | None = None,
    branch: str | None = None,
    git_tag: str | None = None,
) -> None:
    """Show what `build` would do, in build order; with --since, or without names, what `build-changed` would do."""
    from imagewright.builds.bake import bake_plan
    from imagewright.cli.planning import bake_options, named_plan, show_plan
    from imagewright.events.local import ByHand

    gc.disable()  # as in `changed`
    project = Project.open(c)
    project.by_hand = ByHand(event=event, branch=branch, git_tag=git_tag)
    asked = request(platform=platform, tag=tag)
    if names and since is None and head is None:
        made = named_plan(project, names, asked)
    else:
        from imagewright.cli.planning_changes import plan_of_changes

        made = plan_of_changes(project, asked, names, since=since, head=head)
    if bake:
        print(json_module.dumps(bake_plan(made, bake_options(project, asked)), indent=2))  # noqa: T201
    else:
        show_plan(project, made, as_json=json)
