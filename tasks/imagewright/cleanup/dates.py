"""When an image was made, as far as that can be believed, and what is newer."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from imagewright.tags.versions import parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imagewright.cleanup.model import Sort, Stored

FIRST_IMAGE = datetime(2013, 3, 20, tzinfo=UTC)
"""Docker was shown to the public on this day: dates before it (1970, 0001) are put there to mean none."""

Order = tuple[Any, ...]
_PIECES = re.compile(r"([0-9]+)|([^0-9]+)")


def dated(one: Stored, now: datetime) -> datetime | None:
    """The registry's own word, else what the image says; None where it says nothing, or what cannot be.

    A date in the future means that one of the clocks is wrong, and nobody knows which one.
    """
    when = one.pushed or one.created
    return when if when is not None and FIRST_IMAGE <= when <= now else None


def is_within(one: Stored, now: datetime, grace: timedelta) -> bool:
    """Whether it was pushed or made within this time."""
    return any(when is not None and now - grace < when <= now for when in (one.pushed, one.created))


def natural(tag: str) -> Order:
    """Tags as people sort them: pr-9 before pr-10."""
    return tuple((0, int(number), "") if number else (1, 0, text) for number, text in _PIECES.findall(tag))


def place(sort: Sort, tags: Iterable[str], when: datetime | None, digest: str) -> Order | None:
    """Where an image with these tags stands, the newest last; None where it cannot be told. No two are equal."""
    names = list(tags)
    version = max(filter(None, (parse(tag, "parts") for tag in names)), default=None)
    day: Order = () if when is None else (when,)
    ties = (() if version is None else (version,), max(map(natural, names)), digest)
    if sort == "date":
        return (day, *ties) if day else None
    if sort == "version":
        return (version.rank, day, *ties) if version else None
    numbers = max(tuple(int(number) for number in re.findall(r"[0-9]+", tag)) for tag in names)
    return (numbers, day, *ties) if numbers else None
