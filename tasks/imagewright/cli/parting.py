"""What a machine pushed by its digest, told to the one that joins it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.builds.digests import REGISTRY, PushedPart, part_tag, write
from imagewright.builds.publication import Publication
from imagewright.errors import RegistryError

if TYPE_CHECKING:
    from pathlib import Path

    from imagewright.builds.job import Job
    from imagewright.builds.plan import Plan
    from imagewright.cli.publishing import Publisher
    from imagewright.registry.copy import Place


class Parting:
    """A `builds.publication.Publish` for parts: a file for each, or a tag on each."""

    def __init__(self, plan: Plan, root: Path, digests: str, publisher: Publisher) -> None:
        """`digests` is a folder, as seen from the repository's root, or the word `registry`."""
        self._items = {item.name: item for item in plan.to_build}
        self._commit = plan.head.revision
        self._folder = None if digests == REGISTRY else root / digests
        self._publisher = publisher

    def __call__(self, job: Job, digest: str) -> Publication:
        """Tell of one image. RegistryError, EnvironmentMissingError: it could not be told."""
        item = self._items[job.name]
        part = PushedPart(
            image=job.name,
            repository=job.repository,
            platforms=job.platforms,
            digest=digest,
            commit=self._commit,
            fingerprint=item.inputs.fingerprint if item.inputs else None,
        )
        if self._folder:
            write(self._folder, part)
            return Publication(tags=())
        tag = part_tag(part)
        _put(self._publisher.place(job.repository), tag, digest)
        return Publication(tags=(f"{job.repository}:{tag}",))


def _put(place: Place, tag: str, digest: str) -> None:
    manifest = place.registry.manifest(place.repository, digest)
    if manifest is None:
        raise RegistryError("what was just pushed is not there", where=f"{place}@{digest}")
    place.registry.push_manifest(place.repository, tag, manifest)
