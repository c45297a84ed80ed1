"""The files of a tree as git lists them, looked up by bisection: only what is asked for is ever taken apart.

`git ls-tree -r` sorts by the bytes of the path, in which `/` comes right before `0`: a folder is one run of lines.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING

from imagewright.tools.git import LINK, SUBMODULE, Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Identify = Callable[[str, Entry], str]

_SPECIAL = re.compile(rb"\0(1[26]0000) ")  # links and submodules
_FEW = 500  # changes that are put into a long list one by one


class Records:
    """Paths with what stands there. It never changes."""

    def __init__(
        self, paths: list[bytes], heads: list[bytes], links: dict[str, Entry], identify: Identify | None = None
    ) -> None:
        """`paths` are sorted; `heads` have git's `MODE TYPE OID` for each, and may go on after a tab.

        Where an id is empty, `identify(path, entry)` gives it when somebody asks.
        """
        self._paths = paths
        self._heads = heads
        self._identify = identify
        self.links = links
        """All symbolic links by path."""

    @classmethod
    def read(cls, listing: bytes) -> Records:
        """From the output of `git ls-tree -r -z`."""
        records = listing.split(b"\0")
        del records[-1]
        modes = {listing[:6], *_SPECIAL.findall(listing)}
        if SUBMODULE.encode() in modes:
            paths = [record.partition(b"\t")[2] for record in records]
        else:
            start = listing.find(b"\t") + 1  # of all: but for submodules every line begins equally long
            paths = [record[start:] for record in records]
        links = {}
        if (mode := LINK.encode()) in modes:
            pairs = zip(paths, records, strict=True)
            links = {_text(path): _entry(record) for path, record in pairs if record.startswith(mode)}
        return cls(paths, records, links)

    def changed(self, entries: Mapping[str, Entry | None]) -> Records:
        """The records with other entries at some paths; None takes one out."""
        if len(entries) > _FEW:
            links = self._changed_links(entries)
            merged = dict(zip(self._paths, self._heads, strict=True))
            merged |= {_bytes(path): _head(entry) for path, entry in entries.items() if entry}
            for path, entry in entries.items():
                if entry is None:
                    merged.pop(_bytes(path), None)
            return _sorted(merged.items(), links, self._identify)
        paths, heads = self._paths.copy(), self._heads.copy()
        for path, entry in entries.items():
            key = _bytes(path)
            at = bisect_left(paths, key)
            is_there = at < len(paths) and paths[at] == key
            if entry is None:
                if is_there:
                    del paths[at], heads[at]
                continue
            head = _head(entry)
            if is_there:
                heads[at] = head
            else:
                paths.insert(at, key)
                heads.insert(at, head)
        return Records(paths, heads, self._changed_links(entries), self._identify)

    def get(self, path: str) -> Entry | None:
        """What stands at a path."""
        key = _bytes(path)
        at = bisect_left(self._paths, key)
        return self._entry(at) if at < len(self._paths) and self._paths[at] == key else None

    def has(self, path: str) -> bool:
        """Whether `get` gives anything, without taking it apart."""
        key = _bytes(path)
        at = bisect_left(self._paths, key)
        return at < len(self._paths) and self._paths[at] == key

    def is_folder(self, folder: str) -> bool:
        """Whether anything lies below a folder; the root is one in any case."""
        start = _bytes(folder) + b"/"
        at = bisect_left(self._paths, start)
        return not folder or (at < len(self._paths) and self._paths[at].startswith(start))

    def children(self, folder: str) -> dict[str, Entry | None]:
        """What stands in a folder, by name; folders are None."""
        found: dict[str, Entry | None] = {}
        paths, end = self._paths, len(self._paths)
        start = _bytes(folder) + b"/" if folder else b""
        at, cut = bisect_left(paths, start), len(start)
        while at < end and paths[at].startswith(start):
            slash = paths[at].find(b"/", cut)
            if slash < 0:
                found[_text(paths[at][cut:])] = self._entry(at)
                at += 1
            else:
                found[_text(paths[at][cut:slash])] = None
                at = bisect_left(paths, paths[at][:slash] + b"0", at)
        return found

    def _entry(self, at: int) -> Entry:
        entry = _entry(self._heads[at])
        if not entry.oid and self._identify:
            entry = Entry(entry.mode, self._identify(_text(self._paths[at]), entry))
            self._heads[at] = _head(entry)
        return entry

    def _changed_links(self, entries: Mapping[str, Entry | None]) -> dict[str, Entry]:
        kept = {path: entry for path, entry in self.links.items() if path not in entries}
        return kept | {path: entry for path, entry in entries.items() if entry and entry.mode == LINK}


def of_entries(entries: Mapping[str, Entry], identify: Identify | None = None) -> Records:
    """Records of entries in any order; `identify` as for Records."""
    links = {path: entry for path, entry in entries.items() if entry.mode == LINK}
    return _sorted(((_bytes(path), _head(entry)) for path, entry in entries.items()), links, identify)


def _sorted(items: Iterable[tuple[bytes, bytes]], links: dict[str, Entry], identify: Identify | None = None) -> Records:
    keyed = sorted(items)
    return Records([path for path, _ in keyed], [head for _, head in keyed], links, identify)


def _head(entry: Entry) -> bytes:
    return f"{entry.mode} - {entry.oid}".encode()


def _entry(head: bytes) -> Entry:
    text = head.partition(b"\t")[0].decode()
    return Entry(text[:6], text[text.rindex(" ") + 1 :])


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
