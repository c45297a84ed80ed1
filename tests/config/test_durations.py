"""Lengths of time are read one way, or not at all."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagewright.config.durations import check_some_time, parse_duration, spoken


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", timedelta(days=7)),
        ("12h", timedelta(hours=12)),
        ("2w", timedelta(days=14)),
        ("90min", timedelta(minutes=90)),
        ("30s", timedelta(seconds=30)),
        ("0h", timedelta(0)),
        ("36500d", timedelta(days=36_500)),
    ],
)
def test_what_is_read(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "7", "d", "7 d", " 7d", "7d\n", "7D", "-7d", "+7d", "1.5d", "1d12h", "7m", "1y", "7days"),
        *("\u0667d", "1_0d", "36501d", "999999999w", "9" * 400 + "d"),
    ],
)
def test_what_is_not(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no length of time|is more than a hundred years"):
        parse_duration(text)


def test_no_time_is_none() -> None:
    assert check_some_time("1s") == "1s"
    with pytest.raises(ValueError, match="is no time at all"):
        check_some_time("0d")


@settings(deadline=None)
@given(st.integers(0, 36_500 * 86_400))
def test_what_is_spoken_is_read_again(seconds: int) -> None:
    assert parse_duration(spoken(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


def test_it_is_spoken_in_few_words() -> None:
    assert [spoken(timedelta(seconds=one)) for one in (0, 59, 60, 5400, 7200, 86_400, 1_209_600)] == [
        *("0s", "59s", "1min", "90min", "2h", "1d", "14d")
    ]
