"""`invoke doctor`: what is needed here, found or not, and the command that mends it."""

from __future__ import annotations

import json as to_json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from imagewright.cli.project import Project, host_platform
from imagewright.cli.task import task
from imagewright.errors import ImagewrightError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from invoke.context import Context

    from imagewright.config.models import Settings
    from imagewright.services.doctor import Check, Needs, Verdict

SECONDS = 15.0  # for all questions to the machine and the network together
STYLES = {"ok": "", "warning": "yellow", "missing": "bold red"}


@task(help={"json": "Print JSON instead of a table."})
def doctor(c: Context, json: bool = False) -> None:
    """Check what is needed to build here; exit 1 when something is missing."""
    from imagewright.services.doctor import examine
    from imagewright.services.machine import ThisMachine
    from imagewright.services.places import Places

    project = Project.open(c)
    settings, of_repository = repository_checks(project)
    machine = ThisMachine(Places.of(settings, project.environ, project.root), project.environ)
    checks = (*examine(machine, needs_of(settings), seconds=SECONDS), *of_repository)
    missing = [check for check in checks if check.verdict == "missing"]
    if json:
        document = {"schema": 1, "ok": not missing, "checks": [asdict(check) for check in checks]}
        print(to_json.dumps(document, indent=2))  # noqa: T201
    else:
        show(checks)
    if missing:
        raise Exit(code=1)


def repository_checks(project: Project) -> tuple[Settings, list[Check]]:
    """What is wrong in the repository itself, and the settings to ask the machine by: defaults where they are wrong."""
    from imagewright.config.models import Settings
    from imagewright.services.doctor import Check

    try:
        settings = project.settings
    except ImagewrightError as error:
        return Settings(), [_wrong("configuration", error)]
    valid = Check(name="configuration", verdict="ok", found=f"valid, for {project.root}")
    return settings, [valid, *_of_git(project), *_of_images(project), *_of_cache(project)]


def _of_git(project: Project) -> Iterator[Check]:
    from imagewright.services.doctor import Check

    try:
        repository = project.repository
    except ImagewrightError as error:
        yield _wrong("git repository", error)
        return
    if repository:
        yield Check(name="git repository", verdict="ok", found=str(repository.top))
    else:
        found = "none: images get no revision labels, and nothing can tell what changed"
        yield Check(name="git repository", verdict="warning", found=found, mend="git init")


def _of_images(project: Project) -> Iterator[Check]:
    from imagewright.builds.platform_gaps import platform_gaps
    from imagewright.images.edges import lookalikes
    from imagewright.services.doctor import Check

    try:
        images = project.images
    except ImagewrightError as error:
        yield _wrong("images", error)
        return
    yield Check(name="images", verdict="ok", found=f"{len(images)} found")
    for broken in project.broken.values():
        yield _wrong("Dockerfile", broken)
    try:
        gaps = platform_gaps(project.by_name, graph=project.graph, readings=project.readings, content=project.content)
    except ImagewrightError as error:
        yield _wrong("graph", error)
    else:
        yield from (_wrong("platforms", gap) for gap in gaps.values())
    for child, use, meant in lookalikes(images, project.readings):
        found = f"{child.dockerfile}:{use.line}: {use.reference} is not built here; is {meant.name} meant?"
        yield Check(name="reference", verdict="warning", found=found, mend=f"write {meant.repository}, or leave it")
    for path in forgotten(project):
        mend = "add a pattern to `discover` in the configuration, or rename the file"
        yield Check(name="Dockerfile", verdict="warning", found=f"{path}: no `discover` pattern finds it", mend=mend)


def _of_cache(project: Project) -> Iterator[Check]:
    from imagewright.config.words import LOCAL
    from imagewright.services.doctor import Check

    settings = project.settings.cache
    if settings.type != "s3":
        return
    from imagewright.cache.place import store_of

    try:
        any(store_of(settings, project.places).list("manifests/"))
    except ImagewrightError as error:
        if settings.endpoint_url == LOCAL:
            found = "the S3 store of this machine; the next build starts it"
            yield Check(name="layer cache", verdict="ok", found=found)
            return
        # Without it builds take longer, and fail only where the configuration wants that.
        verdict: Verdict = "missing" if settings.required else "warning"
        found = f"{error.where}: {error.message}" if error.where else error.message
        yield Check(name="layer cache", verdict=verdict, found=found, mend=error.hint)
    else:
        yield Check(name="layer cache", verdict="ok", found=f"the bucket {settings.bucket} answers")


def forgotten(project: Project) -> Sequence[str]:
    """Dockerfiles that are no image's, among the files that git tracks or could; all files where there is no git."""
    from imagewright.images.overlooked import files_below, overlooked

    try:
        repository = project.repository
        files = repository.entries_of_worktree().entries if repository else files_below(project.root)
    except ImagewrightError:
        files = files_below(project.root)
    return overlooked(files, {image.dockerfile for image in project.images})


def needs_of(settings: Settings) -> Needs:
    """What the configuration asks of the machine."""
    from imagewright.references import Reference
    from imagewright.services.doctor import Needs

    registry = Reference.parse(f"{settings.registry[0]}/name")
    single = [platform for image in settings.images.values() for platform in image.platforms or ()]
    return Needs(
        registry=registry.domain,
        local_registry=registry.is_loopback,
        builder=settings.builder.name,
        host_platform=host_platform(),
        platforms=frozenset([*settings.platforms, *single]),
        bases=bool(settings.bases),
    )


def show(checks: Sequence[Check]) -> None:
    """One line a check on standard output, and a second one for what mends it; in colour on a terminal."""
    width = max(len(check.name) for check in checks)
    texts = []
    for check in checks:
        lines = f"{check.verdict:<7}  {check.name:<{width}}  {check.found}".splitlines()
        lines += [f"-> {check.mend}"] if check.mend else []
        rest = "".join(f"\n{' ' * (width + 11)}{line.strip()}" for line in "\n".join(lines[1:]).splitlines())
        texts.append(lines[0] + rest)
    if not sys.stdout.isatty():
        print("\n".join(texts))  # noqa: T201
        return
    from rich.console import Console
    from rich.text import Text

    for check, text in zip(checks, texts, strict=True):
        Console().print(Text(text, style=STYLES[check.verdict]), soft_wrap=True)


def _wrong(name: str, error: ImagewrightError) -> Check:
    from imagewright.services.doctor import Check

    found = f"{error.where}: {error.message}" if error.where else error.message
    return Check(name=name, verdict="missing", found=found, mend=error.hint)
