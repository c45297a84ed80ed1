"""The benchmarks' own arithmetic, and the repository that they generate; nothing here is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.generate import generate
from bench.measure import CannotRunError, Command, How, Measurement, Row, measure


def row(tmp_path: Path, how: How = "ratio", limit: float = 1.5, *, script: str = "pass") -> Row:
    """Both commands note in a file that they ran, and in which order."""
    log = tmp_path / "log"

    def command(name: str) -> Command:
        code = f"open({str(log)!r}, 'a').write({name!r}); {script}"
        return Command(args=(sys.executable, "-c", code), cwd=tmp_path)

    return Row(name="row", ours=command("A"), peer=command("B"), how=how, limit=limit, runs=3)


def test_commands_run_in_turns_after_a_run_that_does_not_count(tmp_path: Path) -> None:
    measured = measure(row(tmp_path))

    assert (tmp_path / "log").read_text() == "AB" + "AB" * 3
    assert len(measured.ours) == len(measured.peer) == 3


def test_a_command_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(CannotRunError, match="no builder"):
        measure(row(tmp_path, script="raise SystemExit('no builder')"))


@pytest.mark.parametrize(
    ("how", "limit", "value", "within"),
    [
        ("ratio", 1.5, 1.5, True),
        ("ratio", 1.4, 1.5, False),
        ("difference", 1.0, 1.0, True),
        ("difference", 0.9, 1.0, False),
    ],
)
def test_the_median_of_the_pairs_is_held_against_the_limit(
    tmp_path: Path, how: How, limit: float, value: float, within: bool
) -> None:
    # In pairs 1.5x, 1.25x and 3x; +1, +1 and +4. The medians of ours and of the peer by themselves say something else.
    measured = Measurement(row=row(tmp_path, how, limit), ours=(3, 5, 6), peer=(2, 4, 2))

    assert measured.value == value
    assert measured.within is within


def test_the_generated_repository_has_so_many_images_and_a_commit(tmp_path: Path) -> None:
    generate(tmp_path, 40)

    names = sorted(path.name.removeprefix("Dockerfile.") for path in (tmp_path / "Dockerfiles").iterdir())
    assert len(names) == 40
    assert {name.partition("-")[0] for name in names} == {"app", "base", "tooling"}
    status = subprocess.run(["git", "status", "--porcelain"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert status.stdout == ""


def test_the_generated_images_are_built_on_each_other(tmp_path: Path) -> None:
    generate(tmp_path, 12)

    planned = subprocess.run(
        [sys.executable, "-m", "invoke", "plan", "all", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    images = json.loads(planned.stdout)["images"]
    tiers = {
        (image["name"].partition("-")[0], *(p["name"].partition("-")[0] for p in image["parents"])) for image in images
    }
    assert len(images) == 12
    assert tiers == {("base",), ("tooling", "base"), ("app", "tooling")}
