"""Random repositories and random policies against real registries: the invariants of cleaning up, from end to end.

What is kept is where it was and whole, only what was planned was deleted, and a second run finds nothing to do.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagewright.cleanup.carry_out import carry_out
from imagewright.cleanup.model import Policy, Rule
from imagewright.cleanup.plan import plan_repository
from imagewright.cleanup.read import read_picture
from imagewright.cleanup.undo import undo
from imagewright.cleanup.vendors.choose import deleter_for
from imagewright.cleanup.verify import verify
from imagewright.registry.client import Registry
from imagewright.registry.copy import Place
from tests.cleanup.stock import NOW, Stock
from tests.e2e.registries import Served

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imagewright.cleanup.model import Picture
    from imagewright.registry.model import Manifest

pytestmark = pytest.mark.e2e

_names = itertools.count()
_TAGS = ("latest", "1.0", "1.9", "1.10", "2.0", "main", "old-a", "old-b", "pr-1", "pr-2")
_DATES = st.one_of(st.floats(0.1, 400).map(lambda days: round(days, 2)), st.just(-1.0), st.just(20_000.0))


@dataclass(frozen=True)
class Drawn:
    """Images by number; indexes over some; tags on either; what speaks about them."""

    dates: list[float]
    indexes: list[list[int]]
    tags: dict[str, int]
    signed: list[int]
    referred: list[int]


@st.composite
def drawn(draw: st.DrawFn) -> Drawn:
    dates = draw(st.lists(_DATES, min_size=1, max_size=5))
    some = st.integers(0, len(dates) - 1)
    indexes = draw(st.lists(st.lists(some, min_size=1, max_size=3, unique=True), max_size=3))
    every = st.integers(0, len(dates) + len(indexes) - 1)
    few = st.lists(every, max_size=2, unique=True)
    return Drawn(
        dates=dates,
        indexes=indexes,
        tags=draw(st.dictionaries(st.sampled_from(_TAGS), every, min_size=1)),
        signed=draw(few),
        referred=draw(few),
    )


policies = st.builds(
    Policy,
    rules=st.builds(
        Rule,
        name=st.just("rule"),
        keep=st.integers(0, 3),
        sort=st.sampled_from(["date", "version", "parts"]),
        younger=st.none() | st.just(timedelta(days=7)),
    ).map(lambda rule: (rule,)),
    protect=st.sampled_from([(), ("latest",), ("1.*",)]),
    only=st.sampled_from([(), ("old-*", "pr-*")]),
    max_share=st.just(1.0),
    allow_empty=st.just(True),
    allow_keep_zero=st.just(True),
)


@pytest.fixture(scope="module", params=[3, 2], ids=["distribution 3", "distribution 2"])
def served(request: pytest.FixtureRequest, serve: Callable[[int], Served]) -> Served:
    return serve(int(request.param))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=drawn(), policy=policies)
def test_invariants(served: Served, tmp_path_factory: pytest.TempPathFactory, content: Drawn, policy: Policy) -> None:
    folder = tmp_path_factory.mktemp("cleanup")
    with Registry(served.host, credentials=lambda _: None) as registry:
        place = Place(registry, f"drawn/app{next(_names)}")
        filled(Stock(place), content)
        before = read_picture(place, memory=folder, now=NOW)
        assert before.problems == ()
        with deleter_for(registry, place.repository, {}) as door:
            assert door.can.deletes_manifests
            plan = plan_repository(before, policy, now=NOW, deletes_tags=door.can.deletes_tags)
            assert plan.refused is None
            done = carry_out(plan, before, place, door, journals=folder / "j", leases=folder / "l", now=NOW)
            after = read_picture(place, memory=folder / "other", now=NOW)
            again = plan_repository(after, policy, now=NOW, deletes_tags=door.can.deletes_tags)
        assert (done.outcome.error, done.outcome.skipped, done.breaches, done.restored) == (None, (), (), None)
        assert verify(place, plan.roots) == ()  # I1, I2
        assert after.tags == plan.roots
        assert set(done.outcome.deleted_tags) <= set(plan.tags)  # I4
        assert set(done.outcome.deleted_manifests) <= set(plan.manifests)
        assert gone(before, place) == set(plan.manifests)
        assert again.tags == ()  # I7
        assert again.manifests == ()
        if done.journal:
            assert undo(done.journal, place).ok
            restored = read_picture(place, memory=folder / "third", now=NOW)
            assert (restored.tags, restored.manifests) == (before.tags, before.manifests)


def filled(stock: Stock, content: Drawn) -> None:
    numbers: Mapping[int, list[str]] = {
        number: [tag for tag, at in content.tags.items() if at == number]
        for number in range(len(content.dates) + len(content.indexes))
    }
    made: list[Manifest] = [
        stock.image(f"image {number}", *numbers[number], days=days) for number, days in enumerate(content.dates)
    ]
    for number, children in enumerate(content.indexes, len(content.dates)):
        annotations = {"number": str(number)}
        made.append(stock.index([made[child] for child in children], *numbers[number], annotations=annotations))
    for number in content.signed:
        stock.cosign(made[number])
    for number in content.referred:
        stock.fallback(made[number], stock.referrer(made[number], f"about {number}"))


def gone(picture: Picture, place: Place) -> set[str]:
    found = place.registry.concurrently(
        lambda digest: place.registry.resolve(place.repository, digest, artifacts=True), picture.manifests
    )
    return {digest for digest, one in zip(picture.manifests, found, strict=True) if one is None}
