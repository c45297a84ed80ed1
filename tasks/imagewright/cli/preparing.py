"""What a run needs before it can begin: a builder, and a registry and base images where they are ours to provide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from imagewright.builds.builder import Builder, resolve
from imagewright.builds.plan import Plan
from imagewright.builds.recovery import Recovery
from imagewright.builds.request import Request
from imagewright.cli.equipping import equipped
from imagewright.cli.project import Project
from imagewright.errors import EnvironmentMissingError, UsageError
from imagewright.images.model import Image
from imagewright.references import Reference
from imagewright.services import manager
from imagewright.tools.docker import Docker


def ensure_registry(project: Project, images: Iterable[Image]) -> bool:
    """Start the registry on this machine if one of the images is published to it; whether that is so."""
    repositories = {repository for image in images for repository in (image.repository, *image.copies)}
    if not any(Reference.parse(one).domain == project.places.registry for one in repositories):
        return False
    manager.ensure(("registry",), project.places, environ=project.environ, say=project.say)
    return True


def ready(project: Project, plan: Plan, asked: Request) -> Builder:
    """A builder that can do it; a registry on this machine and base images where they are ours to provide."""
    places, environ, say = project.places, project.environ, project.say
    if asked.output == "load":
        _require_engine(plan, environ)
    hub = _asked_hub(project) if project.known_settings.bases else None
    settings = project.known_settings.builder
    described = settings.name if settings.nodes else None
    builder = resolve(asked.builder or settings.name, places, environ=environ, say=say, described=described)
    if asked.by_digest and builder.driver == "docker":
        raise UsageError(
            f"builder {builder.name} is the docker engine's own, and pushes by a tag or not at all",
            hint="`docker buildx create --use` makes one that pushes by digest",
        )
    for item in plan.to_build:
        builder.require(output=asked.output, platforms=item.platforms)
    builder = equipped(project, plan, builder)
    pushes_here = asked.output == "push" and ensure_registry(project, (item.image for item in plan.to_build))
    if not pushes_here and builder.is_local and project.known_settings.bases:
        manager.ensure(("registry",), places, environ=environ, say=say)
    if builder.is_local:  # it looks in our registry for Docker Hub's images first
        _provide_bases(project, plan, hub, refresh=asked.no_cache)
    return builder


def recovery(project: Project, builder: Builder) -> Recovery:
    """What brings this builder's BuildKit back where it hangs: the local one is ours to restart, no other is."""
    if not builder.is_local:
        return Recovery()

    def restart() -> None:
        places, environ = project.places, project.environ
        manager.stop("buildkitd", places, say=lambda _text: None)
        manager.ensure(("buildkitd",), places, environ=environ, say=lambda _text: None)

    return Recovery(restart)


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


def _asked_hub(project: Project) -> Callable[[str], bool]:
    from imagewright.bases.ensure import asked_ahead

    return asked_ahead(project.places.service("registry"))


def _provide_bases(project: Project, plan: Plan, hub: Callable[[str], bool] | None, *, refresh: bool) -> None:
    if hub is None:
        return
    from imagewright.bases.ensure import ensure_bases
    from imagewright.registry.client import Registry

    places = project.places
    ensure_bases(
        {
            use.reference
            for item in plan.to_build
            for use in project.readings[item.name].images
            if use.reference is not None
        },
        project.known_settings.bases,
        platforms=sorted({platform for item in plan.to_build for platform in item.platforms}),
        connect=lambda: Registry(places.registry),
        state=places.service("registry"),
        cache=places.cache,
        say=project.say,
        reachable=hub,
        refresh=refresh,
    )
