"""A bucket in memory, with a clock, in which something else can happen before each request."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from imagewright.cache.door import ChangedError, Content, Head, Listed
from imagewright.cache.model import BLOBS, MANIFESTS

_In = TypeVar("_In")
_Out = TypeVar("_Out")

START = datetime(2025, 6, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
REFRESH = timedelta(hours=24)  # BuildKit's touch_refresh


def digest_of(name: str) -> str:
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


@dataclass(frozen=True)
class Object:
    body: bytes
    modified: datetime
    updated: datetime | None = None  # `updated-at` in its metadata

    @property
    def etag(self) -> str:
        return hashlib.md5(self.body).hexdigest()  # noqa: S324 - as S3 does it


@dataclass
class MemoryStore:
    """`copies_anew`: a copy onto itself makes a new object (AWS); without it the time stays (versitygw).

    `conditional`: a deletion is carried out only if the object has the time that was said. `before` is called ahead of
    each request with its name and key.
    """

    copies_anew: bool = True
    conditional: bool = True
    clock: datetime = START
    objects: dict[str, Object] = field(default_factory=dict)
    before: Callable[[str, str], None] = lambda _what, _key: None
    log: list[tuple[str, str]] = field(default_factory=list)

    # What imagewright asks.

    def list(self, prefix: str) -> Iterator[Listed]:
        self._ask("list", prefix)
        for number, key in enumerate(sorted(key for key in self.objects if key.startswith(prefix))):
            if number % 3 == 2:  # a page is a request of its own
                self._ask("list", prefix)
            if (one := self.objects.get(key)) is not None:
                yield Listed(key, len(one.body), one.modified, one.etag)

    def get(self, key: str) -> Content | None:
        self._ask("get", key)
        one = self.objects.get(key)
        return Content(body=one.body, etag=one.etag, modified=one.modified) if one else None

    def digest(self, key: str) -> str | None:
        self._ask("digest", key)
        one = self.objects.get(key)
        return f"sha256:{hashlib.sha256(one.body).hexdigest()}" if one else None

    def head(self, key: str) -> Head | None:
        self._ask("head", key)
        one = self.objects.get(key)
        if one is None:
            return None
        used = max(one.modified, one.updated or one.modified)
        return Head(size=len(one.body), modified=one.modified, etag=one.etag, used=used)

    def put(self, key: str, body: bytes, *, etag: str | None) -> str:
        self._ask("put", key)
        there = self.objects.get(key)
        if (there.etag if there else None) != etag:
            raise ChangedError("changed")
        self.objects[key] = Object(body, self.clock)
        return self.objects[key].etag

    def delete(self, key: str, modified: datetime) -> bool:
        self._ask("delete", key)
        there = self.objects.get(key)
        if self.conditional and there is not None and there.modified != modified:
            return False
        self.objects.pop(key, None)
        return True

    def now(self) -> datetime:
        return self.clock

    def concurrently(self, call: Callable[[_In], _Out], items: Iterable[_In]) -> Iterator[_Out]:
        return map(call, items)

    def _ask(self, what: str, key: str) -> None:
        self.before(what, key)
        self.log.append((what, key))

    # What BuildKit does (cache/remotecache/s3/s3.go), and what tests look at.

    def write(self, key: str, body: bytes) -> None:
        self.objects[key] = Object(body, self.clock)

    def touch(self, key: str) -> bool:
        """The exporter's copy of a blob onto itself; false where it is gone, which fails the export."""
        there = self.objects.get(key)
        if there is None:
            return False
        modified = self.clock if self.copies_anew else there.modified
        self.objects[key] = replace(there, modified=modified, updated=self.clock)
        return True

    def export(self, name: str, blobs: Iterable[str]) -> Iterator[str]:
        """The exporter's steps, each between two `next`: a look at each blob, what follows from it, the manifest last.

        Ends early where it fails.
        """
        blobs = list(blobs)
        for blob in blobs:
            key = BLOBS + digest_of(blob)
            there = self.objects.get(key)
            age = self.clock - there.modified if there else None
            yield f"{name} looks at {blob}"
            if age is None:
                self.write(key, blob.encode())
            elif age > REFRESH and not self.touch(key):
                return
            yield f"{name} has {blob}"
        self.write(MANIFESTS + name, manifest(*blobs))

    def exported(self, name: str, *blobs: str) -> None:
        """All steps at once."""
        for _ in self.export(name, blobs):
            pass

    def pass_time(self, much: timedelta) -> None:
        self.clock += much

    @property
    def names(self) -> set[str]:
        return {key.removeprefix(MANIFESTS) for key in self.objects if key.startswith(MANIFESTS)}

    @property
    def blobs(self) -> set[str]:
        """By the names that they were exported under."""
        return {one.body.decode() for key, one in self.objects.items() if key.startswith(BLOBS)}


def manifest(*blobs: str) -> bytes:
    """As BuildKit writes it."""
    layers = [
        {
            "blob": digest_of(blob),
            "parent": number - 1,
            "annotations": {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "diffID": digest_of(f"{blob} unpacked"),
                "size": len(blob.encode()),
                "createdAt": "0001-01-01T00:00:00Z",
            },
        }
        for number, blob in enumerate(blobs)
    ]
    return json.dumps({"layers": layers, "records": [{"digest": digest_of("record"), "layers": []}]}).encode()
