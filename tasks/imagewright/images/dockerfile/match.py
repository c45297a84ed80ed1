"""Which files of a context a COPY, ADD or bind mount uses: those whose change can run the step again.

BuildKit's solver/llbsolver/file/backend.go with tonistiigi/fsutil copy, and the digests of cache/contenthash.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagewright.images.dockerfile.ignore import START, Patterns
from imagewright.tools.git import SUBMODULE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from imagewright.images.dockerfile.ignore import State
    from imagewright.images.tree import Tree


@dataclass(frozen=True, slots=True)
class Selection:
    """The files of a context that some sources use, sorted; and the sources that BuildKit would not find."""

    files: tuple[str, ...]
    missing: tuple[str, ...] = ()


class Context:
    """A context: a tree, seen through its ignore file."""

    def __init__(self, tree: Tree, ignore: Patterns) -> None:
        """`tree` is that of the context's folder alone."""
        self.tree = tree
        self._ignore = ignore
        self._states: dict[str, tuple[bool, State]] = {"": (False, START)}

    def everything(self) -> Selection:
        """All that is sent without a choice."""
        return Selection(tuple(sorted(self._below("", None))))

    def copied(self, sources: Sequence[str], *, excludes: Sequence[str], parents: bool, where: str) -> Selection:
        """What COPY and ADD use; DockerfileError, at `where`, for a pattern that cannot be read."""
        exclude = Patterns(excludes, where=where) if excludes else None
        found: set[str] = set()
        missing: list[str] = []
        for source in sources:
            files = set(self._with_parents(source, exclude, where) if parents else self._source(source, exclude))
            found |= files
            if not (files or exclude or has_wildcards(source)) and _clamped(source):
                missing.append(source)
        return Selection(tuple(sorted(found)), tuple(missing))

    def mounted(self, source: str) -> Selection:
        """What a bind mount uses: no wildcards, no excludes."""
        files = tuple(sorted(set(self._literal(_clamped(source), None))))
        return Selection(files, () if files else (source,))

    def included(self, patterns: Sequence[str], *, where: str) -> Selection:
        """Paths and globs, `**` crossing slashes; a folder is all that is in it."""
        found: set[str] = set()
        missing: list[str] = []
        for pattern in patterns:
            files = set(self._matching("", _clamped(pattern), None, where))
            found |= files
            if not files:
                missing.append(pattern)
        return Selection(tuple(sorted(found)), tuple(missing))

    def _source(self, source: str, exclude: Patterns | None) -> Iterator[str]:
        path = _clamped(source)
        if not has_wildcards(path):
            yield from self._literal(path, exclude)
            return
        matches, links = self._matches(path)
        yield from self._sent(links)
        for match in matches:
            yield from self._literal(match, exclude)

    def _matches(self, path: str) -> tuple[list[str], tuple[str, ...]]:
        """What a glob matches, and the links before its first wildcard."""
        parts = path.split("/")
        first = next(at for at, part in enumerate(parts) if has_wildcards(part))
        base, links = self.tree.follow("/".join(parts[:first]))
        if base is None:
            return [], links
        return ([base] if self._is_submodule(base) else list(self._glob(base, parts[first:]))), links

    def _literal(self, path: str, exclude: Patterns | None) -> Iterator[str]:
        """A path that is named: links are followed, and count with what they lead to."""
        end, links = self.tree.follow(path)
        yield from self._sent(links)
        if end is None:
            return
        if self.tree.get(end):
            yield from self._sent((end,))
        else:
            yield from self._below(end, exclude)

    def _glob(self, base: str, parts: Sequence[str]) -> Iterator[str]:
        """filepath.Match below a folder; links on the way are not entered."""
        if any("[" in part for part in parts):  # in Go a class may match a slash
            regex = glob_regex("/".join(parts))
            for path in self._paths(base):
                if self._is_submodule(path) or (regex and regex.fullmatch(_relative(path, base))):
                    yield path
            return
        here = [base]
        for at, part in enumerate(parts):
            regex = glob_regex(part)
            if regex is None:
                return
            matching = [
                f"{folder}/{name}" if folder else name
                for folder in here
                for name in self.tree.children(folder)
                if regex.fullmatch(name)
            ]
            if at == len(parts) - 1:
                yield from matching
            else:
                yield from (path for path in matching if self._is_submodule(path))
                here = [path for path in matching if self.tree.get(path) is None]

    def _paths(self, folder: str) -> Iterator[str]:
        for name, entry in self.tree.children(folder).items():
            path = f"{folder}/{name}" if folder else name
            yield path
            if entry is None:
                yield from self._paths(path)

    def _with_parents(self, source: str, exclude: Patterns | None, where: str) -> Iterator[str]:
        """`--parents`: the folder before the pivot `/./` is named, the pattern after it is matched inside."""
        before, pivot, after = source.partition("/./")
        pattern = _clamped(after if pivot else before)
        start = _clamped(before) if pivot else ""
        starts, links = self._matches(start) if has_wildcards(start) else ([start], ())
        yield from self._sent(links)
        for start in starts:
            folder, links = self.tree.follow(start)
            yield from self._sent(links)
            if folder is None:
                continue
            if self.tree.get(folder):
                yield from self._sent((folder,))
            else:
                yield from self._matching(folder, pattern, exclude, where)

    def _matching(self, folder: str, pattern: str, exclude: Patterns | None, where: str) -> Iterator[str]:
        """What lies below `folder` and matches, both by patternmatcher's rules; nothing in it follows links."""
        if not pattern:
            yield from self._below(folder, exclude)
            return
        special = re.search(r"[*?\[\]\\!]", pattern)
        literal = pattern[: special.start()].rpartition("/")[0] if special else pattern
        start = f"{folder}/{literal}".strip("/") if literal else folder
        submodule = self._submodule_above(start)
        if submodule is not None:
            yield from self._sent((submodule,))
            return
        include = Patterns([pattern], where=where)
        candidates = (start,) if self.tree.get(start) else self.tree.below(start)
        for path in candidates:
            relative = _relative(path, folder)
            if not (self._is_submodule(path) or include.matches(relative)) or (exclude and exclude.matches(relative)):
                continue
            yield from self._sent((path,))

    def _is_submodule(self, path: str) -> bool:
        entry = self.tree.get(path)
        return entry is not None and entry.mode == SUBMODULE

    def _submodule_above(self, path: str) -> str | None:
        above = (path[:at] for at, char in enumerate(path) if char == "/")
        return next((folder for folder in above if self._is_submodule(folder)), None)

    def _below(self, folder: str, exclude: Patterns | None) -> Iterator[str]:
        """All that is sent of a folder, links as links, without what `--exclude` takes out."""
        if not self._ignore and not exclude:
            yield from self.tree.below(folder)
            return
        waiting: list[tuple[str, State]] = [(folder, START)]
        while waiting:
            here, above = waiting.pop()
            ignored, state = self._state(here)
            if ignored and not self._ignore.has_exceptions:
                continue
            for name, entry in self.tree.children(here).items():
                path = f"{here}/{name}" if here else name
                excluded, excluded_state = exclude.ask(_relative(path, folder), above) if exclude else (False, START)
                if entry is None:
                    if not excluded or (exclude and exclude.has_exceptions):
                        waiting.append((path, excluded_state))
                elif not excluded and not self._ignore.ask(path, state)[0]:
                    yield path

    def _sent(self, paths: Sequence[str]) -> Iterator[str]:
        for path in paths:
            folder = path.rpartition("/")[0]
            if not self._ignore.ask(path, self._state(folder)[1])[0]:
                yield path

    def _state(self, folder: str) -> tuple[bool, State]:
        known = self._states.get(folder)
        if known is None:
            known = self._states[folder] = self._ignore.ask(folder, self._state(folder.rpartition("/")[0])[1])
        return known


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


def _clamped(source: str) -> str:
    """A source below the context's root: `..` cannot leave it, and a slash in front is the root."""
    return posixpath.normpath("/" + source).lstrip("/")


def _relative(path: str, folder: str) -> str:
    return path[len(folder) + 1 :] if folder else path
