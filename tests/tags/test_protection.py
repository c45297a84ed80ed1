"""A pull request, a fork or a feature branch never moves what users pull."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.errors import UsageError
from imagewright.events.event import Event
from imagewright.events.trust import restriction
from imagewright.tags.policy import given_naming, name_image
from imagewright.tags.protection import is_version, matches
from tests.tags.occasions import (
    HEAD,
    MERGE,
    AnImage,
    at,
    github,
    gitlab,
    local,
    member,
    pull_request,
    push,
    settings,
    tagged,
    tags,
    withheld,
)

APP = AnImage(layer="base", version="1.2.3")
FORK = pull_request("main", fork="them/images")
GONE = Event(kind="pull-request", host="github", branch="main", default_branch="main", pull_request=7, is_fork=True)
UNREADABLE = Event(kind="unreadable", host="github", problem="?")
MERGE_GROUP = github("merge_group", "refs/heads/main", {"merge_group": {"base_ref": "refs/heads/main"}})
UNKNOWN_DEFAULT = Event(kind="push", host="gitlab", branch="main")
RESTRICTED = [
    pull_request(),
    pull_request("main"),
    FORK,
    GONE,
    replace(FORK, tag="v1.2.3"),
    push("work"),
    push("Main"),
    local("work"),
    github("schedule", "refs/heads/work"),
    github("workflow_dispatch", "refs/heads/work"),
    github("workflow_dispatch", "refs/pull/7/merge"),
    MERGE_GROUP,
    UNREADABLE,
    UNKNOWN_DEFAULT,
    gitlab("merge_request_event", CI_MERGE_REQUEST_IID="7", CI_COMMIT_TAG="v1", CI_MERGE_REQUEST_PROJECT_ID="1"),
    gitlab("web"),
]
GREEDY = settings("""
    protected: [latest, stable, "*-stable", "edge*"]
    rules:
      greedy:
        tags: [latest, edge, "{name}-stable", "1.2", "{version}", "v{version}", main, "{branch}", "{date}", "{git_tag}"]
        aliases: true
""")


@pytest.mark.parametrize("event", RESTRICTED, ids=lambda event: f"{event.host} {event.kind} {event.branch}")
@pytest.mark.parametrize("image", [APP, member("1.2.3", "1.2", "1", "stable", is_latest=True)], ids=["app", "member"])
def test_no_rule_gives_what_is_protected(event: Event, image: AnImage) -> None:
    naming = name_image(image, at(event), GREEDY)
    found = tags(naming)
    assert not [tag for tag in found if matches(tag, ["latest", "stable", "*-stable", "edge*"])]
    assert "main" not in found
    own = "1.2.3-" if image.own_tag else "no"
    assert not [tag for tag in found if is_version(tag) and not tag.startswith(own)]
    held = withheld(naming)
    assert {"latest", "1.2.3", "1.2"} <= held.keys()
    assert all("never" in held[tag] for tag in ("latest", "1.2.3", "1.2"))


def test_the_prefix_of_an_image_that_shares_its_repository_lifts_nothing() -> None:
    naming = name_image(replace(APP, publishes=("base-*",)), at(pull_request()), GREEDY)
    assert tags(naming) == ["base-pr-7-0123456", "base-pr-7", "base-feature-a-951d42dc"]
    assert {"base-latest", "base-1.2.3", "base-1.2", "base-main"} <= withheld(naming).keys()


@pytest.mark.parametrize("event", [push(), local(), local("work", None), local(None, None), tagged("v1.2.3")])
def test_others_may(event: Event) -> None:
    naming = name_image(APP, at(event), GREEDY)
    assert {"latest", "app-stable", "1.2.3", "v1.2.3", "edge"} <= set(tags(naming))


@given(
    st.sampled_from(RESTRICTED),
    st.text(min_size=1, max_size=20)
    | st.sampled_from(["latest", "stable", "x-stable", "1.2", "v1", "main", "Main", "edge", "2025.10", "1-stable"]),
    st.sampled_from(["{branch}", "{branch}-stable", "{name}-{branch}", "v{branch}", "{git_tag}", "{layer}"]),
)
def test_no_name_of_a_branch_takes_what_is_protected(event: Event, name: str, template: str) -> None:
    """Whatever somebody calls a branch, a tag or a layer."""
    own = settings(f"rules: {{mine: {{tags: ['{template}']}}}}")
    image = AnImage(layer=name)
    pushed = replace(event, branch=name if event.branch != "main" else "main", tag=name if event.tag else None)
    if restriction(pushed) is None:
        return
    for tag in (one.tag for one in name_image(image, at(pushed), own).tags if one.kind != "fixed"):
        assert tag not in ("latest", "stable", "main")
        assert not tag.endswith("-stable")
        assert not is_version(tag)


def test_a_forks_branch_is_no_branch_of_ours() -> None:
    own = settings("rules: {branch: {tags: ['{branch}', 'x-{branch}']}}")
    assert tags(name_image(APP, at(pull_request("develop", fork="them/images")), own)) == ["pr-7-0123456", "pr-7"]
    assert tags(name_image(APP, at(pull_request("develop")), own))[-2:] == ["develop", "x-develop"]


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (pull_request(), "pull request #7 never moves latest"),
        (FORK, "pull request #7 of a fork never moves latest"),
        (push("work"), "the branch work (the default one is main) never moves latest"),
        (MERGE_GROUP, "a merge queue's trial never moves latest"),
        (UNKNOWN_DEFAULT, "a run whose default branch is not known never moves latest"),
    ],
)
def test_it_is_said_why(event: Event, why: str) -> None:
    assert withheld(name_image(APP, at(event), settings()))["latest"] == why


@pytest.mark.parametrize("name", ["workflow_run", "issue_comment", "workflow_dispatch", "schedule"])
def test_another_commit_than_the_cis_is_not_on_its_branch(name: str) -> None:
    """A run after another run says main, and may have checked out somebody's fork."""
    event = github(name, "refs/heads/main")
    assert "latest" in tags(name_image(APP, at(event), settings()))
    naming = name_image(APP, at(event, commit=MERGE), settings())
    assert "latest" not in tags(naming)
    assert "1.2.3" not in tags(naming)
    assert withheld(naming)["latest"] == (
        "commit fffffff, which is not the one that the CI was started for, never moves latest"
    )
    assert "main" not in tags(naming)
    with pytest.raises(UsageError, match="latest is protected"):
        given_naming(APP, ["latest"], at(event, commit=MERGE), settings())
    own = settings("rules: {mine: {tags: [mine], when: {default_branch: true}}}")
    assert withheld(name_image(APP, at(event, commit=MERGE), own))["mine"] == "only the default branch, main, gives it"


# By hand


@pytest.mark.parametrize("tag", ["latest", "stable", "base-stable", "1.2.3", "v1", "1", "20251121", "main", "edge-1"])
@pytest.mark.parametrize("event", RESTRICTED, ids=lambda event: f"{event.host} {event.kind} {event.branch}")
def test_nobody_gives_by_hand_what_is_protected(event: Event, tag: str) -> None:
    with pytest.raises(UsageError, match=f"the tag {tag} is protected: ") as caught:
        given_naming(APP, ["mine", tag], at(event), GREEDY)
    assert caught.value.hint
    assert ("--branch main" in caught.value.hint) == (event.kind == "local")


def test_what_is_given_by_hand() -> None:
    naming = given_naming(APP, ["mine", f"x-{HEAD[:7]}", "mine"], at(pull_request()), settings())
    assert [(one.tag, one.kind, one.rule) for one in naming.tags] == [
        ("mine", "moving", "given"),
        ("x-0123456", "fixed", "given"),
    ]
    naming = given_naming(APP, ["latest", "1.2.3", "1.2"], at(push()), settings())
    assert [(one.kind, one.version) for one in naming.tags] == [
        ("moving", None),
        ("version", "1.2.3"),
        ("version", "1.2"),
    ]


def test_a_pull_request_is_not_called_by_another_commit() -> None:
    occasion = at(pull_request(), commit=MERGE)
    for own in (HEAD[:7], HEAD, MERGE[:7]):
        assert given_naming(APP, [f"sha-{own}"], occasion, settings()).tags[0].kind == "fixed"
    with pytest.raises(UsageError, match="it names another commit"):
        given_naming(APP, ["sha-abcdef0"], occasion, settings())
    assert given_naming(APP, ["sha-abcdef0"], at(push()), settings()).tags[0].kind == "moving"


def test_a_commit_of_digits_is_no_version() -> None:
    digits = "12345" * 8
    own = settings("rules: {mine: {tags: ['{sha7}', '{sha}']}}")
    event = replace(pull_request(), head=digits)
    assert tags(name_image(AnImage(), at(event), own))[1:3] == [digits[:7], digits]
    assert given_naming(APP, [digits[:7]], at(event), settings()).tags[0].kind == "fixed"


def test_a_variants_alias_is_protected_too() -> None:
    image = member("3.13.7-semantic", "3-semantic")
    with pytest.raises(UsageError, match="never gives a version"):
        given_naming(image, ["3-semantic"], at(pull_request()), settings())
    assert given_naming(image, ["3-other"], at(pull_request()), settings()).tags[0].kind == "moving"
