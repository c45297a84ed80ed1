"""What a registry has under each tag of a repository."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from imagewright.errors import RegistryError
from imagewright.registry.model import platform_text

if TYPE_CHECKING:
    from imagewright.registry.model import Manifest

_MANY = 100  # tags from which on it is said how far the reading is
_CHUNK = 500
_NUMBER = re.compile(r"(\d+)")

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTag:
    """One tag. What is not known, because the registry does not say it or it is no image, is None or empty."""

    tag: str
    digest: str | None = None
    created: str | None = None  # as the image's configuration says it (RFC 3339)
    platforms: tuple[str, ...] = ()
    size: int | None = None  # compressed bytes of the filesystem layers of all platforms
    problem: str | None = None


class Registry(Protocol):
    """What is asked of a registry (`registry.client.Registry`); `concurrently` bounds how many requests run."""

    def concurrently(self, call: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
        """`call` for each item, several at a time."""

    def tags(self, repository: str) -> tuple[str, ...] | None:
        """All tags; None where there is no such repository."""

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        """The manifest of a tag or digest."""

    def config(self, repository: str, digest: str) -> dict[str, Any] | None:
        """A configuration."""


def published(registry: Registry, repository: str, say: Callable[[str], None]) -> tuple[PublishedTag, ...] | None:
    """Every tag of the repository, 1.9 before 1.10; None where nothing was ever pushed to it.

    One request a tag, one more for each platform of an index, and one for each configuration: what several tags share
    is asked for once. A tag that goes away meanwhile is left out; one that cannot be read says why in its `problem`.
    RegistryError, EnvironmentMissingError: the registry does not list the tags.
    """
    names = registry.tags(repository)
    if names is None:
        return None
    reader = _Reader(registry, repository, say if len(names) >= _MANY else lambda _: None)
    tops = {tag: top for tag, top in reader.manifests(names, "tags").items() if top is not None}
    unique = {top.digest: top for top in tops.values() if not isinstance(top, RegistryError)}
    children = dict.fromkeys(digest for top in unique.values() for digest, _ in _children(top))
    images = reader.manifests(children, "platforms") if children else {}
    firsts = {digest: next(_images(top, images), None) for digest, top in unique.items()}
    configs = reader.configs({one.config.digest for one in firsts.values() if one is not None and one.config})
    found = {digest: _described(top, images, configs) for digest, top in unique.items()}
    return tuple(
        PublishedTag(tag=tag, problem=top.message)
        if isinstance(top, RegistryError)
        else PublishedTag(tag=tag, digest=top.digest, **found[top.digest])
        for tag, top in sorted(tops.items(), key=lambda item: _natural(item[0]))
    )


class _Reader:
    def __init__(self, registry: Registry, repository: str, say: Callable[[str], None]) -> None:
        self._registry = registry
        self._repository = repository
        self._say = say

    def manifests(self, references: Iterable[str], what: str) -> dict[str, Manifest | RegistryError | None]:
        def ask(reference: str) -> Manifest | RegistryError | None:
            try:
                found = self._registry.manifest(self._repository, reference)
                if found is not None:
                    _ = (found.manifests, found.layers, found.config)  # malformed ones say so here
            except RegistryError as error:
                return error
            return found

        return self._each(ask, list(references), what)

    def configs(self, digests: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        def ask(digest: str) -> Mapping[str, Any]:
            try:
                return self._registry.config(self._repository, digest) or {}
            except RegistryError:
                return {}

        return self._each(ask, sorted(digests), "configurations")

    def _each(self, ask: Callable[[str], _Result], items: Sequence[str], what: str) -> dict[str, _Result]:
        found: dict[str, _Result] = {}
        for start in range(0, len(items), _CHUNK):
            self._say(f"reading {len(items)} {what}: {start} done")
            chunk = items[start : start + _CHUNK]
            found |= zip(chunk, self._registry.concurrently(ask, chunk), strict=True)
        return found


def _children(top: Manifest) -> Iterator[tuple[str, str]]:
    """The images of an index, each by digest with its platform."""
    return ((one.digest, str(one.platform)) for one in top.manifests if one.platform and not one.attests)


def _images(top: Manifest, images: Mapping[str, Manifest | RegistryError | None]) -> Iterator[Manifest]:
    if not top.is_index:
        yield top
        return
    for digest, _ in _children(top):
        image = images.get(digest)
        if image is not None and not isinstance(image, RegistryError):
            yield image


def _described(
    top: Manifest, images: Mapping[str, Manifest | RegistryError | None], configs: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    known = list(_images(top, images))
    config = configs.get(known[0].config.digest, {}) if known and known[0].config else {}
    created = config.get("created")
    if top.is_index:
        platforms = tuple(platform for _, platform in _children(top))
        is_whole = len(known) == len(platforms)
    else:
        platforms = (platform_text(config),) if config.get("os") else ()
        is_whole = True
    return {
        "created": created if isinstance(created, str) else None,
        "platforms": platforms,
        "size": sum(layer.size for one in known for layer in one.layers) if is_whole else None,
    }


def _natural(tag: str) -> tuple[tuple[int, int, str], ...]:
    """Numbers in a tag by value."""
    return tuple((0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in _NUMBER.split(tag) if piece)
