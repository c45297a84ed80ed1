"""What is written to dist/, and that nothing of the user's is lost there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.errors import EnvironmentMissingError
from imagewright.images.families.dist import RECORD, State, compare, write
from imagewright.images.families.model import Generated


def generated(files: Mapping[str, str]) -> dict[str, Generated]:
    return {f"dist/{path}": Generated(content=text.encode(), sources=("t",)) for path, text in files.items()}


def state(root: Path, files: Mapping[str, str]) -> State:
    return compare(root, generated(files), may_be_stale=lambda _: True)


def update(root: Path, files: Mapping[str, str]) -> State:
    found = state(root, files)
    write(root, generated(files), found)
    return found


def files_in(root: Path) -> dict[str, str]:
    found = {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}
    found.pop(RECORD, None)
    found.pop("dist/.gitignore", None)
    return found


A, B = "x/1/Dockerfile", "x/2/Dockerfile"


def test_written_once_and_then_left_alone(tmp_path: Path) -> None:
    assert update(tmp_path, {A: "a", B: "b"}).missing == (f"dist/{A}", f"dist/{B}")
    assert files_in(tmp_path) == {f"dist/{A}": "a", f"dist/{B}": "b"}
    assert (tmp_path / "dist/.gitignore").read_text() == "*\n"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    again = update(tmp_path, {A: "a", B: "b"})
    assert (again.unchanged, again.is_current) == ((f"dist/{A}", f"dist/{B}"), True)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_what_has_changed_is_written_anew(tmp_path: Path) -> None:
    update(tmp_path, {A: "a", B: "b"})
    found = update(tmp_path, {A: "new", B: "b"})
    assert (found.differing, found.edited, found.unchanged) == ((f"dist/{A}",), (), (f"dist/{B}",))
    assert files_in(tmp_path) == {f"dist/{A}": "new", f"dist/{B}": "b"}


def test_what_is_of_no_image_any_more_is_taken_away_with_its_folder(tmp_path: Path) -> None:
    update(tmp_path, {A: "a", B: "b"})
    found = update(tmp_path, {B: "b"})
    assert (found.stale, found.is_current) == ((f"dist/{A}",), False)
    assert files_in(tmp_path) == {f"dist/{B}": "b"}
    assert not (tmp_path / "dist/x/1").exists()
    update(tmp_path, {})
    assert not (tmp_path / "dist/x").exists()
    assert (tmp_path / "dist").is_dir()


def test_an_archive_beside_a_stale_file_stays(tmp_path: Path) -> None:
    update(tmp_path, {A: "a"})
    (tmp_path / "dist/x/1/image.tar").write_text("archive")
    update(tmp_path, {})
    assert files_in(tmp_path) == {"dist/x/1/image.tar": "archive"}


def test_what_was_changed_by_hand_is_never_lost(tmp_path: Path) -> None:
    update(tmp_path, {A: "a", B: "b"})
    (tmp_path / "dist" / A).write_text("mine")
    (tmp_path / "dist" / B).write_text("mine too")
    found = update(tmp_path, {A: "a"})
    assert (found.edited, found.kept, found.stale) == ((f"dist/{A}",), (f"dist/{B}",), ())
    assert files_in(tmp_path) == {f"dist/{A}": "a", f"dist/{A}.edited": "mine", f"dist/{B}": "mine too"}


def test_what_was_never_written_is_never_taken_away(tmp_path: Path) -> None:
    (tmp_path / "dist/x/1").mkdir(parents=True)
    (tmp_path / "dist" / A).write_text("mine")
    update(tmp_path, {B: "b"})
    assert files_in(tmp_path)[f"dist/{A}"] == "mine"


def test_a_record_that_names_other_places_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    (tmp_path / "dist").mkdir()
    digest = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of "x"
    names = ("precious", "dist/../precious", "dist/x/../../precious", "/precious", "dist")
    (tmp_path / RECORD).write_text(json.dumps({"schema": 1, "files": dict.fromkeys(names, digest)}))
    update(tmp_path, {})
    assert (tmp_path / "precious").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"files": 3}', '{"files": {"dist/x/1": []}}'])
def test_a_record_that_makes_no_sense_is_as_if_it_were_not_there(tmp_path: Path, text: str) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / RECORD).write_text(text)
    update(tmp_path, {A: "a"})
    assert files_in(tmp_path) == {f"dist/{A}": "a"}


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "dist").write_text("")
    with pytest.raises(EnvironmentMissingError, match="cannot be written"):
        update(tmp_path, {A: "a"})


PATHS = st.sampled_from([A, B, "x/1/test.yml", "y/1/Dockerfile"])
STATES = st.dictionaries(PATHS, st.sampled_from(["1", "2", "3"]))


@given(st.lists(st.tuples(STATES, st.dictionaries(PATHS, st.sampled_from(["mine", "yours"]), max_size=2)), max_size=4))
def test_no_edit_is_ever_lost(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[dict[str, str], dict[str, str]]]
) -> None:
    """Whatever is generated and edited in turns: each edit is still there."""
    made: set[tuple[str, str]] = set()
    root = tmp_path_factory.mktemp("root")
    for files, edits in steps:
        update(root, files)
        texts = files_in(root)
        assert {f"dist/{path}": text for path, text in files.items()}.items() <= texts.items()
        assert state(root, files).is_current
        for path, text in edits.items():
            (root / "dist" / path).parent.mkdir(parents=True, exist_ok=True)
            if (root / "dist" / path).exists() and (root / "dist" / path).read_text() in ("mine", "yours"):
                continue  # its author overwrites an edit
            (root / "dist" / path).write_text(text)
            made.add((path, text))
        update(root, files)
        after = files_in(root)
        for path, text in made:
            assert text in [there for name, there in after.items() if name.startswith(f"dist/{path}")]
