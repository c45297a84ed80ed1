"""Snapshots of files."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from imagewright.images.families.model import Generated
from imagewright.images.tree import (
    EXECUTABLE,
    FILE,
    LINK,
    SUBMODULE,
    Entry,
    Tree,
    read_file,
    tree_at,
    tree_of_folder,
    tree_of_worktree,
)
from imagewright.tools.git import blob_id, find

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def tree(*files: str, links: Mapping[str, str] | None = None) -> Tree:
    entries = {path: Entry(FILE, "1") for path in files} | {path: Entry(LINK, "2") for path in links or {}}
    return Tree(entries, lambda path, _: (links or {}).get(path, f"content of {path}").encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "file").write_text("1")
    (root / "run").write_text("2")
    (root / "run").chmod(0o755)
    (root / "sub" / "link").symlink_to("../file")
    (root / "folder-link").symlink_to("sub")
    return root


def commit_all(folder: Path) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    for args in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "x")):
        subprocess.run(["git", *args], cwd=folder, check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull})


def test_folders_and_files() -> None:
    found = tree("a", "b/c", "b/d/e")
    assert dict(found.children("")) == {"a": Entry(FILE, "1"), "b": None}
    assert dict(found.children("b")) == {"c": Entry(FILE, "1"), "d": None}
    assert dict(found.children("nope")) == {}
    assert sorted(found.below("b")) == ["b/c", "b/d/e"]
    assert found.is_folder("b/d")
    assert not found.is_folder("a")
    assert found.get("b") is None
    assert found.get("b/c") == Entry(FILE, "1")


def test_a_subtree() -> None:
    found = tree("a", "b/c", "b/d/e").at("b")
    assert found.prefix == "b/"
    assert sorted(found.below("")) == ["c", "d/e"]
    assert sorted(found.at("d").below("")) == ["e"]
    assert found.at("d").prefix == "b/d/"
    assert found.read("c") == b"content of b/c"
    assert found.get("b/c") is None
    assert list(tree("a").at("nope").below("")) == []
    assert not dict(tree("a").at("nope").children(""))


def test_links_are_followed_inside_the_tree() -> None:
    links = {
        "b/up": "../a",
        "b/abs": "/a",
        "out": "../../../a",
        "dir": "b",
        "loop": "loop2",
        "loop2": "loop",
        "no": "x",
    }
    found = tree("a", "b/c", links=links)
    assert found.follow("a") == ("a", ())
    assert found.follow("b/up") == ("a", ("b/up",))
    assert found.follow("out") == ("a", ("out",))
    assert found.follow("dir/c") == ("b/c", ("dir",))
    assert found.follow("dir/up") == ("a", ("dir", "b/up"))
    assert found.follow("dir") == ("b", ("dir",))
    assert found.follow("no") == (None, ("no",))
    assert found.follow("loop")[0] is None
    assert found.follow("a/x") == (None, ())
    assert found.ways("dir/c") == (("b/c",), ("dir",))
    assert found.ways("no") == ((), ("no",))
    assert found.follow("") == ("", ())
    assert found.at("b").follow("abs") == (None, ("abs",))  # a subtree is a root of its own
    assert found.read("b/up") == b"content of a"


def test_a_parent_folder_by_text_and_by_links() -> None:
    found = tree("a", "c", "d/a", "d/e/f", links={"up": "nope/../a", "file": "c/../a", "x": "d/e", "passes": "x/../a"})
    assert found.follow("up") == ("a", ("up",))
    assert found.follow("file") == ("a", ("file",))
    assert found.follow("passes") == ("d/a", ("passes", "x"))
    assert found.ways("passes") == (("d/a", "a"), ("passes", "x"))
    submodule = found.plus({"s": Entry(SUBMODULE, "1"), "l": Entry(LINK, "2")})
    submodule = Tree(submodule.records, lambda *_: b"s/../a")
    assert submodule.ways("l") == (("s", "a"), ("l",))


def test_links_that_lead_to_themselves_in_many_ways() -> None:
    found = tree("a", links={"l": "l/../m/../l/../a", "m": "l/../m/../m"})
    assert found.ways("l/x")[0] == ()
    assert found.ways("l")[0] == ("a",)


def test_reading_what_is_no_file() -> None:
    for path in ("nope", "b", ""):
        with pytest.raises(FileNotFoundError):
            tree("a", "b/c").read(path)


def test_more_entries() -> None:
    found = tree("a").plus({"b/c": Entry(FILE, "3")})
    assert sorted(found.below("")) == ["a", "b/c"]


def test_folder_work_tree_and_commit_are_the_same_tree(folder: Path) -> None:
    plain = tree_of_folder(folder)
    commit_all(folder)
    repository = find(folder)
    assert repository is not None
    work, changed = tree_of_worktree(repository)
    commit = tree_at(repository, "HEAD")
    commit.preload(["file", "nope", "sub"])
    assert changed == frozenset()
    for found in (plain, work, commit, tree_of_folder(folder)):
        assert sorted(found.below("")) == ["file", "folder-link", "run", "sub/link"]
        assert {path: found.get(path) for path in found.below("")} == {
            path: plain.get(path) for path in plain.below("")
        }
        assert found.read("folder-link/link") == b"1"
    assert plain.get("run") == Entry(EXECUTABLE, "d8263ee9860594d2806b0dfd1bfd17528b0ba2a4")


def test_a_commit_is_read_as_it_was(folder: Path) -> None:
    commit_all(folder)
    (folder / "file").write_text("new")
    repository = find(folder)
    assert repository is not None
    assert tree_at(repository, "HEAD").read("file") == b"1"
    work, changed = tree_of_worktree(repository)
    assert work.read("file") == b"new"
    assert changed == {"file"}


def test_a_sparse_checkout_reads_from_the_store(folder: Path) -> None:
    commit_all(folder)
    subprocess.run(["git", "update-index", "--skip-worktree", "file"], cwd=folder, check=True)
    (folder / "file").unlink()
    repository = find(folder)
    assert repository is not None
    work, changed = tree_of_worktree(repository)
    assert work.read("file") == b"1"
    assert changed == frozenset()


def test_a_folder_without_git_opens_only_what_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "used").write_text("1")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/huge").write_text("never read")
    tree = tree_of_folder(tmp_path)
    (tmp_path / "data/huge").unlink()  # reading it would fail now
    assert tree.get("used") == Entry(FILE, blob_id(b"1"))
    assert set(tree.children("")) == {"used", "data"}
    (tmp_path / "used").write_text("2")
    assert tree.get("used") == Entry(FILE, blob_id(b"1")), "one snapshot has one content"


@pytest.mark.parametrize("size", [0, 1, (1 << 16) - 1, 1 << 16, (1 << 17) + 1])
def test_a_file_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    assert read_file(tmp_path / "file") == content


def test_what_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(OSError, match=str(tmp_path) if path.name == "none" else "directory"):
            read_file(path)


def test_whether_something_is_there() -> None:
    found = tree("a/b")
    assert [found.has(path) for path in ("a/b", "a", "b")] == [True, False, False]
    assert found.at("a").has("b")
    made = found.overlaid({"a/made": Generated(content=b"FROM x\n", sources=("a/template",))})
    assert made.has("a/made")
    assert made.at("a").has("made")
