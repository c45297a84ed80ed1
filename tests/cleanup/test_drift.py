"""A plan is for the registry that it was made for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imagewright.cleanup.drift import blocked, drift
from imagewright.cleanup.model import RepositoryPlan
from imagewright.cleanup.plan import plan_repository
from tests.cleanup.pictures import NOW, World, digest, keeping


@pytest.fixture
def world() -> World:
    world = World()
    world.put("part", age=8)
    world.put("old", "1.0", kind="index", children=("part",), age=8)
    world.put("older", "0.9", age=9)
    world.put("new", "2.0", "latest", age=1)
    return world


@pytest.fixture
def plan(world: World) -> RepositoryPlan:
    plan = plan_repository(world.picture(), keeping(1), now=NOW, deletes_tags=True)
    assert plan.tags == ("0.9", "1.0")
    assert set(plan.manifests) == {digest("older"), digest("old"), digest("part")}
    return plan


def test_nothing_has_moved(world: World, plan: RepositoryPlan) -> None:
    assert drift(plan, world.picture()) == ()


def test_what_is_gone_already_and_what_is_new_do_not_matter(world: World, plan: RepositoryPlan) -> None:
    del world.tags["1.0"], world.tags["0.9"], world.manifests[digest("older")]
    world.put("newest", "3.0", age=0)
    assert drift(plan, world.picture()) == ()


@pytest.mark.parametrize(
    ("tag", "to", "message"),
    [
        ("1.0", "new", "1.0 has moved from sha256:"),
        ("2.0", "older", "2.0 has moved from sha256:"),
        ("latest", None, "latest is to be kept, and is gone"),
        ("3.0", "old", "3.0 points to sha256:"),
        ("3.0", "part", "3.0 points to sha256:"),
    ],
)
def test_a_tag_has_moved(world: World, plan: RepositoryPlan, tag: str, to: str | None, message: str) -> None:
    if to is None:
        del world.tags[tag]
    else:
        world.tags[tag] = digest(to)
    assert any(message in why for why in drift(plan, world.picture()))


def test_a_new_image_shares_a_part(world: World, plan: RepositoryPlan) -> None:
    world.put("newest", "3.0", kind="index", children=("part",), age=0)
    picture = world.picture()
    assert "3.0 is new, and needs what would be deleted" in drift(plan, picture)
    assert blocked(digest("part"), plan, picture) == (
        f"the index {digest('newest')[:19]} has {digest('part')[:19]} as a part"
    )
    assert blocked(digest("old"), plan, picture) is None


def test_a_new_signature_of_what_goes(world: World, plan: RepositoryPlan) -> None:
    world.put("signature", "signed", kind="referrer", subject="old")
    assert drift(plan, world.picture()) == ()


def test_only_the_plan_is_carried_out(world: World, plan: RepositoryPlan) -> None:
    picture = world.picture()
    assert blocked(digest("new"), plan, picture) == f"{digest('new')[:19]} is not in the plan"
    assert blocked(digest("old"), plan, picture) is None
    world.tags["other"] = digest("old")
    assert blocked(digest("old"), plan, world.picture()) == f"other points to {digest('old')[:19]}"


def test_another_repository_and_problems(world: World, plan: RepositoryPlan) -> None:
    picture = world.picture()
    assert "is about" in drift(plan, replace(picture, repository="ghcr.io/me/other"))[0]
    assert "could be read" in drift(plan, replace(picture, problems=("500",)))[0]
