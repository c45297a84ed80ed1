"""The benchmarks' own arithmetic, and the repository that they generate; nothing here is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bench.family import versions
from bench.generate import generate, generate_layered
from bench.measure import CannotRunError, Command, How, Measurement, Row, measure
from imagewright.cli.project import Project


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


def test_what_both_contain_is_measured_in_the_same_turn_and_taken_off(tmp_path: Path) -> None:
    both = row(tmp_path)
    with_floor = replace(both, floor=replace(both.peer, args=(sys.executable, "-c", "open('log', 'a').write('C')")))

    assert len(measure(with_floor).floor) == 3
    assert (tmp_path / "log").read_text() == "ABC" * 4
    measured = Measurement(row=with_floor, ours=(5, 9, 7), peer=(2, 3, 3), floor=(1, 1, 2))
    assert measured.values == (4, 4, 5)
    assert measured.value == 4


def test_a_peak_is_that_of_the_largest_process_and_not_of_the_bench(tmp_path: Path) -> None:
    held = b"x" * 150_000_000
    allocate = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'b = b\"x\" * 80_000_000'], check=True)"
    small = Command(args=(sys.executable, "-c", "pass"), cwd=tmp_path)
    measured = measure(
        Row(
            name="row",
            ours=Command(args=(sys.executable, "-c", allocate), cwd=tmp_path),
            peer=small,
            how="peak",
            limit=100,
            runs=1,
        )
    )

    assert len(held) > measured.value > 80 > measured.peer_median > 1
    assert measured.within
    assert not replace(measured, row=replace(measured.row, limit=80)).within


def test_a_command_that_fails_has_no_peak(tmp_path: Path) -> None:
    with pytest.raises(CannotRunError, match="ended with 7: no builder"):
        Command(args=("sh", "-c", "echo no builder >&2; exit 7"), cwd=tmp_path).megabytes()


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


def git(root: Path, *args: str) -> list[str]:
    return subprocess.run(["git", *args], cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_generated_repository_has_so_many_images_and_a_commit(tmp_path: Path) -> None:
    generate(tmp_path, 40)

    names = sorted(path.name.removeprefix("Dockerfile.") for path in (tmp_path / "Dockerfiles").iterdir())
    assert len(names) == 40
    assert {name.partition("-")[0] for name in names} == {"app", "base", "tooling"}
    assert git(tmp_path, "status", "--porcelain") == []
    assert git(tmp_path, "rev-list", "--count", "HEAD") == ["1"]


def test_the_generated_repository_has_so_many_files_and_commits_of_one_file(tmp_path: Path) -> None:
    generate(tmp_path, 10, files=300, commits=20)

    assert len(git(tmp_path, "ls-files")) == 300
    assert git(tmp_path, "status", "--porcelain") == []
    edits = git(tmp_path, "log", "--format=", "--name-only", "HEAD", "-19")
    assert len(edits) == 19
    assert {path.partition("/")[0] for path in edits} == {"apps"}
    assert git(tmp_path, "rev-list", "--count", "HEAD") == ["20"]


def test_the_same_repository_is_generated_again(tmp_path: Path) -> None:
    heads: set[str] = set()
    for name in ("one", "other"):
        generate(tmp_path / name, 10, files=100, commits=3)
        heads.add(*git(tmp_path / name, "rev-parse", "HEAD"))
    assert len(heads) == 1


def test_git_need_not_read_the_generated_files_again(tmp_path: Path) -> None:
    generate(tmp_path, 10, commits=2)

    index = (tmp_path / ".git/index").stat().st_mtime_ns
    git(tmp_path, "status")
    assert (tmp_path / ".git/index").stat().st_mtime_ns == index, "the index was refreshed"


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


def test_the_family_has_so_many_versions_in_no_order() -> None:
    made = versions(5000)

    assert len(set(made)) == 5000
    assert sum(version.endswith("-semantic") for version in made) == 1000
    assert {len(version.partition("-")[0].split(".")) for version in made} == {3}
    assert made != sorted(made)


def test_the_published_images_have_as_many_layers_as_is_said(tmp_path: Path) -> None:
    generate_layered(tmp_path, 50)
    project = Project(tmp_path, {})

    layers: dict[str, int] = {}
    for name in project.graph.order():
        own = (tmp_path / project.by_name[name].dockerfile).read_text().count("COPY ")
        layers[name] = own + sum(layers[parent] for parent in project.graph.parents(name))
    assert Counter(layers.values()) == {3: 2, 6: 8, 10: 40}
