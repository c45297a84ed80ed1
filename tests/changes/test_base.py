"""Each row of "what to compare with", on real repositories."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagewright.changes.base import Comparison, choose, for_images
from imagewright.changes.git_history import GitHistory
from imagewright.changes.remote import cause
from imagewright.errors import UsageError
from imagewright.events.event import Event
from imagewright.tools.process import Completed

Folder = Any  # tests/changes/conftest.py
Opener = Callable[..., GitHistory]

LOCAL = Event(kind="local", host="local")
GONE = "dead" * 10


@pytest.fixture
def chosen(history_of: Opener) -> Callable[..., Comparison]:
    def chosen_for(folder: Folder, event: Event = LOCAL, since: str | None = None, seconds: float = 60) -> Comparison:
        history = history_of(folder, event, seconds)
        path = folder if isinstance(folder, Path) else folder.path
        return choose(event, history, head=history.resolve("HEAD") if (path / ".git").exists() else None, since=since)

    return chosen_for


def facts(comparison: Comparison) -> tuple[str | None, str, str]:
    return comparison.commit, comparison.source, comparison.against


def push(folder: Folder, before: str | None, **more: Any) -> Event:
    values = {"branch": "main", "default_branch": "main", "commit": folder.id()}
    return Event(**{"kind": "push", "host": "github", "name": "push", "before": before} | values | more)


def pull_request(origin: Folder, **more: Any) -> Event:
    """Pull request 7 of the branch `work`, with GitHub's merge of it on the remote."""
    origin.on("work", "main~2")
    origin.commit("work1")
    head = origin.commit("work2")
    origin.git("checkout", "-q", "--detach", "main")
    origin.git("merge", "-q", "--no-ff", "-m", "merge", "work")
    origin.git("update-ref", "refs/pull/7/merge", "HEAD")
    merge = origin.id()
    origin.git("checkout", "-q", "main")
    values = {"commit": merge, "head": head, "target": origin.id("main"), "target_branch": "main"}
    values |= {"pull_request": 7, "branch": "work", "default_branch": "main"}
    return Event(**{"kind": "pull-request", "host": "github", "name": "pull_request"} | values | more)


# Pull requests


@pytest.mark.parametrize("options", [(), ("--depth=1",), ("--depth=2",)])
def test_a_pull_requests_merge_commit(
    origin: Folder, chosen: Callable[..., Comparison], options: tuple[str, ...], said: list[str]
) -> None:
    event = pull_request(origin)
    clone = origin.checkout("refs/pull/7/merge", options=options)
    before = clone.refs()
    comparison = chosen(clone, event)
    assert facts(comparison) == (origin.id("main"), "github-pr", "commit")
    assert comparison.why == f"pull request #7: the first parent of its merge commit ({origin.id('main')[:7]})"
    assert said == ([f"git: fetching {origin.id('main')[:7]} from origin"] if options == ("--depth=1",) else [])
    assert clone.git("diff", "--name-only", comparison.commit, "HEAD") == "work1\nwork2"
    assert clone.refs() == before


def test_the_target_went_on_after_the_merge_commit_was_made(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    event = pull_request(origin)
    merged_with = origin.id("main")
    origin.commit("later")
    clone = origin.checkout("refs/pull/7/merge", options=())
    assert chosen(clone, dataclasses.replace(event, target=origin.id("main"))).commit == merged_with


@pytest.mark.parametrize("options", [(), ("--depth=1",)])
def test_a_pull_requests_own_last_commit(
    origin: Folder, chosen: Callable[..., Comparison], options: tuple[str, ...]
) -> None:
    event = pull_request(origin)
    clone = origin.checkout("refs/heads/work", options=options)
    comparison = chosen(clone, event)
    assert facts(comparison) == (origin.id("main~2"), "github-pr", "commit")
    assert comparison.why == f"pull request #7: its merge base with main ({origin.id('main~2')[:7]})"
    assert clone.git("status", "--porcelain") == ""


def test_a_pull_request_whose_last_commit_is_a_merge_of_the_target(
    origin: Folder, chosen: Callable[..., Comparison]
) -> None:
    event = pull_request(origin)
    origin.git("checkout", "-q", "work")
    origin.git("merge", "-q", "--no-ff", "-m", "catch up", "main")
    clone = origin.checkout("refs/heads/work", options=())
    comparison = chosen(clone, dataclasses.replace(event, head=origin.id("work")))
    assert comparison.commit == origin.id("main")
    assert "merge base" in comparison.why
    assert clone.git("diff", "--name-only", comparison.commit, "HEAD") == "work1\nwork2"


def test_a_pull_request_whose_target_commit_is_gone_uses_the_branch(
    origin: Folder, chosen: Callable[..., Comparison]
) -> None:
    clone = origin.checkout("refs/heads/work", options=()) if pull_request(origin) else None
    for target in (GONE, None):
        event = Event(kind="pull-request", host="github", head=GONE, target=target, target_branch="main")
        assert facts(chosen(clone, event)) == (origin.id("main~2"), "github-pr", "commit")
    for branch in ("nowhere", None):
        event = Event(kind="pull-request", host="github", head=GONE, target=GONE, target_branch=branch)
        assert chosen(clone, event).against == "everything"


def test_a_pull_request_with_its_target_checked_out_says_so(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    event = pull_request(origin, name="pull_request_target", commit=origin.id("main"))
    assert "the target itself is checked out" in chosen(origin.checkout("refs/heads/main"), event).why


def test_a_pull_request_of_an_unrelated_history(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    origin.git("checkout", "-q", "--orphan", "other")
    head = origin.commit("other")
    event = Event(kind="pull-request", host="github", head=head, target=origin.id("main"), target_branch="main")
    comparison = chosen(origin.checkout("refs/heads/other"), event)
    assert facts(comparison) == (None, "everything", "everything")
    assert comparison.why == "everything counts as changed: a pull request has no commit in common with main"


# Pushes


@pytest.mark.parametrize("options", [(), ("--depth=1",)])
def test_a_push_of_several_commits(
    origin: Folder, chosen: Callable[..., Comparison], options: tuple[str, ...], said: list[str]
) -> None:
    clone = origin.checkout("refs/heads/main", options=options)
    before = origin.id("main~3")
    comparison = chosen(clone, push(origin, before))
    assert facts(comparison) == (before, "github-push", "published")
    assert comparison.discarded is None
    assert len(said) == len(options)


def test_a_push_when_something_else_is_checked_out(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    clone = origin.checkout("refs/heads/main", options=())
    event = push(origin, origin.id("main~1"))
    clone.git("checkout", "-q", origin.id("main~3"))
    comparison = chosen(clone, event)
    assert facts(comparison) == (origin.id("main~3"), "force-push", "published")
    assert comparison.discarded == origin.id("main~1")


@pytest.mark.parametrize("before", [None, GONE])
@pytest.mark.parametrize("options", [(), ("--depth=1",)])
def test_a_new_branch(
    origin: Folder, chosen: Callable[..., Comparison], options: tuple[str, ...], before: str | None
) -> None:
    origin.on("work", "main~2")
    origin.commit("work")
    clone = origin.checkout("refs/heads/work", options=options)
    comparison = chosen(clone, push(origin, before, branch="work"))
    assert facts(comparison) == (origin.id("main~2"), "new-branch", "published")
    assert "merge base with main" in comparison.why
    assert ("dead" in comparison.why) == (before is not None)


def test_a_new_branch_where_the_ci_does_not_say_the_default_branch(
    origin: Folder, chosen: Callable[..., Comparison]
) -> None:
    origin.git("branch", "-m", "main", "trunk")
    origin.on("work", "trunk~2")
    origin.commit("work")
    origin.git("checkout", "-q", "trunk")
    event = push(origin, None, branch="work", default_branch=None)
    assert chosen(origin.checkout("refs/heads/work"), event).commit == origin.id("trunk~2")


def test_no_previous_commit_on_the_default_branch_itself(
    origin: Folder, chosen: Callable[..., Comparison], said: list[str]
) -> None:
    comparison = chosen(origin.checkout(origin.id(), name="shallow"), push(origin, None))
    assert "main is the default branch itself: everything counts as changed" in comparison.why
    assert not said
    clone = origin.checkout("refs/heads/main", options=())
    for default_branch in ("main", None):
        comparison = chosen(clone, push(origin, None, default_branch=default_branch))
        assert facts(comparison) == (None, "new-branch", "published")
        assert "everything counts as changed" in comparison.why
    assert facts(chosen(clone, push(origin, GONE))) == (None, "new-branch", "published")


def test_a_root_commit(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    clone = origin.checkout("refs/heads/main", options=())
    clone.git("checkout", "-q", origin.id("main~4"))
    for branch in ("main", "work"):
        comparison = chosen(clone, push(origin, None, branch=branch))
        assert facts(comparison) == (None, "new-branch", "published")
        assert "this is a root commit: everything counts as changed" in comparison.why


def test_where_a_shallow_clone_ends_is_no_root_commit(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    comparison = chosen(origin.checkout("refs/heads/main"), push(origin, None, default_branch="main"))
    assert "root commit" not in comparison.why


def test_a_new_branch_without_history_in_common(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    origin.git("checkout", "-q", "--orphan", "other")
    origin.commit("other")
    origin.commit("other")
    comparison = chosen(origin.checkout("refs/heads/other"), push(origin, None, branch="other"))
    assert facts(comparison) == (None, "new-branch", "published")


def forced(origin: Folder) -> tuple[Event, str]:
    """`work` had a commit on main~1, which a force push replaced by one on main~2; that commit is in no branch now."""
    origin.on("work", "main~1")
    old = origin.commit("old")
    origin.on("work", "main~2")
    origin.commit("new")
    return push(origin, old, branch="work", is_forced=True), old


@pytest.mark.parametrize("options", [(), ("--depth=1",)])
def test_a_force_push(origin: Folder, chosen: Callable[..., Comparison], options: tuple[str, ...]) -> None:
    event, old = forced(origin)
    clone = origin.checkout("refs/heads/work", options=options)
    comparison = chosen(clone, event)
    assert facts(comparison) == (origin.id("main~2"), "force-push", "published")
    assert comparison.discarded == old
    if not options:  # a full clone stays one
        assert not (clone.path / ".git" / "shallow").exists()


def test_a_force_push_back_in_history_keeps_what_it_discarded(
    origin: Folder, chosen: Callable[..., Comparison]
) -> None:
    old = origin.id()
    origin.git("reset", "-q", "--hard", "main~2")
    comparison = chosen(origin.checkout("refs/heads/main"), push(origin, old, is_forced=True))
    assert facts(comparison) == (origin.id(), "force-push", "published")
    assert comparison.discarded == old  # the merge base is what is checked out: alone it would build nothing


def test_a_force_push_of_an_unrelated_history(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    old = origin.id()
    origin.git("checkout", "-q", "--orphan", "other")
    origin.commit("other")
    origin.git("branch", "-M", "main")
    comparison = chosen(origin.checkout("refs/heads/main"), push(origin, old, is_forced=True))
    assert facts(comparison) == (None, "everything", "published")


# Each image's published revision


@pytest.mark.parametrize("options", [(), ("--depth=1",)])
def test_each_image_since_its_last_success(
    origin: Folder, history_of: Opener, chosen: Callable[..., Comparison], options: tuple[str, ...]
) -> None:
    clone = origin.checkout("refs/heads/main", options=options)
    before, older, oldest = origin.id("main~1"), origin.id("main~2"), origin.id("main~3")
    comparison = chosen(clone, push(origin, before))
    published = {"a": before, "failed": older, "failed-twice": oldest, "current": origin.id(), "unlabelled": None}
    found = for_images(comparison, published, history_of(clone), head=clone.id())
    assert {name: one.commit for name, one in found.items()} == published | {"unlabelled": before}
    assert {(one.against, one.discarded) for one in found.values()} == {("commit", None)}
    assert found["failed"].why == f"the image was last published from {older[:7]}"


@pytest.mark.parametrize("options", [(), ("--depth=1",)])
def test_each_image_after_a_force_push(
    origin: Folder, history_of: Opener, chosen: Callable[..., Comparison], options: tuple[str, ...]
) -> None:
    event, old = forced(origin)
    clone = origin.checkout("refs/heads/work", options=options)
    comparison = chosen(clone, event)
    published = {"ancestor": origin.id("main~3"), "discarded": old, "side": origin.id("main"), "unlabelled": None}
    found = for_images(comparison, published, history_of(clone), head=clone.id())
    base = origin.id("main~2")
    assert {name: (one.commit, one.discarded) for name, one in found.items()} == {
        "ancestor": (origin.id("main~3"), None),
        "discarded": (base, old),
        "side": (base, origin.id("main")),
        "unlabelled": (base, old),
    }


def test_a_revision_that_does_not_help_builds_the_image_alone(
    origin: Folder, history_of: Opener, chosen: Callable[..., Comparison]
) -> None:
    clone = origin.checkout("refs/heads/main", options=())
    before = origin.id("main~1")
    comparison = chosen(clone, push(origin, before))
    published = {"good": before, "gone": GONE, "dirty": f"{before}-dirty", "words": "v1.2", "option": "--all"}
    found = for_images(comparison, published, history_of(clone), head=clone.id())
    assert facts(found["good"]) == (before, "github-push", "commit")
    assert {facts(found[name]) for name in published if name != "good"} == {(None, "everything", "everything")}
    assert f"a work tree that differed from {before[:7]}" in found["dirty"].why
    assert "'v1.2', which is no commit" in found["words"].why
    assert "upload-pack: not our ref" in found["gone"].why


def test_a_revision_that_is_gone_keeps_no_other_from_being_fetched(
    origin: Folder, history_of: Opener, chosen: Callable[..., Comparison]
) -> None:
    event, old = forced(origin)
    clone = origin.checkout("refs/heads/work", options=())
    comparison = Comparison(commit=None, source="github-push", why="", against="published")
    found = for_images(comparison, {"gone": GONE, "old": old}, history_of(clone, event), head=clone.id())
    assert found["old"].commit == origin.id("main~2")
    assert found["gone"].against == "everything"


def test_published_from_an_unrelated_history(
    origin: Folder, history_of: Opener, chosen: Callable[..., Comparison]
) -> None:
    event = push(origin, origin.id("main~1"))
    origin.git("checkout", "-q", "--orphan", "other")
    other = origin.commit("other")
    clone = origin.checkout("refs/heads/main", options=())
    found = for_images(chosen(clone, event), {"a": other}, history_of(clone), head=clone.id())
    assert found["a"].against == "everything"


def test_a_registry_that_knows_better_than_the_first_push(
    origin: Folder, history_of: Opener, chosen: Callable[..., Comparison]
) -> None:
    clone = origin.checkout("refs/heads/main", options=())
    comparison = chosen(clone, push(origin, None))
    found = for_images(comparison, {"a": origin.id("main~2"), "b": None}, history_of(clone), head=clone.id())
    assert [(one.commit, one.against) for one in found.values()] == [
        (origin.id("main~2"), "commit"),
        (None, "everything"),
    ]


def test_other_comparisons_are_every_images(origin: Folder, history_of: Opener) -> None:
    comparison = Comparison(commit=None, source="registry", why="", against="registry")
    assert for_images(comparison, {"a": GONE}, history_of(origin), head=origin.id()) == {"a": comparison}


def test_git_is_started_as_often_for_many_images_as_for_few(
    origin: Folder,
    history_of: Opener,
    chosen: Callable[..., Comparison],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(30):
        origin.git("commit", "-q", "--allow-empty", "-m", f"more{number}")
    clone = origin.checkout("refs/heads/main", options=())
    comparison = chosen(clone, push(origin, origin.id("main~1")))
    history = history_of(clone)
    counts = []
    for many in (1, 30):
        trace = tmp_path / f"trace{many}"
        published: dict[str, str | None] = {f"i{number}": origin.id(f"main~{number}") for number in range(many)}
        monkeypatch.setenv("GIT_TRACE", str(trace))
        assert {i.commit for i in for_images(comparison, published, history, head=clone.id()).values()} == set(
            published.values()
        )
        monkeypatch.delenv("GIT_TRACE")
        counts.append(trace.read_text().count("built-in: git"))
    assert counts[0] == counts[1] == 2


# Merge groups, tags, schedules


@pytest.mark.parametrize("options", [(), ("--depth=1",)])
def test_a_merge_group(origin: Folder, chosen: Callable[..., Comparison], options: tuple[str, ...]) -> None:
    base = origin.id("main~2")
    event = Event(kind="merge-group", host="github", base=base, commit=origin.id())
    comparison = chosen(origin.checkout("refs/heads/main", options=options), event)
    assert facts(comparison) == (base, "merge-group", "commit")
    assert chosen(origin, Event(kind="merge-group", host="github")).against == "everything"
    gone = chosen(origin.clone(), Event(kind="merge-group", host="github", base=GONE))
    assert facts(gone) == (None, "everything", "everything")


def tag(name: str = "v2") -> Event:
    return Event(kind="tag", host="github", name="push", tag=name, default_branch="main")


@pytest.mark.parametrize("options", [(), ("--depth=1",), ("--depth=1", "--tags")])
@pytest.mark.parametrize("annotate", [(), ("-a", "-m", "notes")])
def test_a_tag(
    origin: Folder, chosen: Callable[..., Comparison], options: tuple[str, ...], annotate: tuple[str, ...]
) -> None:
    origin.git("tag", *annotate, "v0", "main~3")
    origin.git("tag", *annotate, "v1", "main~2")
    origin.on("side", "main~1")
    origin.commit("side")
    origin.git("tag", *annotate, "v9")  # leads not to v2
    origin.git("checkout", "-q", "main")
    origin.git("tag", *annotate, "v2")
    origin.git("tag", *annotate, "latest")  # the same commit
    clone = origin.checkout("refs/tags/v2", options=options)
    before = clone.refs()
    comparison = chosen(clone, tag())
    assert facts(comparison) == (origin.id("main~2"), "tag", "commit")
    assert comparison.why == f"the tag v2: the tag before it, v1 ({origin.id('main~2')[:7]})"
    assert clone.refs() == before


@pytest.mark.parametrize("options", [(), ("--depth=1",)])
def test_the_first_tag(
    origin: Folder, chosen: Callable[..., Comparison], options: tuple[str, ...], said: list[str]
) -> None:
    origin.git("tag", "-a", "-m", "notes", "v2")
    comparison = chosen(origin.checkout("refs/tags/v2", options=options), tag())
    assert facts(comparison) == (None, "tag", "everything")
    assert comparison.why == "the tag v2 is the first one: everything counts as changed"
    assert said == ["git: asking origin for its tags"]  # there is none to look for: no history is fetched


def test_a_tag_after_a_merge_has_the_newest_of_both_lines(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    origin.git("tag", "v1", "main~2")
    origin.on("fixes", "main~3")
    newest = origin.commit("fix")
    origin.git("tag", "v1.1")
    origin.git("checkout", "-q", "main")
    origin.git("merge", "-q", "--no-ff", "-m", "merge", "fixes")
    origin.git("tag", "v2")
    assert chosen(origin, tag()).commit == newest


@pytest.mark.parametrize("kind", ["schedule", "manual"])
def test_what_is_about_no_commit_asks_the_registry(
    origin: Folder, chosen: Callable[..., Comparison], kind: Any, said: list[str]
) -> None:
    comparison = chosen(origin.checkout("refs/heads/main"), Event(kind=kind, host="github", name="workflow_dispatch"))
    assert facts(comparison) == (None, kind, "registry")
    assert comparison.bases
    assert not said


# GitLab


@pytest.mark.parametrize("options", [(), ("--depth=1",)])
def test_a_gitlab_merge_request(origin: Folder, chosen: Callable[..., Comparison], options: tuple[str, ...]) -> None:
    origin.on("work", "main~2")
    origin.commit("work")
    clone = origin.checkout("refs/heads/work", options=options)
    base = origin.id("main~2")
    event = Event(kind="pull-request", host="gitlab", pull_request=7, base=base, target_branch="main")
    comparison = chosen(clone, event)
    assert facts(comparison) == (base, "gitlab-mr", "commit")
    assert comparison.why == f"pull request !7: the commit that GitLab names as its base ({base[:7]})"
    assert facts(chosen(clone, dataclasses.replace(event, base=None))) == (base, "gitlab-mr", "commit")


def test_a_gitlab_push(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    clone = origin.checkout("refs/heads/main", options=("--depth=2",))
    for back in (1, 3):
        comparison = chosen(clone, push(origin, origin.id(f"main~{back}"), host="gitlab"))
        assert facts(comparison) == (origin.id(f"main~{back}"), "gitlab-push", "published")


def test_gitlab_does_not_say_that_a_push_was_forced(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    event, old = forced(origin)
    event = dataclasses.replace(event, host="gitlab", is_forced=False)
    comparison = chosen(origin.checkout("refs/heads/work"), event)
    assert (*facts(comparison), comparison.discarded) == (origin.id("main~2"), "force-push", "published", old)


def test_a_gitlab_push_with_zeros(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    clone = origin.checkout("refs/heads/main", options=("--depth=2",))
    assert facts(chosen(clone, push(origin, None, host="gitlab"))) == (None, "new-branch", "published")
    origin.on("work", "main~2")
    origin.commit("work")
    event = push(origin, None, host="gitlab", branch="work")
    clone = origin.checkout("refs/heads/work", name="second")
    assert facts(chosen(clone, event)) == (origin.id("main~2"), "new-branch", "published")


# Local


def test_local_with_a_remote(origin: Folder, chosen: Callable[..., Comparison], said: list[str]) -> None:
    clone = origin.clone()
    base = clone.id()
    clone.on("work")
    clone.commit("work")
    comparison = chosen(clone)
    assert facts(comparison) == (base, "local", "commit")
    assert comparison.why == f"the merge base with origin/main ({base[:7]}), and what is not committed"
    clone.git("checkout", "-q", "--detach")
    assert facts(chosen(clone)) == (base, "local", "commit")
    clone.git("checkout", "-q", "main")
    clone.commit("not pushed")
    assert facts(chosen(clone)) == (base, "local", "commit")
    assert not said  # nothing is asked of the network


def test_local_in_a_forks_clone(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    clone = origin.clone()
    origin.commit("upstream went on")
    clone.git("remote", "add", "upstream", f"file://{origin.path}")
    clone.git("fetch", "-q", "upstream")
    clone.git("checkout", "-q", "-b", "work", "upstream/main")
    clone.commit("work")
    assert chosen(clone).commit == origin.id("main")
    assert "upstream/main" in chosen(clone).why


def test_local_where_the_default_branch_has_another_name(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    base = origin.id("main~1")
    origin.on("trunk", "main~1")
    clone = origin.clone()
    clone.on("work")
    clone.commit("work")
    assert chosen(clone).commit == base
    single = origin.clone("single", "--single-branch", "--branch=main")
    assert single.git("for-each-ref", "refs/remotes/origin/trunk") == ""
    single.git("update-ref", "-d", "refs/remotes/origin/main")
    assert chosen(single).commit == base


def test_local_without_a_remote(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    base = origin.id()
    comparison = chosen(origin)
    assert facts(comparison) == (None, "local", "published")
    assert comparison.why.startswith("there is no remote, and nothing but main: everything counts as changed")
    origin.on("work")
    origin.commit("work")
    assert facts(chosen(origin)) == (base, "local", "commit")
    origin.git("branch", "-m", "main", "odd")
    assert facts(chosen(origin)) == (None, "local", "published")
    assert "no default branch is known" in chosen(origin).why


def test_before_the_first_commit(tmp_path: Path, history_of: Opener, origin: Folder) -> None:
    origin.git("init", "-q", str(tmp_path / "new"))
    comparison = choose(LOCAL, history_of(tmp_path / "new"), head=None)
    assert comparison.why == "everything counts as changed: there is no commit yet"


def test_a_worktree_and_a_root_below_the_top(
    origin: Folder, chosen: Callable[..., Comparison], history_of: Opener, tmp_path: Path
) -> None:
    clone = origin.clone("clone", "--depth=1")
    clone.git("worktree", "add", "-q", str(tmp_path / "tree"))
    below = tmp_path / "tree" / "below"
    below.mkdir()
    history = history_of(below)
    base = origin.id("main~3")
    event = push(origin, base, is_forced=True)
    assert facts(choose(event, history, head=clone.id())) == (base, "github-push", "published")
    assert facts(chosen(tmp_path / "tree")) == (origin.id(), "local", "commit")


# What overrules


@pytest.mark.parametrize("host", ["github", "local"])
def test_since_overrules(origin: Folder, chosen: Callable[..., Comparison], host: Any, said: list[str]) -> None:
    event = Event(kind="unreadable", host=host, problem="x")
    origin.git("tag", "-a", "-m", "x", "v1", "main~1")
    wanted = {"v1": "main~1", "HEAD~2": "main~2", origin.id("main~3"): "main~3", origin.id("main~3")[:9]: "main~3"}
    for since, meant in wanted.items():
        assert facts(chosen(origin, event, since)) == (origin.id(meant), "argument", "commit")
    assert chosen(origin, event, "v1").why == f"asked for: --since v1 ({origin.id('main~1')[:7]})"
    assert facts(chosen(origin, event, "registry")) == (None, "registry", "registry")
    assert not chosen(origin, event, "registry").bases
    assert not said


def test_since_zeros_or_a_commit_that_is_gone_is_everything(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    assert facts(chosen(origin, since="0" * 40)) == (None, "everything", "everything")
    comparison = chosen(origin, since=GONE)
    assert facts(comparison) == (None, "everything", "everything")
    assert comparison.why.endswith("deaddea is not here: there is no remote to fetch it from")


def test_since_something_that_is_not_there(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    clones = (origin, origin.clone(), origin.clone("shallow", "--depth=1"))
    for folder in clones:
        for since in ("mian", "HEAD~99", "--all", "", "abc1234", origin.id("main^{tree}")):
            with pytest.raises(UsageError, match="there is no such commit"):
                chosen(folder, since=since)


def test_since_in_a_shallow_clone(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    origin.git("tag", "-a", "-m", "x", "v1", "main~1")
    origin.git("branch", "stable", "main~2")
    short = origin.id("main~3")[:9]
    meanings = {"v1": "main~1", "stable": "main~2", "origin/stable": "main~2", short: "main~3", "HEAD~2": "main~2"}
    for number, (since, meant) in enumerate(meanings.items()):
        clone = origin.clone(f"clone{number}", "--depth=1", "--no-tags")
        before = clone.refs()
        assert facts(chosen(clone, since=since)) == (origin.id(meant), "argument", "commit")
        assert clone.refs() == before


def test_an_event_that_is_not_understood_is_everything(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    comparison = chosen(origin, Event(kind="unreadable", host="github", problem="the event file is no JSON"))
    assert facts(comparison) == (None, "everything", "everything")
    assert comparison.why.endswith("the CI's event is not understood (the event file is no JSON)")


# Shallow and partial clones


@pytest.fixture
def refusing(origin: Folder, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """An origin of 80 commits that gives refs alone: protocol version 2 would give any commit."""
    for number in range(75):
        origin.git("commit", "-q", "--allow-empty", "-m", f"more{number}")
    origin.git("config", "uploadpack.allowAnySHA1InWant", "false")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "protocol.version")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "0")
    return origin


@pytest.mark.parametrize(("back", "steps"), [(20, ["50 commits more"]), (70, ["50 commits more", "500 commits more"])])
def test_a_remote_that_gives_no_commit_by_its_id(
    refusing: Folder, chosen: Callable[..., Comparison], said: list[str], back: int, steps: list[str]
) -> None:
    clone = refusing.checkout("refs/heads/main")
    refs = clone.refs()
    refusing.commit("the branch went on")
    before = refusing.id(f"main~{back}")
    event = dataclasses.replace(push(refusing, before), commit=clone.id())
    assert facts(chosen(clone, event)) == (before, "github-push", "published")
    assert said[0] == f"git: fetching {before[:7]} from origin"
    deepened = [line for line in said if "more of a shallow" in line]
    assert list(dict.fromkeys(deepened)) == [
        f"git: fetching {step} of a shallow clone's history from origin" for step in steps
    ]
    assert clone.refs() == refs


def test_the_history_of_another_branch_than_the_default_is_deepened(
    refusing: Folder, chosen: Callable[..., Comparison]
) -> None:
    refusing.on("work")
    for number in range(10):
        refusing.git("commit", "-q", "--allow-empty", "-m", f"work{number}")
    event = push(refusing, refusing.id("work~8"), branch="work")
    refusing.git("checkout", "-q", "main")
    assert chosen(refusing.checkout("refs/heads/work"), event).commit == refusing.id("work~8")


def test_the_history_of_a_commit_that_is_in_no_branch_any_more_is_deepened(
    origin: Folder, chosen: Callable[..., Comparison]
) -> None:
    event, old = forced(origin)
    clone = origin.checkout("refs/heads/work")
    origin.on("work", "main")  # what was checked out is in no branch any more
    comparison = chosen(clone, event)
    assert (*facts(comparison), comparison.discarded) == (origin.id("main~2"), "force-push", "published", old)


def test_the_whole_history_is_fetched_at_last(
    refusing: Folder, chosen: Callable[..., Comparison], said: list[str]
) -> None:
    clone = refusing.checkout("refs/heads/main")
    event = push(refusing, GONE, branch="work", default_branch="main")
    comparison = chosen(clone, event)
    assert facts(comparison) == (clone.id(), "new-branch", "published")
    assert not (clone.path / ".git" / "shallow").exists()


def test_an_origin_that_is_gone(origin: Folder, chosen: Callable[..., Comparison], said: list[str]) -> None:
    clones = {
        options: origin.checkout(origin.id(), options=options, name="c" + "".join(options))
        for options in [(), ("--depth=1",)]
    }
    before, older = origin.id("main~1"), origin.id("main~3")
    shallow = clones[("--depth=1",)]
    events = (
        push(origin, before),
        push(origin, None, branch="work"),
        push(origin, before, is_forced=True),
        Event(kind="pull-request", host="github", target=before, target_branch="main"),
        Event(kind="pull-request", host="gitlab", base=before),
        Event(kind="merge-group", host="github", base=before),
        tag(),
        LOCAL,
    )
    shutil.rmtree(origin.path)
    for event in events:
        comparison = chosen(shallow, event)
        assert facts(comparison) == (None, "everything", "everything")
        assert "origin fails: '" in comparison.why
        assert "does not appear to be a git repository" in comparison.why
    said.clear()
    assert chosen(shallow, since=older).against == "everything"
    assert len(said) == 1  # what is gone is not asked again
    assert facts(chosen(clones[()], events[0])) == (before, "github-push", "published")
    assert facts(chosen(clones[()], since=older)) == (older, "argument", "commit")


def test_a_remote_that_never_answers(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    clone = origin.checkout("refs/heads/main")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://user:s3cret@127.0.0.1:{server.getsockname()[1]}/r.git"
        clone.git("remote", "set-url", "origin", address)
        comparison = chosen(clone, push(origin, origin.id("main~1")), seconds=0.5)
    assert facts(comparison) == (None, "everything", "everything")
    assert comparison.why.endswith("origin did not answer within 0.5 seconds")


def test_credentials_of_an_address_are_not_told(origin: Folder, chosen: Callable[..., Comparison]) -> None:
    clone = origin.checkout("refs/heads/main")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    clone.git("remote", "set-url", "origin", f"http://user:s3cret@127.0.0.1:{port}/r.git")
    comparison = chosen(clone, push(origin, origin.id("main~1")))
    assert comparison.against == "everything"
    assert f"127.0.0.1:{port}" in comparison.why
    assert "s3cret" not in comparison.why


def test_an_address_in_gits_own_words_loses_its_credentials() -> None:
    done = Completed(("git",), 128, b"", b"warning: x\nfatal: unable to access 'https://user:s3cret@host/r': gone\n")
    assert cause(done) == "unable to access 'https://host/r': gone"


def test_a_partial_clone(origin: Folder, chosen: Callable[..., Comparison], said: list[str]) -> None:
    clone = origin.clone("clone", "--filter=blob:none", "--no-checkout")
    base = clone.id()
    clone.git("checkout", "-q", "-b", "work")
    clone.commit("work")
    assert facts(chosen(clone)) == (base, "local", "commit")
    assert not said
    origin.git("checkout", "-q", "--detach")
    new = origin.commit("in no branch")
    assert facts(chosen(clone, push(clone, new, is_forced=True))) == (base, "force-push", "published")
    assert said == [f"git: fetching {new[:7]} from origin"]
    assert clone.git("config", "remote.origin.partialclonefilter") == "blob:none"


def test_a_partial_clone_fetches_nothing_unsaid(
    origin: Folder, chosen: Callable[..., Comparison], said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = origin.clone("clone", "--filter=blob:none", "--depth=1")
    shutil.rmtree(origin.path)
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    comparison = chosen(clone, push(clone, GONE))
    assert comparison.against == "everything"
    assert (tmp_path / "trace").read_text().count("upload-pack") <= 2 * len(said)
    assert os.listdir(clone.path / ".git" / "objects" / "pack")  # noqa: PTH208
