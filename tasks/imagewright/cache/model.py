"""What the store of a layer cache holds: caches, which are BuildKit's manifests, and the blobs that they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from imagewright.cache.names import CacheName, parse_name

MANIFESTS, BLOBS = "manifests/", "blobs/"  # behind the prefix: BuildKit's own defaults


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """One manifest: what one image's builds on one branch left for the next."""

    name: str  # "app@main"; the key behind `manifests/`
    etag: str
    modified: datetime  # when a build wrote it last; whole seconds, as everywhere here
    layers: Mapping[str, int | None]  # digest: bytes, None where the manifest does not say

    @property
    def known(self) -> CacheName | None:
        """Its name, read; None where nobody of this package wrote it."""
        return parse_name(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A manifest of which nobody can tell what it needs."""

    name: str
    etag: str
    modified: datetime
    kind: Literal["damaged", "unknown form"]
    reason: str


@dataclass(frozen=True, slots=True)
class Blob:
    """A filesystem layer in the store."""

    size: int  # bytes
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The store as it was: caches as they were read, and then the blobs as they were listed."""

    caches: tuple[Cache, ...]  # by name
    blobs: Mapping[str, Blob]  # by digest
    taken: datetime  # by the store's clock
    unreadable: tuple[Unreadable, ...] = ()
    strange: tuple[str, ...] = field(default=())  # keys among the blobs that no exporter wrote
