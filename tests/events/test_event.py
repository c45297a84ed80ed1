"""What the CI's environment says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imagewright.events.ci import read_event
from imagewright.events.event import Event, is_full_id, is_zero_id

A, B, C, ZERO = "a" * 40, "b" * 40, "c" * 40, "0" * 40
REPOSITORY = {"default_branch": "trunk", "full_name": "me/images"}


def github(name: str, payload: Any, **variables: str) -> Event:
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": "/event.json"}
    environ |= {"GITHUB_SHA": A, "GITHUB_REF": "refs/heads/work", **variables}
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return read_event(environ, {"/event.json": content}.__getitem__)


def gitlab(source: str, **variables: str) -> Event:
    environ = {"GITLAB_CI": "true", "CI_PIPELINE_SOURCE": source, "CI_COMMIT_SHA": A, "CI_DEFAULT_BRANCH": "trunk"}
    return read_event(environ | variables, _no_file)


def _no_file(path: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", path)


def test_ids() -> None:
    assert is_full_id(A)
    assert is_full_id("a" * 64)
    assert not is_full_id("a" * 39)
    assert not is_full_id("A" * 40)
    assert not is_full_id(f"{A}\n")
    assert not is_full_id(ZERO)
    assert is_zero_id(ZERO)
    assert not is_zero_id("0")
    assert not is_zero_id(A)


def test_no_ci_is_local() -> None:
    assert read_event({"CI": "true"}, _no_file) == Event(kind="local", host="local")
    assert read_event({"GITHUB_ACTIONS": "false", "GITLAB_CI": ""}, _no_file).kind == "local"


def test_github_push() -> None:
    event = github("push", {"before": B, "forced": False, "repository": REPOSITORY})
    assert (event.kind, event.host, event.commit, event.before) == ("push", "github", A, B)
    assert (event.branch, event.default_branch) == ("work", "trunk")
    assert (event.tag, event.pull_request, event.is_forced, event.is_fork) == (None, None, False, False)
    assert event.origins["branch"] == "GITHUB_REF"
    assert event.origins["before"] == "the event file's before"
    assert event.origins["default_branch"] == "the event file's repository.default_branch"


def test_github_push_of_a_new_branch() -> None:
    event = github("push", {"before": ZERO, "created": True, "repository": REPOSITORY})
    assert (event.kind, event.before) == ("push", None)
    assert "before" not in event.origins


def test_github_forced_push() -> None:
    assert github("push", {"before": B, "forced": True}).is_forced


def test_github_deletion_is_about_no_commit() -> None:
    event = github("push", {"before": B, "deleted": True}, GITHUB_SHA=ZERO)
    assert (event.kind, event.commit) == ("manual", None)
    assert github("delete", {"ref": "work", "ref_type": "branch"}).kind == "manual"


@pytest.mark.parametrize("name", ["push", "create", "release"])
def test_github_tag(name: str) -> None:
    event = github(name, {"before": ZERO}, GITHUB_REF="refs/tags/v1/rc")
    assert (event.kind, event.tag, event.branch) == ("tag", "v1/rc", None)


def test_github_branch_creation() -> None:
    event = github("create", {"ref": "work", "ref_type": "branch"})
    assert (event.kind, event.branch, event.before) == ("push", "work", None)


def pull_request(**more: Any) -> dict[str, Any]:
    return {
        "repository": REPOSITORY,
        "pull_request": {
            "number": 7,
            "head": {"ref": "work", "sha": C, "repo": {"full_name": "me/images"}},
            "base": {"ref": "stable", "sha": B, "repo": {"full_name": "me/images"}},
            **more,
        },
    }


@pytest.mark.parametrize("name", ["pull_request", "pull_request_target", "pull_request_review"])
def test_github_pull_request(name: str) -> None:
    event = github(name, pull_request(), GITHUB_REF="refs/pull/7/merge", GITHUB_BASE_REF="stable")
    assert (event.kind, event.name, event.pull_request, event.is_fork) == ("pull-request", name, 7, False)
    assert (event.commit, event.head, event.target, event.target_branch) == (A, C, B, "stable")
    assert (event.branch, event.default_branch) == ("work", "trunk")


@pytest.mark.parametrize("repo", [None, {"full_name": "them/images"}, {}])
def test_github_pull_request_of_a_fork_or_of_one_that_is_gone(repo: dict[str, str] | None) -> None:
    head = {"ref": "work", "sha": C, "repo": repo}
    assert github("pull_request", pull_request(head=head)).is_fork
    assert github("pull_request", pull_request(head=head, base={"ref": "stable", "sha": B})).is_fork


def test_github_merge_group() -> None:
    group = {"base_sha": B, "base_ref": "refs/heads/trunk", "head_sha": A, "head_ref": "refs/heads/q/trunk/pr-7"}
    event = github("merge_group", {"merge_group": group}, GITHUB_REF="refs/heads/q/trunk/pr-7")
    assert (event.kind, event.base, event.target_branch) == ("merge-group", B, "trunk")
    assert event.branch == "q/trunk/pr-7"


def test_github_schedule_and_what_is_about_no_commit() -> None:
    assert github("schedule", {"schedule": "0 4 * * *"}).kind == "schedule"
    for name in ("workflow_dispatch", "repository_dispatch", "workflow_run", "issue_comment", "future_event"):
        assert github(name, {"repository": REPOSITORY}).kind == "manual"
    on_a_tag = github("workflow_dispatch", {}, GITHUB_REF="refs/tags/v1")
    assert (on_a_tag.kind, on_a_tag.tag) == ("manual", "v1")


@pytest.mark.parametrize(
    ("name", "payload", "problem"),
    [
        ("push", b"{", "the event file is no JSON"),
        ("push", b"\xff", "the event file is no JSON"),
        ("push", b"[" * 100_000, "the event file is no JSON"),
        ("push", [], "the event file is no JSON object"),
        ("push", {}, "the event file of a push has no `before`"),
        ("push", {"before": 7}, "the event file's before is no commit id"),
        ("push", {"before": "--upload-pack=x"}, "the event file's before is no commit id"),
        ("push", {"before": B, "forced": "no"}, "the event file's forced is neither true nor false"),
        ("push", {"before": B, "repository": "me"}, "the event file's repository.default_branch is not there"),
        ("pull_request", pull_request(number="7"), "the event file's pull_request.number is no number"),
        ("merge_group", {"merge_group": {"base_sha": "x"}}, "the event file's merge_group.base_sha is no commit id"),
        ("merge_group", {"merge_group": {"base_ref": 1}}, "the event file's merge_group.base_ref is no text"),
        ("", {}, "GITHUB_EVENT_NAME is not set"),
    ],
)
def test_a_github_event_that_is_not_understood(name: str, payload: Any, problem: str) -> None:
    assert github(name, payload) == Event(kind="unreadable", host="github", problem=problem)


def test_an_event_file_that_is_not_there() -> None:
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": "/gone"}
    problem = "the event file cannot be read (No such file or directory)"
    assert read_event(environ, _no_file) == Event(kind="unreadable", host="github", problem=problem)
    del environ["GITHUB_EVENT_PATH"]
    assert read_event(environ, _no_file).problem == "GITHUB_EVENT_PATH is not set"


def test_a_broken_commit_in_the_environment() -> None:
    assert github("push", {"before": B}, GITHUB_SHA="main").problem == "GITHUB_SHA is no commit id"


def test_gitlab_push() -> None:
    event = gitlab("push", CI_COMMIT_BRANCH="work", CI_COMMIT_BEFORE_SHA=B)
    assert (event.kind, event.host, event.commit, event.before) == ("push", "gitlab", A, B)
    assert (event.branch, event.default_branch) == ("work", "trunk")
    assert event.origins["before"] == "CI_COMMIT_BEFORE_SHA"
    assert gitlab("push", CI_COMMIT_BRANCH="work", CI_COMMIT_BEFORE_SHA=ZERO).before is None


def test_gitlab_tag() -> None:
    event = gitlab("push", CI_COMMIT_TAG="v1", CI_COMMIT_BEFORE_SHA=ZERO)
    assert (event.kind, event.tag, event.branch) == ("tag", "v1", None)


MERGE_REQUEST = {
    "CI_MERGE_REQUEST_IID": "7",
    "CI_MERGE_REQUEST_DIFF_BASE_SHA": B,
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "work",
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "stable",
    "CI_MERGE_REQUEST_PROJECT_ID": "1",
    "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "1",
}


@pytest.mark.parametrize("source", ["merge_request_event", "parent_pipeline"])
def test_gitlab_merge_request(source: str) -> None:
    event = gitlab(source, **MERGE_REQUEST)
    assert (event.kind, event.pull_request, event.base, event.is_fork) == ("pull-request", 7, B, False)
    assert (event.branch, event.target_branch) == ("work", "stable")
    assert gitlab(source, **MERGE_REQUEST | {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "2"}).is_fork
    assert (
        gitlab(source, **MERGE_REQUEST | {"CI_MERGE_REQUEST_IID": "x"}).problem == "CI_MERGE_REQUEST_IID is no number"
    )


def test_gitlab_external_pull_request() -> None:
    event = gitlab(
        "external_pull_request_event",
        CI_EXTERNAL_PULL_REQUEST_IID="3",
        CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY="them/r",
        CI_EXTERNAL_PULL_REQUEST_TARGET_REPOSITORY="me/r",
        CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_SHA=B,
        CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME="stable",
    )
    assert (event.kind, event.pull_request, event.target, event.is_fork) == ("pull-request", 3, B, True)


def test_gitlab_schedule_and_what_is_about_no_commit() -> None:
    assert gitlab("schedule", CI_COMMIT_TAG="v1").kind == "schedule"
    for source in ("web", "api", "trigger", "pipeline", "parent_pipeline", "chat", "future"):
        event = gitlab(source, CI_COMMIT_BRANCH="work", CI_COMMIT_BEFORE_SHA=ZERO)
        assert (event.kind, event.branch, event.before) == ("manual", "work", None)
    assert gitlab("").problem == "CI_PIPELINE_SOURCE is not set"
