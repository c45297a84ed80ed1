"""How large a run's images are, asked of their registries all at once, through the run's own connections."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from imagewright.builds.sizes import with_sizes
from imagewright.errors import ImagewrightError
from imagewright.registry.workers import concurrently

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imagewright.builds.plan import Plan
    from imagewright.builds.result import ImageResult
    from imagewright.cli.project import Project
    from imagewright.cli.publishing import Publisher


def measured(
    project: Project, plan: Plan, results: Sequence[ImageResult], publisher: Publisher
) -> tuple[ImageResult, ...]:
    """The results with their sizes, as far as the registries tell them; while the publisher is open."""
    return with_sizes(
        results,
        {item.name: item.image.repository for item in plan.images},
        measure=lambda repositories: _ask(publisher, repositories),
        memory=project.places.cache / "sizes.json",
    )


def _ask(publisher: Publisher, repositories: Mapping[str, str]) -> dict[str, Mapping[str, int]]:
    """A `builds.sizes.Measure`."""
    found = concurrently(lambda item: _sizes(publisher, *item), repositories.items(), stop=lambda: None)
    return {digest: sizes for digest, sizes in zip(repositories, found, strict=True) if sizes is not None}


def _sizes(publisher: Publisher, digest: str, repository: str) -> Mapping[str, int] | None:
    with suppress(ImagewrightError):
        place = publisher.place(repository)
        if manifest := place.registry.manifest(place.repository, digest):
            return place.registry.sizes(place.repository, manifest)
    return None
