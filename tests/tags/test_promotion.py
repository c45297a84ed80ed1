from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.tags.aliases import prefixes
from imagewright.tags.promotion import Refusal, Rules, Source, Step, Wish, beneath, decide, needs_version, to_look_up
from imagewright.tags.versions import parse

OURS, THEIRS = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
PROMOTE = Rules()
VERSION = st.lists(st.integers(0, 12), min_size=2, max_size=3).map(lambda parts: ".".join(map(str, parts)))


def step(
    tag: str, rules: Rules = PROMOTE, *, version: str | None = None, now: str | None = THEIRS, **more: object
) -> Step:
    wish = Wish(repository="r.example/app", tag=tag, now=now, **more)  # type: ignore[arg-type]
    return decide(Source(digest=OURS, version=version), wish, rules)


@pytest.mark.parametrize("purpose", ["promote", "retag", "mirror"])
def test_what_is_there_already_is_never_refused(purpose: str) -> None:
    rules = Rules(purpose=purpose, withheld=lambda _: Refusal("no", None))  # type: ignore[arg-type]
    assert step("1.2.3", rules, now=OURS).action == "same"


@pytest.mark.parametrize(
    ("purpose", "now", "action"),
    [
        ("promote", None, "refused"),
        ("promote", THEIRS, "refused"),
        ("retag", None, "refused"),
        ("mirror", None, "new"),  # it takes nothing from anybody
        ("mirror", THEIRS, "refused"),
    ],
)
def test_a_run_that_may_not(purpose: str, now: str | None, action: str) -> None:
    rules = Rules(purpose=purpose, withheld=lambda tag: Refusal(f"not {tag}", "hint"))  # type: ignore[arg-type]
    found = step("latest", rules, now=now)
    assert found.action == action
    assert found.refusal == (Refusal("not latest", "hint") if action == "refused" else None)


@pytest.mark.parametrize(
    ("tag", "rules", "action"),
    [
        ("1.2.3", PROMOTE, "refused"),
        ("sha-0123456", PROMOTE, "refused"),
        ("1.2.3", Rules(immutable=False), "moves"),
        ("1.2.3", Rules(move=True), "moves"),
        ("1.2.3", Rules(strategy="none"), "moves"),
        ("edge", PROMOTE, "moves"),
        ("edge", Rules(purpose="retag"), "refused"),
        ("edge", Rules(purpose="retag", move=True), "moves"),
        ("1.2.3", Rules(purpose="mirror"), "moves"),
    ],
)
def test_a_tag_that_has_something_else(tag: str, rules: Rules, action: str) -> None:
    found = step(tag, rules)
    assert found.action == action
    if found.refusal:
        assert OURS in found.refusal.why
        assert THEIRS in found.refusal.why


def test_variants_have_aliases_of_their_own() -> None:
    rules = Rules(suffixes=("-slim",))
    published = ("1.2.4", "1.2.3-slim")
    assert step("1.2-slim", rules, version="1.2.3-slim", published=published).action == "moves"
    assert step("1.2-slim", rules, version="1.2.2-slim", published=published).action == "refused"
    assert beneath("1.2-slim", published, rules) == ("1.2.3-slim",)


def test_only_what_would_go_back_is_looked_up() -> None:
    wish = Wish(
        repository="r/app", tag="stable", now=THEIRS, published=("1.0", "1.1", "2.0", "2.0-rc1", "3.0-x", "main")
    )
    assert to_look_up("1.1", wish, PROMOTE) == ("2.0",)
    assert to_look_up(None, wish, PROMOTE) == ()
    assert to_look_up("1.1", Wish(repository="r/app", tag="edge", now=THEIRS, published=("2.0",)), PROMOTE) == ()
    assert not needs_version("edge", PROMOTE)
    assert not needs_version("stable", Rules(purpose="mirror"))


@given(published=st.lists(VERSION, max_size=8, unique=True), ours=VERSION, allowed=st.booleans())
def test_an_alias_never_goes_back_unasked(published: list[str], ours: str, allowed: bool) -> None:
    version = parse(ours, "parts")
    assert version is not None
    for alias in prefixes(version):
        found = step(alias, Rules(allow_downgrade=allowed), version=ours, published=(*published, alias))
        higher = [
            one
            for one in published
            if (other := parse(one, "parts")) and other.rank > version.rank and alias in prefixes(other)
        ]
        assert (found.action == "refused") == (bool(higher) and not allowed)
        if found.refusal:
            assert ours in found.refusal.why
            assert any(one in found.refusal.why for one in higher)


@given(published=st.lists(VERSION, max_size=8, unique=True), ours=VERSION, at=st.integers(0, 7))
def test_latest_goes_back_only_from_what_it_has(published: list[str], ours: str, at: int) -> None:
    holder = published[at % len(published)] if published else None
    wish = Wish(repository="r/app", tag="latest", now=THEIRS, published=tuple(published))
    asked = to_look_up(ours, wish, PROMOTE)
    digests = {one: THEIRS if one == holder else f"sha256:{'c' * 64}" for one in asked}
    found = step("latest", version=ours, published=wish.published, digests=digests)
    above, mine = parse(holder, "parts") if holder else None, parse(ours, "parts")
    assert mine is not None
    assert (found.action == "refused") == (above is not None and above.rank > mine.rank)
