"""Patterns of tags in what is kept and deleted: globs, which must fit a whole tag. One that could fit none is an error.

A pattern that fits nothing protects nothing, so none is taken for text where it was meant as a pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from imagewright.references import is_digest

# A set is closed, and not empty: fnmatch takes an open `[` for a character, which no tag has.
_GLOB = re.compile(r"(?:[A-Za-z0-9_.*?-]|\[!?[A-Za-z0-9_.-]+\])+")
_REPOSITORY = re.compile(r"(?:[A-Za-z0-9_.*?/:-]|\[!?[A-Za-z0-9_.-]+\])+")
_RANGE = re.compile(r"([A-Za-z0-9_.])-([A-Za-z0-9_.])")
_SET = re.compile(r"\[!?([^\]]*)\]")


def check_tag_pattern(pattern: str) -> str:
    """The glob itself; ValueError, whose text says what is wrong, where it fits no tag."""
    if not _GLOB.fullmatch(pattern):
        raise ValueError(f"`{pattern}` fits no tag, which has letters, digits, `_.-`; `*`, `?` and `[a-z]` are globs")
    for inner in _SET.findall(pattern):
        for first, last in _RANGE.findall(inner):
            if first > last:
                raise ValueError(f"`{pattern}`: nothing is between `{first}` and `{last}`")
    if pattern[0] in ".-":
        raise ValueError(f"`{pattern}` fits no tag: none begins with `{pattern[0]}`")
    return pattern


def check_protection(text: str) -> str:
    """The same for what is protected, which may be a digest, too: a whole one."""
    if text.startswith(("sha256:", "sha512:")):
        if not is_digest(text):
            raise ValueError(f"`{text}` is no whole digest, such as `sha256:` and 64 of 0-9 and a-f")
        return text
    return check_tag_pattern(text)


def fitting(tag: str, patterns: Iterable[str]) -> str | None:
    """The first of the patterns that fits the whole tag."""
    return next((pattern for pattern in patterns if fnmatchcase(tag, pattern)), None)


def check_repository_pattern(pattern: str) -> str:
    """A glob of `host/name`; ValueError where it fits no repository."""
    if not _REPOSITORY.fullmatch(pattern) or ("/" not in pattern and "*" not in pattern):
        raise ValueError(f"`{pattern}` fits no repository, such as `ghcr.io/me/app` or `ghcr.io/me/*`")
    return pattern
