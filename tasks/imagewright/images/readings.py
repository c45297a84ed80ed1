"""The Dockerfiles of all images, read: each one's own uses, with what its parents here hand down."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from imagewright.errors import DockerfileError
from imagewright.images.dockerfile.cache import ReadingCache
from imagewright.images.model import BaseConfig, Image, Reading
from imagewright.images.shelf import Shelf
from imagewright.references import InvalidReferenceError, Reference

_EPOCH = re.compile(rb"^\s*ARG\s+(?:.*\s)?SOURCE_DATE_EPOCH\b", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What could be read, and why the rest could not."""

    by_name: Mapping[str, Reading]
    broken: Mapping[str, DockerfileError]
    declare_epoch: frozenset[str]  # images whose Dockerfile has `ARG SOURCE_DATE_EPOCH`


def read_all(
    images: Sequence[Image],
    content: Callable[[str], bytes | None],
    cache: ReadingCache,
    broken: Mapping[str, DockerfileError] | None = None,
) -> Readings:
    """Read the Dockerfile of every image; `content` gives a file's bytes by its path, None where there is none.

    A parent among the images hands down its ENV and ONBUILD, as BuildKit has it. Of any other base image, and where
    the tag does not tell which of several that share a repository is meant, they are unknown. One broken Dockerfile
    does not hide the others; `broken` are images whose Dockerfile could not even be made.
    """
    return _Reader(images, content, cache, broken or {}).all()


class _Reader:
    def __init__(
        self,
        images: Sequence[Image],
        content: Callable[[str], bytes | None],
        cache: ReadingCache,
        broken: Mapping[str, DockerfileError],
    ) -> None:
        self._images = images
        self._content = content
        self._cache = cache
        self._readings: dict[str, Reading | None] = {}  # None while it is being read, and for a broken one
        self._broken = dict(broken)
        self._epoch: set[str] = set()
        self._shelf = Shelf(images)

    def all(self) -> Readings:
        for image in self._images:
            self._read(image)
        readings = {name: reading for name, reading in self._readings.items() if reading is not None}
        return Readings(by_name=readings, broken=self._broken, declare_epoch=frozenset(self._epoch))

    def _read(self, image: Image) -> Reading | None:
        if image.name in self._readings:
            return self._readings[image.name]
        self._readings[image.name] = None  # who comes around to itself is a cycle, which the graph reports
        if image.name in self._broken:
            return None
        data = self._content(image.dockerfile)
        if data is None:
            self._broken[image.name] = DockerfileError("the Dockerfile cannot be read", where=image.dockerfile)
            return None
        if b"EPOCH" in data.upper() and _EPOCH.search(data):
            self._epoch.add(image.name)
        try:
            reading = self._cache.read(
                data,
                path=image.dockerfile,
                build_args=image.build_args,
                target=image.target,
                platforms=image.platforms,
                base=self._handed_down,
                contexts=image.contexts,
                unknown_args=image.secret_build_args,
            )
        except DockerfileError as error:
            self._broken[image.name] = error
            return None
        self._readings[image.name] = reading
        return reading

    def _handed_down(self, reference: str, platform: str) -> BaseConfig | None:
        try:
            publishers = self._shelf.publishers(Reference.parse(reference))
        except InvalidReferenceError:
            return None
        if len(publishers) != 1:
            return None
        reading = self._read(publishers[0])
        return reading.given(platform) if reading else None
