"""Templates of tags: the values that fill them, and the tags that come of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from imagewright.config.tag_templates import Part, parts
from imagewright.errors import ConfigError
from imagewright.references import is_tag
from imagewright.tags.sanitise import LONGEST, Reserved, sanitise

# What the values look like: a branch that looks the same is told apart.
_SHAPES = {"sha": "(?:[0-9a-f]{40}|[0-9a-f]{64})", "sha7": "[0-9a-f]{7}", "pr": "[0-9]+", "date": "[0-9]{8}"}
_COMMITS = ("sha", "sha7")
_ROOM = 24  # characters that a branch gets at least: a hash, and enough to recognise it


@dataclass(frozen=True, slots=True)
class Template:
    """One template of a rule, whose text the configuration has checked: `read` makes it."""

    text: str
    pieces: tuple[Part, ...]
    names: frozenset[str]  # the placeholders in it
    holds_commit: bool  # each commit gives another tag

    @classmethod
    @lru_cache(1000)
    def read(cls, text: str) -> Template:
        """The template of a text."""
        pieces = parts(text)
        names = frozenset(piece for piece, is_name in pieces if is_name)
        return cls(text, pieces, names, not names.isdisjoint(_COMMITS))

    def render(self, values: Mapping[str, str], *, rule: str, reserved: Reserved, room: int = LONGEST) -> str | None:
        """The tag; None where a value is not there. `room` is how long it may be.

        The name of a branch is put in as a legal text that no other branch has, and shortened where it must be.
        ConfigError: the tag would be too long, or none, by what the values are.
        """
        pieces = self.pieces
        if not self.names <= values.keys():
            return None
        fixed = sum(len(values[text] if is_name else text) for text, is_name in pieces if (text, is_name) != _BRANCH)
        left = room - fixed
        branch = ""
        if _BRANCH in pieces and left >= _ROOM:
            branch = sanitise(values["branch"], reserved=reserved, limit=left // pieces.count(_BRANCH))
        filled = {**values, "branch": branch or values.get("branch", "")}
        tag = "".join(filled[text] if is_name else text for text, is_name in pieces)
        if len(tag) > room:
            shown = f"{tag[:40]}…" if len(tag) > 40 else tag
            raise ConfigError(
                f"`tags.rules.{rule}`: `{self.text}` gives `{shown}` with {len(tag) + LONGEST - room} characters",
                where="config/images.yml",
                hint=f"a tag has {LONGEST} at most",
            )
        if not is_tag(tag):
            raise ConfigError(
                f"`tags.rules.{rule}`: `{self.text}` gives `{tag}`, which is no legal tag", where="config/images.yml"
            )
        return tag

    def pattern(self) -> str | None:
        """A regular expression of what it gives; None where it may give anything."""
        shaped = (text in _SHAPES if is_name else any(map(str.isalnum, text)) for text, is_name in self.pieces)
        if not any(shaped):
            return None
        return "".join(_SHAPES.get(text, ".+") if is_name else re.escape(text) for text, is_name in self.pieces)


_BRANCH = ("branch", True)
