"""How much each cache takes, and how much of the store no cache needs. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagewright.cache.retire import needed

if TYPE_CHECKING:
    from imagewright.cache.model import Cache
    from imagewright.cache.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSize:
    """One cache. All bytes are compressed, as the store keeps them."""

    cache: Cache
    blobs: int
    missing: int  # of these: not in the store
    bytes: int
    own: int  # of that: needed by no other cache

    @property
    def shared(self) -> int:
        """Bytes that other caches need, too."""
        return self.bytes - self.own


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The store: blobs and their bytes."""

    blobs: int
    bytes: int
    unneeded_blobs: int  # no cache needs them
    unneeded_bytes: int
    due_blobs: int  # of these: a prune would delete them now
    due_bytes: int
    retired_bytes: int  # what the caches that a prune would retire need alone: free two days later


def sizes_of(plan: Plan) -> tuple[list[CacheSize], Totals]:
    """Measure a store."""
    picture = plan.picture
    blobs = picture.blobs
    users = Counter(digest for one in picture.caches for digest in one.layers)
    found = []
    for cache in picture.caches:
        there = [digest for digest in cache.layers if digest in blobs]
        found.append(
            CacheSize(
                cache=cache,
                blobs=len(cache.layers),
                missing=len(cache.layers) - len(there),
                bytes=sum(blobs[digest].size for digest in there),
                own=sum(blobs[digest].size for digest in there if users[digest] == 1),
            )
        )
    kept = needed(plan.kept)
    unneeded = [digest for digest in blobs if digest not in users]
    return found, Totals(
        blobs=len(blobs),
        bytes=sum(one.size for one in blobs.values()),
        unneeded_blobs=len(unneeded),
        unneeded_bytes=sum(blobs[digest].size for digest in unneeded),
        due_blobs=len(plan.due),
        due_bytes=sum(blobs[digest].size for digest in plan.due),
        retired_bytes=sum(blobs[digest].size for digest in users if digest in blobs and digest not in kept),
    )
