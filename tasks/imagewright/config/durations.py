"""Lengths of time as people write them: `7d`, `12h`. One number with one unit, so that none is misread."""

from __future__ import annotations

import re
from datetime import timedelta

_WRITTEN = re.compile(r"([0-9]{1,10})(s|min|h|d|w)")
_UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "min": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
_LONGEST = timedelta(days=36_500)


def parse_duration(text: str) -> timedelta:
    """The length of time; ValueError, whose text says what is wrong, for any other spelling.

    A lone number is refused, as nobody can tell its unit, and so is `m`, which is a month to some.
    """
    found = _WRITTEN.fullmatch(text)
    if found is None:
        hint = "; minutes are `min`" if re.fullmatch(r"[0-9]+m", text) else ""
        raise ValueError(f"`{text}` is no length of time, such as `90min`, `12h`, `7d` or `2w`{hint}")
    number, unit = int(found[1]), _UNITS[found[2]]
    if number > _LONGEST // unit:
        raise ValueError(f"`{text}` is more than a hundred years")
    return number * unit


def check_duration(text: str) -> str:
    """The text itself; ValueError where it is no length of time."""
    parse_duration(text)
    return text


def check_some_time(text: str) -> str:
    """The same, and ValueError for none at all, which would protect nothing."""
    if not parse_duration(text):
        raise ValueError(f"`{text}` is no time at all: leave the key out")
    return text


def spoken(duration: timedelta) -> str:
    """A spelling that `parse_duration` reads, in days at most: `14d`; what is below a second is left out."""
    whole = duration // _UNITS["s"] * _UNITS["s"]
    for name in ("d", "h", "min"):
        if whole and not whole % _UNITS[name]:
            return f"{whole // _UNITS[name]}{name}"
    return f"{whole // _UNITS['s']}s"
