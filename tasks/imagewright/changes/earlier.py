"""The snapshot before a change, made from the one after it: only what the change may have touched is read again.

A shortcut, and never an answer of its own: an image that may be touched is compared in full, and where the change may
have touched more than files of images (the configuration, which images there are, links) there is no shortcut.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from imagewright.changes.snapshot import Ground, Snapshot
from imagewright.config.load import FILE
from imagewright.errors import DockerfileError
from imagewright.images.discover import may_find
from imagewright.images.dockerfile.globs import has_wildcards
from imagewright.images.dockerfile.ignore import Patterns, read_ignore_file
from imagewright.images.graph import Graph, edges
from imagewright.images.inputs import IGNORE_FILE, is_local
from imagewright.images.model import ContextUse, Image, Reading
from imagewright.images.readings import read_all
from imagewright.images.tree import LINK, SUBMODULE, Tree
from imagewright.tools.git import Change


@dataclass(frozen=True, slots=True)
class Earlier:
    """A snapshot, and the images that may differ from the later one: all others are the same."""

    snapshot: Snapshot
    touched: frozenset[str]


def earlier(
    head: Snapshot, changes: Sequence[Change], before: Tree, ground: Ground, content: Callable[[str], bytes | None]
) -> Earlier | None:
    """The snapshot of the tree `before` `changes`; None where the shortcut cannot be taken.

    `content` gives the bytes of those Dockerfiles that the changes leave alone. ConfigError as for every snapshot.
    """
    links = head.tree.records.links
    if _may_be_others(head.patterns, changes, links) or _may_be_made_anew(head.consulted, changes, links):
        return None
    before = before.overlaid(head.tree.generated)  # nothing that these files were made from has changed
    changed = {change.path for change in changes}
    images = tuple(head.images.values())
    if any(image.dockerfile in changed for image in images):
        before.preload(changed & {image.dockerfile for image in images})

        def read(path: str) -> bytes | None:
            if path not in changed or path in before.generated:
                return content(path)
            try:
                return before.read(path)
            except FileNotFoundError:
                return None

        readings = read_all(images, read, ground.cache, _unmade(head))
        graph = Graph(images, edges(images, readings.by_name))
    else:
        readings, graph = head.readings, head.graph
    base = Snapshot(readings, graph, before, bases=head.bases, patterns=head.patterns, consulted=head.consulted)
    touched = _Touched(changed, links)
    own = touched.of(head)
    # where nothing but files changed, the same may be true of both: but for a folder that was not there yet
    if base.readings is not head.readings or not all(map(before.is_folder, _contexts(images))):
        own |= touched.of(base)
    followers = {name for state in (head, base) for one in own for name in state.graph.descendants(one)}
    return Earlier(base, frozenset(own | followers))


def _may_be_others(patterns: Sequence[str], changes: Sequence[Change], links: Iterable[str]) -> bool:
    """Whether there may be other images, or other settings, before and after."""
    for change in changes:
        modes = {entry.mode for entry in (change.before, change.after) if entry}
        if modes & {LINK, SUBMODULE} or _related(change.path, FILE):
            return True
        if (change.before is None or change.after is None) and may_find(patterns, change.path):
            return True
    return any(_related(link, FILE) or may_find(patterns, link, on_the_way=True) for link in links)


def _may_be_made_anew(consulted: Collection[str], changes: Sequence[Change], links: Iterable[str]) -> bool:
    """Whether a change may be one of what families are made from, or a link may lead there."""
    if not consulted:
        return False
    near = {*consulted, *(folder for path in consulted for folder in _above(path))}
    paths = (*(change.path for change in changes), *links)
    return any(path in near or any(folder in consulted for folder in _above(path)) for path in paths)


def _unmade(head: Snapshot) -> Mapping[str, DockerfileError]:
    """The images whose Dockerfile could not be made from its template."""
    names = (name for name, image in head.images.items() if image.own_tag)
    return {
        name: error
        for name in names
        if (error := head.readings.broken.get(name)) and head.images[name].dockerfile not in head.tree.generated
    }


def _contexts(images: Iterable[Image]) -> set[str]:
    return {_clean(folder) for image in images for folder in (image.context, *image.contexts.values())}


def _related(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


class _Touched:
    """The images of a snapshot that changed paths may be an input of."""

    def __init__(self, changed: Iterable[str], links: Iterable[str]) -> None:
        self._links = frozenset(links)
        self._hot = self._links.union(changed)
        self._above_changed = frozenset(folder for path in changed for folder in _above(path))
        self._above_links = frozenset(folder for path in self._links for folder in _above(path))
        self._below: dict[str, bool] = {"": "" in self._hot}
        self._patterns: dict[tuple[str, ...], bool] = {}
        self._contexts: dict[tuple[str, Tree], tuple[str, bool]] = {}

    def of(self, snapshot: Snapshot) -> set[str]:
        """Their names: broken ones, and those whose inputs cannot be told, always belong to them."""
        return {
            name
            for name, image in snapshot.images.items()
            if (reading := snapshot.readings.by_name.get(name)) is None or self._touches(image, reading, snapshot.tree)
        }

    def _touches(self, image: Image, reading: Reading, tree: Tree) -> bool:
        if not tree.has(image.dockerfile) or self._is_near(image.dockerfile):
            return True
        own = f"{image.dockerfile}{IGNORE_FILE}"
        if self._is_near(own) or not self._is_sound(own, tree):
            return True
        main, is_touched = self._context(image.context, tree)
        if is_touched:
            return True
        folders: dict[str | None, str] = {None: main}
        for name, value in image.contexts.items():
            if is_local(value):
                folders[name] = _clean(value)
        for use in reading.context:
            used = use.context
            if used not in folders or (used is not None and self._context(image.contexts[used], tree)[1]):
                return True
            if self._uses(use, folders[used]):
                return True
        whole = bool(reading.unknowns) or any(not remote.pinned for remote in reading.remotes)
        if whole and any(map(self._is_near, folders.values())):
            return True
        return any(self._is_near(_start(_clean("/" + path))) or not self._can_be_read((path,)) for path in image.paths)

    def _context(self, written: str, tree: Tree) -> tuple[str, bool]:
        """A context's folder, and whether something changed that counts for all of it, or it cannot be told."""
        known = self._contexts.get((written, tree))
        if known is None:
            folder = _clean(written)
            outside = posixpath.isabs(written) or folder.startswith("..") or not tree.is_folder(folder)
            ignore = posixpath.join(folder, IGNORE_FILE)
            touched = outside or self._is_below(folder) or self._is_near(ignore) or not self._is_sound(ignore, tree)
            known = self._contexts[written, tree] = (folder, touched)
        return known

    def _uses(self, use: ContextUse, folder: str) -> bool:
        if use.sources is None:
            return self._is_near(folder)
        if not (self._can_be_read(use.excludes) and self._can_be_read(use.sources if use.parents else ())):
            return True
        for source in use.sources:
            path = _clean("/" + source)
            globs = (has_wildcards(path) and use.kind != "bind") or use.parents
            path = _start(path) if globs else path
            start = f"{folder}/{path}".rstrip("/") if folder else path
            if self._is_near(start) or (globs and start in self._above_links):
                return True
        return False

    def _is_near(self, path: str) -> bool:
        """Whether something changed at, above or below a path, or a link stands at or above it."""
        return path in self._above_changed or self._is_below(path)

    def _is_below(self, path: str) -> bool:
        """Whether a change or a link stands at a path or above it."""
        known = self._below.get(path)
        if known is None:
            known = self._below[path] = path in self._hot or self._is_below(path.rpartition("/")[0])
        return known

    def _is_sound(self, ignore_file: str, tree: Tree) -> bool:
        """Whether an ignore file, where there is one, has only patterns that can be read."""
        entry = tree.get(ignore_file)
        if entry is None:
            return True
        known = self._patterns.get((entry.oid,))
        if known is None:
            known = self._patterns[entry.oid,] = _is_legal(read_ignore_file(tree.read(ignore_file)))
        return known

    def _can_be_read(self, patterns: tuple[str, ...]) -> bool:
        if not patterns:
            return True
        known = self._patterns.get(("", *patterns))
        if known is None:
            known = self._patterns["", *patterns] = _is_legal(patterns)
        return known


def _is_legal(patterns: Sequence[str]) -> bool:
    try:
        Patterns(patterns, where="")
    except DockerfileError:
        return False
    return True


def _above(path: str) -> Iterator[str]:
    """The folders that a path lies in, the root as the empty text."""
    if path:
        yield ""
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)


def _clean(path: str) -> str:
    """A path from the root of the repository; the root itself is empty."""
    if "/." not in path and "//" not in path and not path.startswith("."):
        return path.strip("/")  # as most are: nothing to be resolved
    cleaned = posixpath.normpath(path).lstrip("/")
    return "" if cleaned == "." else cleaned


def _start(pattern: str) -> str:
    """What stands before the first component that is more than a name."""
    parts = pattern.split("/")
    plain = next((at for at, part in enumerate(parts) if any(char in part for char in "*?[]\\!")), len(parts))
    return "/".join(parts[:plain])
