"""The tags of a run, put on what was built: last of all, in every registry, and never over another version."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Self

from imagewright.builds.publication import Publication, Unpublished
from imagewright.errors import ImagewrightError, RegistryError
from imagewright.references import Reference
from imagewright.registry.client import Registry
from imagewright.registry.copy import Place
from imagewright.registry.index import join
from imagewright.registry.publish import Target, publish

if TYPE_CHECKING:
    from imagewright.builds.job import Job
    from imagewright.registry.model import Descriptor
    from imagewright.registry.publish import Published


class Publisher:
    """A `builds.publication.Publish` for one run; safe to share between threads. Close it, or use `with`."""

    def __init__(self, once: Collection[str], connect: Callable[[str], Registry] = Registry) -> None:
        """`once` are the references that are given only once, such as a version's."""
        self._once = once
        self._connect = connect
        self._registries: dict[str, Registry] = {}
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for registry in self._registries.values():
            registry.close()

    def __call__(self, job: Job, digest: str) -> Publication:
        """Put the job's tags on the digest, in its own repository first."""
        if not job.tags:
            return Publication(tags=())
        source, *others = self._targets(job)
        self._require_free(source, digest)
        first, *rest = publish(source.place, digest, [source, *others], guard=self._guard(digest), referrers=False)
        _raise_for(first)
        put = {
            (_name(one.target), tag.tag)
            for one in (first, *rest)
            if one.copied
            for tag in one.copied.tags
            if tag.error is None
        }
        return Publication(
            tags=tuple(text for text in job.tags if _parts(text) in put),
            unpublished=tuple(
                Unpublished(registry=one.target.place.registry.host, error=_told(one)) for one in rest if not one.ok
            ),
        )

    def join(self, job: Job, parts: Sequence[tuple[tuple[str, ...], str]]) -> str:
        """A `builds.job.Join`: one index of what the nodes of a builder pushed, each for its own platforms."""
        digests = {platform: digest for platforms, digest in parts for platform in platforms}
        # In the order in which one node would have built them all: the same bytes, the same digest.
        return join(self.place(job.repository), {platform: digests[platform] for platform in job.platforms})

    def place(self, repository: str) -> Place:
        """A repository such as `ghcr.io/me/app`, through a connection that all of the run share."""
        reference = Reference.parse(repository)
        return self._place(reference.domain, reference.path)

    def _targets(self, job: Job) -> list[Target]:
        tags: dict[tuple[str, str], list[str]] = {}
        for text in job.tags:
            reference = Reference.parse(text)
            tags.setdefault((reference.domain, reference.path), []).append(reference.tag or "latest")
        return [Target(place=self._place(*where), tags=tuple(found)) for where, found in tags.items()]

    def _place(self, host: str, repository: str) -> Place:
        with self._lock:
            registry = self._registries.get(host)
            if registry is None:
                registry = self._registries[host] = self._connect(host)
        return Place(registry, repository)

    def _require_free(self, target: Target, digest: str) -> None:
        """Look before anything is put: what is refused halfway would leave some tags moved and others not."""
        guard = self._guard(digest)
        for tag in target.tags:
            if f"{_name(target)}:{tag}" in self._once:
                guard(target.place, tag, target.place.registry.resolve(target.place.repository, tag))

    def _guard(self, digest: str) -> Callable[[Place, str, Descriptor | None], None]:
        def guard(place: Place, tag: str, now: Descriptor | None) -> None:
            reference = f"{place.registry.host}/{place.repository}:{tag}"
            if now is not None and now.digest != digest and reference in self._once:
                raise RegistryError(
                    f"it is published with other content, as {now.digest}",
                    where=reference,
                    hint="where another run was faster: run this again, and what is the same is taken as it is",
                )

        return guard


def _raise_for(published: Published) -> None:
    if published.error:
        raise published.error
    for tag in published.copied.tags if published.copied else ():
        if tag.error:
            raise tag.error
    if not published.ok:
        raise RegistryError("not all of it arrived", where=_name(published.target))


def _told(published: Published) -> str:
    try:
        _raise_for(published)
    except ImagewrightError as error:
        return str(error)
    return "not all of it arrived"


def _parts(text: str) -> tuple[str, str]:
    reference = Reference.parse(text)
    return f"{reference.domain}/{reference.path}", reference.tag or "latest"


def _name(target: Target) -> str:
    return f"{target.place.registry.host}/{target.place.repository}"
