"""Patterns in which `**` crosses slashes: ignore files, `--exclude`, `--parents`.

moby/patternmatcher, with its quirks: what a folder matched is handed down to what is below it, pattern by pattern, and
a pattern that could not have changed the answer is not even tried. So a list of patterns is asked from the top down.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from imagewright.errors import DockerfileError
from imagewright.images.dockerfile.globs import glob_regex
from imagewright.images.dockerfile.lines import SPACES

if TYPE_CHECKING:
    from collections.abc import Sequence

State = int  # a bit for each pattern that matched a folder on the way; -1 where nothing was asked yet
START: State = -1

_ESCAPED = frozenset(".+()$")  # of `.+()|{}$`: patternmatcher.go's table has no room for the rest


def read_ignore_file(data: bytes) -> tuple[str, ...]:
    """The patterns of a .dockerignore (patternmatcher/ignorefile): no comments, cleaned, without outer slashes."""
    patterns: list[str] = []
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    for line in text.split("\n"):
        pattern = "" if line.startswith("#") else line.strip(SPACES)
        if not pattern:
            continue
        negated = pattern.startswith("!")
        if negated:
            pattern = pattern[1:].strip(SPACES)
        if pattern:
            pattern = clean(pattern)
            if len(pattern) > 1 and pattern.startswith("/"):
                pattern = pattern[1:]
        patterns.append(f"!{pattern}" if negated else pattern)
    return tuple(patterns)


class Patterns:
    """A list of patterns; `!` takes back. DockerfileError, at `where`, for one that BuildKit refuses."""

    def __init__(self, patterns: Sequence[str], *, where: str) -> None:
        """`where` is the ignore file, or the line, that the patterns stand in."""
        self._patterns: list[tuple[bool, re.Pattern[str]]] = []
        self.has_exceptions = False
        sources: list[str] = []
        for original in patterns:
            pattern = original.strip(SPACES)
            if not pattern:
                continue
            pattern = clean(pattern)
            negated = pattern.startswith("!")
            if negated:
                pattern = pattern[1:]
                self.has_exceptions = True
            source = _regex(pattern) if pattern and _is_legal(pattern) else None
            try:
                compiled = re.compile(source) if source else None
            except re.error:
                compiled = None
            if source is None or compiled is None:
                raise DockerfileError(
                    f"the pattern {original!r} cannot be read", where=where, hint="see filepath.Match"
                )
            sources.append(source)
            self._patterns.append((negated, compiled))
        self._any = re.compile("|".join(f"(?:{source})" for source in sources)) if sources else None

    def __bool__(self) -> bool:
        """Whether there is any pattern."""
        return bool(self._patterns)

    def ask(self, path: str, above: State = START) -> tuple[bool, State]:
        """Whether a path matches, `above` being the state of the folder that it stands in; and its own state."""
        if self._any is None:
            return False, 0
        if not self.has_exceptions:
            # without exceptions a match can only be handed down
            matched = above > 0 or self._any.fullmatch(path) is not None
            return matched, 1 if matched else 0
        state, matched, bit = 0, False, 1
        for negated, pattern in self._patterns:
            match = above > 0 and bool(above & bit)
            if not match and negated == matched:
                match = pattern.fullmatch(path) is not None
            if match:
                state |= bit
                matched = not negated
            bit <<= 1
        return matched, state

    def matches(self, path: str) -> bool:
        """Whether a path matches, asked from the top down."""
        matched, state = False, START
        for end in [at for at, char in enumerate(path) if char == "/"] + [len(path)]:
            matched, state = self.ask(path[:end], state)
        return matched


def clean(path: str) -> str:
    """Go's filepath.Clean."""
    cleaned = posixpath.normpath(path) if path else "."
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _regex(pattern: str) -> str | None:
    """`Pattern.compile` of patternmatcher.go; None for what Go's regexp refuses and Python's takes."""
    if not any(char in pattern for char in "*?[]\\"):
        return re.escape(pattern)
    if pattern.startswith("**") and not any(char in pattern[2:] for char in "*?[]\\"):
        rest = pattern[2:]
        if rest.startswith("/"):  # "**/foo" is "foo" too
            return rf"(?s:.*/)?{re.escape(rest[1:])}"
        return rf"(?s:.*){re.escape(rest)}"
    if pattern.endswith("**") and not any(char in pattern[:-2] for char in "*?[]\\"):
        return rf"{re.escape(pattern[:-2])}(?s:.*)"
    regex: list[str] = []
    at, end = 0, len(pattern)
    while at < end:
        char = pattern[at]
        at += 1
        if char == "*" and pattern.startswith("*", at):
            at += 2 if pattern.startswith("/", at + 1) else 1
            regex.append(".*" if at >= end else "(?:.*/)?")
        elif char == "*":
            regex.append("[^/]*")
        elif char == "?":
            regex.append("[^/]")
        elif char in _ESCAPED:
            regex.append(f"\\{char}")
        elif char == "\\":
            regex.append(f"\\{pattern[at]}" if at < end else "\\\\")
            at += 1
        else:
            regex.append(char)
    return _for_python("".join(regex)) if any(char in pattern for char in "[|{\\") else "".join(regex)


def _for_python(regex: str) -> str | None:
    """What Go's regular expression `^regex$` matches, for `fullmatch`; None for what Go refuses, or Python lacks."""
    ways = [""]
    in_class = False
    parts = re.findall(r"\\.|\[:\^?\w+:\]|.", regex, re.DOTALL)
    for part, following in zip(parts, [*parts[1:], ""], strict=True):
        if (in_class and len(part) > 2) or part == "\\Z" or (part[0] == "\\" and not part.isascii()):
            return None
        if part == "|" and not in_class:
            ways.append("")
        elif (in_class and part in "[&~|") or (part == "{" and following == ","):
            ways[-1] += f"\\{part}"
        else:
            ways[-1] += "\\Z" if part == "\\z" else part
        in_class = part == "[" or (in_class and part != "]")
    if len(ways) == 1:
        return ways[0]
    anything = "(?s:.*)"  # of `^a|b|c$`, the ends alone are held
    first, *middle, last = ways
    return "|".join([f"{first}{anything}", *(f"{anything}{one}{anything}" for one in middle), f"{anything}{last}"])


def _is_legal(pattern: str) -> bool:
    """Whether Go's filepath.Match takes the pattern; patternmatcher asks it for nothing else."""
    return glob_regex(pattern) is not None
