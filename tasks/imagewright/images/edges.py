"""Which image is built on which: told by the references in Dockerfiles and by named contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.config.problems import near
from imagewright.errors import ConfigError
from imagewright.images.model import Edge
from imagewright.images.shelf import Shelf, gives_out, repository_of
from imagewright.references import InvalidReferenceError, Reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from imagewright.images.model import Image, ImageUse, Reading

DOCKER_IMAGE = "docker-image://"
TARGET = "target:"


def edges(images: Sequence[Image], readings: Mapping[str, Reading]) -> tuple[Edge, ...]:
    """Every use of one of `images` by another, by child and line; one edge for each different reference.

    A reference is compared by registry and repository after docker's own normalization, so that tags, digests and
    short spellings make no difference; where several images share one repository, the tag tells which of them is
    meant (`Image.publishes`). Images without a reading (their Dockerfile is broken) only have the edges of their named
    contexts.

    ConfigError: a reference that may mean several images, an image that is built from itself, a named context
    `target:NAME` without such an image.
    """
    finder = _Finder(images)
    found: dict[tuple[str, str, str], Edge] = {}
    for image in sorted(images, key=lambda image: image.name):
        for edge in (*_from_contexts(image, finder), *_from_dockerfile(image, readings.get(image.name), finder)):
            found.setdefault((edge.child, edge.parent, edge.reference), edge)
    return tuple(found.values())


def lookalikes(images: Sequence[Image], readings: Mapping[str, Reading]) -> tuple[tuple[Image, ImageUse, Image], ...]:
    """Uses that are no edge but look like a slip: (child, use, the image that was probably meant).

    The repository ends like one of ours but stands in another registry: `ghcr.io/me/base` where base is now pushed
    to `localhost:5050`, or a bare `base`. No slip is an image that extends the outside image of its own name
    (`nginx` from docker.io's `nginx`), and another image that uses that outside image too.
    """
    named: dict[str, Image] = {}
    for image in images:
        named.setdefault(repository_of(image).path.rpartition("/")[2], image)
    ours = {repository_of(image).repository for image in images}
    slips: list[tuple[str, tuple[Image, ImageUse, Image]]] = []
    extended: set[str] = set()
    for image in images:
        for use, reference in _references(readings.get(image.name)):
            meant = named.get(reference.path.rpartition("/")[2])
            if meant is None or reference.repository in ours:
                continue
            if meant.name == image.name:
                extended.add(reference.repository)
            else:
                slips.append((reference.repository, (image, use, meant)))
    return tuple(slip for repository, slip in slips if repository not in extended)


class _Finder:
    """The one image that a reference means."""

    def __init__(self, images: Sequence[Image]) -> None:
        self._shelf = Shelf(images)
        self.names = {image.name for image in images}

    def find(self, reference: Reference, child: Image, where: str) -> Image | None:
        """The image that `reference`, written at `where` in `child`, means; None where it is none of ours."""
        candidates = self._shelf.publishers(reference)
        if len(candidates) > 1:
            names = ", ".join(sorted(image.name for image in candidates))
            raise ConfigError(
                f"{reference} may be any of these images, which share the repository: {names}",
                where=where,
                hint="give each its own `repository`, or say with `publishes` which tags each gives out",
            )
        if not candidates and not reference.digest and (by_tag := self._shelf.family(reference)):
            raise _no_such_tag(reference, by_tag, where)
        if candidates and candidates[0].name == child.name:
            self._refuse_itself(child, reference, where)
            return None
        return candidates[0] if candidates else None

    def _refuse_itself(self, child: Image, reference: Reference, where: str) -> None:
        """An image may start from an earlier self, but only from one that this build cannot change."""
        published = not child.publishes or gives_out(child, reference.tag or "latest")
        if published and not reference.digest:
            raise ConfigError(
                f"{child.name} is built from itself ({reference})",
                where=where,
                hint=f"to start from an earlier version, pin it: {reference}@sha256:…",
            )


def _no_such_tag(reference: Reference, by_tag: Mapping[str, Sequence[Image]], where: str) -> ConfigError:
    family = next(iter(by_tag.values()))[0].family
    tag = reference.tag or "latest"
    pinned = f"to use one that is no longer here, pin it: {reference}@sha256:…"
    return ConfigError(
        f"{reference}: the family `{family}` has no tag `{tag}`", where=where, hint=near(tag, by_tag) or pinned
    )


def _from_contexts(image: Image, finder: _Finder) -> Iterator[Edge]:
    for name, value in sorted(image.contexts.items()):
        where = f"images.{image.name}.contexts.{name}"
        parent: str | None = None
        if value.startswith(TARGET):
            parent = value.removeprefix(TARGET)
            if parent not in finder.names:
                hint = near(parent, sorted(finder.names)) or "`invoke list` shows the images"
                raise ConfigError(f"there is no image `{parent}`", where=where, hint=hint)
            if parent == image.name:
                raise ConfigError(f"{parent} is built from itself", where=where, hint="remove the named context")
        elif value.startswith(DOCKER_IMAGE):
            try:
                reference = Reference.parse(value.removeprefix(DOCKER_IMAGE))
            except InvalidReferenceError as error:
                raise ConfigError(str(error), where=where) from error
            found = finder.find(reference, image, where)
            parent = found.name if found else None
        if parent:
            yield Edge(child=image.name, parent=parent, reference=name, line=0, kind="context")


def _from_dockerfile(image: Image, reading: Reading | None, finder: _Finder) -> Iterator[Edge]:
    for use, reference in _references(reading):
        parent = finder.find(reference, image, f"{image.dockerfile}:{use.line}")
        if parent:
            yield Edge(
                child=image.name, parent=parent.name, reference=use.reference or "", line=use.line, kind=use.kind
            )


def _references(reading: Reading | None) -> Iterator[tuple[ImageUse, Reference]]:
    """The uses whose reference is known and legal; what BuildKit would refuse is told by the build."""
    uses = reading.images if reading else ()
    for use in sorted(uses, key=lambda use: use.line):
        if use.reference is None:
            continue
        try:
            yield use, Reference.parse(use.reference)
        except InvalidReferenceError:
            continue
