from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imagewright.config.root import find_root

if TYPE_CHECKING:
    from pathlib import Path


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.mark.parametrize("marker", ["config/images.yml", "Dockerfiles/Dockerfile.app", "tasks.py"])
def test_the_nearest_ancestor_with_a_marker_is_the_root(tmp_path: Path, marker: str) -> None:
    touch(tmp_path / "tasks.py")
    touch(tmp_path / "inner" / marker)
    deep = tmp_path / "inner/a/b"
    deep.mkdir(parents=True)
    assert find_root(deep) == tmp_path / "inner"
    assert find_root(tmp_path / "inner") == tmp_path / "inner"


def test_a_marker_wins_over_a_nearer_git_folder(tmp_path: Path) -> None:
    touch(tmp_path / "tasks.py")
    touch(tmp_path / "submodule/.git")
    assert find_root(tmp_path / "submodule") == tmp_path


def test_git_is_the_root_where_there_is_no_marker(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "a/b").mkdir(parents=True)
    assert find_root(tmp_path / "a/b") == tmp_path


def test_nothing_known_leaves_the_start(tmp_path: Path) -> None:
    touch(tmp_path / "Dockerfiles")  # a file: not the folder of the convention
    assert find_root(tmp_path) == tmp_path


def test_a_relative_start_is_looked_up_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path as RealPath

    touch(tmp_path / "tasks.py")
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    assert find_root(RealPath()) == tmp_path
