"""`invoke merge`."""

from __future__ import annotations

from typing import Any

from imagewright.cli.build import OPTIONS
from imagewright.cli.task import task

_SAME = ("json", "event", "branch", "git_tag", "allow_downgrade")


@task(
    defaults={"names": ""},
    help={
        "names": f"{OPTIONS['names']}; without names, what was pushed by digest",
        "digests": "the folder with the files of the digests, or `registry`: they are found by their tags there",
        "platform": "the platforms that an image must have, instead of the configured ones: linux/amd64,linux/arm64",
        "tag": "tags instead of the default ones: 1.2,latest",
        "dry_run": "read and check everything, show the plan and do nothing",
        **{name: OPTIONS[name] for name in _SAME},
    },
)
def merge(
    c: Any,
    names: str,
    digests: str = "dist/digests",
    platform: str | None = None,
    tag: str | None = None,
    dry_run: bool = False,
    json: bool = False,
    event: str | None = None,
    branch: str | None = None,
    git_tag: str | None = None,
    allow_downgrade: bool = False,
) -> None:
    """Join what `build --push-by-digest` pushed on several machines, and give it the names of a build."""
    from imagewright.cli.build_options import request
    from imagewright.cli.cleanup_doors import Doors
    from imagewright.cli.merging import Merging
    from imagewright.cli.project import Project
    from imagewright.events.local import ByHand

    asked = request(platform=platform, tag=tag, allow_downgrade=allow_downgrade)
    project = Project.open(c)
    project.by_hand = ByHand(event=event, branch=branch, git_tag=git_tag)
    with Doors(project.environ, kinds=project.known_settings.cleanup.kinds) as doors:
        Merging(project, asked, doors, digests, dry_run=dry_run).run(names, as_json=json)
