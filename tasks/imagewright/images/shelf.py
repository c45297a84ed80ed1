"""The images of a repository by what they are called in a registry: which of them a reference means."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from imagewright.errors import ConfigError
from imagewright.references import InvalidReferenceError, Reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imagewright.images.model import Image


class Shelf:
    """Images by registry and repository, after docker's own normalization of references."""

    def __init__(self, images: Sequence[Image]) -> None:
        """ConfigError for a repository that is no reference."""
        self._by_repository: dict[tuple[str, str], list[Image]] = {}
        self._members: dict[tuple[str, str], dict[str, list[Image]]] = {}  # of families, by tag
        for image in images:
            own = repository_of(image)
            key = (own.domain, own.path)
            if image.own_tag is None:
                self._by_repository.setdefault(key, []).append(image)
            else:
                by_tag = self._members.setdefault(key, {})
                for tag in image.publishes:
                    by_tag.setdefault(tag, []).append(image)

    def family(self, reference: Reference) -> Mapping[str, Sequence[Image]]:
        """The members by tag where a reference names the repository of a family, and nothing else stands there."""
        key = (reference.domain, reference.path)
        return {} if key in self._by_repository else self._members.get(key, {})

    def publishers(self, reference: Reference) -> Sequence[Image]:
        """The images that a reference may mean; more than one where its tag does not tell.

        Of a family's member the tag is always told: what is pinned without one may be of a member that is gone.
        """
        key = (reference.domain, reference.path)
        sharing = self._by_repository.get(key, [])
        members = self._members.get(key, {})
        if (len(sharing) < 2 and not members) or (reference.digest and not reference.tag):
            return sharing
        tag = reference.tag or "latest"
        exact = [*members.get(tag, ()), *(image for image in sharing if gives_out(image, tag))]
        return exact or [image for image in sharing if not image.publishes]


def gives_out(image: Image, tag: str) -> bool:
    """Whether one of the image's own globs of tags has this tag."""
    return any(fnmatchcase(tag, glob) for glob in image.publishes)


def repository_of(image: Image) -> Reference:
    """The image's repository; ConfigError where it is no reference."""
    try:
        return Reference.parse(image.repository)
    except InvalidReferenceError as error:
        raise ConfigError(str(error), where=f"images.{image.name}.repository") from error
