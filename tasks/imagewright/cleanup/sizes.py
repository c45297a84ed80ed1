"""How much a repository takes, how much of that its images share, and how much a cleanup would free. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from imagewright.cleanup.model import Picture, RepositoryPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """One repository. All bytes are compressed, as the registry keeps them, manifests included."""

    repository: str
    tags: int
    images: int  # distinct images and indexes that tags point to
    manifests: int
    bytes: int  # each content counted once
    shared: int  # of that: needed by more than one image
    freed: int | None  # what the plan would free; None without a plan
    contents: Mapping[str, int] = field(default_factory=dict)  # digest: bytes, to add up several repositories


def sizes_of(picture: Picture, plan: RepositoryPlan | None = None) -> Sizes:
    """Measure a picture. What lies under tags, and what is known to lie without one."""
    contents: dict[str, int] = {}
    for one in picture.manifests.values():
        contents |= {one.digest: one.size, **one.blobs}
    tops = {
        digest
        for digest in picture.tags.values()
        if digest in picture.manifests and picture.manifests[digest].kind in ("image", "index")
    }
    inner = {child for top in tops for child in _below(picture, top) if child != top}
    owners: dict[str, int] = {}
    for top in tops - inner:  # a platform of a tagged index that has a tag of its own is the same image once more
        for digest in _all_of(picture, top):
            owners[digest] = owners.get(digest, 0) + 1
    return Sizes(
        repository=picture.repository,
        tags=len(picture.tags),
        images=len(tops),
        manifests=len(picture.manifests),
        bytes=sum(contents.values()),
        shared=sum(contents[digest] for digest, count in owners.items() if count > 1),
        freed=plan.freed if plan else None,
        contents=contents,
    )


def bytes_together(sizes: Iterable[Sizes]) -> int:
    """Bytes of several repositories of one registry, which keeps what they share once."""
    contents: dict[str, int] = {}
    for one in sizes:
        contents |= one.contents
    return sum(contents.values())


def _below(picture: Picture, top: str) -> set[str]:
    found: set[str] = set()
    level = {top}
    while level:
        found |= level
        level = {child for digest in level for child in picture.manifests[digest].children} - found
        level &= picture.manifests.keys()
    return found


def _all_of(picture: Picture, top: str) -> set[str]:
    manifests = _below(picture, top)
    return manifests | {blob for digest in manifests for blob in picture.manifests[digest].blobs}
