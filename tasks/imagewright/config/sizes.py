"""Amounts of bytes as people write and read them: `50GB`, `200GiB`, `12.3 MB`."""

from __future__ import annotations

import re

_WRITTEN = re.compile(r"([0-9]{1,12})([KMGT]i?B|B)")
_POWERS = {"B": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_size(text: str) -> int:
    """The bytes; ValueError, whose text says what is wrong, for any other spelling. `GB` is 1000 MB, `GiB` 1024 MiB."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError(f"`{text}` is no amount of bytes, such as `500MB`, `50GB` or `200GiB`")
    number, unit = found.groups()
    base = 1024 if "i" in unit else 1000
    return int(number) * int(base ** _POWERS[unit[0]])


def size(count: int) -> str:
    """Bytes for people: `12.3 MB`, powers of 1000 as registries and docker count."""
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def check_size(text: str) -> str:
    """The text itself; ValueError where it is no amount, or nothing at all."""
    if not parse_size(text):
        raise ValueError(f"`{text}` is nothing at all: leave the key out")
    return text
