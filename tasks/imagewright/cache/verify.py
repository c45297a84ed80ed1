"""Caches that cannot be used: a blob that they need is not there, or not what it should be; and what mends that.

A cache that is gone is a miss, and the next build writes it again. One that lacks a blob fails the build.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from imagewright.cache.look import read_one
from imagewright.cache.model import BLOBS, MANIFESTS, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from imagewright.cache.door import Store
    from imagewright.cache.model import Picture

Fault = Literal["missing", "size", "content"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One cache that cannot be used."""

    name: str
    blobs: Mapping[str, Fault]  # by digest
    kind: Literal["blobs", "damaged", "unknown form"] = "blobs"
    reason: str

    @property
    def repairable(self) -> bool:
        """Whether the cache may be removed: of one in an unknown form nobody can tell that it is wrong."""
        return self.kind != "unknown form"


def verify(
    store: Store,
    picture: Picture,
    *,
    deep: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> list[Finding]:
    """What is wrong, by name, each looked at a second time. `deep` reads every blob that is needed."""
    suspect = {
        digest
        for cache in picture.caches
        for digest, size in cache.layers.items()
        if digest not in picture.blobs or size not in (None, picture.blobs[digest].size)
    }
    if deep:
        suspect |= _rotten(store, picture, progress)
    names = [one.name for one in picture.unreadable]
    names += [one.name for one in picture.caches if not suspect.isdisjoint(one.layers)]
    found = store.concurrently(lambda name: examine(store, name, suspect, deep=deep), sorted(names))
    return [one for one in found if one is not None]


def examine(store: Store, name: str, suspect: Iterable[str], *, deep: bool = False) -> Finding | None:
    """What is wrong with one cache as it is now; of its blobs only the suspects are looked at."""
    cache = read_one(store, name)
    if cache is None:
        return None
    if isinstance(cache, Unreadable):
        return Finding(name=name, blobs={}, kind=cache.kind, reason=cache.reason)
    wrong = {
        digest: fault
        for digest in sorted(set(suspect) & cache.layers.keys())
        if (fault := _fault(store, digest, cache.layers[digest], deep=deep))
    }
    if not wrong:
        return None
    faults = list(wrong.values())
    words = {"missing": "not there", "size": "of the wrong size", "content": "of the wrong content"}
    counts = [f"{faults.count(fault)} {text}" for fault, text in words.items() if fault in faults]
    return Finding(name=name, blobs=wrong, reason=f"of {len(cache.layers)} blobs {', '.join(counts)}")


def repair(store: Store, finding: Finding, *, deep: bool = False) -> tuple[str, ...]:
    """Remove the cache, and the blobs that are not what they should be: the keys that are gone.

    Everything is looked at again before: a cache that a build has written meanwhile, or that is whole, stays.
    """
    key = MANIFESTS + finding.name
    before = store.head(key)
    now = examine(store, finding.name, finding.blobs, deep=deep)
    if before is None or now is None or not now.repairable:
        return ()
    after = store.head(key)
    if after is None or (after.etag, after.modified) != (before.etag, before.modified):
        return ()
    if not store.delete(key, before.modified):
        return ()
    return (key, *(gone for digest, fault in now.blobs.items() if fault != "missing" for gone in _drop(store, digest)))


def _drop(store: Store, digest: str) -> tuple[str, ...]:
    """Delete a blob that is not what its name says: an exporter would take it for the right one."""
    head = store.head(BLOBS + digest)
    return (BLOBS + digest,) if head is not None and store.delete(BLOBS + digest, head.modified) else ()


def _fault(store: Store, digest: str, size: int | None, *, deep: bool) -> Fault | None:
    head = store.head(BLOBS + digest)
    if head is None:
        return "missing"
    if size not in (None, head.size):
        return "size"
    return "content" if deep and _is_rotten(store, digest) else None


def _rotten(store: Store, picture: Picture, progress: Callable[[int, int], None]) -> set[str]:
    digests = sorted({digest for one in picture.caches for digest in one.layers if digest in picture.blobs})
    found: set[str] = set()
    verdicts = store.concurrently(lambda digest: _is_rotten(store, digest), digests)
    for number, (digest, rotten) in enumerate(zip(digests, verdicts, strict=True), 1):
        if rotten:
            found.add(digest)
        progress(number, len(digests))
    return found


def _is_rotten(store: Store, digest: str) -> bool:
    return digest.startswith("sha256:") and store.digest(BLOBS + digest) not in (None, digest)
