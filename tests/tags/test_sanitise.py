"""No two names of branches ever give one tag."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imagewright.references import is_tag
from imagewright.tags.protection import is_version, reserved
from imagewright.tags.rules import DEFAULTS
from imagewright.tags.sanitise import LONGEST, sanitise

PROTECTED = ("latest", "stable", "*-stable", "release-*")
TAKEN = reserved(DEFAULTS, PROTECTED, is_default_branch=False)
# few letters, so that many of the names are nearly the same
NEARLY = st.text(alphabet="aA1/-._ é\udc80", max_size=12)
LIMITS = st.sampled_from([24, 40, LONGEST])


def digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("main", "main"),
        ("Feature_1.x", "Feature_1.x"),
        ("123-add-login", "123-add-login"),
        ("feature-a", "feature-a"),
        ("feature/a", f"feature-a-{digest('feature/a')}"),
        ("feature//a", f"feature-a-{digest('feature//a')}"),
        ("café", f"caf-{digest('café')}"),
        ("-a.", f"a-{digest('-a.')}"),
        ("日本", f"branch-{digest('日本')}"),
        ("", f"branch-{digest('')}"),
        # what another rule gives, or what is protected
        ("latest", f"latest-{digest('latest')}"),
        ("dev", f"dev-{digest('dev')}"),
        ("a-stable", f"a-stable-{digest('a-stable')}"),
        ("sha-abc", f"branch-sha-abc-{digest('sha-abc')}"),
        ("pr-7", f"branch-pr-7-{digest('pr-7')}"),
        ("release-1", f"branch-release-1-{digest('release-1')}"),
        ("1", f"1-{digest('1')}"),
        ("1.2", f"branch-1.2-{digest('1.2')}"),
        ("v1.2.3", f"branch-v1.2.3-{digest('v1.2.3')}"),
        ("20251121", f"20251121-{digest('20251121')}"),
        # what ends like a changed name, or like a commit
        ("feature-a-0123abcd", f"feature-a-0123abcd-{digest('feature-a-0123abcd')}"),
        ("base-0123abc", f"base-0123abc-{digest('base-0123abc')}"),
    ],
)
def test_names(name: str, tag: str) -> None:
    assert sanitise(name, reserved=TAKEN) == tag


def test_the_longest_name_is_128_characters() -> None:
    whole, more = "a" * LONGEST, "a" * (LONGEST + 1)
    assert sanitise(whole) == whole
    assert sanitise(more) == f"{'a' * 119}-{digest(more)}"
    assert sanitise("feature/abcdefghijklmnop", limit=24) == f"feature-abcdefg-{digest('feature/abcdefghijklmnop')}"


@given(
    st.one_of(NEARLY, st.text(max_size=200), st.sampled_from(["latest", "1.2", "pr-1", "sha-1", "release-"])), LIMITS
)
@example("a" * 500, 24)
def test_every_name_gives_a_legal_tag_that_is_nothing_else(name: str, limit: int) -> None:
    tag = sanitise(name, reserved=TAKEN, limit=limit)
    assert is_tag(tag)
    assert 1 <= len(tag) <= limit
    assert not TAKEN(tag)
    assert not is_version(tag)


@given(st.lists(NEARLY, unique=True, max_size=60), LIMITS)
@example(["feature/a", "feature-a", "feature a", f"feature-a-{digest('feature/a')}"], LONGEST)
@example(["a\udc80", "a\udc81", "a?"], LONGEST)
@example([f"{'a' * 40}{end}" for end in "0123456789"], 24)
def test_two_names_never_give_one_tag(names: list[str], limit: int) -> None:
    tags = [sanitise(name, reserved=TAKEN, limit=limit) for name in names]
    assert len(set(tags)) == len(names), dict(zip(names, tags, strict=True))


@given(st.text(max_size=200), st.text(max_size=200))
def test_two_names_of_any_letters_never_give_one_tag(one: str, other: str) -> None:
    assert (sanitise(one) == sanitise(other)) == (one == other)


@given(NEARLY)
def test_no_name_is_another_ones_changed_name(name: str) -> None:
    """Somebody who sees a branch's tag cannot name a branch of theirs so that it gets it."""
    tag = sanitise(name, reserved=TAKEN)
    if tag == name:
        assert sanitise(tag, reserved=TAKEN) == tag, "what was not changed stays"
    else:
        assert sanitise(tag, reserved=TAKEN) != tag


def test_the_default_branch_may_have_a_protected_name() -> None:
    own = reserved(DEFAULTS, PROTECTED, is_default_branch=True)
    assert [sanitise(name, reserved=own) for name in ("stable", "release-1")] == ["stable", "release-1"]
    assert sanitise("dev", reserved=own) != "dev", "that is what work in progress is called"
