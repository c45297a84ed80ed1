"""A plan is for the registry that it was made for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imagewright.cleanup.drift import drift
from imagewright.cleanup.model import RepositoryPlan
from imagewright.cleanup.plan import plan_repository
from tests.cleanup.pictures import NOW, World, beside, digest, keeping


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
    assert f"the index {digest('newest')[:19]} has {digest('part')[:19]} as a part" in drift(plan, picture)


@pytest.mark.parametrize("about", ["old", "part"])
@pytest.mark.parametrize("tag", ["signed", "beside", None])
def test_a_new_signature_of_what_goes(world: World, plan: RepositoryPlan, about: str, tag: str | None) -> None:
    tags = () if tag is None else (beside(about),) if tag == "beside" else (tag,)
    world.put("signature", *tags, kind="referrer", subject=about)
    assert any(f"is new, and speaks about {digest(about)[:19]}" in why for why in drift(plan, world.picture()))


def test_a_new_list_of_what_refers_to_what_goes(world: World, plan: RepositoryPlan) -> None:
    world.put("signature", kind="referrer", subject="old")
    world.put("list", beside("old", ""), kind="artifact", children=("signature",))
    assert f"{beside('old', '')} is new, and speaks about {digest('old')[:19]}" in drift(plan, world.picture())


def test_a_new_signature_of_what_stays(world: World, plan: RepositoryPlan) -> None:
    world.put("signature", beside("new"), kind="referrer", subject="new")
    assert drift(plan, world.picture()) == ()


def test_a_signature_that_was_kept_without_its_image_is_not_new(world: World) -> None:
    world.put("signature", beside("old"), kind="referrer", subject="old")
    policy = keeping(1, protect=(beside("old"),))
    plan = plan_repository(world.picture(), policy, now=NOW, deletes_tags=True)
    assert digest("old") in plan.manifests
    assert beside("old") in plan.roots
    assert drift(plan, world.picture()) == ()


def test_another_repository_and_problems(world: World, plan: RepositoryPlan) -> None:
    picture = world.picture()
    assert "is about" in drift(plan, replace(picture, repository="ghcr.io/me/other"))[0]
    assert "could be read" in drift(plan, replace(picture, problems=("500",)))[0]
