"""The promises about deleting, held against repositories and policies that nobody thought of.

I1 a kept tag points to what it pointed to; I2 all that a kept tag needs is there; I3 what is not known stays; I4 only
what the plan names is deleted; I5 nothing is deleted by digest while somebody else needs it; I6 a run that is broken
off leaves too much, never too little; I7 the same run again finds nothing more to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from imagewright.cleanup.drift import drift
from imagewright.cleanup.model import Picture, Policy, RepositoryPlan, Use
from imagewright.cleanup.plan import plan_repository
from imagewright.cleanup.planfile import plans_to_json
from imagewright.cleanup.uses import digests_to_read
from tests.cleanup.oracle import Oracle
from tests.cleanup.pictures import DAY, HERE, NOW, World, policies, uses, worlds

some = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
many = settings(some, max_examples=300)


@dataclass
class Case:
    """One repository, what is wanted of it, and a door to it."""

    world: World
    policy: Policy
    uses: tuple[Use, ...]
    deletes_tags: bool

    def picture(self, world: World | None = None) -> Picture:
        return (world or self.world).picture(*digests_to_read(self.uses, HERE))

    def plan(self, world: World | None = None) -> RepositoryPlan:
        return plan_repository(self.picture(world), self.policy, self.uses, now=NOW, deletes_tags=self.deletes_tags)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    world = draw(worlds())
    return Case(world, draw(policies(world)), draw(uses(world)), draw(st.booleans()))


@dataclass
class Simulated:
    """A registry that does what it is told, watches over I5 and I6, and stops after so many deletions."""

    world: World
    plan: RepositoryPlan
    left: int
    done: list[str] = field(default_factory=list)

    def run(self, *, deletes_tags: bool) -> bool:
        """Carry the plan out in its order; whether it came to the end."""
        steps = [*(self.plan.tags if deletes_tags else ()), *self.plan.manifests]
        for step in steps:
            if not self.left:
                return False
            self.left -= 1
            self._delete(step)
        return True

    def _delete(self, step: str) -> None:
        self.done.append(step)
        if step in self.world.tags:
            del self.world.tags[step]
            return
        tags = {tag for tag, to in self.world.tags.items() if to == step}
        assert tags <= set(self.plan.tags), "I5: a tag that the plan does not name points to it"
        seen = self.world.picture()
        above = [one.digest for one in seen.manifests.values() if step in one.children]
        assert not above, "I6: an index that is still there has it as a part"
        self.world.manifests.pop(step, None)
        for tag in tags:
            del self.world.tags[tag]  # as distribution does it


def whole(case: Case, tags: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """What each of these tags needs and has: parts, and what speaks about them."""
    picture = case.picture()
    oracle = Oracle(picture, case.policy, case.uses, NOW)
    found = {}
    for tag, digest in tags.items():
        needed = {digest}
        while more := {one for one in picture.manifests if one not in needed and oracle.needed_by(one, needed)}:
            needed |= more
        found[tag] = frozenset(needed)
    return found


@many
@given(cases(), st.data())
def test_a_run_that_breaks_off_anywhere_breaks_nothing(case: Case, data: st.DataObject) -> None:
    plan = case.plan()
    stop = data.draw(st.integers(0, len(plan.tags) + len(plan.manifests)))
    before = whole(case, plan.roots)
    registry = Simulated(case.world.copy(), plan, left=stop)
    ended = registry.run(deletes_tags=case.deletes_tags)
    after = registry.world
    for tag, digest in plan.roots.items():
        assert after.tags.get(tag) == digest, "I1"
        assert before[tag] <= set(after.manifests), "I2"
    assert set(registry.done) <= {*plan.tags, *plan.manifests}, "I4"
    event(f"ended: {ended}, deletions: {min(len(registry.done), 5)}")

    again = case.plan(after)
    assert not again.refused
    assert plan.roots.items() <= again.roots.items(), "I7: what was kept is kept again"
    assert {*again.tags} <= {*plan.tags}, "I7: nothing goes that did not go before"
    if ended:
        assert again.tags == again.manifests == (), "I7"
    else:
        assert drift(plan, case.picture(after)) == (), "I7: the same plan can be taken up again"
        rest = Simulated(after, plan, left=1000)
        assert rest.run(deletes_tags=case.deletes_tags)
        assert plan.roots.items() <= after.tags.items()


@many
@given(cases())
def test_it_says_what_the_oracle_says(case: Case) -> None:
    picture, plan = case.picture(), case.plan()
    expected = Oracle(picture, case.policy, case.uses, NOW).answer(deletes_tags=case.deletes_tags)
    verdicts = {verdict.tag: verdict for verdict in plan.verdicts if verdict.tag is not None}
    assert {tag for tag, verdict in verdicts.items() if verdict.keep} == expected.kept
    assert set(plan.manifests) == expected.gone
    assert {one.digest for one in plan.verdicts if one.tag is None and not one.keep} == expected.untagged_gone
    event(f"{len(plan.tags)} tags, {min(len(plan.manifests), 4)} manifests")


@some
@given(cases())
def test_each_tag_is_decided_once_and_the_lists_follow(case: Case) -> None:
    picture, plan = case.picture(), case.plan()
    tags = [verdict.tag for verdict in plan.verdicts if verdict.tag is not None]
    assert sorted(tags) == sorted(picture.tags)
    assert sorted(one.digest for one in plan.verdicts if one.tag is None) == sorted(picture.untagged)
    assert all(verdict.rule and verdict.reason for verdict in plan.verdicts)
    assert sorted(plan.tags) == sorted(one.tag for one in plan.verdicts if one.tag and not one.keep)
    assert plan.roots == {tag: picture.tags[tag] for tag in picture.tags if tag not in plan.tags}
    assert len(set(plan.manifests)) == len(plan.manifests)
    if not case.deletes_tags:
        assert {picture.tags[tag] for tag in plan.tags} <= set(plan.manifests)
    assert drift(plan, picture) == ()


@some
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_what_was_read_does_not_matter(case: Case, random: object) -> None:
    picture = case.picture()
    tags, manifests = list(picture.tags.items()), list(picture.manifests.items())
    random.shuffle(tags)  # type: ignore[attr-defined]
    random.shuffle(manifests)  # type: ignore[attr-defined]
    other = replace(picture, tags=dict(tags), manifests=dict(manifests))
    one, two = (
        plan_repository(each, case.policy, uses, now=NOW, deletes_tags=case.deletes_tags)
        for each, uses in ((picture, case.uses), (other, case.uses[::-1]))
    )
    assert plans_to_json([one]) == plans_to_json([two])


@some
@given(cases(), st.data())
def test_what_is_not_known_stays(case: Case, data: st.DataObject) -> None:
    picture = case.picture()
    if not picture.manifests:
        return
    victim = data.draw(st.sampled_from(sorted(picture.manifests)))
    unknown = replace(picture.manifests[victim], kind="unknown", created=None, pushed=None)
    seen = replace(picture, manifests={**picture.manifests, victim: unknown})
    plan = plan_repository(seen, case.policy, case.uses, now=NOW, deletes_tags=case.deletes_tags)
    if victim in picture.tags.values():
        assert victim not in plan.manifests, "I3"
    assert not {tag for tag in plan.tags if picture.tags[tag] == victim}, "I3"


@some
@given(cases(), st.data())
def test_whatever_was_not_read_stops_it(case: Case, data: st.DataObject) -> None:
    picture = case.picture()
    holes = [replace(picture, problems=("the manifest of x answers 500",))]
    if picture.tags:
        lost = picture.tags[data.draw(st.sampled_from(sorted(picture.tags)))]
        rest = {digest: one for digest, one in picture.manifests.items() if digest != lost}
        holes.append(replace(picture, manifests=rest))
    for hole in holes:
        plan = plan_repository(hole, case.policy, case.uses, now=NOW, deletes_tags=case.deletes_tags)
        assert plan.refused
        assert plan.tags == plan.manifests == ()
        assert all(verdict.keep for verdict in plan.verdicts)
        assert plan.roots == hole.tags


@some
@given(cases(), st.sampled_from([-400 * DAY, -DAY, DAY]))
def test_a_clock_that_is_slow_deletes_no_more(case: Case, off: timedelta) -> None:
    """Nor does one that is fast, as long as the registry's own is right."""
    right = replace(case.picture(), taken=NOW)
    case.policy = replace(case.policy, rules=tuple(replace(rule, keep=None) for rule in case.policy.rules))

    def goes(now: datetime) -> set[str]:
        return set(plan_repository(right, case.policy, case.uses, now=now, deletes_tags=True).tags)

    assert goes(NOW + off) <= goes(NOW)


@some
@given(cases(), st.data())
def test_more_protection_never_deletes_more(case: Case, data: st.DataObject) -> None:
    picture, plan = case.picture(), case.plan()
    if not plan.tags:
        return
    tag = data.draw(st.sampled_from(plan.tags))
    use = Use(reference=f"{HERE}:{tag}", where="deploy.yaml:9")
    for policy, used in (
        (case.policy, (*case.uses, use)),
        (replace(case.policy, protect=(*case.policy.protect, picture.tags[tag])), case.uses),
    ):
        less = plan_repository(picture, policy, used, now=NOW, deletes_tags=case.deletes_tags)
        assert set(less.tags) < set(plan.tags)
        assert set(less.manifests) <= set(plan.manifests)
        assert less.roots[tag] == picture.tags[tag]


@pytest.mark.parametrize("deletes_tags", [True, False])
@given(world=worlds())
@example(world=World())
@some
def test_without_a_policy_nothing_goes(world: World, deletes_tags: bool) -> None:
    plan = plan_repository(world.picture(), Policy(rules=()), now=NOW, deletes_tags=deletes_tags)
    assert plan.tags == plan.manifests == ()
    assert not plan.refused
