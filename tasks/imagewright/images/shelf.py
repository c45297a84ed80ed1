"""The images of a repository by what they are called in a registry: which of them a reference means."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from imagewright.errors import ConfigError
from imagewright.references import InvalidReferenceError, Reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagewright.images.model import Image


class Shelf:
    """Images by registry and repository, after docker's own normalization of references."""

    def __init__(self, images: Sequence[Image]) -> None:
        """ConfigError for a repository that is no reference."""
        self._by_repository: dict[tuple[str, str], list[Image]] = {}
        for image in images:
            own = repository_of(image)
            self._by_repository.setdefault((own.domain, own.path), []).append(image)

    def publishers(self, reference: Reference) -> Sequence[Image]:
        """The images that a reference may mean; more than one where its tag does not tell."""
        sharing = self._by_repository.get((reference.domain, reference.path), [])
        if len(sharing) < 2 or (reference.digest and not reference.tag):
            return sharing
        tag = reference.tag or "latest"
        return [image for image in sharing if gives_out(image, tag)] or [
            image for image in sharing if not image.publishes
        ]


def gives_out(image: Image, tag: str) -> bool:
    """Whether one of the image's own globs of tags has this tag."""
    return any(fnmatchcase(tag, glob) for glob in image.publishes)


def repository_of(image: Image) -> Reference:
    """The image's repository; ConfigError where it is no reference."""
    try:
        return Reference.parse(image.repository)
    except InvalidReferenceError as error:
        raise ConfigError(str(error), where=f"images.{image.name}.repository") from error
