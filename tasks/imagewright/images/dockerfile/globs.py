"""Go's globs, in which nothing but a class crosses a slash: the sources of COPY and ADD."""

from __future__ import annotations

import re


def has_wildcards(path: str) -> bool:
    """Whether BuildKit takes a source for a glob (`containsWildcards`)."""
    if "\\" not in path:
        return "*" in path or "?" in path or "[" in path
    at = 0
    while at < len(path):
        if path[at] in "*?[":
            return True
        at += 2 if path[at] == "\\" else 1
    return False


def glob_regex(pattern: str) -> re.Pattern[str] | None:
    """Go's filepath.Match as a regular expression; None where Go calls the pattern malformed."""
    regex: list[str] = []
    at, end = 0, len(pattern)
    while at < end:
        char = pattern[at]
        at += 1
        if char == "*":
            regex.append("[^/]*")
        elif char == "?":
            regex.append("[^/]")
        elif char == "\\":
            if at == end:
                return None
            regex.append(re.escape(pattern[at]))
            at += 1
        elif char == "[":
            negated = pattern.startswith("^", at)
            at += negated
            ranges: list[str] = []
            while not (ranges and pattern.startswith("]", at)):
                low, at = _class_char(pattern, at)
                high = low
                if low and pattern.startswith("-", at):
                    high, at = _class_char(pattern, at + 1)
                if not low or not high:
                    return None
                if low <= high:
                    ranges.append(f"{re.escape(low)}-{re.escape(high)}")
                else:
                    ranges.append("")
            at += 1
            body = "".join(ranges)
            regex.append((f"[^{body}]" if negated else f"[{body}]") if body else ("(?s:.)" if negated else "(?!)"))
        else:
            regex.append(re.escape(char))
    return re.compile("".join(regex))


def _class_char(pattern: str, at: int) -> tuple[str, int]:
    """One character of a class (`getEsc`); "" where it cannot be one."""
    if at >= len(pattern) or pattern[at] in "-]":
        return "", at
    if pattern[at] == "\\":
        at += 1
    if at + 1 >= len(pattern):  # the class must still be closed
        return "", at
    return pattern[at], at + 1
