from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.builds.schedule import Schedule, schedule


@st.composite
def dags(draw: st.DrawFn) -> Mapping[str, tuple[str, ...]]:
    names = [f"i{number}" for number in range(draw(st.integers(1, 12)))]
    shuffled = draw(st.permutations(names))
    parents = {
        name: tuple(draw(st.sets(st.sampled_from(names[:index]), max_size=3))) if index else ()
        for index, name in enumerate(names)
    }
    return {name: parents[name] for name in shuffled}


def ancestors_of(parents: Mapping[str, tuple[str, ...]], name: str) -> set[str]:
    return {found for parent in parents[name] for found in (parent, *ancestors_of(parents, parent))}


@given(dags(), st.sets(st.integers(0, 11)), st.integers(1, 4), st.integers())
def test_each_runs_exactly_when_all_parents_succeeded(
    parents: Mapping[str, tuple[str, ...]], broken: set[int], limit: int, seed: int
) -> None:
    fails = {f"i{number}" for number in broken} & parents.keys()
    choice = random.Random(seed)  # noqa: S311 - which of the running ones ends next
    plan, ran = schedule(parents, limit=limit), []
    for _ in range(2 * len(parents) + 1):
        for name in plan.startable:
            assert plan.succeeded.issuperset(parents[name])
            plan = plan.start(name)
            ran.append(name)
        assert len(plan.running) <= limit
        if plan.done:
            break
        assert plan.running, "nothing runs, and it is not done"
        ended = choice.choice(sorted(plan.running))
        plan = plan.end(ended, ok=ended not in fails)
    assert plan.done
    doomed = {name for name in parents if ancestors_of(parents, name) & fails}
    assert plan.skipped.keys() == doomed
    assert sorted(ran) == sorted(parents.keys() - doomed)
    assert plan.failed == fails - doomed


@given(dags(), st.integers(1, 4))
def test_the_free_places_are_used(parents: Mapping[str, tuple[str, ...]], limit: int) -> None:
    plan = schedule(parents, limit=limit)
    assert len(plan.startable) == min(limit, sum(not found for found in parents.values()))


def test_the_longest_path_goes_first_then_the_given_order() -> None:
    parents = {"z": (), "leaf": (), "app": ("mid",), "mid": ("base",), "base": ()}
    assert schedule(parents, limit=9).startable == ("base", "z", "leaf")
    assert schedule(parents, limit=2).startable == ("base", "z")


def ended(plan: Schedule, name: str, *, ok: bool) -> Schedule:
    return plan.start(name).end(name, ok=ok)


def test_the_reason_of_a_skip_names_the_parent_and_the_cause() -> None:
    parents = {"base": (), "other": (), "tooling": ("base",), "app": ("tooling", "other")}
    plan = ended(schedule(parents, limit=4), "base", ok=False)
    assert plan.skipped == {
        "tooling": "parent base failed",
        "app": "parent tooling was skipped: base failed",
    }
    assert plan.startable == ("other",)
    # The first cause stays, also when another parent fails later.
    assert ended(plan, "other", ok=False).skipped == plan.skipped


@pytest.mark.parametrize(
    ("parents", "limit", "message"),
    [
        ({"a": ("b",)}, 1, "parents that are not part of the run: b"),
        ({"a": ("b",), "b": ("a",)}, 1, "a cycle of parents: "),
        ({"a": ()}, 0, "limit is 0"),
    ],
)
def test_what_cannot_be_scheduled(parents: Mapping[str, tuple[str, ...]], limit: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schedule(parents, limit=limit)


def test_nothing_to_do_is_done() -> None:
    assert schedule({}, limit=1).done


def test_the_path_that_took_longest_before_goes_first() -> None:
    parents = {"quick": (), "slow": (), "a": ("quick",), "b": ("a",)}
    assert schedule(parents, limit=4, seconds={}).order[0] == "quick"
    assert schedule(parents, limit=4, seconds={"slow": 100.0, "quick": 1.0, "a": 1.0, "b": 1.0}).order[0] == "slow"


def test_what_is_not_known_takes_as_long_as_the_middle_one() -> None:
    parents = {"new": (), "quick": (), "slow": (), "usual": ()}
    seconds = {"quick": 1.0, "usual": 10.0, "slow": 100.0, "gone": 5000.0}
    assert schedule(parents, limit=4, seconds=seconds).order == ("slow", "new", "usual", "quick")


@given(dags(), st.dictionaries(st.sampled_from([f"i{number}" for number in range(12)]), st.floats(0, 1e6)))
def test_the_order_is_of_the_longest_remaining_paths(
    parents: Mapping[str, tuple[str, ...]], seconds: dict[str, float]
) -> None:
    plan = schedule(parents, limit=1, seconds=seconds)
    known = sorted(found for name, found in seconds.items() if name in parents and found > 0)
    usual = known[len(known) // 2] if known else 1.0

    def path(name: str) -> float:
        own = seconds.get(name) or usual
        return own + max((path(child) for child, found in parents.items() if name in found), default=0.0)

    assert list(plan.order) == sorted(parents, key=lambda name: (-round(path(name), 3), list(parents).index(name))) or (
        [path(name) for name in plan.order] == pytest.approx(sorted(map(path, parents), reverse=True))
    )


@given(dags(), st.integers(1, 4), st.integers())
def test_with_fail_fast_the_first_failure_is_the_last_start(
    parents: Mapping[str, tuple[str, ...]], limit: int, seed: int
) -> None:
    choice = random.Random(seed)  # noqa: S311 - which of the running ones fails
    plan = schedule(parents, limit=limit, fail_fast=True)
    for name in plan.startable:
        plan = plan.start(name)
    failing = choice.choice(sorted(plan.running))
    plan = plan.end(failing, ok=False)
    assert plan.startable == ()
    assert plan.skipped.keys() == parents.keys() - plan.running - {failing}
    for name in sorted(plan.running):
        plan = plan.skip(name, "stopped")
    assert plan.done
