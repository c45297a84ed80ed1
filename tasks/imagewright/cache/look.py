"""Takes the picture of a store: every manifest read, then every blob listed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from imagewright.cache.document import UnreadableError, read_layers
from imagewright.cache.model import BLOBS, MANIFESTS, Blob, Cache, Picture, Unreadable

if TYPE_CHECKING:
    from collections.abc import Collection

    from imagewright.cache.door import Listed, Store

_WRITTEN = re.compile(r"[a-z0-9]+:[0-9a-f]{32,}")
_EVERY = 1000

Progress = Callable[[int], None]  # so many blobs were listed


def look(store: Store, progress: Progress = lambda _count: None) -> Picture:
    """All there is. A manifest that disappears meanwhile was none.

    The blobs come second: an exporter writes them first, so what a manifest needs is there when it is listed.
    """
    read = caches(store)
    blobs: dict[str, Blob] = {}
    strange: list[str] = []
    for count, one in enumerate(store.list(BLOBS), 1):
        digest = one.key.removeprefix(BLOBS)
        if _WRITTEN.fullmatch(digest):
            blobs[digest] = Blob(one.size, one.modified)
        else:
            strange.append(one.key)
        if not count % _EVERY:
            progress(count)
    return Picture(
        caches=tuple(one for one in read if isinstance(one, Cache)),
        blobs=blobs,
        taken=store.now(),
        unreadable=tuple(one for one in read if isinstance(one, Unreadable)),
        strange=tuple(strange),
    )


def caches(store: Store, known: Collection[Cache] = ()) -> list[Cache | Unreadable]:
    """All manifests by name, read; those of `known` that have not changed since are not read again."""
    before = {(one.name, one.etag, one.modified): one for one in known}
    # BuildKit's blobs are shared by many manifests: each digest is kept in memory once.
    digests: dict[str, str] = {digest: digest for one in known for digest in one.layers}

    def read(one: Listed) -> Cache | Unreadable | None:
        name = one.key.removeprefix(MANIFESTS)
        if (same := before.get((name, one.etag, one.modified))) is not None:
            return same
        return read_one(store, name, digests)

    found = store.concurrently(read, list(store.list(MANIFESTS)))
    return sorted((one for one in found if one is not None), key=lambda one: one.name)


def read_one(store: Store, name: str, digests: dict[str, str] | None = None) -> Cache | Unreadable | None:
    """One manifest as it is now; None where there is none."""
    content = store.get(MANIFESTS + name)
    if content is None:
        return None
    try:
        layers = read_layers(content.body)
    except UnreadableError as error:
        return Unreadable(name=name, etag=content.etag, modified=content.modified, kind=error.kind, reason=str(error))
    if digests is not None:
        layers = {digests.setdefault(digest, digest): size for digest, size in layers.items()}
    return Cache(name=name, etag=content.etag, modified=content.modified, layers=layers)
