"""Secret values, taken out of every text that is shown, logged or kept."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "***"


class Redactor:
    """Replaces the given values; a value of several lines is also replaced line by line, as output arrives."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        parts = {part for value in values for part in (value, value.strip(), *value.splitlines()) if part.strip()}
        # The longest first, so that a value which contains another one disappears whole.
        ordered = sorted(parts, key=lambda part: (-len(part), part))
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def __call__(self, text: str) -> str:
        """The text with each secret value as `***`."""
        return self._pattern.sub(MASK, text) if self._pattern else text
