"""Secret values, taken out of every text that is shown, logged or kept."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "***"

_SHORTEST_LINE = 4  # of a value of several: a `}` of a JSON file is in every other line of output


class Redactor:
    """Replaces the given values. One of several lines is also replaced line by line, as output arrives.

    Of its lines those that have fewer than four characters beside blanks are let alone.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        parts = {part for value in values for part in (value, value.strip(), *_lines(value)) if part.strip()}
        # The longest first, so that a value which contains another one disappears whole.
        ordered = sorted(parts, key=lambda part: (-len(part), part))
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def __call__(self, text: str) -> str:
        """The text with each secret value as `***`."""
        return self._pattern.sub(MASK, text) if self._pattern else text


def _lines(value: str) -> Iterable[str]:
    return (line for line in value.splitlines() if len(line.strip()) >= _SHORTEST_LINE)
