"""How several problems become one error, and how a misspelled word is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def combined(problems: Sequence[ConfigError]) -> ConfigError:
    """One error that lists every problem, each with its own place and hint, in the given order."""
    first, *others = problems
    if not others:
        return first
    head = f"{first.message}\n  {first.hint}" if first.hint else first.message
    return ConfigError("\n".join([head, *map(str, others)]), where=first.where)


def near(word: str, known: Iterable[str], *, prefix: str = "") -> str | None:
    """``did you mean `platforms`?``, or None when nothing known is near. All have `prefix`, which tells nothing."""
    from difflib import get_close_matches

    matches = get_close_matches(word.removeprefix(prefix), [one.removeprefix(prefix) for one in known], n=3)
    return f"did you mean {' or '.join(f'`{prefix}{match}`' for match in matches)}?" if matches else None


def listed(words: Iterable[str]) -> str:
    """The words in backquotes, with commas, for a hint that names all there are."""
    return ", ".join(f"`{word}`" for word in words)
