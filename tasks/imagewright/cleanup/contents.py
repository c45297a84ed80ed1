"""Manifests and configurations of one repository, kept on disk between two readings: they never change."""

from __future__ import annotations

import sqlite3
import threading
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from imagewright.registry.model import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_BELIEVED = timedelta(hours=1)  # content is the same for ever, but that it is there still is to be seen again
_AT_ONCE = 500  # rows
_T = TypeVar("_T")
_TABLES = """
    CREATE TABLE IF NOT EXISTS content (digest TEXT PRIMARY KEY, type TEXT, raw BLOB, seen REAL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS tag (tag TEXT PRIMARY KEY, digest TEXT) WITHOUT ROWID;
    PRAGMA synchronous = OFF;
"""


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that have the digest they were asked for by."""

    media_type: str  # empty for a configuration
    raw: bytes
    is_fresh: bool  # seen in the registry within the hour


class Contents:
    """A memory in a file. Whatever is wrong with the file costs requests, never an answer. Safe between threads."""

    def __init__(self, path: Path, now: datetime) -> None:
        self._now = now.timestamp()
        self._lock = threading.Lock()
        self._fresh: list[tuple[str, str, bytes, float]] = []
        self._seen: list[str] = []
        self._database = _opened(path)
        # A first reading asks for nothing that it has not just been sent.
        self._is_empty = not self._run(lambda database: database.execute("SELECT 1 FROM content LIMIT 1").fetchone(), 0)

    def tags(self) -> dict[str, str]:
        """What the tags pointed to at the last reading: a guess."""
        return self._run(lambda database: dict(database.execute("SELECT tag, digest FROM tag")), {})

    def get(self, digest: str) -> Content | None:
        """What an earlier reading has put here, checked against its digest."""
        query = "SELECT type, raw, seen FROM content WHERE digest = ?"
        row = (
            None if self._is_empty else self._run(lambda database: database.execute(query, (digest,)).fetchone(), None)
        )
        if row is None:
            return None
        try:
            raw = zlib.decompress(row[1])
            matches = digest_of(raw, digest.partition(":")[0]) == digest
            age = self._now - row[2]
        except (zlib.error, TypeError, ValueError):
            return None
        return Content(row[0], raw, 0 <= age <= _BELIEVED.total_seconds()) if matches else None

    def put(self, digest: str, media_type: str, raw: bytes) -> None:
        """Keep what the registry has just sent."""
        row = (digest, media_type, zlib.compress(raw, 1), self._now)
        with self._lock:
            self._fresh.append(row)
            full = len(self._fresh) >= _AT_ONCE
        if full:
            self._write()

    def saw(self, digest: str) -> None:
        """The registry has said just now that it has this."""
        with self._lock:
            self._seen.append(digest)

    def close(self, tags: Mapping[str, str], digests: frozenset[str] | None = None) -> None:
        """Keep the tags for the next reading. Of the content only `digests` stay, where these are given."""
        self._write()
        self._run(lambda database: self._finish(database, tags, digests), None)
        if self._database is not None:
            self._database.close()

    def _finish(self, database: sqlite3.Connection, tags: Mapping[str, str], digests: frozenset[str] | None) -> None:
        database.execute("DELETE FROM tag")
        database.executemany("INSERT INTO tag VALUES (?, ?)", tags.items())
        seen = [(self._now, digest) for digest in self._seen]
        database.executemany("UPDATE content SET seen = ? WHERE digest = ?", seen)
        if digests is not None:
            known = [row[0] for row in database.execute("SELECT digest FROM content")]
            gone = [(digest,) for digest in known if digest not in digests]
            database.executemany("DELETE FROM content WHERE digest = ?", gone)

    def _write(self) -> None:
        with self._lock:
            rows, self._fresh = self._fresh, []
        insert = "INSERT OR REPLACE INTO content VALUES (?, ?, ?, ?)"
        self._run(lambda database: database.executemany(insert, rows), None)

    def _run(self, call: Callable[[sqlite3.Connection], _T], default: _T) -> _T:
        """`call` in a transaction; what fails, fails for good: from then on nothing is remembered."""
        with self._lock:
            if self._database is None:
                return default
            try:
                with self._database as database:
                    return call(database)
            except sqlite3.Error:
                self._database = None
                return default


def _opened(path: Path) -> sqlite3.Connection | None:
    for _ in range(2):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(path, timeout=5, check_same_thread=False)
            database.executescript(_TABLES)
        except sqlite3.OperationalError:  # locked, or no right to it
            return None
        except sqlite3.DatabaseError:  # no database: begin anew
            path.unlink(missing_ok=True)
        except OSError:
            return None
        else:
            return database
    return None
