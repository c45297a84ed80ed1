"""A plan carried out: the services, base images and builder that it needs, the builds, and what came of them."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Event

from invoke.exceptions import Exit

from imagewright.builds.bake import BakeOptions, bake_image
from imagewright.builds.builder import Builder
from imagewright.builds.failure import Failure
from imagewright.builds.history import learned, load, save, with_growth
from imagewright.builds.job import Job, RunOptions
from imagewright.builds.plan import Plan, PlanImage, Unplanned
from imagewright.builds.request import Request
from imagewright.builds.result import ImageResult, exit_code, to_json
from imagewright.builds.run import execute
from imagewright.builds.view import View, make_view
from imagewright.cli.layer_cache import cache_lines, layer_cache
from imagewright.cli.masking import masked, require_secrets
from imagewright.cli.measuring import measured
from imagewright.cli.outside import BasesOfRun
from imagewright.cli.parting import Parting
from imagewright.cli.preparing import ensure_registry, ready, recovery
from imagewright.cli.project import Project
from imagewright.cli.publishing import Publisher
from imagewright.cli.reporting import with_reasons, write_reports
from imagewright.errors import DockerfileError, EnvironmentMissingError
from imagewright.references import DOCKER_HUB, Reference
from imagewright.registry.client import Registry
from imagewright.tools.docker import Docker

_NO_COMMAND = "\\u0023#["  # the same to a reader of JSON; GitHub takes `##[` for a command, anywhere in a line

_NO_BUILDER = Builder(name="none", driver="none")
_JOBS_PER_CORE = 4  # builds mostly wait for the network and the disk; BuildKit itself shares out the cores


def apply_and_report(project: Project, plan: Plan, asked: Request, options: BakeOptions, *, as_json: bool) -> None:
    """Build what the plan says, show how it goes and what came of it, and exit with that."""
    begin, began = time.monotonic(), time.time()
    view = make_view(asked.progress, sys.stderr, project.environ, root=str(project.root))
    done = _carry_out(project, plan, asked, options, view) if plan.to_build or plan.to_retag else ()
    known = {result.name for result in done}
    kept = (_kept(item) for item in plan.images if item.name not in known)
    results = with_reasons(plan, (*done, *kept, *map(_unbuilt, plan.unplanned)))
    seconds = time.monotonic() - begin
    view.finish(results, seconds)
    write_reports(project, plan, results, asked, seconds=seconds, began=began)
    if as_json:
        print(json.dumps(to_json(results, seconds=seconds), indent=2).replace("##[", _NO_COMMAND))  # noqa: T201
    else:
        _print_references(plan, results)
    if code := exit_code(results):
        raise Exit(code=code)


def _print_references(plan: Plan, results: Sequence[ImageResult]) -> None:
    """What was asked for and published, as others can pull it: one line each, for `$(invoke build app)`."""
    needed = {item.name for item in plan.images if {reason.kind for reason in item.reasons} == {"needed"}}
    named = {item.name for item in (*plan.to_build, *plan.to_retag)} - needed
    for result in results:
        if result.digest and result.status != "failed" and result.name in named:
            print(f"{result.reference}@{result.digest}")  # noqa: T201


def _carry_out(
    project: Project, plan: Plan, asked: Request, options: BakeOptions, view: View
) -> tuple[ImageResult, ...]:
    """Build and publish. Nothing is built where everything stands already: then only tags are put."""
    require_secrets(plan, asked, project.environ)
    if plan.to_build:
        builder = ready(project, plan, asked)
    else:
        builder = _NO_BUILDER
        ensure_registry(project, (item.image for item in plan.to_retag))
    bases = BasesOfRun(project, plan, asked, builder)
    # The engine's own builder pushes by a tag or not at all.
    options = replace(options, bases=bases.of, untagged=builder.driver != "docker", cache=cache_lines(project, plan))
    caches = layer_cache(project, builder) if plan.to_build else None
    history = _log_folder(project) / "history.json"
    known = load(history)
    if options.output in ("tar", "oci"):
        _make_dist(project.root / options.dist)
    push = asked.output == "push"
    stop = Event()  # what waits to ask a registry again need not, once the run ends early
    with Publisher(_given_once(project, plan), partial(Registry, sleep=stop.wait)) as publisher:
        publish = Parting(plan, project.root, asked.digests, publisher) if asked.by_digest else publisher
        results = execute(
            [_job(item, asked) for item in (*plan.to_build, *plan.to_retag)],
            bake=lambda job, digests, part: bake_image(plan, job.name, options, digests, part),
            builder=builder,
            options=RunOptions(
                root=project.root,
                jobs=asked.jobs or project.known_settings.builder.jobs or _jobs(builder),
                push=push,
                retries=project.known_settings.builder.retries,
                fail_fast=asked.fail_fast,
                seconds={name: one.seconds for name, one in known.items()},
                secrets=masked(project, plan, asked, caches),
            ),
            view=view,
            docker=Docker(builder.docker_config, project.environ),
            log_folder=_log_folder(project),
            publish=publish if push else None,
            join=publisher.join if push else None,
            caches=caches,
            recovery=recovery(project, builder),
            stop=stop,
        )
        if push:
            results = with_growth(measured(project, plan, results, publisher), known)
    bases.say_unknown(results)
    save(history, learned(known, results))
    return tuple(_with_base_hint(result, builder) for result in results)


def _given_once(project: Project, plan: Plan) -> frozenset[str]:
    """The references that keep what they have, whatever another run does meanwhile."""
    if not project.known_settings.tags.immutable:
        return frozenset()
    return frozenset(
        f"{repository}:{tag.tag}"
        for item in (*plan.to_build, *plan.to_retag)
        for tag in item.naming.tags
        if tag.kind == "version"
        for repository in (item.image.repository, *item.image.copies)
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
    if failure is None or failure.reference is None or not builder.is_local:
        return result
    from imagewright.bases.ensure import docker_hub_answers, hint

    if Reference.parse(failure.reference).domain != DOCKER_HUB or docker_hub_answers():
        return result
    return replace(result, failure=replace(failure, hint=hint(failure.reference)))


def _job(item: PlanImage, asked: Request) -> Job:
    return Job(
        name=item.name,
        parents=tuple(parent.name for parent in item.parents if parent.origin == "build") if not item.digest else (),
        tags=() if asked.by_digest else item.tags,
        platforms=item.platforms,
        repository=item.image.repository,
        digest=item.digest,
    )


def _jobs(builder: Builder) -> int:
    """How many images build at once: a machine elsewhere does not tell its cores, so they are taken to be like ours."""
    return _JOBS_PER_CORE * (os.cpu_count() or 1) * max(1, len(builder.nodes))


def _kept(item: PlanImage) -> ImageResult:
    return ImageResult(
        name=item.name,
        status="reused" if item.action == "reuse" else "skipped",
        reference=item.reference,
        digest=item.digest,
        platforms=item.platforms,
        tags=item.tags,
        because="unchanged",
    )


def _unbuilt(one: Unplanned) -> ImageResult:
    failure = None
    if error := one.error:
        failure = Failure(
            kind="dockerfile" if isinstance(error, DockerfileError) else "registry",
            image=one.image.name,
            message=error.message,
            detail="",
            where=error.where if error.where != one.image.name else None,  # the message begins with that
            hint=error.hint,
        )
    return ImageResult(
        name=one.image.name,
        status="failed" if failure else "skipped",
        reference=one.tags[0] if one.tags else one.image.repository,
        digest=None,
        platforms=one.platforms,
        tags=one.tags,
        failure=failure,
        because=None if failure else f"parent {one.because} failed",
    )


def _log_folder(project: Project) -> Path:
    """One folder a repository, so that two of them do not overwrite each other's logs."""
    key = sha256(os.fsencode(project.root)).hexdigest()[:8]
    return project.places.state / "logs" / f"{project.root.name}-{key}"
