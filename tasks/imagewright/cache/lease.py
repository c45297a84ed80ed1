"""One prune of a store at a time: an object that says who is at it and until when.

It is written on condition that none is there (`If-None-Match: *`), renewed and taken over on condition that it is still
the same (`If-Match`): AWS, versitygw, MinIO, Ceph and R2 keep that. With a store that does not, it is read again
right after, which leaves a gap of one request. Two prunes at once would still look at each blob before they delete it.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from imagewright.cache.door import ChangedError
from imagewright.errors import ImagewrightError

if TYPE_CHECKING:
    from imagewright.cache.door import Store

KEY = "imagewright/lease.json"
LASTS = timedelta(minutes=10)


class Lease:
    """Hold it with `with`, and call `renew` now and then; both raise ImagewrightError while somebody else has it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._token = secrets.token_hex(16)
        self._etag: str | None = None
        self._until = store.now()

    def __enter__(self) -> Self:
        found = self._store.get(KEY)
        if found is not None and self._of(found.body)[1] > self._store.now():
            raise self._taken(found.body)
        self._write(found.etag if found else None)
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(ImagewrightError):  # it ends by itself, too
            found = self._store.head(KEY)
            if found is not None and found.etag == self._etag:
                self._store.delete(KEY, found.modified)

    def renew(self) -> None:
        """Go on holding it, where a third of its time is over."""
        if self._store.now() > self._until - LASTS * 2 / 3:
            found = self._store.get(KEY)
            if found is None or self._of(found.body)[0] != self._token:
                raise self._taken(found.body if found else b"")
            self._write(found.etag)

    def _write(self, etag: str | None) -> None:
        self._until = self._store.now() + LASTS
        document = {
            "owner": self._token,
            "until": int(self._until.timestamp()),
            "who": f"{socket.gethostname()}, process {os.getpid()}",
        }
        try:
            self._etag = self._store.put(KEY, json.dumps(document).encode(), etag=etag)
        except ChangedError:
            raise self._taken(b"") from None
        found = self._store.get(KEY)
        if found is None or self._of(found.body)[0] != self._token:
            raise self._taken(found.body if found else b"")

    @staticmethod
    def _of(body: bytes) -> tuple[str, datetime, str]:
        """The owner, the end and who it is. What cannot be read has ended."""
        try:
            document = json.loads(body)
            until = datetime.fromtimestamp(int(document["until"]), UTC)
            return str(document["owner"]), until, str(document["who"])
        except (KeyError, OverflowError, TypeError, ValueError):
            return "", datetime.fromtimestamp(0, UTC), ""

    def _taken(self, body: bytes) -> ImagewrightError:
        _, until, who = self._of(body)
        by = f" (by {who}, until {until:%H:%M:%S} UTC unless it goes on)" if who else ""
        return ImagewrightError(f"another prune of this store is running{by}", hint="wait for its end")
