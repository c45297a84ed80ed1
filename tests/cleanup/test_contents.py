"""The memory between two readings."""

from __future__ import annotations

import sqlite3
import zlib
from datetime import timedelta
from typing import TYPE_CHECKING

from imagewright.cleanup.contents import Contents
from imagewright.registry.model import digest_of
from tests.cleanup.stock import NOW

if TYPE_CHECKING:
    from pathlib import Path

RAW = b"content"
DIGEST = digest_of(RAW)


def test_content_comes_back_and_is_fresh_for_an_hour(tmp_path: Path) -> None:
    contents = Contents(tmp_path / "memory", NOW)
    contents.put(DIGEST, "type", RAW)
    contents.close({"1": DIGEST})
    for minutes, fresh in ((0, True), (60, True), (61, False), (-1, False)):
        again = Contents(tmp_path / "memory", NOW + timedelta(minutes=minutes))
        found = again.get(DIGEST)
        assert found is not None
        assert (found.media_type, found.raw, found.is_fresh) == ("type", RAW, fresh)
        assert again.tags() == {"1": DIGEST}


def test_being_seen_makes_it_fresh_again(tmp_path: Path) -> None:
    contents = Contents(tmp_path / "memory", NOW)
    contents.put(DIGEST, "type", RAW)
    contents.close({})
    later = Contents(tmp_path / "memory", NOW + timedelta(hours=2))
    later.saw(DIGEST)
    later.close({})
    found = Contents(tmp_path / "memory", NOW + timedelta(hours=3)).get(DIGEST)
    assert found is not None
    assert found.is_fresh


def test_other_bytes_than_its_digest_are_not_given(tmp_path: Path) -> None:
    contents = Contents(tmp_path / "memory", NOW)
    contents.put(DIGEST, "type", RAW)
    contents.close({})
    for raw in (zlib.compress(b"other"), b"not compressed", "text"):
        with sqlite3.connect(tmp_path / "memory") as database:
            database.execute("UPDATE content SET raw = ?", (raw,))
        assert Contents(tmp_path / "memory", NOW).get(DIGEST) is None


def test_only_what_was_named_stays(tmp_path: Path) -> None:
    contents = Contents(tmp_path / "memory", NOW)
    contents.put(DIGEST, "type", RAW)
    contents.put(digest_of(b"2"), "type", b"2")
    contents.close({}, frozenset({DIGEST}))
    again = Contents(tmp_path / "memory", NOW)
    assert again.get(DIGEST)
    assert again.get(digest_of(b"2")) is None


def test_a_database_that_somebody_else_writes_to(tmp_path: Path) -> None:
    contents = Contents(tmp_path / "memory", NOW)
    with sqlite3.connect(tmp_path / "memory") as database:
        database.execute("DROP TABLE content")
    contents.put(DIGEST, "type", RAW)
    contents.close({})
    assert contents.get(DIGEST) is None
