"""What caches are called, and whose a run reads and writes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imagewright.cache.names import CacheName, parse_name
from imagewright.cache.scopes import NOWHERE, RELEASES, Scopes, scopes
from imagewright.events.event import Event

BRANCHES = st.one_of(
    st.sampled_from(["main", "feature/a", "feature-a", "pr-12", RELEASES, NOWHERE, "x" * 300, "ä", "a@b"]),
    st.text(min_size=1),
)
NAMES = st.from_regex(r"[a-z0-9]+([._/-][a-z0-9]+)*(:[A-Za-z0-9_.-]+)?", fullmatch=True)
PLATFORMS = st.none() | st.from_regex(r"linux/[a-z0-9]+(/v[0-9])?", fullmatch=True)


def push(branch: str, default: str | None = "main") -> Event:
    return Event(kind="push", host="github", branch=branch, default_branch=default)


@given(NAMES, BRANCHES, PLATFORMS)
def test_a_name_is_read_back_as_what_it_was_made_from(image: str, branch: str, platform: str | None) -> None:
    name = CacheName(image, scopes(push(branch)).read[0], platform)
    assert parse_name(str(name)) == name


def test_what_is_no_name_of_ours_is_not_taken_for_one() -> None:
    assert [parse_name(text) for text in ("buildkit", "app", "app@", "@main", "app@a/b", "a@b@c@d")] == [None] * 6


@given(BRANCHES, BRANCHES)
def test_two_branches_never_share_a_cache(one: str, other: str) -> None:
    if one != other:
        assert scopes(push(one)).write != scopes(push(other)).write


@given(BRANCHES)
def test_no_branch_writes_what_releases_and_unversioned_runs_write(branch: str) -> None:
    assert scopes(push(branch)).write not in (RELEASES, NOWHERE, "pr-12")


def test_a_branch_writes_its_own_and_reads_the_default_ones_too() -> None:
    assert scopes(push("main")) == Scopes(read=("main",), write="main")
    assert scopes(push("work")) == Scopes(read=("work", "main"), write="work")
    assert scopes(push("work", default=None)) == Scopes(read=("work", "main"), write="work")


def test_a_pull_request_reads_where_it_goes_and_writes_where_it_comes_from() -> None:
    event = Event(kind="pull-request", host="github", branch="fix", target_branch="next", default_branch="main")
    assert scopes(event) == Scopes(read=("fix", "next", "main"), write="fix")


def test_a_fork_writes_nothing_even_from_a_branch_that_is_called_as_ours() -> None:
    event = Event(
        kind="pull-request", host="github", branch="main", target_branch="main", default_branch="main", is_fork=True
    )
    assert scopes(event).write is None
    assert scopes(event).read == ("main",)


def test_a_run_of_which_nothing_is_known_writes_nothing() -> None:
    assert scopes(Event(kind="unreadable", host="github", problem="no file")).write is None


def test_the_configuration_can_forbid_writing() -> None:
    assert scopes(push("main"), write=False).write is None


def test_releases_have_a_cache_of_their_own() -> None:
    event = Event(kind="tag", host="github", tag="v1", default_branch="main")
    assert scopes(event) == Scopes(read=(RELEASES, "main"), write=RELEASES)


def test_what_is_on_no_branch_has_one_too() -> None:
    assert scopes(Event(kind="local", host="local")) == Scopes(read=(NOWHERE, "main"), write=NOWHERE)
