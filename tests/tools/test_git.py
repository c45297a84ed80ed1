"""The door to git, on real repositories."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from imagewright.errors import ImagewrightError
from imagewright.tools.git import (
    EXECUTABLE,
    FILE,
    LINK,
    SUBMODULE,
    Change,
    Entry,
    Repository,
    blob_id,
    find,
    without_credentials,
)

if TYPE_CHECKING:
    from pathlib import Path


def git(folder: Path, *args: str, **env: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    clean |= {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_DATE": "2020-01-02T03:04:05Z",
        "GIT_COMMITTER_DATE": "2020-01-02T03:04:05Z",
    }
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always")
    done = subprocess.run(
        ["git", *identity, *args], cwd=folder, env=clean | env, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(folder: Path, message: str = "x") -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", message, "--allow-empty")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    return folder


def opened(folder: Path) -> Repository:
    found = find(folder)
    assert found is not None
    return found


def test_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert find(tmp_path) is None


def test_a_bare_repository_has_no_work_tree(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    assert find(tmp_path / "bare.git") is None


def test_before_the_first_commit(repo: Path) -> None:
    (repo / "a").write_text("1")
    found = opened(repo)
    assert found.head() is None
    assert found.branch() == "main"
    assert found.entries_of_worktree().entries == {"a": Entry(FILE, blob_id(b"1"))}


def test_head_branch_and_time(repo: Path) -> None:
    oid = commit(repo)
    head = opened(repo).head()
    assert head is not None
    assert (head.oid, head.time) == (oid, 1577934245)
    assert opened(repo).branch() == "main"
    git(repo, "checkout", "-q", "--detach")
    assert opened(repo).branch() is None


def test_a_revision_that_is_not_there(repo: Path) -> None:
    commit(repo)
    assert opened(repo).commit("v9") is None
    assert opened(repo).commit("--help") is None
    with pytest.raises(ImagewrightError, match="ls-tree failed"):
        opened(repo).entries_at("v9")


def test_variables_of_a_git_hook_are_not_obeyed(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(repo)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert opened(repo).head() is not None


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:secret@example.org/o/r.git", "https://example.org/o/r.git"),
        ("https://token@example.org/o/r.git", "https://example.org/o/r.git"),
        ("ssh://git:secret@example.org:22/r", "ssh://git@example.org:22/r"),
        ("git@example.org:o/r.git", "git@example.org:o/r.git"),
        ("/srv/r.git", "/srv/r.git"),
    ],
)
def test_an_address_is_shown_without_credentials(address: str, shown: str) -> None:
    assert without_credentials(address) == shown


def test_origin(repo: Path) -> None:
    assert opened(repo).origin() is None
    git(repo, "remote", "add", "origin", "https://me:pw@example.org/r.git")
    assert opened(repo).origin() == "https://example.org/r.git"


def test_every_kind_of_entry(repo: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "f").write_text("f")
    inner_oid = commit(inner)
    (repo / "file").write_text("1")
    (repo / "run").write_text("2")
    (repo / "run").chmod(0o755)
    (repo / "link").symlink_to("file")
    git(repo, "submodule", "add", "-q", str(inner), "sub")
    oid = commit(repo)
    entries = opened(repo).entries_at(oid)
    del entries[".gitmodules"]
    assert entries == {
        "file": Entry(FILE, blob_id(b"1")),
        "run": Entry(EXECUTABLE, blob_id(b"2")),
        "link": Entry(LINK, blob_id(b"file")),
        "sub": Entry(SUBMODULE, inner_oid),
    }
    assert opened(repo).entries_of_worktree().entries == opened(repo).entries_at("HEAD")


ODD_NAMES = ["a\nb", 'qu"ote', "back\\slash", "tab\there", "ünï", " lead", "t " * 3, "-dash", os.fsdecode(b"bad\xff")]


@pytest.mark.parametrize("below", ["", "deep/er"])
def test_odd_names_committed_changed_and_untracked(repo: Path, below: str) -> None:
    folder = repo / below
    folder.mkdir(parents=True, exist_ok=True)
    for name in ODD_NAMES:
        (folder / name).write_text(name, errors="surrogateescape")
    commit(repo)
    found = opened(folder)
    assert found.entries_at("HEAD").keys() == set(ODD_NAMES)
    for name in ODD_NAMES:
        (folder / name).write_text("new")
        (folder / f"{name}.untracked").write_text("new")
    state = found.entries_of_worktree()
    assert state.changed == {*ODD_NAMES, *(f"{name}.untracked" for name in ODD_NAMES)}
    assert set(state.entries.values()) == {Entry(FILE, blob_id(b"new"))}
    assert state.entries.keys() == state.changed


def test_staged_changed_deleted_untracked_and_ignored(repo: Path) -> None:
    for name in ("staged", "changed", "deleted", "gone", "mode", "kept"):
        (repo / name).write_text(name)
    (repo / ".gitignore").write_text("*.log\nout/\n")
    commit(repo)
    (repo / "staged").write_text("s")
    git(repo, "add", "staged")
    (repo / "changed").write_text("c")
    (repo / "deleted").unlink()
    git(repo, "rm", "-q", "--cached", "gone")
    (repo / "gone").unlink()
    (repo / "mode").chmod(0o755)
    (repo / "new").write_text("n")
    (repo / "newlink").symlink_to("new")
    (repo / "x.log").write_text("log")
    (repo / "out").mkdir()
    (repo / "out" / "y").write_text("y")
    state = opened(repo).entries_of_worktree()
    del state.entries[".gitignore"]
    assert state.entries == {
        "staged": Entry(FILE, blob_id(b"s")),
        "changed": Entry(FILE, blob_id(b"c")),
        "mode": Entry(EXECUTABLE, blob_id(b"mode")),
        "kept": Entry(FILE, blob_id(b"kept")),
        "new": Entry(FILE, blob_id(b"n")),
        "newlink": Entry(LINK, blob_id(b"new")),
    }
    assert state.changed == {"staged", "changed", "deleted", "gone", "mode", "new", "newlink"}
    assert opened(repo).ignored() == ("out/", "x.log")


def test_a_committed_work_tree_equals_its_commit(repo: Path) -> None:
    (repo / "a").write_text("1")
    commit(repo)
    (repo / "a").write_text("2")
    (repo / "b").symlink_to("a")
    before = opened(repo).entries_of_worktree()
    commit(repo)
    after = opened(repo).entries_of_worktree()
    assert before.entries == after.entries == opened(repo).entries_at("HEAD")
    assert before.changed
    assert not after.changed


def test_autocrlf_changes_no_id(repo: Path, tmp_path: Path) -> None:
    (repo / "a").write_text("1\n2\n")
    commit(repo)
    git(tmp_path, "clone", "-q", "-c", "core.autocrlf=true", str(repo), "clone")
    clone = tmp_path / "clone"
    assert (clone / "a").read_bytes() == b"1\r\n2\r\n"
    os.utime(clone / "a", (0, 0))  # git has to look into the file
    assert opened(clone).entries_of_worktree().entries == opened(repo).entries_of_worktree().entries
    (clone / "a").write_bytes(b"1\r\n2\r\n3\r\n")
    (repo / "a").write_bytes(b"1\n2\n3\n")
    assert opened(clone).entries_of_worktree().entries == opened(repo).entries_of_worktree().entries


def test_filemode_false_changes_no_mode(repo: Path) -> None:
    (repo / "a").write_text("1")
    (repo / "run").write_text("2")
    (repo / "run").chmod(0o755)
    commit(repo)
    git(repo, "config", "core.fileMode", "false")
    (repo / "a").chmod(0o755)
    (repo / "run").chmod(0o644)
    assert opened(repo).entries_of_worktree().entries == opened(repo).entries_at("HEAD")
    (repo / "run").write_text("3")
    (repo / "new").write_text("n")
    (repo / "new").chmod(0o755)
    entries = opened(repo).entries_of_worktree().entries
    assert entries["run"] == Entry(EXECUTABLE, blob_id(b"3"))
    assert entries["new"].mode == FILE


def test_a_root_below_the_top_sees_its_own_files_alone(repo: Path) -> None:
    (repo / "sub").mkdir()
    (repo / "sub" / "a").write_text("1")
    (repo / "outside").write_text("o")
    oid = commit(repo)
    (repo / "outside").write_text("changed")
    (repo / "sub" / "b").write_text("2")
    found = opened(repo / "sub")
    assert found.prefix == "sub/"
    assert found.entries_at(oid).keys() == {"a"}
    state = found.entries_of_worktree()
    assert state.entries.keys() == {"a", "b"}
    assert state.changed == {"b"}


def test_a_commit_before_the_root_was_there_is_empty(repo: Path) -> None:
    (repo / "x").write_text("x")
    first = commit(repo)
    (repo / "sub").mkdir()
    (repo / "sub" / "a").write_text("1")
    commit(repo)
    assert opened(repo / "sub").entries_at(first) == {}


def test_a_linked_worktree(repo: Path, tmp_path: Path) -> None:
    (repo / "a").write_text("1")
    commit(repo)
    git(repo, "worktree", "add", "-q", str(tmp_path / "other"))
    (tmp_path / "other" / "a").write_text("2")
    assert opened(tmp_path / "other").entries_of_worktree().entries == {"a": Entry(FILE, blob_id(b"2"))}
    assert opened(repo).entries_of_worktree().entries == {"a": Entry(FILE, blob_id(b"1"))}


def test_a_sparse_checkout_has_all_files(repo: Path) -> None:
    for name in ("in", "out"):
        (repo / name).mkdir()
        (repo / name / "f").write_text(name)
    commit(repo)
    git(repo, "sparse-checkout", "set", "in")
    assert not (repo / "out").exists()
    assert opened(repo).entries_of_worktree().entries == opened(repo).entries_at("HEAD")


def test_an_unresolved_merge_is_what_stands_in_the_work_tree(repo: Path) -> None:
    (repo / "a").write_text("1\n")
    commit(repo)
    git(repo, "checkout", "-qb", "other")
    (repo / "a").write_text("2\n")
    commit(repo)
    git(repo, "checkout", "-q", "main")
    (repo / "a").write_text("3\n")
    commit(repo)
    with pytest.raises(subprocess.CalledProcessError):
        git(repo, "merge", "-q", "other")
    content = (repo / "a").read_bytes()
    assert opened(repo).entries_of_worktree().entries == {"a": Entry(FILE, blob_id(content))}
    (repo / "a").unlink()
    assert opened(repo).entries_of_worktree().entries == {}


def test_submodules_that_move_or_change(repo: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "f").write_text("f")
    commit(inner)
    git(repo, "submodule", "add", "-q", str(inner), "sub")
    git(repo, "config", "-f", ".gitmodules", "submodule.sub.ignore", "all")
    commit(repo)
    before = opened(repo).entries_of_worktree().entries["sub"]
    (repo / "sub" / "f").write_text("changed")
    changed = opened(repo).entries_of_worktree().entries["sub"]
    assert changed != before
    (repo / "sub" / "f").write_text("changed again")
    assert opened(repo).entries_of_worktree().entries["sub"] not in (before, changed)
    moved = commit(repo / "sub")
    assert opened(repo).entries_of_worktree().entries["sub"] == Entry(SUBMODULE, moved)


def test_a_repository_inside_that_is_no_submodule(repo: Path) -> None:
    commit(repo)
    (repo / "nested").mkdir()
    git(repo / "nested", "init", "-q")
    (repo / "nested" / "f").write_text("1")
    commit(repo / "nested")
    assert opened(repo).entries_of_worktree().entries == {"nested/f": Entry(FILE, blob_id(b"1"))}


def test_blobs(repo: Path) -> None:
    (repo / "a").write_bytes(b"one\n\0two\n")
    (repo / "b").write_bytes(b"")
    commit(repo)
    one, two = blob_id(b"one\n\0two\n"), blob_id(b"")
    assert opened(repo).read_blobs([two, "0" * 40, one, one]) == {one: b"one\n\0two\n", two: b""}
    assert opened(repo).read_blobs([]) == {}


def test_sha256_repositories(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256", "r")
    repo = tmp_path / "r"
    (repo / "a").write_text("1")
    (repo / "l").symlink_to("a")
    before = opened(repo).entries_of_worktree().entries
    commit(repo)
    assert before == opened(repo).entries_at("HEAD") == opened(repo).entries_of_worktree().entries
    assert len(before["a"].oid) == 64


def test_changes_between_two_commits(repo: Path) -> None:
    (repo / "sub").mkdir()
    for name in ("sub/kept", "sub/changed", "sub/mode", "sub/type", "sub/renamed"):
        (repo / name).write_text(name)
    first = commit(repo)
    (repo / "sub/changed").write_text("new")
    (repo / "sub/mode").chmod(0o755)
    (repo / "sub/type").unlink()
    (repo / "sub/type").symlink_to("kept")
    (repo / "sub/renamed").rename(repo / "sub/re\nnamed")
    (repo / "outside").write_text("o")
    second = commit(repo)
    renamed = Entry(FILE, blob_id(b"sub/renamed"))
    changed = Change("changed", Entry(FILE, blob_id(b"sub/changed")), Entry(FILE, blob_id(b"new")))
    mode = Change("mode", Entry(FILE, blob_id(b"sub/mode")), Entry(EXECUTABLE, blob_id(b"sub/mode")))
    typed = Change("type", Entry(FILE, blob_id(b"sub/type")), Entry(LINK, blob_id(b"kept")))
    assert set(opened(repo / "sub").changes(first, second)) == {
        changed,
        mode,
        typed,
        Change("renamed", renamed, None),
        Change("re\nnamed", None, renamed),
    }
    assert "outside" in {change.path for change in opened(repo).changes(first, second)}
