"""What one image is called on each occasion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.config.load import load_bytes
from imagewright.errors import ConfigError, UsageError
from imagewright.events.event import Event
from imagewright.images.catalog import catalog
from imagewright.images.model import Found
from imagewright.references import is_tag
from imagewright.tags.clashes import clashes
from imagewright.tags.model import Tag
from imagewright.tags.policy import given_tags, name_image, places_to_look
from tests.tags.occasions import (
    DATE,
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

APP, PLAIN = AnImage(), settings()
PR = ["pr-7-0123456", "pr-7"]
MERGE_REQUEST = {
    "CI_MERGE_REQUEST_IID": "7",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "work",
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
    "CI_MERGE_REQUEST_PROJECT_ID": "1",
    "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "1",
}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (local(), ["dev", "sha-0123456", "main", "latest"]),
        (local("work"), ["dev", "sha-0123456", "work"]),
        (local("work", None), ["dev", "sha-0123456", "work"]),
        (local(None), ["dev", "sha-0123456"]),
        (local(None, tag="v1.2.3"), ["dev", "1.2.3", "1.2", "1", "sha-0123456"]),
        (push(), ["sha-0123456", "main", "latest"]),
        (push("work"), ["sha-0123456", "work"]),
        (push("feature/a"), ["sha-0123456", "feature-a-951d42dc"]),
        (tagged("v1.2.3"), ["1.2.3", "1.2", "1", "sha-0123456"]),
        (tagged("2025.09"), ["2025.09", "2025", "sha-0123456"]),
        (tagged("v1.2.3.4"), ["1.2.3.4", "1.2.3", "1.2", "1", "sha-0123456"]),
        (tagged("v2.0.0-rc1"), ["2.0.0-rc1", "sha-0123456"]),
        (pull_request(), PR),
        (pull_request(fork="them/images"), PR),
        (pull_request("main", fork="them/images"), PR),
        (github("schedule", "refs/heads/main"), ["sha-0123456", "main", "latest", DATE]),
        (github("workflow_dispatch", "refs/heads/main"), ["sha-0123456", "main", "latest"]),
        (github("workflow_dispatch", "refs/heads/work"), ["sha-0123456", "work"]),
        (github("workflow_dispatch", "refs/tags/v1.2"), ["1.2", "1", "sha-0123456"]),
        (github("merge_group", "refs/heads/q/main/pr-7", {"merge_group": {"base_ref": "main"}}), ["sha-0123456"]),
        (github("push", "refs/heads/main"), ["sha-0123456"]),  # unreadable: it has no `before`
        (gitlab("push", CI_COMMIT_BRANCH="main"), ["sha-0123456", "main", "latest"]),
        (gitlab("push", CI_COMMIT_TAG="v1.2.3"), ["1.2.3", "1.2", "1", "sha-0123456"]),
        (gitlab("web", CI_COMMIT_BRANCH="work"), ["sha-0123456", "work"]),
        (gitlab("merge_request_event", CI_MERGE_REQUEST_SOURCE_BRANCH_SHA=HEAD, **MERGE_REQUEST), PR),
    ],
)
def test_the_tags_of_each_event(event: Event, expected: list[str]) -> None:
    assert tags(name_image(APP, at(event), PLAIN)) == expected


@pytest.mark.parametrize("fork", ["me/images", "them/images"])
def test_a_pull_request_is_called_by_its_own_commit(fork: str) -> None:
    """What is checked out is a commit that merges it, which nobody knows."""
    naming = name_image(APP, at(pull_request(fork=fork), commit=MERGE), PLAIN)
    assert tags(naming) == ["pr-7-0123456", "pr-7"]
    assert naming.tags[0].why == "pull request #7, commit 0123456"


def test_why() -> None:
    layered = AnImage(layer="base", version="2.1")
    naming = name_image(layered, at(local()), PLAIN)
    assert [(one.tag, one.kind, one.rule, one.why) for one in naming.tags] == [
        ("dev", "moving", "work", "work on this machine"),
        ("2.1", "version", "version", "its version in config/images.yml, the default branch, main"),
        ("2", "alias", "version", "alias of 2.1"),
        ("sha-0123456", "fixed", "commit", "commit 0123456"),
        ("main", "moving", "branch", "the branch main"),
        ("latest", "moving", "latest", "the default branch, main"),
        ("base-0123456", "fixed", "layer", "the layer base, commit 0123456"),
        ("base-stable", "moving", "layer-stable", "the layer base, the default branch, main"),
    ]
    assert naming.tags[1] == Tag(tag="2.1", kind="version", rule="version", why=naming.tags[1].why, version="2.1")
    assert naming.tags[2].version == "2.1"
    assert naming.withheld == ()


# What is not committed


def test_a_changed_work_tree_is_work_and_nothing_else() -> None:
    naming = name_image(AnImage(layer="base", version="1.2"), at(local(), dirty=True), PLAIN)
    assert tags(naming) == ["dev"]
    differs = "the work tree differs from its commit"
    assert withheld(naming) == dict.fromkeys(
        ["1.2", "1", "sha-0123456", "main", "latest", "base-0123456", "base-stable"], differs
    )


def test_a_changed_work_tree_in_a_ci_is_nothing() -> None:
    naming = name_image(APP, at(push(), dirty=True), PLAIN)
    assert tags(naming) == []
    assert set(withheld(naming)) == {"sha-0123456", "main", "latest"}


def test_before_the_first_commit_there_is_only_work() -> None:
    naming = name_image(AnImage(version="1"), at(local(), commit=None), PLAIN)
    assert tags(naming) == ["dev"]
    assert withheld(naming)["latest"] == "there is no commit yet"


def test_a_rule_for_work_by_another_name() -> None:
    own = settings("rules: {work: false, mine: {tags: ['{name}-wip', '{name}-{sha7}'], when: {event: [local]}}}")
    naming = name_image(APP, at(local(), dirty=True), own)
    assert tags(naming) == ["app-wip"]
    assert withheld(naming)["app-0123456"] == "the work tree differs from its commit", "it names the commit"


def test_without_git_the_version_of_the_file_is_given() -> None:
    naming = name_image(AnImage(version="1.2"), at(local(None, None), commit=None), PLAIN)
    assert tags(naming) == ["dev", "1.2", "1"]
    assert naming.withheld == ()


# Versions


def test_the_version_of_the_file_is_the_default_branchs() -> None:
    image = AnImage(version="0.31.0")
    assert tags(name_image(image, at(push()), PLAIN))[:3] == ["0.31.0", "0.31", "0"]
    assert "0.31.0" not in tags(name_image(image, at(github("schedule", "refs/heads/main")), PLAIN))
    on_a_branch = name_image(image, at(push("work")), PLAIN)
    assert tags(on_a_branch) == ["sha-0123456", "work"]
    assert withheld(on_a_branch)["0.31.0"] == "the branch work (the default one is main) never gives a version"
    assert withheld(on_a_branch)["0.31"] == withheld(on_a_branch)["0.31.0"]


def test_the_strategy_is_the_images_or_that_of_all() -> None:
    def names(image: AnImage, text: str) -> list[str]:
        return [one.tag for one in name_image(image, at(push()), settings(text)).tags if one.kind == "alias"]

    assert names(AnImage(version="1.2.3.4"), "") == ["1.2.3", "1.2", "1"]
    assert names(AnImage(version="1.2.3"), "aliases: none") == []
    assert names(AnImage(version="1.2.3", alias_strategy="parts"), "aliases: none") == ["1.2", "1"]
    assert names(AnImage(version="1.2.3.4"), "aliases: semver") == []
    assert names(AnImage(version="1.2.3", alias_strategy="none"), "") == []


def test_a_version_that_is_none_is_given_as_it_is() -> None:
    naming = name_image(AnImage(version="trixie"), at(push()), PLAIN)
    assert (naming.tags[0].tag, naming.tags[0].kind) == ("trixie", "version")


def test_a_leading_v_is_kept_where_the_template_has_it() -> None:
    own = settings("rules: {release: {tags: ['{git_tag}'], aliases: true}}")
    assert tags(name_image(APP, at(tagged("v1.2.3")), own))[:3] == ["v1.2.3", "v1.2", "v1"]


def test_a_git_tag_that_is_no_version_is_said() -> None:
    naming = name_image(APP, at(tagged("nightly/x")), PLAIN)
    assert tags(naming) == ["sha-0123456"]
    assert withheld(naming) == {"nightly/x": "the git tag nightly/x is no version, such as v1.2.3"}


@pytest.mark.parametrize("tag", ["v1.2.3+build.5", "1.2+x"])
def test_a_git_tag_with_build_metadata_is_no_tag_of_an_image(tag: str) -> None:
    with pytest.raises(UsageError, match=r"'\+' is not allowed") as caught:
        name_image(APP, at(tagged(tag)), PLAIN)
    assert f"--git-tag {tag.partition('+')[0]}" in (caught.value.hint or "")
    assert tags(name_image(APP, at(tagged(tag)), settings("rules: {release: false}"))) == ["sha-0123456"]


def test_an_explicit_tag_wins_over_an_alias_and_that_is_said() -> None:
    own = settings("rules: {old: {tags: ['9'], when: {event: [push]}}}")
    naming = name_image(AnImage(version="9.0.1"), at(push()), own)
    assert {one.tag: one.kind for one in naming.tags} == {
        "9.0.1": "version",
        "9.0": "alias",
        "sha-0123456": "fixed",
        "main": "moving",
        "latest": "moving",
        "9": "moving",
    }
    assert withheld(naming) == {"9": "alias of 9.0.1, but the image has a tag 9 of its own"}


# Rules of the file


def test_a_rule_is_replaced_switched_off_or_added() -> None:
    own = settings("""
        rules:
          branch: {tags: ["{branch}-{sha7}"]}
          latest: false
          commit: false
          edge: {tags: [edge, "{name}-{date}"], when: {default_branch: true}}
    """)
    assert tags(name_image(APP, at(push()), own)) == ["main-0123456", "edge", "app-20251121"]
    on_a_branch = name_image(APP, at(push("work")), own)
    assert tags(on_a_branch) == ["work-0123456"]
    assert withheld(on_a_branch)["edge"] == "only the default branch, main, gives it"


@pytest.mark.parametrize(
    ("when", "event", "holds"),
    [
        ("{event: [push, tag]}", push(), True),
        ("{event: [push, tag]}", tagged("v1"), True),
        ("{event: [push, tag]}", local(), False),
        ("{default_branch: true}", push(), True),
        ("{default_branch: true}", push("work"), False),
        ("{default_branch: true}", pull_request("main", fork="them/images"), False),
        ("{default_branch: false}", push("work"), True),
        ("{default_branch: false}", push(), False),
        ("{branch: [release/*]}", push("release/1"), True),
        ("{branch: [release/*]}", push(), False),
        ("{branch: ['*']}", tagged("v1"), False),
        ("{git_tag: [v*]}", tagged("v1"), True),
        ("{git_tag: [v*]}", tagged("1"), False),
        ("{git_tag: ['*']}", push(), False),
        ("{image: [ap*]}", push(), True),
        ("{image: [base]}", push(), False),
        ("{layer: [top]}", push(), True),
        ("{layer: [base]}", push(), False),
        ("{event: [push], image: [app], layer: [top], branch: [main], default_branch: true}", push(), True),
        ("{event: [push], image: [base]}", push(), False),
    ],
)
def test_conditions(when: str, event: Event, holds: bool) -> None:
    own = settings(f"rules: {{x: {{tags: [found], when: {when}}}}}")
    assert ("found" in tags(name_image(AnImage(layer="top"), at(event), own))) == holds


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{sha}", HEAD),
        ("{sha7}", HEAD[:7]),
        ("on-{branch}", "on-main"),
        ("x-{date}", f"x-{DATE}"),
        ("{layer}", "The-Top-37b5f8f2"),
        ("{name}.{version}", "app.1.2"),
        ("{pr}", None),
        ("{git_tag}", None),
        ("{branch}-{pr}", None),
    ],
)
def test_placeholders(template: str, expected: str | None) -> None:
    own = settings(f"rules: {{x: {{tags: ['{template}']}}}}")
    naming = name_image(AnImage(layer="The Top", version="1.2"), at(push()), own)
    assert [one.tag for one in naming.tags if one.rule == "x"] == ([expected] if expected else [])


def test_the_first_is_the_one_to_refer_to() -> None:
    image = AnImage(version="1.2", layer="base")
    assert tags(name_image(image, at(local()), PLAIN))[0] == "dev"
    assert tags(name_image(image, at(push()), PLAIN))[0] == "1.2"
    assert tags(name_image(APP, at(push()), PLAIN))[0] == "sha-0123456"
    assert tags(name_image(APP, at(pull_request()), PLAIN))[0] == "pr-7-0123456"


# What the values make of a template


def test_a_tag_that_gets_too_long_is_an_error_that_names_its_rule() -> None:
    own = settings(f"rules: {{mine: {{tags: ['{'x' * 100}-{{sha}}']}}}}")
    with pytest.raises(ConfigError, match=r"`tags\.rules\.mine`: .* with 141 characters") as caught:
        name_image(APP, at(push()), own)
    assert caught.value.hint == "a tag has 128 at most"


def test_a_long_branch_is_shortened_and_a_long_rest_is_an_error() -> None:
    long = "feature/" + "x" * 200
    own = settings("rules: {branch: {tags: ['{name}-{branch}-{sha}']}}")
    found = tags(name_image(APP, at(push(long)), own))[-1]
    assert len(found) <= 128
    assert found.startswith("app-feature-xxx")
    assert found.endswith(f"-{HEAD}")
    for image in (AnImage(publishes=("of-the-base-*",)), member("3.13.7-semantic")):
        assert {len(tag) for tag in tags(name_image(image, at(push(long)), own)) if "xxx" in tag} == {128}
    with pytest.raises(ConfigError, match=r"`tags\.rules\.branch`"):
        name_image(AnImage(name="n" * 80), at(push(long)), own)


@given(st.text(min_size=1, max_size=150), st.sampled_from(["{branch}", "{branch}-{sha7}", "b.{branch}.{branch}"]))
def test_every_branch_gives_a_legal_tag(branch: str, template: str) -> None:
    own = settings(f"rules: {{branch: {{tags: ['{template}']}}}}")
    event = Event(kind="push", host="github", branch=branch, default_branch="main")
    for image in (APP, AnImage(publishes=("app-*",)), member("3.13.7")):
        naming = name_image(image, at(event), own)
        assert all(is_tag(tag) for tag in tags(naming))
        assert sum(one.rule == "branch" for one in naming.tags) == int(branch != "main" or image.own_tag is None)


# Images that share a repository


def test_the_tags_of_an_image_that_shares_its_repository() -> None:
    image = AnImage(publishes=("base-*",), layer="base", version="1.2")
    assert tags(name_image(image, at(push()), PLAIN)) == [
        "base-1.2",
        "base-1",
        "base-sha-0123456",
        "base-0123456",
        "base-main",
        "base-latest",
        "base-stable",
    ]
    assert name_image(image, at(push()), PLAIN).tags[0].version == "1.2"
    assert tags(name_image(AnImage(publishes=("[0-9]*", "v*")), at(local("work")), PLAIN)) == [
        "vdev",
        "vsha-0123456",
        "vwork",
    ]


# Families


def test_a_member_of_a_family() -> None:
    old, new = member("3.13.6"), member("3.13.7", "3.13", "3", is_latest=True)
    assert tags(name_image(new, at(push()), PLAIN)) == ["3.13.7", "3.13", "3", "3.13.7-sha-0123456", "latest"]
    assert tags(name_image(old, at(push()), PLAIN)) == ["3.13.6", "3.13.6-sha-0123456"]
    assert tags(name_image(new, at(push("work")), PLAIN)) == ["3.13.7-sha-0123456", "3.13.7-work"]
    assert tags(name_image(new, at(local("work")), PLAIN)) == [
        "3.13.7-dev",
        "3.13.7-sha-0123456",
        "3.13.7-work",
    ]
    pr = name_image(new, at(pull_request()), PLAIN)
    assert tags(pr) == ["3.13.7-pr-7-0123456", "3.13.7-pr-7"]
    assert withheld(pr) == {
        "3.13.7": "pull request #7 never gives a version",
        "3.13": "pull request #7 never gives a version",
        "3": "pull request #7 never gives a version",
        "latest": "pull request #7 never moves latest",
    }


def test_a_member_has_no_tags_of_its_layer_and_no_release_of_the_repository() -> None:
    image = replace(member("3.13.7-semantic", "3-semantic"), layer="app")
    assert tags(name_image(image, at(push()), PLAIN)) == [
        "3.13.7-semantic",
        "3-semantic",
        "3.13.7-semantic-sha-0123456",
    ]
    assert tags(name_image(image, at(tagged("v1.2.3")), PLAIN)) == ["3.13.7-semantic-sha-0123456"]
    on_tags = settings("rules: {version: {tags: ['{version}'], aliases: true, when: {event: [tag]}}}")
    assert tags(name_image(image, at(tagged("v1.2.3")), on_tags))[:2] == ["3.13.7-semantic", "3-semantic"]


# Where an earlier build may be


@pytest.mark.parametrize(
    ("image", "event", "expected"),
    [
        (APP, local(), ("dev", "main", "latest")),
        (APP, local("work"), ("dev", "work", "main", "latest")),
        (APP, local("work", None), ("dev", "work", "latest")),
        (APP, local(None), ("dev", "main", "latest")),
        (APP, local(None, None), ("dev", "latest")),
        (APP, push(), ("main", "latest")),
        (APP, push("work"), ("work", "main", "latest")),
        (APP, pull_request(), ("pr-7", "main", "latest")),
        (APP, pull_request(fork="them/images"), ("pr-7", "main", "latest")),
        (APP, replace(pull_request(), target_branch="old"), ("pr-7", "old", "main", "latest")),
        (APP, tagged("v1.2.3"), ("main", "1.2.3", "latest")),
        (APP, github("schedule", "refs/heads/main"), ("main", "latest")),
        (AnImage(version="1.2"), push(), ("main", "1.2", "latest")),
        (AnImage(version="1.2"), local("work"), ("dev", "work", "main", "1.2")),
        (AnImage(layer="base"), push(), ("main", "base-stable", "latest")),
        (AnImage(publishes=("base-*",)), push(), ("base-main", "base-latest")),
        (member("3.13.7", "3", is_latest=True), local("work"), ("3.13.7-dev", "3.13.7-work", "3.13.7", "latest")),
        (member("3.13.6"), pull_request(), ("3.13.6-pr-7", "3.13.6")),
    ],
)
def test_places(image: AnImage, event: Event, expected: tuple[str, ...]) -> None:
    assert places_to_look(image, at(event), PLAIN) == expected
    assert places_to_look(image, at(event, dirty=True), PLAIN) == expected, "looking is not giving"


def test_places_follow_the_rules_of_the_file() -> None:
    own = settings("rules: {branch: {tags: ['{branch}-{sha7}']}, latest: false, x: {tags: ['edge-{date}', edge]}}")
    assert places_to_look(APP, at(push("work")), own) == ("edge",)


# By hand


def test_given_tags_keep_their_order_and_stand_once() -> None:
    assert given_tags("2, 1,2") == ("2", "1")


@pytest.mark.parametrize("text", ["1,,2", "", "a/b", "-a", "a" * 129, "1.2+b", "ä"])
def test_what_is_no_tag_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no legal tag"):
        given_tags(text)


# docs/tags.md


def test_the_example_of_three_layers_gives_what_the_page_says() -> None:
    page = (Path(__file__).parents[2] / "docs/tags.md").read_text(encoding="utf-8")
    example = page.partition("### Three layers in one repository")[2].partition("```yaml\n")[2].partition("```")[0]
    made = load_bytes(example.encode(), {})
    found = [Found(name=name, dockerfile="-", context=".", pattern="-") for name in ("base", "tooling", "app")]
    images = catalog(made, found, host_platform="linux/amd64")

    def given_on(event: Event) -> list[list[str]]:
        namings = [(image, name_image(image, at(event), made.tags)) for image in images]
        assert clashes(namings) is None
        return [tags(naming) for _, naming in namings]

    assert {image.repository for image in images} == {"registry.example.com/platform"}
    assert given_on(push()) == [
        ["base-0123456", "base-stable"],
        ["tooling-0123456", "tooling-stable"],
        ["main-0123456", "latest"],
    ]
    assert given_on(push("work")) == [["base-0123456"], ["tooling-0123456"], ["work-0123456"]]
    assert given_on(pull_request()) == [["base-pr-7-0123456"], ["tooling-pr-7-0123456"], ["pr-7-0123456"]]


def test_the_version_of_the_file_is_not_that_of_a_git_tag() -> None:
    naming = name_image(AnImage(version="2.0"), at(github("workflow_dispatch", "refs/tags/v1.2")), PLAIN)
    assert tags(naming) == ["1.2", "1", "sha-0123456"]
    assert withheld(naming)["2.0"] == "only the default branch, main, gives it"
