"""One snapshot of a repository's files: of a commit, of the work tree, or of a plain folder without git."""

from __future__ import annotations

import os
import stat
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagewright.images.records import Records, of_entries
from imagewright.tools.git import EXECUTABLE, FILE, FOLDER, LINK, SUBMODULE, Change, Entry, blob_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from imagewright.images.families.model import Generated
    from imagewright.tools.git import Repository

__all__ = [
    "EXECUTABLE",
    "FILE",
    "FOLDER",
    "LINK",
    "SUBMODULE",
    "Entry",
    "Tree",
    "read_file",
    "tree_at",
    "tree_of_folder",
    "tree_of_records",
    "tree_of_worktree",
]

_CHUNK = 1 << 16  # bytes
_MAX_LINKS = 255  # BuildKit's limit, cache/contenthash


class Tree:
    """Files, links and submodules by path, and folders as what lies between. It never changes.

    Paths are relative to the tree, with `/`; "" is the tree itself. `memo` is for what others derive from it: it
    lives as long as the tree, and is shared by its subtrees.
    """

    def __init__(
        self,
        entries: Mapping[str, Entry] | Records,
        read: Callable[[str, Entry], bytes],
        load: Callable[[Iterable[Entry]], None] | None = None,
    ) -> None:
        """`read(path, entry)` gives the content of a file, or the target of a link; `load` fetches many ahead."""
        self.memo: dict[Any, Any] = {}
        self.prefix = ""  # of a subtree, with a slash at the end
        self.records = entries if isinstance(entries, Records) else of_entries(entries)
        self._read = read
        self._load = load
        self._folders: dict[str, dict[str, Entry | None]] = {}  # those that were asked for
        self.generated: Mapping[str, Generated] = {}
        """Files that are made from others, by path from the repository root.

        They are found by their paths, and in no folder: what a whole folder holds does not count them.
        """

    def at(self, folder: str) -> Tree:
        """The subtree of a folder; it is empty where there is none. Links in `folder` are not followed."""
        folder = folder.strip("/")
        if folder in ("", "."):
            return self
        subtree = copy(self)
        subtree.prefix = f"{self.prefix}{folder}/"
        return subtree

    def plus(self, entries: Mapping[str, Entry]) -> Tree:
        """The tree with more entries."""
        return Tree(self.records.changed(entries), self._read, self._load).overlaid(self.generated)

    def overlaid(self, generated: Mapping[str, Generated]) -> Tree:
        """The tree with files that are made from others, instead of what stands at their paths."""
        if not generated:
            return self
        tree = Tree(self.records, self._read, self._load)
        tree.prefix = self.prefix
        tree.generated = generated
        return tree

    def get(self, path: str) -> Entry | None:
        """The file, link or submodule at a path; None for folders and for what is not there."""
        if self.generated and (made := self.generated.get(self.prefix + path)):
            return made.entry
        return self.records.get(self.prefix + path)

    def has(self, path: str) -> bool:
        """Whether `get` gives anything."""
        return self.prefix + path in self.generated or self.records.has(self.prefix + path)

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder; the tree itself is one."""
        return not path or self.records.is_folder(self.prefix + path)

    def is_file(self, path: str) -> bool:
        """Whether there is a file, links followed."""
        end, _ = self.follow(path)
        entry = self.get(end) if end else None
        return entry is not None and entry.mode != SUBMODULE

    def children(self, folder: str) -> Mapping[str, Entry | None]:
        """What stands in a folder, by name; folders are None."""
        full = (self.prefix + folder).rstrip("/")
        known = self._folders.get(full)
        if known is None:
            known = self._folders[full] = self.records.children(full)
        return known

    def below(self, folder: str) -> Iterator[str]:
        """The paths of everything below a folder, in no order; folders themselves are left out."""
        waiting = [folder]
        while waiting:
            here = waiting.pop()
            start = f"{here}/" if here else ""
            for name, entry in self.children(here).items():
                if entry is None:
                    waiting.append(start + name)
                else:
                    yield start + name

    def preload(self, paths: Iterable[str]) -> None:
        """Fetch contents that will be read, at once: a commit's tree starts a process for each fetch."""
        if self._load:
            found = (self.records.get(self.prefix + path) for path in paths)
            self._load(entry for entry in found if entry and entry.mode != SUBMODULE)

    def read(self, path: str) -> bytes:
        """The content of a file, links followed; FileNotFoundError where there is none."""
        resolved, _ = self.follow(path)
        entry = self.get(resolved) if resolved is not None else None
        if resolved is None or entry is None or entry.mode == SUBMODULE:
            raise FileNotFoundError(self.prefix + path)
        return self._content(resolved, entry)

    def follow(self, path: str) -> tuple[str | None, tuple[str, ...]]:
        """Where a path leads when every link in it is followed inside the tree, and the links on the way.

        `..` and absolute links cannot leave the tree. None where it leads nowhere; a submodule ends the way.
        """
        ends, links = self.ways(path)
        return (ends[0] if ends else None), links

    def ways(self, path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Everywhere a path may lead in a part of this tree, and the links on the way; first what holds in all of it.

        `x/..` is the folder of `x` where `x` is no link, or is not there (cache/contenthash `getFollowLinks`), and a
        client that sends what a link leads to leaves out the links that its target only passes (fsutil FollowLinks).
        """
        entry = self.get(path)
        if (entry and entry.mode != LINK) or (entry is None and self.is_folder(path)):
            return (path,), ()  # nothing stands below a link, so there is none on the way
        ends: dict[str, None] = {}
        links: dict[str, None] = {}
        passed: set[tuple[str, tuple[str, ...]]] = set()
        ways: list[tuple[list[str], list[str], int]] = [([], _parts(path), 0)]
        while ways:
            end = self._walk(*ways.pop(), links, passed, ways)
            if end is not None and (self.get(end) or self.is_folder(end)):
                ends[end] = None
        return tuple(ends), tuple(links)

    def _walk(
        self,
        here: list[str],
        waiting: list[str],
        followed: int,
        links: dict[str, None],
        passed: set[tuple[str, tuple[str, ...]]],
        ways: list[tuple[list[str], list[str], int]],
    ) -> str | None:
        """Where one way ends; other ways, which leave a link out, are added to `ways`."""
        while waiting:
            part = waiting.pop()
            if part == "..":
                del here[-1:]
                continue
            here.append(part)
            name = "/".join(here)
            entry = self.get(name)
            if entry is None or entry.mode not in (LINK, SUBMODULE):
                continue
            if _is_passed(waiting):
                if (name, tuple(waiting)) in passed:
                    return None
                passed.add((name, tuple(waiting)))
                ways.append((here.copy(), waiting.copy(), followed))
            if entry.mode == SUBMODULE:
                return name
            links[name] = None
            followed += 1
            if followed > _MAX_LINKS:
                return None
            target = os.fsdecode(self._content(name, entry))
            here = [] if target.startswith("/") else here[:-1]
            waiting.extend(_parts(target))
        return "/".join(here)

    def _content(self, path: str, entry: Entry) -> bytes:
        if self.generated and (made := self.generated.get(self.prefix + path)):
            return made.content
        return self._read(self.prefix + path, entry)


def tree_at(repository: Repository, revision: str) -> Tree:
    """The tree of a commit; ImagewrightError where the repository lacks it."""
    return tree_of_records(repository, Records.read(repository.listing(revision)))


def tree_of_records(repository: Repository, records: Records) -> Tree:
    """A tree whose contents git has."""
    blobs = _Blobs(repository, records.links.values())
    return Tree(records, blobs.read, blobs.load)


def tree_of_worktree(
    repository: Repository, head: Records | None = None, changes: Iterable[Change] | None = None
) -> tuple[Tree, frozenset[str]]:
    """The tree of the work tree, and the paths that differ from HEAD; `head` and `changes` where they are known."""
    changes = repository.changes_of_worktree() if changes is None else changes
    if head is None:
        head = Records.read(repository.listing("HEAD") if repository.head() else b"")
    records = head.changed({change.path: change.after for change in changes})
    blobs = _Blobs(repository, records.links.values())
    return Tree(records, _reader_of_worktree(repository, blobs.read)), frozenset(change.path for change in changes)


def tree_of_folder(root: Path) -> Tree:
    """The tree of a folder that no git knows: every file, with the id that git would give it; `.git` is left out.

    Files are only opened when their ids are asked for: a folder may hold much that no image uses.
    """
    entries: dict[str, Entry] = {}
    for name, folders, files in os.walk(root):
        folders[:] = sorted(folder for folder in folders if folder != ".git")
        for file in sorted([*files, *folders]):
            path = Path(name, file)
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                mode = LINK
            elif stat.S_ISREG(status.st_mode):
                mode = EXECUTABLE if status.st_mode & stat.S_IXUSR else FILE
            else:
                continue
            entries[path.relative_to(root).as_posix()] = Entry(mode, "")
    read = _reader_of_folder(root)
    return Tree(of_entries(entries, lambda path, entry: blob_id(read(path, entry))), read)


def _reader_of_folder(root: Path) -> Callable[[str, Entry], bytes]:
    return lambda path, entry: _from_disk(root / path, entry)


def _reader_of_worktree(repository: Repository, stored: Callable[[str, Entry], bytes]) -> Callable[[str, Entry], bytes]:
    def read(path: str, entry: Entry) -> bytes:
        try:
            return _from_disk(repository.root / path, entry)
        except OSError:
            return stored(path, entry)  # a sparse checkout has the file in its index alone

    return read


class _Blobs:
    """Contents from git's store: one process for all links, since one link leads to the next."""

    def __init__(self, repository: Repository, entries: Iterable[Entry]) -> None:
        self._repository = repository
        self._known: dict[str, bytes] = {}
        self._links: list[Entry] = [entry for entry in entries if entry.mode == LINK]

    def load(self, entries: Iterable[Entry]) -> None:
        links, self._links = self._links, []
        wanted = {entry.oid for entry in (*links, *entries)} - self._known.keys()
        self._known.update(self._repository.read_blobs(wanted))

    def read(self, path: str, entry: Entry) -> bytes:
        if entry.oid not in self._known:
            self.load([entry])
        if entry.oid not in self._known:
            raise FileNotFoundError(path)
        return self._known[entry.oid]


def read_file(path: Path | str) -> bytes:
    """The content of a file; OSError where it cannot be read. In half the time of `open`, for thousands of them."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts: list[bytes] = []
        while part := os.read(handle, _CHUNK):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(handle)


def _from_disk(path: Path, entry: Entry) -> bytes:
    if entry.mode == LINK:
        return os.fsencode(os.readlink(path))  # noqa: PTH115 - Path.readlink takes twice as long
    return read_file(path)


def _parts(path: str) -> list[str]:
    """The parts of a path, the first one last."""
    return [part for part in path.split("/") if part not in ("", ".")][::-1]


def _is_passed(waiting: list[str]) -> bool:
    """Whether a `..` among the parts to come takes back the part before them."""
    depth = 0
    for part in reversed(waiting):
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False
