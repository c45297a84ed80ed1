"""The door to the objects of one bucket, below one prefix, as the rest of this folder sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol, TypeVar

from imagewright.errors import ImagewrightError

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class Listed(NamedTuple):
    """An object as a listing has it."""

    key: str  # without the prefix
    size: int
    modified: datetime  # UTC, whole seconds: a HEAD knows no others
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """An object as it is now.

    `used` is when an exporter said last that it needs it: its last modification, or the later `updated-at` in its
    metadata, which BuildKit writes when it refreshes a blob by copying it onto itself. AWS makes a new object of that,
    versitygw keeps the old one's time. None where `updated-at` cannot be read.
    """

    size: int
    modified: datetime
    etag: str
    used: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """An object with its bytes."""

    body: bytes
    etag: str
    modified: datetime


class ChangedError(ImagewrightError):
    """Somebody else has written the object."""


class Store(Protocol):
    """Each call raises ImagewrightError where the store refuses, EnvironmentMissingError where it cannot be reached."""

    def list(self, prefix: str) -> Iterator[Listed]:
        """All objects whose keys begin like this."""

    def get(self, key: str) -> Content | None:
        """An object; None where there is none."""

    def digest(self, key: str) -> str | None:
        """The `sha256:…` of what an object holds, read in pieces; None where there is none."""

    def head(self, key: str) -> Head | None:
        """An object's properties; None where there is none."""

    def put(self, key: str, body: bytes, *, etag: str | None) -> str:
        """Write an object in the place of the one with this ETag, or where there is none (None); its new ETag.

        ChangedError where something else is there, as far as the store can tell.
        """

    def delete(self, key: str, modified: datetime) -> bool:
        """Delete an object; false where it has another time by now, as far as the store can tell. Absent is deleted."""

    def now(self) -> datetime:
        """The store's clock."""

    def concurrently(self, call: Callable[[_In], _Out], items: Iterable[_In]) -> Iterator[_Out]:
        """The call's results in the order of the items, several at a time."""
