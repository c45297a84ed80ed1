"""Carries a plan out: caches first, then the record of what is condemned, then the blobs that are due, one by one.

Whatever interrupts it leaves too much, never too little: a blob goes last, and what went twice was gone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imagewright.cache import condemned
from imagewright.cache.look import caches
from imagewright.cache.model import BLOBS, MANIFESTS, Cache, Unreadable
from imagewright.cache.plan import condemn, may_go
from imagewright.cache.retire import needed
from imagewright.errors import ImagewrightError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from imagewright.cache.door import Store
    from imagewright.cache.lease import Lease
    from imagewright.cache.plan import Plan

_AT_ONCE = 500  # blobs that are deleted between two looks at the manifests


@dataclass(slots=True, kw_only=True)
class Done:
    """What came of it."""

    caches: list[str] = field(default_factory=list)
    blobs: dict[str, int] = field(default_factory=dict)  # digest: bytes
    skipped: dict[str, str] = field(default_factory=dict)  # key: why it stays
    waiting: int = 0  # blobs that are condemned now
    waiting_bytes: int = 0


class Prune:
    """One run. `journal` is told each key that is gone, `progress` how many of the blobs are done.

    Each call raises ImagewrightError where the store refuses, or where a manifest appears that cannot be read.
    """

    def __init__(
        self,
        store: Store,
        plan: Plan,
        record_etag: str | None,
        lease: Lease,
        *,
        journal: Callable[[str], None] = lambda _key: None,
        progress: Callable[[int, int], None] = lambda _done, _of: None,
    ) -> None:
        self._store = store
        self._plan = plan
        self._etag = record_etag
        self._lease = lease
        self._journal = journal
        self._progress = progress
        self._done = Done()
        self._caches: tuple[Cache, ...] = plan.picture.caches

    def run(self) -> Done:
        """Carry it out."""
        for cache in self._plan.retired:
            self._retire(cache)
        self._look_again()
        # From now on nobody can begin to read what only the retired caches needed: its time of waiting begins.
        self._record()
        again: set[str] = set()
        for start in range(0, len(self._plan.due), _AT_ONCE):
            if start:
                self._look_again()
            again |= self._sweep(self._plan.due[start : start + _AT_ONCE])
            self._progress(start + _AT_ONCE, len(self._plan.due))
        if self._plan.due:
            self._record(again)
        return self._done

    def _retire(self, cache: Cache) -> None:
        self._lease.renew()
        key = MANIFESTS + cache.name
        head = self._store.head(key)
        if head is not None and (head.etag, head.modified) != (cache.etag, cache.modified):
            self._done.skipped[key] = "a build has written it meanwhile"
        elif head is not None and not self._store.delete(key, head.modified):
            self._done.skipped[key] = "a build is writing it"
        else:
            self._done.caches.append(cache.name)
            self._journal(key)

    def _look_again(self) -> None:
        self._lease.renew()
        found = caches(self._store, self._caches)
        for one in found:
            if isinstance(one, Unreadable):
                raise ImagewrightError(
                    f"nobody can tell what this new cache needs: {one.reason}", where=MANIFESTS + one.name
                )
        self._caches = tuple(one for one in found if isinstance(one, Cache))

    def _record(self, again: Collection[str] = ()) -> None:
        record = condemn(self._plan, self._caches, self._store.now(), again=again, gone=self._done.blobs)
        self._etag = self._store.put(condemned.KEY, record.as_json(), etag=self._etag)
        self._done.waiting = len(record.blobs)
        self._done.waiting_bytes = sum(self._plan.picture.blobs[digest].size for digest in record.blobs)

    def _sweep(self, digests: tuple[str, ...]) -> set[str]:
        """Delete what may go of these; those that have been used again."""
        alive = needed(self._caches)
        again: set[str] = set()
        doomed = [digest for digest in digests if digest not in alive]
        for digest, why in zip(doomed, self._store.concurrently(self._delete, doomed), strict=True):
            if why is None:
                self._done.blobs[digest] = self._plan.picture.blobs[digest].size
                self._journal(BLOBS + digest)
            else:
                self._done.skipped[BLOBS + digest] = why
                again.add(digest)
        return again

    def _delete(self, digest: str) -> str | None:
        """Delete one blob; why it stays, where it does."""
        key = BLOBS + digest
        head = self._store.head(key)
        if head is None:
            return None
        if not may_go(self._plan.condemned.blobs[digest], head, self._plan.policy):
            return "a build has used it" if head.used else "its metadata do not say when it was used"
        return None if self._store.delete(key, head.modified) else "a build is using it"
