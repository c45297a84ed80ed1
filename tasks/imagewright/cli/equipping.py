"""A builder, looked at before it builds: what its nodes build for, and whether it can execute what images run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.builds.builder import informed
from imagewright.builds.emulation import Wanted, is_able, missing, require_emulators
from imagewright.builds.executable import program
from imagewright.cli.project import host_platform
from imagewright.images.dockerfile.runs import platforms_run
from imagewright.images.shelf import Shelf
from imagewright.references import InvalidReferenceError, Reference
from imagewright.tools.docker import Docker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from imagewright.builds.builder import Builder
    from imagewright.builds.emulation import Kind
    from imagewright.builds.plan import Plan, PlanImage
    from imagewright.cli.project import Project
    from imagewright.images.model import BaseConfig


def equipped(project: Project, plan: Plan, builder: Builder) -> Builder:
    """The builder, with the platforms of its nodes where the plan needs them to be known.

    EnvironmentMissingError, with what mends it, where an image executes programs of a platform that it has no
    emulator for. Nothing is asked where all images are for this machine's own platform and are built on it.
    """
    docker = Docker(builder.docker_config, project.environ)
    platforms = dict.fromkeys(platform for item in plan.to_build for platform in item.platforms)
    known = informed(builder, platforms, host=host_platform(), ask=lambda name: docker.inspect(name, bootstrap=True))
    if known is builder:
        return builder
    able = {platform for platform in platforms if is_able(known.nodes, platform)}
    wanted = _wanted(project, plan.to_build, able)
    require_emulators(missing(wanted, known.nodes), kind=_kind(builder), executes=_tried(docker, builder.name))
    return known


def _wanted(project: Project, items: Sequence[PlanImage], able: Collection[str]) -> Iterator[Wanted]:
    """What the images execute for platforms that the builder does not say it is able to run."""
    base = _handed_down(project)
    for item in items:
        doubtful = [platform for platform in item.platforms if platform not in able]
        data = project.content(item.image.dockerfile) if doubtful else None
        if data is None:
            continue
        yield Wanted(
            name=item.name,
            runs={
                platform: platforms_run(
                    data,
                    path=item.image.dockerfile,
                    build_args=item.image.build_args,
                    target=item.image.target,
                    platform=platform,
                    base=base,
                    contexts=item.image.contexts,
                )
                for platform in doubtful
            },
        )


def _handed_down(project: Project) -> Callable[[str, str], BaseConfig | None]:
    shelf = Shelf(project.images)

    def base(reference: str, platform: str) -> BaseConfig | None:
        try:
            publishers = shelf.publishers(Reference.parse(reference))
        except InvalidReferenceError:
            return None
        reading = project.readings.get(publishers[0].name) if len(publishers) == 1 else None
        return reading.given(platform) if reading else None

    return base


def _tried(docker: Docker, builder: str) -> Callable[[str], bool | None]:
    def executes(platform: str) -> bool | None:
        tiny = program(platform)
        return docker.executes(builder, platform, tiny) if tiny else None

    return executes


def _kind(builder: Builder) -> Kind:
    if builder.is_local:
        return "local"
    match builder.driver:
        case "docker" | "docker-container" | "kubernetes":
            return builder.driver
    return "remote"
