"""A plan carried out: the services, base images and builder that it needs, the builds, and what came of them."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from invoke.exceptions import Exit

from imagewright.builds.bake import BakeOptions, bake_image
from imagewright.builds.builder import LOCAL, Builder, resolve
from imagewright.builds.failure import Failure
from imagewright.builds.plan import Plan, PlanImage, Unplanned
from imagewright.builds.request import Request
from imagewright.builds.result import ImageResult, exit_code, to_json
from imagewright.builds.run import Job, RunOptions, execute
from imagewright.builds.sizes import with_sizes
from imagewright.builds.view import View, make_view
from imagewright.cli.project import Project
from imagewright.errors import EnvironmentMissingError, UsageError
from imagewright.references import DOCKER_HUB, Reference
from imagewright.services import manager
from imagewright.tools.docker import Docker

_MASKED_FILE_BYTES = 8192

_JOBS_PER_CORE = 4  # builds mostly wait for the network and the disk; BuildKit itself shares out the cores


def apply_and_report(project: Project, plan: Plan, asked: Request, options: BakeOptions, *, as_json: bool) -> None:
    """Build what the plan says, show how it goes and what came of it, and exit with that."""
    begin = time.monotonic()
    view = make_view(asked.progress, sys.stderr, project.environ)
    built = _build(project, plan, asked, options, view) if plan.to_build else ()
    kept = (_kept(item) for item in plan.images if item.action != "build")
    results = (*built, *kept, *map(_unbuilt, plan.unplanned))
    seconds = time.monotonic() - begin
    view.finish(results, seconds)
    if as_json:
        print(json.dumps(to_json(results, seconds=seconds), indent=2))  # noqa: T201
    else:
        _print_references(plan, results)
    if code := exit_code(results):
        raise Exit(code=code)


def _print_references(plan: Plan, results: Sequence[ImageResult]) -> None:
    """What was asked for and published, as others can pull it: one line each, for `$(invoke build app)`."""
    needed = {item.name for item in plan.images if {reason.kind for reason in item.reasons} == {"needed"}}
    for result in results:
        if result.digest and result.status == "built" and result.name not in needed:
            print(f"{result.reference}@{result.digest}")  # noqa: T201


def _build(project: Project, plan: Plan, asked: Request, options: BakeOptions, view: View) -> tuple[ImageResult, ...]:
    secrets = (*_secret_values(plan, asked, project.environ), *_secret_files(plan, project.root))
    builder = _ready(project, plan, asked)
    if options.output in ("tar", "oci"):
        _make_dist(project.root / options.dist)
    results = execute(
        [_job(item) for item in plan.to_build],
        bake=lambda job, digests: bake_image(plan, job.name, options, digests),
        builder=builder,
        options=RunOptions(
            root=project.root,
            jobs=project.settings.builder.jobs or _JOBS_PER_CORE * (os.cpu_count() or 1),
            push=asked.output == "push",
            retries=project.settings.builder.retries,
            secrets=secrets,
        ),
        view=view,
        docker=Docker(builder.docker_config, project.environ),
        log_folder=_log_folder(project),
    )
    results = tuple(_with_base_hint(result, builder) for result in results)
    return _measured(project, plan, results) if asked.output == "push" else results


def _ready(project: Project, plan: Plan, asked: Request) -> Builder:
    """A builder that can do it; a registry on this machine and base images where they are ours to provide."""
    places, environ, say = project.places, project.environ, project.say
    if asked.output == "load":
        _require_engine(plan, environ)
    builder = resolve(asked.builder or project.settings.builder.name, places, environ=environ, say=say)
    for item in plan.to_build:
        builder.require(output=asked.output, platforms=item.platforms)
    pushes_here = asked.output == "push" and any(
        Reference.parse(item.image.repository).domain == places.registry for item in plan.to_build
    )
    is_local = builder.name.startswith(LOCAL)
    if pushes_here or (is_local and project.settings.bases):
        manager.ensure(("registry",), places, environ=environ, say=say)
    if is_local:  # it looks in our registry for Docker Hub's images first
        _provide_bases(project, plan, refresh=asked.no_cache)
    return builder


def _require_engine(plan: Plan, environ: Mapping[str, str]) -> None:
    for item in plan.to_build:
        if len(item.platforms) > 1:
            raise UsageError(
                f"--load takes one platform, and {item.name} has {', '.join(item.platforms)}",
                hint=f"give one: `--platform {item.platforms[0]}`",
            )
    if not Docker(environ=environ).engine_running():
        raise EnvironmentMissingError(
            "there is no Docker engine to load images into",
            hint="start Docker, or `--output oci` writes them to dist/, or leave --load out to push them",
        )


def _provide_bases(project: Project, plan: Plan, *, refresh: bool) -> None:
    if not project.settings.bases:
        return
    from imagewright.bases.ensure import docker_hub_answers, ensure_bases
    from imagewright.registry.client import Registry

    places = project.places
    ensure_bases(
        {
            use.reference
            for item in plan.to_build
            for use in project.readings[item.name].images
            if use.reference is not None
        },
        project.settings.bases,
        platforms=sorted({platform for item in plan.to_build for platform in item.platforms}),
        connect=lambda: Registry(places.registry),
        state=places.service("registry"),
        cache=places.cache,
        say=project.say,
        reachable=docker_hub_answers,
        refresh=refresh,
    )


def _make_dist(folder: Path) -> None:
    """A folder for archives that git ignores by itself: they would make the work tree dirty."""
    ignore = folder / ".gitignore"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise EnvironmentMissingError(f"archives cannot be written: {error.strerror}", where=str(folder)) from error


def _with_base_hint(result: ImageResult, builder: Builder) -> ImageResult:
    """A base image that was not to be had because Docker Hub is out of reach: say how to make one."""
    failure = result.failure
    if failure is None or failure.reference is None or not builder.name.startswith(LOCAL):
        return result
    from imagewright.bases.ensure import docker_hub_answers, hint

    if Reference.parse(failure.reference).domain != DOCKER_HUB or docker_hub_answers():
        return result
    return replace(result, failure=replace(failure, hint=hint(failure.reference)))


def _secret_values(plan: Plan, asked: Request, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The values that are masked in whatever is shown or kept; UsageError for one that is not there."""
    names = dict.fromkeys(asked.secret_build_args, "build argument")
    for item in plan.to_build:
        names |= dict.fromkeys(item.image.secret_build_args, f"build argument of {item.name}")
        names |= {
            secret.source: f"secret of {item.name}"
            for secret in item.image.secrets
            if secret.kind == "env" and not (secret.optional and secret.source not in environ)
        }
    for name, what in names.items():
        if name not in environ:
            raise UsageError(f"the {what} {name} has no value", hint=f"set {name} in the environment")
    return tuple(environ[name] for name in names)


def _secret_files(plan: Plan, root: Path) -> tuple[str, ...]:
    """What stands in the files of secrets, to be masked too; one that is not there is the build's own error."""
    files = {root / secret.source for item in plan.to_build for secret in item.image.secrets if secret.kind == "src"}
    # A larger file is a bundle of certificates or an archive: thousands of lines to look for in every line of output.
    found = (file for file in sorted(files) if file.is_file() and file.stat().st_size <= _MASKED_FILE_BYTES)
    return tuple(file.read_text(encoding="utf-8", errors="replace") for file in found)


def _job(item: PlanImage) -> Job:
    return Job(
        name=item.name,
        parents=tuple(parent.name for parent in item.parents if parent.origin == "build"),
        tags=item.tags,
        platforms=item.platforms,
        repository=item.image.repository,
    )


def _kept(item: PlanImage) -> ImageResult:
    return ImageResult(
        name=item.name,
        status="reused" if item.action == "reuse" else "skipped",
        reference=item.tags[0],
        digest=item.digest,
        platforms=item.platforms,
        tags=item.tags,
        because="unchanged",
    )


def _unbuilt(one: Unplanned) -> ImageResult:
    failure = None
    if error := one.error:
        failure = Failure(
            kind="dockerfile",
            image=one.image.name,
            message=error.message,
            detail="",
            where=error.where,
            hint=error.hint,
        )
    return ImageResult(
        name=one.image.name,
        status="failed" if failure else "skipped",
        reference=one.tags[0],
        digest=None,
        platforms=one.platforms,
        tags=one.tags,
        failure=failure,
        because=None if failure else f"parent {one.because} failed",
    )


def _measured(project: Project, plan: Plan, results: Sequence[ImageResult]) -> tuple[ImageResult, ...]:
    def measure(repository: str, digest: str) -> Mapping[str, int]:
        from imagewright.registry.client import Registry

        reference = Reference.parse(repository)
        with Registry(reference.domain) as registry:
            manifest = registry.manifest(reference.path, digest)
            return registry.sizes(reference.path, manifest) if manifest else {}

    repositories = {item.name: item.image.repository for item in plan.images}
    return with_sizes(results, repositories, measure=measure, memory=project.places.cache / "sizes.json")


def _log_folder(project: Project) -> Path:
    """One folder a repository, so that two of them do not overwrite each other's logs."""
    key = sha256(os.fsencode(project.root)).hexdigest()[:8]
    return project.places.state / "logs" / f"{project.root.name}-{key}"
