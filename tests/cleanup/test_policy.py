"""What the configuration and the command line say about what is kept."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from imagewright.cleanup.model import Rule
from imagewright.cleanup.plan import plan_repository
from imagewright.cleanup.policy import Given, policy_file, policy_for
from imagewright.config.load import load, load_bytes
from imagewright.config.models import Settings
from imagewright.config.remembered import remembered
from imagewright.errors import ConfigError
from tests.cleanup.pictures import DAY, HERE, NOW, World

LAYERS = """\
registry: ghcr.io/me
repository: "{registry}/app"
cleanup:
  protect: [base-stable, tooling-stable, latest, "base-*"]
  rules:
    tooling: {tags: ["tooling-*"], keep: 3}
    pull-requests: {tags: ["pr-*"], younger: 7d}
  keep: 10 # of the branches' images
"""


def settings(text: str = "") -> Settings:
    return load_bytes(text.encode(), {})


def test_the_policy_of_three_layers_in_one_repository_takes_ten_lines() -> None:
    assert len(LAYERS.splitlines()) <= 10
    world = World()
    for age in range(1, 21):
        for layer in ("base", "tooling"):
            world.put(f"{layer} {age}", f"{layer}-{age:07x}", age=age)
        world.put(f"branch {age}", f"main-{age:07x}" if age % 2 else f"feature-{age:07x}", age=age)
        world.put(f"pull {age}", f"pr-{age}-{age:07x}", age=age)
    world.tags["base-stable"] = world.tags["base-0000014"]
    world.tags["tooling-stable"] = world.tags["tooling-0000014"]
    world.tags["latest"] = world.tags["main-0000013"]
    policy = policy_for(settings(LAYERS), HERE)
    plan = plan_repository(world.picture(), policy, now=NOW, deletes_tags=True)
    kept = {
        name: sorted(int(tag.rpartition("-")[2], 16) for tag in plan.roots if tag.startswith(name) and "st" not in tag)
        for name in ("base-", "tooling-", "pr-", ("main-", "feature-"))
    }
    assert kept == {
        "base-": [*range(1, 21)],
        "tooling-": [1, 2, 3, 20],  # the last three, and what tooling-stable is
        "pr-": [*range(1, 7)],
        ("main-", "feature-"): [*range(1, 11), 19],  # the last ten, and what latest is
    }
    assert {"base-stable", "tooling-stable", "latest"} <= plan.roots.keys()
    assert len(plan.verdicts) == 83
    assert plan.unmatched == ()
    assert plan.refused is None
    assert {verdict.rule for verdict in plan.verdicts} == {
        *("protect base-stable", "protect tooling-stable", "protect latest", "protect base-*"),
        *("tooling", "pull-requests", "keep 10"),
    }


def test_without_any_configuration_nothing_is_deleted() -> None:
    policy = policy_for(settings(), HERE)
    assert policy.rules == ()
    assert policy.protect == policy.only == ()
    assert policy.grace == timedelta(0)
    assert policy.max_share == 0.5
    assert (policy.untagged, policy.max_delete, policy.allow_empty, policy.allow_keep_zero) == (
        None,
        None,
        False,
        False,
    )


def test_keep_alone_protects_what_people_pull() -> None:
    policy = policy_for(settings(), HERE, given=Given(keep=10), default_tags={"trunk"})
    assert policy.rules == (Rule(name="keep 10", keep=10),)
    assert policy.usual == ("latest", "stable", "*-stable", "trunk")
    assert policy_for(settings(), HERE).usual[-2:] == ("main", "master")


def test_what_ci_cannot_move_is_not_deleted_either() -> None:
    policy = policy_for(settings('tags: {protected: ["release-*"]}'), HERE)
    assert policy.usual == ("latest", "stable", "*-stable", "release-*", "main", "master")


def test_the_command_line_wins_and_protection_adds_up() -> None:
    text = """\
cleanup:
  keep: 10
  younger: 7d
  sort: version
  protect: [a]
  only: [b]
  grace: 2h
  untagged: 30d
  max_delete: 5
  max_share: 0.1
"""
    policy = policy_for(settings(text), HERE)
    assert policy.rules == (Rule(name="keep 10, younger 7d", keep=10, younger=7 * DAY, sort="version"),)
    assert (policy.protect, policy.only) == (("a",), ("b",))
    assert (policy.grace, policy.untagged) == (timedelta(hours=2), 30 * DAY)
    assert (policy.max_delete, policy.max_share) == (5, 0.1)
    given = Given(
        keep=3,
        younger=DAY,
        sort="parts",
        protect=("c", "a"),
        only=("d",),
        untagged=timedelta(0),
        grace=timedelta(0),
        max_delete=0,
        max_share=1.0,
        allow_empty=True,
        allow_keep_zero=True,
    )
    policy = policy_for(settings(text), HERE, given=given)
    assert policy.rules == (Rule(name="keep 3, younger 1d", keep=3, younger=DAY, sort="parts"),)
    assert (policy.protect, policy.only) == (("c", "a"), ("d",))
    assert policy.grace == policy.untagged == timedelta(0)
    assert (policy.max_delete, policy.max_share, policy.allow_empty, policy.allow_keep_zero) == (0, 1.0, True, True)


def test_keep_zero_of_the_command_line_is_heard() -> None:
    assert policy_for(settings("cleanup: {keep: 10}"), HERE, given=Given(keep=0)).rules[0].keep == 0


def test_rules_stand_before_the_rest_in_their_order() -> None:
    text = """\
cleanup:
  keep: 2
  rules: {b: {tags: [b*], keep: 1}, a: {tags: [a*], younger: 12h}, c: {tags: [c], forever: true}}
"""
    assert policy_for(settings(text), HERE).rules == (
        Rule(name="b", tags=("b*",), keep=1),
        Rule(name="a", tags=("a*",), younger=timedelta(hours=12)),
        Rule(name="c", tags=("c",), forever=True),
        Rule(name="keep 2", keep=2),
    )


def test_the_command_line_is_the_last_word_about_all_tags() -> None:
    text = "cleanup: {rules: {a: {tags: [a*], keep: 1}, rest: {keep: 5}}}"
    found = policy_for(settings(text), HERE, given=Given(keep=7)).rules
    assert found == (Rule(name="a", tags=("a*",), keep=1), Rule(name="keep 7", keep=7))
    text = "cleanup: {rules: {all: {forever: true}}}"
    assert policy_for(settings(text), HERE, given=Given(keep=7)).rules[0].forever


def test_a_repository_may_differ() -> None:
    text = """\
cleanup:
  keep: 10
  protect: [a]
  rules: {pulls: {tags: ["pr-*"], keep: 1}}
  repositories:
    ghcr.io/me/app: {keep: 20, protect: [b], max_share: 0.9}
    "*/archive": {rules: {all: {forever: true}}}
    "*": {only: ["sha-*"]}
"""
    found = settings(text)
    app = policy_for(found, HERE)
    assert [rule.name for rule in app.rules] == ["pulls", "keep 20"]
    assert (app.protect, app.max_share, app.only) == (("b", "a"), 0.9, ())
    assert policy_for(found, "ghcr.io/me/archive").rules[0] == Rule(name="all", forever=True)
    assert policy_for(found, "ghcr.io/me/other").only == ("sha-*",)
    assert policy_for(found, "ghcr.io/me/other").rules[-1].keep == 10


def test_settings_that_were_remembered_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    text = LAYERS + "  repositories: {ghcr.io/me/app: {grace: 3h}}\n"
    (tmp_path / "config/images.yml").write_text(text)
    remembered(tmp_path, {}, tmp_path / "memory.json")
    second = remembered(tmp_path, {}, tmp_path / "memory.json")
    assert not isinstance(second, Settings)
    assert policy_for(second, HERE) == policy_for(load(tmp_path, {}), HERE)


def test_a_variable_says_it_too() -> None:
    found = load_bytes(None, {"IMAGEWRIGHT_CLEANUP_KEEP": "4", "IMAGEWRIGHT_CLEANUP_PROTECT": "a,b-*"})
    assert policy_for(found, HERE).rules == (Rule(name="keep 4", keep=4),)
    assert policy_for(found, HERE).protect == ("a", "b-*")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keep: 0", "`cleanup.keep` must be at least 1, not `0`"),
        ("keep: ten", "`cleanup.keep` must be a whole number, not `ten`"),
        ("keep: 2.5", "`cleanup.keep` must be a whole number, not `2.5`"),
        ("younger: 7", "`7` is no length of time"),
        ("younger: 0d", "`0d` is no time at all"),
        ("grace: 5m", "minutes are `min`"),
        ("sort: age", "must be 'date', 'version' or 'parts'"),
        ("max_share: 2", "`cleanup.max_share` must be at most 1"),
        ('protect: ["v[1"]', "`v[1` fits no tag"),
        ('protect: ["app:1.0"]', "`app:1.0` fits no tag"),
        ('protect: ["sha256:abc"]', "`sha256:abc` is no whole digest"),
        ("only: []", "`cleanup.only` must not be empty"),
        ("protcet: [a]", "did you mean `protect`?"),
        ("rules: {a: {tags: [x]}}", "must have `keep`, `younger` or both, or else `forever: true`"),
        ("rules: {a: {tags: [x], keep: 1, forever: true}}", "must have `keep`"),
        ("rules: {a: {keep: 1}, b: {tags: [x], keep: 1}}", "`rules.a` fits all tags"),
        ("keep: 1\n  rules: {a: {keep: 1}}", "beside `rules` decide nothing"),
        ("repositories: {app: {keep: 1}}", "`app` fits no repository"),
        ("repositories: {ghcr.io/me/app: {repositories: {}}}", "unknown key"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(f"cleanup:\n  {text}\n")
    assert message in str(caught.value)
    assert str(caught.value).startswith("config/images.yml:")


def test_a_policy_in_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "policy.yml"
    path.write_text("keep: 4\nrules: {pulls: {tags: ['pr-*'], younger: 7d}}\n")
    policy = policy_for(settings("cleanup: {keep: 99, protect: [x]}"), HERE, cleanup=policy_file(path))
    assert [rule.name for rule in policy.rules] == ["pulls", "keep 4"]
    assert policy.protect == ()
    path.write_text("")
    assert policy_for(settings(), HERE, cleanup=policy_file(path)).rules == ()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"keep: 4\nkep: 5\n", "policy.yml:2: unknown key `kep`"),
        (b"keep: 4\nkeep: 5\n", "policy.yml:2: "),
        (b"keep: \xff", "this is not UTF-8"),
        (b"- keep", "must be a mapping"),
        (None, "cannot be read: "),
    ],
)
def test_a_file_that_is_no_policy(tmp_path: Path, data: bytes | None, message: str) -> None:
    path = tmp_path / "policy.yml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        policy_file(path)
    assert message in str(caught.value)
