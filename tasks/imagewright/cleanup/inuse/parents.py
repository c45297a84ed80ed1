"""Which images others are built on, told by what a registry holds: a child has all filesystem layers of its parent."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagewright.cleanup.model import Use

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from imagewright.cleanup.model import Picture, Stored


class Built:
    """The images that stay, by their filesystem layers."""

    def __init__(self) -> None:
        self._having: defaultdict[str, set[_Kept]] = defaultdict(set)  # blob: the images that have it
        self._known: set[tuple[str, str]] = set()

    def add(self, picture: Picture, kept: Mapping[str, str]) -> None:
        """These digests of a repository stay; each has a name for people."""
        for digest, name in kept.items():
            if (picture.repository, digest) in self._known:
                continue
            self._known.add((picture.repository, digest))
            for image in _images(picture, digest):
                one = _Kept(repository=picture.repository, digest=image.digest, name=name, blobs=len(image.blobs))
                for blob in image.blobs:
                    self._having[blob].add(one)

    def parents(self, picture: Picture, digests: Iterable[str], children: Collection[str]) -> tuple[Use, ...]:
        """Those of a repository's digests that an image which stays is built on.

        `children` are the repositories of images that are built on images of this one. `FROM` takes the parent's
        filesystem layers over as they are, so that no request is needed; what a `COPY --from` took from leaves no
        trace here. Two parents with the same filesystem layers are both in use: which of them it was cannot be told.
        """
        found: list[Use] = []
        for digest in digests:
            names = {
                child.name
                for image in _images(picture, digest)
                for child in self._with_all_of(image)
                if child.repository in children and _can_be_child(child, image, picture.repository)
            }
            if names:
                where = f"{min(names)}, which is built on it"
                found.append(Use(reference=f"{picture.repository}@{digest}", where=where))
        return tuple(found)

    def _with_all_of(self, parent: Stored) -> Iterator[_Kept]:
        """The images that have all blobs of this one but its configuration, which every image has for itself."""
        counts = Counter(child for blob in parent.blobs for child in self._having.get(blob, ()))
        needed = len(parent.blobs) - 1
        return (child for child, count in counts.items() if count >= needed > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """An image for one platform."""

    repository: str
    digest: str
    name: str
    blobs: int


def _can_be_child(child: _Kept, parent: Stored, repository: str) -> bool:
    """Not the very image; and within one repository not the same filesystem layers with other labels, either."""
    return child.digest != parent.digest and (child.repository != repository or child.blobs > len(parent.blobs))


def _images(picture: Picture, digest: str) -> Iterator[Stored]:
    stored = picture.manifests.get(digest)
    if stored is None:
        return
    if stored.kind == "image":
        yield stored
    for child in stored.children:
        found = picture.manifests.get(child)
        if found is not None and found.kind == "image" and child not in stored.attests:
            yield found
