"""All that belongs to an image: its manifests in the order in which a registry takes them, and what refers to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imagewright.errors import RegistryError
from imagewright.references import is_digest
from imagewright.registry.model import Descriptor, Manifest, is_manifest_type
from imagewright.registry.referrers import Referrers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from imagewright.registry.client import Registry

_MOST_MANIFESTS = 10_000
_DEEPEST = 32  # indexes within indexes, and referrers of referrers


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """An image, its parts and its referrers, as one repository has them."""

    top: Manifest
    waves: tuple[tuple[Manifest, ...], ...]  # children before their index, subjects before what refers to them
    tags: dict[str, Manifest] = field(default_factory=dict)  # what lies under tags of its own (cosign's)
    subjects: dict[str, tuple[Manifest, ...]] = field(default_factory=dict)  # by digest: who refers to it

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """All of them, in that order."""
        return tuple(one for wave in self.waves for one in wave)

    @property
    def parts(self) -> frozenset[str]:
        """The digests of the image alone, without referrers."""
        return frozenset(_descend(self.top, {one.digest: one for one in self.manifests}))

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """All content that registries must have, each digest once; in no order that matters."""
        found = {blob.digest: blob for one in self.manifests for blob in one.blobs if not is_foreign(blob)}
        return tuple(found.values())

    @property
    def foreign(self) -> tuple[Descriptor, ...]:
        """Filesystem layers that are to be had at their own addresses only."""
        return tuple({blob.digest: blob for one in self.manifests for blob in one.blobs if is_foreign(blob)}.values())


def is_foreign(blob: Descriptor) -> bool:
    """Whether registries need not have it (OCI image spec, layer.md, "Non-Distributable Layers")."""
    return bool(blob.urls) or ".nondistributable." in blob.media_type or ".foreign." in blob.media_type


def reach(registry: Registry, repository: str, top: Manifest, *, referrers: bool) -> Reach:
    """Read all that `top` leads to, and with `referrers` all that refers to any of it, and to those.

    RegistryError where a part of an index is not there.
    """
    asked = Referrers(registry, repository)
    known: dict[str, Manifest] = {}
    waves: list[tuple[Manifest, ...]] = []
    tags: dict[str, Manifest] = {}
    subjects: dict[str, tuple[Manifest, ...]] = {}
    generation: Sequence[Manifest] = (top,)
    for _ in range(_DEEPEST):
        fresh = _with_children(registry, repository, generation, known)
        waves += _by_height(fresh, known)
        if not (referrers and fresh):
            return Reach(top=top, waves=tuple(waves), tags=tags, subjects=subjects)
        # The first alone: whether the registry has a list of referrers is then known to the others.
        about = [_about(asked, fresh[0]), *registry.concurrently(lambda one: _about(asked, one), fresh[1:])]
        for subject, (named, tagged) in zip(fresh, about, strict=True):
            if named:
                subjects[subject.digest] = named
            tags |= tagged
        following = [one for named, tagged in about for one in (*named, *tagged.values())]
        generation = tuple({one.digest: one for one in following if one.digest not in known}.values())
    raise RegistryError("the referrers of this image refer to each other without end", where=repository)


def _about(asked: Referrers, one: Manifest) -> tuple[tuple[Manifest, ...], dict[str, Manifest]]:
    return asked.of(one.digest), asked.cosigned(one.digest)


def _with_children(
    registry: Registry, repository: str, roots: Iterable[Manifest], known: dict[str, Manifest]
) -> list[Manifest]:
    """The roots and what they lead to, as far as it is not in `known`; it is afterwards."""
    fresh: list[Manifest] = []
    level = list(roots)
    for _ in range(_DEEPEST):
        for one in level:
            _require_digests(registry, repository, one)
            known[one.digest] = one
        fresh += level
        if len(known) > _MOST_MANIFESTS:
            raise RegistryError(f"this image leads to more than {_MOST_MANIFESTS} manifests", where=repository)
        wanted = {child: None for one in level for child in _children(one) if child not in known}
        if not wanted:
            return fresh
        level = registry.concurrently(lambda digest: _required(registry, repository, digest), wanted)
    raise RegistryError(f"indexes within indexes, more than {_DEEPEST} deep", where=repository)


def _require_digests(registry: Registry, repository: str, one: Manifest) -> None:
    """A registry's manifest is somebody else's text: what it names becomes part of addresses."""
    for named in (*one.manifests, *one.blobs):
        if not is_digest(named.digest):
            raise RegistryError(
                f"the manifest names content by {named.digest[:80]!r}, which is no sha256 or sha512 digest",
                where=f"{registry.host}/{repository}@{one.digest}",
            )


def _required(registry: Registry, repository: str, digest: str) -> Manifest:
    found = registry.manifest(repository, digest, artifacts=True)
    if found is None:
        raise RegistryError(
            "an index names this manifest, and the registry does not have it",
            where=f"{registry.host}/{repository}@{digest}",
            hint="an image that is not whole cannot be copied; build and push it again",
        )
    return found


def _by_height(fresh: Iterable[Manifest], known: dict[str, Manifest]) -> list[tuple[Manifest, ...]]:
    heights: dict[str, int] = {}

    def height(one: Manifest) -> int:
        if one.digest not in heights:
            heights[one.digest] = 1 + max((height(known[child]) for child in _children(one)), default=-1)
        return heights[one.digest]

    waves: dict[int, list[Manifest]] = {}
    for one in fresh:
        waves.setdefault(height(one), []).append(one)
    return [tuple(waves[number]) for number in sorted(waves)]


def _children(one: Manifest) -> list[str]:
    return [child.digest for child in one.manifests if is_manifest_type(child.media_type)]


def _descend(top: Manifest, known: dict[str, Manifest]) -> set[str]:
    found: set[str] = set()
    level = [top.digest]
    while level:
        found.update(level)
        level = [child for digest in level for child in _children(known[digest]) if child not in found]
    return found
