from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from imagewright.bases.record import Record

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_remembered_is_found_by_the_next_process(tmp_path: Path) -> None:
    Record(tmp_path / "new/record.json").remember(("a", "b"), ["x", 1])
    assert Record(tmp_path / "new/record.json").find("a", "b") == ["x", 1]
    assert Record(tmp_path / "new/record.json").find("a") is None
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["record.json"]


@pytest.mark.parametrize(("later", "found"), [(599, True), (601, False), (-5, False)])
def test_it_holds_for_ten_minutes_and_not_into_the_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: float, found: bool
) -> None:
    path = tmp_path / "record.json"
    monkeypatch.setattr(time, "time", lambda: 1_000_000)
    Record(path).remember(("a",), True)
    monkeypatch.setattr(time, "time", lambda: 1_000_000 + later)
    assert (Record(path).find("a") is True) == found


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', '{"a": 1}', '{"a": {"at": "x"}}', '{"a": {"at": null}}'])
def test_a_file_that_cannot_be_read_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(content)
    assert Record(path).find("a") is None
    Record(path).remember(("a",), 2)
    assert Record(path).find("a") == 2


def test_forgotten_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    record = Record(path)
    record.remember(("a",), 1)
    record.forget()
    record.forget()
    assert record.find("a") is None
    record.remember(("b",), 1)
    assert list(json.loads(path.read_text())) == ["b"]
