"""Tables for people, and for grep."""

from __future__ import annotations

import sys

import pytest

from imagewright.cli.table import plain_table, show_table

HEADS, ROWS = ("name", "layer"), [("base", ""), ("a-long-name", "app")]


def test_plain_columns_are_aligned() -> None:
    assert plain_table(HEADS, ROWS) == "NAME         LAYER\nbase         -\na-long-name  app"


def test_without_a_terminal_it_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(HEADS, ROWS, styles=["", "red"])
    assert capsys.readouterr().out == plain_table(HEADS, ROWS) + "\n"


def test_on_a_terminal_brackets_are_text_and_no_cell_is_lost(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    show_table(HEADS, [("[red]base", "x" * 60)])
    shown = capsys.readouterr().out
    assert "[red]base" in shown
    assert shown.count("x") == 60
