"""`invoke changed`, `build-changed`, `why` and `inputs`: what a change affects, and why."""

from __future__ import annotations

import gc
from typing import Any

from imagewright.cli.build import OPTIONS
from imagewright.cli.build_options import building, request
from imagewright.cli.project import Project
from imagewright.cli.task import task

_COMPARE = {
    "since": "compare with this commit, branch or tag; `registry`: with what the published images were made from",
    "head": "look at this commit instead of the work tree",
    "layer": "build the images of this layer, and what stands on them, whether they have changed or not",
}


@task(help={**_COMPARE, "json": "print the plan as JSON"})
def changed(
    c: Any, since: str | None = None, head: str | None = None, layer: str | None = None, json: bool = False
) -> None:
    """Show the images that a change affects, in build order, with the reasons."""
    gc.disable()  # nothing that is read goes away before the command ends, and looking for what does takes a tenth
    project = Project.open(c)
    project.look_ahead()
    from imagewright.cli.comparing import compare, say_comparison
    from imagewright.cli.planning import show_plan
    from imagewright.cli.planning_changes import affected_plan

    asked = request()
    compared = compare(project, asked, since=since, head=head, forced=layer)
    say_comparison(project, compared)
    show_plan(project, affected_plan(project, compared, asked, layer), as_json=json)


@task(
    positional=[],
    iterable=["build_arg"],
    name="build-changed",
    help={**_COMPARE, **{key: text for key, text in OPTIONS.items() if key != "names"}},
)
@building
def build_changed(
    c: Any,
    since: str | None = None,
    head: str | None = None,
    layer: str | None = None,
    dry_run: bool = False,
    json: bool = False,
    event: str | None = None,
    branch: str | None = None,
    git_tag: str | None = None,
    **options: Any,
) -> None:
    """Build what a change affects and what stands on it; all else is taken from the registry as it is."""
    gc.disable()  # as above, until it is known whether there is anything to build
    project = Project.open(c)
    project.look_ahead()
    from imagewright.cli.comparing import compare, require_checked_out, say_comparison
    from imagewright.cli.planning import bake_options, show_plan
    from imagewright.cli.planning_changes import reusing_plan
    from imagewright.events.local import ByHand

    asked = request(**options)
    project.by_hand = ByHand(event=event, branch=branch, git_tag=git_tag)
    if head is not None and not dry_run:
        require_checked_out(project, head)
    compared = compare(project, asked, since=since, head=head, forced=layer)
    say_comparison(project, compared)
    made = reusing_plan(project, compared, asked, layer, registry="asked" if dry_run else "started")
    if dry_run or not (made.images or made.unplanned or json):
        show_plan(project, made, as_json=json)
        return
    gc.enable()
    from imagewright.cli.apply import apply_and_report

    apply_and_report(project, made, asked, bake_options(project, asked), as_json=json)


@task(
    defaults={"image": ""},
    help={
        "image": "the image in question",
        "file": "show which images depend on this file instead",
        "since": _COMPARE["since"],
        "head": _COMPARE["head"],
        "json": "print it as JSON",
    },
)
def why(
    c: Any,
    image: str,
    file: str | None = None,
    since: str | None = None,
    head: str | None = None,
    json: bool = False,
) -> None:
    """Explain why an image is built, reused or skipped; or which images depend on a file."""
    from imagewright.cli.explaining import show_dependents, show_why
    from imagewright.errors import UsageError

    if bool(image) == bool(file):
        raise UsageError("name either an image or a file", hint="`invoke why NAME`, or `invoke why --file PATH`")
    project = Project.open(c)
    if file:
        show_dependents(project, file, as_json=json)
    else:
        show_why(project, image, since=since, head=head, as_json=json)


@task(positional=["image"], help={"image": "the image in question", "json": "print them as JSON"})
def inputs(c: Any, image: str, json: bool = False) -> None:
    """List every file that an image depends on, with the line that says so."""
    from imagewright.cli.explaining import show_inputs

    show_inputs(Project.open(c), image, as_json=json)
