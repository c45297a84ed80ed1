"""How long a plan is said to take."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from imagewright.cleanup.estimate import duration, roughly
from imagewright.cleanup.model import RepositoryPlan
from imagewright.cleanup.plan import plan_repository
from tests.cleanup.pictures import NOW, World, digest, keeping


@pytest.fixture
def plan() -> RepositoryPlan:
    world = World()
    for number in range(1, 9):
        world.put(f"image{number}", str(number), age=number)
    return plan_repository(world.picture(), keeping(2), now=NOW, deletes_tags=True)


def test_deleting_by_digest_takes_longer_the_more_tags_there_are(plan: RepositoryPlan) -> None:
    assert len(plan.tags) == len(plan.manifests) == 6
    small = duration(plan, "distribution")
    large = duration(replace(plan, verdicts=plan.verdicts * 1000), "distribution")
    # docs/cleanup-registries.md: about 0.3 s for each digest where there are 8,000 tags
    assert timedelta(seconds=0) < small < timedelta(seconds=1) < large < timedelta(seconds=3)


def test_a_registry_over_the_network_takes_its_time_for_each(plan: RepositoryPlan) -> None:
    assert duration(plan, "ghcr") == duration(replace(plan, verdicts=()), "ghcr") > duration(plan, "distribution")
    nothing = replace(plan, tags=(), manifests=())
    assert duration(nothing, "ghcr") == duration(nothing, "distribution") == timedelta(0)
    assert duration(replace(plan, manifests=tuple(map(digest, "abc"))), "harbor") == duration(plan, "harbor") * 0.75


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, None),
        (59, None),
        (60, "about 1 min"),
        (170, "about 3 min"),
        (5000, "about 83 min"),
        (5400, "about 2 h"),
        (36_000, "about 10 h"),
    ],
)
def test_only_what_takes_minutes_is_told(seconds: float, told: str | None) -> None:
    assert roughly(timedelta(seconds=seconds)) == told
