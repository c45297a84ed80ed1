"""Which caches go: the rules one by one, and the budget against a simple count."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagewright.cache.condemned import Condemned
from imagewright.cache.model import Blob, Cache, Picture
from imagewright.cache.plan import plan_prune
from imagewright.cache.retire import Verdict, judge, needed
from imagewright.cache.sizes import sizes_of
from tests.cache.memory import DAY, START
from tests.cache.pruning import POLICY

_SECOND = timedelta(seconds=1)


def cache(name: str, *blobs: str, age: timedelta = DAY) -> Cache:
    return Cache(name=name, etag=name, modified=START - age, layers=dict.fromkeys(blobs))


def picture(*caches: Cache, **sizes: int) -> Picture:
    return Picture(
        caches=caches, blobs={name: Blob(size, START - 9 * DAY) for name, size in sizes.items()}, taken=START
    )


def retired(verdicts: tuple[Verdict, ...]) -> dict[str, str]:
    return {one.cache.name: one.rule for one in verdicts if one.retire}


@pytest.mark.parametrize(
    ("name", "age", "rule"),
    [
        ("app@main", 30 * DAY, "in use"),
        ("app@main", 30 * DAY + _SECOND, "unused 30d"),
        ("app@main@linux-arm64", 31 * DAY, "unused 30d"),
        ("gone@main", POLICY.grace, "in use"),
        ("gone@main", POLICY.grace + _SECOND, "no image"),
        ("gone@main", 31 * DAY, "unused 30d"),
        ("buildkit", 900 * DAY, "unknown name"),
        ("app@", 900 * DAY, "unknown name"),
        ("@main", 900 * DAY, "unknown name"),
    ],
)
def test_a_cache_alone(name: str, age: timedelta, rule: str) -> None:
    (verdict,) = judge(picture(cache(name, age=age)), POLICY, {"app"}, START)
    assert verdict.rule == rule
    assert verdict.retire == (rule not in ("in use", "unknown name"))


def test_the_oldest_go_until_the_rest_fits_and_what_is_shared_counts_once() -> None:
    shot = picture(
        cache("app@1", "base", "a", age=3 * DAY),
        cache("app@2", "base", "b", age=2 * DAY),
        cache("app@3", "base", "c", age=DAY),
        base=100,
        a=1,
        b=2,
        c=4,
        nobody=1000,
    )

    def beyond(budget: int) -> list[str]:
        return list(retired(judge(shot, replace(POLICY, budget=budget), {"app"}, START)))

    assert beyond(107) == []
    assert beyond(106) == ["app@1"]
    assert beyond(105) == ["app@1", "app@2"]
    assert beyond(103) == ["app@1", "app@2", "app@3"]


@pytest.mark.parametrize(
    ("size", "said"), [(101, "1 B"), (1_600, "1.5 kB"), (30_100_100, "30.1 MB"), (2_000_000_000_100, "2.0 TB")]
)
def test_how_far_the_caches_are_beyond_the_budget_is_said_for_people(size: int, said: str) -> None:
    shot = picture(cache("app@1", "a"), a=size)
    (one,) = judge(shot, replace(POLICY, budget=100), {"app"}, START)
    assert one.reason == f"the caches together are {said} beyond the budget"


def test_what_goes_anyway_leaves_room_in_the_budget() -> None:
    shot = picture(cache("app@old", "a", age=40 * DAY), cache("app@new", "b"), a=10, b=10)
    assert retired(judge(shot, replace(POLICY, budget=10), {"app"}, START)) == {"app@old": "unused 30d"}


CACHES = st.lists(
    st.builds(
        lambda name, blobs, days: cache(name, *blobs, age=days * DAY),
        st.sampled_from(["app@a", "app@b", "app@c", "base@a", "gone@a", "odd"]),
        st.sets(st.sampled_from("abcdef")),
        st.integers(0, 40),
    ),
    unique_by=lambda one: one.name,
)


@given(CACHES, st.integers(1, 40), st.dictionaries(st.sampled_from("abcde"), st.integers(1, 20)))
@settings(max_examples=300, deadline=None)
def test_the_budget_is_kept_by_the_fewest(caches: list[Cache], budget: int, sizes: dict[str, int]) -> None:
    shot = picture(*caches, **sizes)
    without = {one.cache.name for one in judge(shot, POLICY, {"app", "base"}, START) if not one.retire}
    verdicts = judge(shot, replace(POLICY, budget=budget), {"app", "base"}, START)
    kept = [one.cache for one in verdicts if not one.retire]
    went = sorted((one.cache for one in verdicts if one.rule == "budget"), key=lambda one: (one.modified, one.name))

    def size(these: list[Cache]) -> int:
        return sum(sizes.get(blob, 0) for blob in needed(these))

    assert {one.name for one in (*kept, *went)} == without
    assert size(kept) <= budget or all(one.known is None for one in kept)
    if went:
        assert size([*kept, went[-1]]) > budget, "one would have been enough fewer"
        assert all(one.modified >= went[-1].modified for one in kept if one.known)


def test_sizes() -> None:
    shot = picture(
        cache("app@main", "base", "a"), cache("gone@main", "base", "b", "lost", age=3 * DAY), base=100, a=1, b=2, x=7
    )
    plan = plan_prune(shot, POLICY, {"app"}, Condemned(), START)

    found, totals = sizes_of(plan)

    assert [(one.cache.name, one.blobs, one.missing, one.bytes, one.own, one.shared) for one in found] == [
        ("app@main", 2, 0, 101, 1, 100),
        ("gone@main", 3, 1, 102, 2, 100),
    ]
    assert (totals.blobs, totals.bytes) == (4, 110)
    assert (totals.unneeded_blobs, totals.unneeded_bytes, totals.due_bytes) == (1, 7, 0)
    assert totals.retired_bytes == 2
