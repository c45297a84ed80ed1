"""What a real git repository says about a run, and what may be said by hand."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imagewright.errors import UsageError
from imagewright.events.event import Event
from imagewright.events.local import ByHand, given_event, local_event
from imagewright.events.trust import restriction
from imagewright.tools.git import find
from imagewright.tools.process import Completed, run

PULL_REQUEST = Event(
    kind="pull-request", host="github", branch="work", pull_request=7, default_branch="main", target_branch="main"
)
PUSH = Event(kind="push", host="github", branch="main", default_branch="main", commit="a" * 40)
LOCAL = Event(kind="local", host="local", branch="work", default_branch="main")


class Clone:
    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def git(self, *args: str) -> str:
        identity = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
        return subprocess.run(
            ["git", *identity, *args], cwd=self.root, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, text: str = "x") -> str:
        (self.root / "file").write_text(text)
        self.git("add", "file")
        self.git("commit", "--quiet", "--allow-empty", "--message", text)
        return self.git("rev-parse", "HEAD")

    @property
    def event(self) -> Event:
        return local_event(find(self.root))


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path / "clone")
    made.git("init", "--quiet")
    return made


def test_without_git_nothing_is_known(tmp_path: Path) -> None:
    assert local_event(None) == Event(kind="local", host="local")


def test_before_the_first_commit_the_branch_is_known(clone: Clone) -> None:
    assert clone.event == Event(kind="local", host="local", branch="main", default_branch="main")


def test_a_branch_beside_main(clone: Clone) -> None:
    clone.commit()
    clone.git("switch", "--quiet", "--create", "feature/a")
    assert (clone.event.branch, clone.event.default_branch, clone.event.tag) == ("feature/a", "main", None)


@pytest.mark.parametrize(
    ("branches", "default"),
    [(["master"], "master"), (["trunk"], "trunk"), (["trunk", "other"], None), (["master", "main"], "main")],
)
def test_without_a_remote(clone: Clone, branches: list[str], default: str | None) -> None:
    for branch in branches:
        clone.git("switch", "--quiet", "--orphan", branch)
        clone.commit()
    assert clone.event.default_branch == default


def test_the_remote_says_which_branch_is_the_default(clone: Clone, tmp_path: Path) -> None:
    clone.commit()
    clone.git("branch", "--move", "main", "trunk")
    clone.git("branch", "main")  # not the default, though its name says so
    copy = Clone(tmp_path / "copy")
    copy.git("clone", "--quiet", str(clone.root), ".")
    copy.git("switch", "--quiet", "--create", "work")
    assert (copy.event.branch, copy.event.default_branch) == ("work", "trunk")

    copy.git("remote", "set-head", "origin", "--delete")
    assert copy.event.default_branch == "main", "what the remote has"

    copy.git("remote", "add", "--fetch", "upstream", str(clone.root))
    copy.git("remote", "set-head", "upstream", "trunk")
    assert copy.event.default_branch == "trunk", "of a fork's clone"

    copy.git("remote", "remove", "upstream")
    copy.git("remote", "rename", "origin", "mine")
    assert copy.event.default_branch == "main", "of the only one, whatever it is called"


def test_a_remote_that_was_never_reached_says_nothing(clone: Clone) -> None:
    clone.commit()
    clone.git("remote", "add", "origin", "https://example.org/none")
    assert clone.event.default_branch == "main"


def test_a_detached_head_is_about_its_tag(clone: Clone) -> None:
    clone.commit()
    for tag in ("v1.10", "v1.9", "v1", "nightly", "v1.10.0-rc1"):
        clone.git("tag", tag)
    assert clone.event.tag is None, "a branch is checked out"
    clone.git("switch", "--quiet", "--detach")
    event = clone.event
    assert (event.branch, event.tag) == (None, "v1.10")
    clone.git("tag", "--message", "annotated", "v2")
    event = clone.event
    assert event.tag == "v2"
    clone.commit("y")
    event = clone.event
    assert event.tag is None


def test_few_processes(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    clone.commit()
    repository = find(clone.root)
    ran: list[tuple[str, ...]] = []

    def counted(*args: Any, **options: Any) -> Completed:
        ran.append(args)
        return run(*args, **options)

    monkeypatch.setattr("imagewright.tools.git.run", counted)
    local_event(repository)
    assert len(ran) == 2


# By hand


def test_nothing_by_hand_changes_nothing() -> None:
    assert given_event(PUSH, None) is PUSH
    assert given_event(PUSH, ByHand()) is PUSH


def test_a_branch_by_hand() -> None:
    assert given_event(LOCAL, ByHand(branch="main")) == replace(LOCAL, branch="main")
    assert given_event(LOCAL, ByHand(event="push", branch="x/y@1")).branch == "x/y@1"
    on_a_tag = Event(kind="local", host="local", tag="v1", default_branch="main")
    assert given_event(on_a_tag, ByHand(branch="main")) == replace(on_a_tag, tag=None, branch="main")


def test_a_git_tag_by_hand_is_about_that_tag() -> None:
    event = given_event(LOCAL, ByHand(git_tag="v1.2.3"))
    assert (event.kind, event.tag, event.branch, event.host) == ("tag", "v1.2.3", None, "local")
    event = given_event(LOCAL, ByHand(git_tag="v1.2.3", event="manual"))
    assert (event.kind, event.tag) == ("manual", "v1.2.3")


def test_an_event_by_hand() -> None:
    assert given_event(LOCAL, ByHand(event="schedule")) == replace(LOCAL, kind="schedule")
    assert given_event(LOCAL, ByHand(event="pull-request")).kind == "pull-request"
    on_a_tag = Event(kind="local", host="local", tag="v1")
    assert given_event(on_a_tag, ByHand(event="tag")).tag == "v1"


@pytest.mark.parametrize(
    ("by_hand", "message", "hint"),
    [
        (ByHand(event="pusch"), "--event: there is no event `pusch`", "one of push, tag, pull-request"),
        (ByHand(event="unreadable"), "there is no event `unreadable`", "merge-group, schedule, manual, local"),
        (ByHand(event="tag"), "--event tag: no tag is checked out", "--git-tag v1.2.3"),
        (ByHand(branch="a b"), "--branch: git allows no name 'a b'", "main"),
        (ByHand(branch=""), "--branch: git allows no name ''", "main"),
        (ByHand(branch="-x"), "--branch: git allows no name '-x'", "main"),
        (ByHand(branch="a..b"), "git allows no name", "main"),
        (ByHand(branch="a/"), "git allows no name", "main"),
        (ByHand(branch="a\n"), "git allows no name", "main"),
        (ByHand(branch="a.lock"), "git allows no name", "main"),
        (ByHand(git_tag="v1^{}"), "--git-tag: git allows no name 'v1^{}'", "v1.2"),
        (ByHand(branch="main", git_tag="v1"), "a run is about one of them", "leave one out"),
    ],
)
def test_what_cannot_be_said(by_hand: ByHand, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        given_event(LOCAL, by_hand)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_push_of_no_branch_cannot_be_said() -> None:
    with pytest.raises(UsageError, match="no branch is checked out"):
        given_event(Event(kind="local", host="local"), ByHand(event="push"))


@pytest.mark.parametrize(
    "by_hand",
    [
        ByHand(event="push", branch="main"),
        ByHand(event="push"),
        ByHand(event="local"),
        ByHand(event="manual", branch="main"),
        ByHand(event="schedule", branch="main"),
        ByHand(git_tag="v1.2.3"),
        ByHand(event="tag", git_tag="v1.2.3"),
        ByHand(event="manual", git_tag="v1.2.3"),
    ],
)
@pytest.mark.parametrize(
    "read",
    [
        PULL_REQUEST,
        replace(PULL_REQUEST, is_fork=True, branch="main"),
        replace(PULL_REQUEST, host="gitlab", branch="main"),
        Event(kind="merge-group", host="github", branch="main", default_branch="main"),
        Event(kind="unreadable", host="github", problem="?"),
        replace(PUSH, branch="work"),
        replace(PUSH, default_branch=None),
    ],
    ids=["pull request", "fork", "merge request", "merge group", "unreadable", "feature branch", "default unknown"],
)
def test_no_word_lifts_what_the_ci_says(read: Event, by_hand: ByHand) -> None:
    """Who changes a workflow's command line in a pull request changes nothing of what it may move."""
    assert restriction(read)
    try:
        event = given_event(read, by_hand)
    except UsageError as error:
        refused = error.message
    else:
        refused = ""
        assert restriction(event)
    assert not refused or "cannot say otherwise" in refused or "no branch is checked out" in refused


def test_a_ci_may_be_told_more_than_it_says() -> None:
    assert given_event(PUSH, ByHand(git_tag="v1.2.3")).tag == "v1.2.3", "on the default branch, by a workflow's input"
    assert given_event(replace(PULL_REQUEST), ByHand(branch="main")).kind == "pull-request"


@pytest.mark.parametrize(
    ("event", "held"),
    [
        (PUSH, None),
        (replace(PUSH, kind="schedule"), None),
        (replace(PUSH, kind="tag", branch=None, tag="v1"), None),
        (replace(PUSH, branch="work"), "the branch work (the default one is main)"),
        (replace(PUSH, branch=None), "a run of no branch"),
        (replace(PUSH, default_branch=None), "a run whose default branch is not known"),
        (PULL_REQUEST, "pull request #7"),
        (replace(PULL_REQUEST, branch="main", is_fork=True), "pull request #7 of a fork"),
        (replace(PULL_REQUEST, tag="v1"), "pull request #7"),
        (Event(kind="unreadable", host="github", problem="?"), "a run of which nothing is known"),
        (LOCAL, "the branch work (the default one is main)"),
        (replace(LOCAL, branch="main"), None),
        (replace(LOCAL, branch=None), None),
        (replace(LOCAL, default_branch=None), None),
    ],
)
def test_who_may_move_what_users_pull(event: Event, held: str | None) -> None:
    assert restriction(event) == held
