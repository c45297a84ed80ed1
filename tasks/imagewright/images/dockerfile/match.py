"""Which files of a context a COPY, ADD or bind mount uses: those whose change can run the step again.

BuildKit's solver/llbsolver/file/backend.go with tonistiigi/fsutil copy, and the digests of cache/contenthash.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from imagewright.images.dockerfile.globs import glob_regex, has_wildcards
from imagewright.images.dockerfile.ignore import START, Patterns, clean
from imagewright.images.dockerfile.lines import SPACES
from imagewright.tools.git import LINK, SUBMODULE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from imagewright.images.dockerfile.ignore import State
    from imagewright.images.tree import Tree


# A client lets through what these sources match as patterns of an ignore file, and not as globs or as names.
_MEANS_THE_SAME = re.compile(r"\[\^?[\w.]+\]", re.ASCII)
_MEANS_ANOTHER = re.compile(r"[\[\]\\^!]")


class Selection(NamedTuple):
    """The paths of a context that some sources use, sorted; and the sources that BuildKit would not find.

    A folder stands among them, with a slash at its end, where it is used and nothing in it is: BuildKit sends and
    copies it empty, so that its coming and going counts.
    """

    files: tuple[str, ...]
    missing: tuple[str, ...] = ()


@dataclass(slots=True)
class _Choice:
    """What `--parents` lets in and `--exclude` keeps out, both relative to `folder`, and what was found."""

    folder: str
    include: Patterns | None = None
    exclude: Patterns | None = None
    found: list[str] = field(default_factory=list)

    def ask(self, path: str, above: tuple[State, State]) -> tuple[bool, bool, tuple[State, State]]:
        """Whether a path is let in, whether it is kept out, and the state for what is below it."""
        relative = path[len(self.folder) + 1 :] if self.folder else path
        included, let_in = self.include.ask(relative, above[0]) if self.include is not None else (True, START)
        excluded, kept_out = self.exclude.ask(relative, above[1]) if self.exclude else (False, START)
        return included, excluded, (let_in, kept_out)

    @property
    def is_final(self) -> bool:
        """Whether all below a folder that is kept out is kept out too."""
        return not (self.exclude and self.exclude.has_exceptions)


class Context:
    """A context: a tree, seen through its ignore file."""

    def __init__(self, tree: Tree, ignore: Patterns) -> None:
        """`tree` is that of the context's folder alone."""
        self.tree = tree
        self._ignore = ignore
        self._states: dict[str, tuple[bool, State]] = {"": (False, START)}

    def everything(self) -> Selection:
        """All that is sent without a choice."""
        return Selection(tuple(sorted(self._folder("", None))))

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
        if any(_MEANS_ANOTHER.search(_MEANS_THE_SAME.sub("", source)) for source in sources):
            found |= self._links()
        return Selection(tuple(sorted(found)), tuple(missing))

    def mounted(self, source: str) -> Selection:
        """What a bind mount uses: no wildcards, no excludes."""
        files = set(self._literal(_clamped(source), None))
        odd = has_wildcards(source) or _MEANS_ANOTHER.search(source)
        return Selection(tuple(sorted(files | self._links() if odd else files)), () if files else (source,))

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
            found = list(self._literal(path, exclude))
            yield from found
            if not path and exclude:
                yield from self._behind_top(found)
            return
        matches, links = self._matches(path)
        yield from links
        for match in matches:
            yield from self._literal(match, exclude)

    def _matches(self, path: str) -> tuple[list[str], set[str]]:
        """What a glob matches, and the links before its first wildcard.

        A client follows no link behind a folder's wildcard: other links decide whether what it leads to is sent.
        """
        parts = path.split("/")
        first = next(at for at, part in enumerate(parts) if has_wildcards(part))
        bases, links = self.tree.ways("/".join(parts[:first]))
        matches: list[str] = []
        for base in bases:
            matches.extend([base] if self._is_submodule(base) else self._glob(base, parts[first:]))
        sent = set(self._sent(links))
        if first + 1 < len(parts) and any(self._is(LINK, match) for match in matches):
            sent |= self._links()
        return matches, sent

    def _literal(self, path: str, exclude: Patterns | None) -> Iterator[str]:
        """A path that is named: links are followed, and count with what they lead to.

        What a link that is copied leads to counts whole: `--exclude` is for what is below a folder.
        """
        ends, links = self.tree.ways(path)
        yield from self._sent(links)
        if exclude and self._is_link(path):
            exclude = None
        for end in ends:
            if self.tree.get(end):
                yield from self._sent((end,))
            else:
                yield from self._folder(end, exclude)

    def _is_link(self, path: str) -> bool:
        """Whether a path ends in a link; those in the middle of it are followed."""
        folder, _, name = path.rpartition("/")
        return any(self._is(LINK, f"{end}/{name}" if end else name) for end in self.tree.ways(folder)[0])

    def _behind_top(self, found: Iterable[str]) -> Iterator[str]:
        """What the links at the context's root lead to, when the root is copied by a choice.

        contenthash `includedPaths` follows a link that it meets in no folder, and the root is none to it.
        """
        for path in found:
            if "/" not in path and self._is(LINK, path):
                yield from self._literal(path, None)

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
        if not start:
            found = list(self._matching("", pattern, exclude, where))
            yield from found
            yield from self._behind_top(found)
            return
        starts, links = self._matches(start) if has_wildcards(start) else ([start], set())
        yield from links
        for start in starts:
            folders, on_the_way = self.tree.ways(start)
            yield from self._sent(on_the_way)
            whole = self._is_link(start)  # a pattern that lets the link itself in lets in all behind it
            for folder in folders:
                if self.tree.get(folder):
                    yield from self._sent((folder,))
                else:
                    yield from self._matching(folder, pattern, None if whole else exclude, where)

    def _matching(self, folder: str, pattern: str, exclude: Patterns | None, where: str) -> Iterator[str]:
        """What lies below `folder` and matches, both by patternmatcher's rules; nothing in it follows links."""
        pattern = pattern.strip(SPACES)
        if not pattern:
            yield from self._folder(folder, exclude)
            return
        pattern = clean(pattern)
        special = re.search(r"[*?\[\]\\!]", pattern)
        literal = pattern[: special.start()].rpartition("/")[0] if special else pattern
        start = f"{folder}/{literal}".strip("/") if literal else folder
        submodule = self._submodule_above(start)
        if submodule is not None:
            yield from self._sent((submodule,))
            return
        choice = _Choice(folder, Patterns([pattern], where=where), exclude)
        yield from self._chosen(choice, start)

    def _folder(self, folder: str, exclude: Patterns | None) -> Iterable[str]:
        """All that is sent of a folder, links as links, without what `--exclude` takes out."""
        if not self._ignore and not exclude:
            return self.tree.below(folder)
        return self._chosen(_Choice(folder, None, exclude), folder)

    def _chosen(self, choice: _Choice, start: str) -> list[str]:
        """What is chosen at and below `start`, which is the choice's folder or lies in it."""
        above = (START, START)
        for at, char in enumerate(start):
            if char == "/" and at > len(choice.folder):
                above = choice.ask(start[:at], above)[2]
        included, excluded, state = choice.ask(start, above)
        if start == choice.folder:
            state = above
        entry = self.tree.get(start)
        if entry:
            if (included or entry.mode == SUBMODULE) and not excluded:
                choice.found.extend(self._sent((start,)))
        elif self.tree.is_folder(start):
            sent, used = self._visit(start, choice, state)
            if sent and not used and included and not excluded and start:
                choice.found.append(f"{start}/")
        return choice.found

    def _visit(self, folder: str, choice: _Choice, above: tuple[State, State]) -> tuple[bool, bool]:
        """Find what is chosen below a folder; whether the folder is sent, and whether anything in it is chosen."""
        ignored, ignore_state = self._state(folder)
        if ignored and not self._ignore.has_exceptions:
            return False, False
        sent, used = not ignored, False
        start = f"{folder}/" if folder else ""
        for name, entry in self.tree.children(folder).items():
            path = start + name
            included, excluded, state = choice.ask(path, above)
            if entry is None:
                if excluded and choice.is_final and not self._state(path)[0]:
                    sent = True
                    continue
                below_sent, below_used = self._visit(path, choice, state)
                if below_sent and not below_used and included and not excluded:
                    choice.found.append(f"{path}/")
                    below_used = True
                sent |= below_sent
                used |= below_used
            elif not self._ignore.ask(path, ignore_state)[0]:
                sent = True
                if (included or entry.mode == SUBMODULE) and not excluded:
                    choice.found.append(path)
                    used = True
        return sent, used

    def _links(self) -> set[str]:
        """Every link, ignored or not: it can decide what else a client lets through (fsutil FollowLinks)."""
        return {path for path in self.tree.below("") if self._is(LINK, path)}

    def _is_submodule(self, path: str) -> bool:
        return self._is(SUBMODULE, path)

    def _is(self, mode: str, path: str) -> bool:
        entry = self.tree.get(path)
        return entry is not None and entry.mode == mode

    def _submodule_above(self, path: str) -> str | None:
        above = (path[:at] for at, char in enumerate(path) if char == "/")
        return next((folder for folder in above if self._is_submodule(folder)), None)

    def _sent(self, paths: Iterable[str]) -> Iterator[str]:
        for path in paths:
            folder = path.rpartition("/")[0]
            if not self._ignore.ask(path, self._state(folder)[1])[0]:
                yield path

    def _state(self, folder: str) -> tuple[bool, State]:
        known = self._states.get(folder)
        if known is None:
            known = self._states[folder] = self._ignore.ask(folder, self._state(folder.rpartition("/")[0])[1])
        return known


def _clamped(source: str) -> str:
    """A source below the context's root: `..` cannot leave it, and a slash in front is the root."""
    return posixpath.normpath("/" + source).lstrip("/")


def _relative(path: str, folder: str) -> str:
    return path[len(folder) + 1 :] if folder else path
