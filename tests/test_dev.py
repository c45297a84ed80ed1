"""The chores of this repository (`dev.*`): what runs, and what the exit code says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

import dev

PASSES = (sys.executable, "-c", "print('well')")
FAILS = (sys.executable, "-c", "print('the reason'); raise SystemExit(1)")


class Pytest:
    """Stands for pytest's run: notes what it is asked for and ends with a code."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.calls: list[tuple[str, ...]] = []

    def __call__(self, *args: str) -> int:
        assert args[:3] == (sys.executable, "-m", "pytest")
        self.calls.append(args[3:])
        return self.code


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, ...]]:
    made: dict[str, tuple[str, ...]] = {"style": PASSES, "types": PASSES}
    monkeypatch.setattr(dev, "CHECKS", made)
    return made


@pytest.fixture
def tests(monkeypatch: pytest.MonkeyPatch) -> Pytest:
    made = Pytest()
    monkeypatch.setattr(dev, "_call", made)
    return made


def test_a_failed_check_is_shown_and_the_tests_run_all_the_same(
    checks: dict[str, tuple[str, ...]], tests: Pytest, capsys: pytest.CaptureFixture[str]
) -> None:
    checks["types"] = FAILS

    with pytest.raises(Exit) as ended:
        dev.run_tests(Context())

    assert ended.value.code == 1
    assert "types" in str(ended.value.message)
    assert "style" not in str(ended.value.message)
    shown = capsys.readouterr().out
    assert "the reason" in shown
    assert "well" not in shown  # a check that passes is one line
    assert len(tests.calls) == 1


@pytest.mark.usefixtures("checks")
def test_failed_tests_end_with_pytests_code_and_no_more_words(tests: Pytest) -> None:
    tests.code = 5

    with pytest.raises(Exit) as ended:
        dev.run_tests(Context())

    assert (ended.value.code, ended.value.message) == (5, None)


@pytest.mark.usefixtures("checks")
def test_all_tests_run_beside_each_other(tests: Pytest) -> None:
    dev.run_tests(Context())
    dev.run_tests(Context(), unit=True)

    assert tests.calls == [
        ("-n", str(dev.WORKERS), "--dist", "loadfile", "--no-loadscope-reorder"),
        ("-n", str(dev.WORKERS), "--dist", "loadfile", "--no-loadscope-reorder", "-m", "not e2e"),
    ]


def test_chosen_tests_run_without_the_checks(checks: dict[str, tuple[str, ...]], tests: Pytest) -> None:
    checks["types"] = FAILS

    dev.run_tests(Context(), only="launcher")

    assert tests.calls == [("-k", "launcher")]


def test_stale_generated_files_are_named_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    current, stale, missing = (tmp_path / name for name in ("current", "stale", "missing"))
    current.write_text("current")
    stale.write_text("old")
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    monkeypatch.setattr(dev, "_generated", lambda: {path: path.name for path in (current, stale, missing)})

    with pytest.raises(Exit) as ended:
        dev.docs(Context(), check=True)
    assert "not current: stale, missing" in str(ended.value.message)
    assert not missing.exists()

    dev.docs(Context())
    assert [path.read_text() for path in (current, stale, missing)] == ["current", "stale", "missing"]
    dev.docs(Context(), check=True)
