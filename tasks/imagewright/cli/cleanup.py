"""`invoke cleanup` and `sizes`: what the registry's repositories hold, what of it may go, and deleting that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imagewright.cli.project import Project
from imagewright.cli.task import task

_POLICY = {
    "keep": "of the tags that no rule of the configuration fits: keep this many newest images",
    "keep_younger": "of those, keep images younger than this: 12h, 7d, 2w",
    "sort": "what the newest are: by date, version, or parts (all numbers of a tag)",
    "protect": "keep the tags that fit this pattern, or this digest (repeatable)",
    "only": "delete no tag that fits none of these patterns (repeatable)",
    "max_delete": "refuse to delete more tags and manifests of a repository than this",
    "max_share": "refuse to delete a greater share of a repository's images: 0.5, or 50%",
    "allow_empty": "let a repository lose its last tagged image",
    "allow_keep_zero": "let --keep be 0",
    "in_use": "keep what this file or folder names: Kubernetes, compose, CI files, any text (repeatable)",
    "repository": "clean this one, HOST/NAME, instead of those of the project (repeatable)",
    "policy": "a file with the keys of the configuration's section `cleanup`, instead of that",
}


@task(
    positional=[],
    iterable=["protect", "only", "in_use", "repository"],
    help={
        **_POLICY,
        "dry_run": "show the plan, and delete nothing",
        "yes": "do not ask; without a terminal, nothing is deleted unless this is given",
        "plan": "save the plan in this file, and delete nothing",
        "apply": "carry out the plan of this file, exactly; refused where the registry has moved",
        "undo": "put back what this journal has, as far as the registry still has its parts",
        "verify": "prove that everything is there that the tags lead to; with --apply, the tags that its plan keeps",
        "json": "print the plan, and what became of it, as JSON",
    },
)
def cleanup(
    c: Any,
    keep: str | None = None,
    keep_younger: str | None = None,
    sort: str | None = None,
    protect: Sequence[str] | None = None,
    only: Sequence[str] | None = None,
    max_delete: str | None = None,
    max_share: str | None = None,
    allow_empty: bool = False,
    allow_keep_zero: bool = False,
    in_use: Sequence[str] | None = None,
    repository: Sequence[str] | None = None,
    policy: str | None = None,
    dry_run: bool = False,
    yes: bool = False,
    plan: str | None = None,
    apply: str | None = None,
    undo: str | None = None,
    verify: bool = False,
    json: bool = False,
) -> None:
    """Delete old images from the registry: shows the plan, asks, deletes, and proves that all else is there."""
    from imagewright.cli.cleaning import Cleaning
    from imagewright.cli.cleanup_doors import Doors
    from imagewright.cli.cleanup_options import mode_of, wishes
    from imagewright.cli.cleanup_proving import prove, put_back
    from imagewright.cli.cleanup_selection import Selection

    wanted = wishes(
        keep=keep,
        keep_younger=keep_younger,
        sort=sort,
        protect=protect or (),
        only=only or (),
        max_delete=max_delete,
        max_share=max_share,
        allow_empty=allow_empty,
        allow_keep_zero=allow_keep_zero,
        in_use=in_use or (),
        repositories=repository or (),
        policy=policy,
    )
    mode = mode_of(wanted, apply=apply, undo=undo, verify=verify, plan=plan, dry_run=dry_run, yes=yes)
    project = Project.open(c)
    selection = Selection(project, wanted)
    with Doors(project.environ, kinds=selection.kinds()) as doors:
        cleaning = Cleaning(project, selection, doors, dry_run=dry_run, yes=yes, as_json=json)
        match mode:
            case "undo":
                leases = project.places.state / "cleanup/leases"
                put_back(doors, undo or "", project.say, leases=leases, dry_run=dry_run, as_json=json)
            case "verify":
                prove(doors, selection, apply, project.say, as_json=json)
            case "apply":
                cleaning.apply(apply or "")
            case "save":
                cleaning.save(plan or "")
            case "clean":
                cleaning.clean()


@task(
    positional=[],
    iterable=["repository"],
    help={
        "repository": "measure this one, HOST/NAME, instead of those of the project (repeatable)",
        "json": "print it as JSON",
    },
)
def sizes(c: Any, repository: Sequence[str] | None = None, json: bool = False) -> None:
    """Show what each repository holds: tags, images, bytes, what its images share, and what a cleanup would free."""
    from imagewright.cli.cleanup_options import wishes
    from imagewright.cli.cleanup_sizes import show_sizes

    show_sizes(Project.open(c), wishes(repositories=repository or ()), as_json=json)
