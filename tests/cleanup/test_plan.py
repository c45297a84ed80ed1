"""Accidents that other tools have had with registries, one after the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from imagewright.cleanup.model import Picture, Policy, RepositoryPlan, Rule, Sort, Use
from imagewright.cleanup.plan import plan_repository
from imagewright.errors import UsageError
from tests.cleanup.pictures import DAY, HERE, NOW, World, beside, digest, keeping


def plan(
    world: World,
    policy: Policy,
    *uses: str,
    now: datetime = NOW,
    deletes_tags: bool = True,
    extra: tuple[str, ...] = (),
) -> RepositoryPlan:
    used = [Use(reference=text, where=f"deploy.yaml:{line}") for line, text in enumerate(uses, start=1)]
    return plan_repository(world.picture(*extra), policy, used, now=now, deletes_tags=deletes_tags)


def why(found: RepositoryPlan, tag: str) -> tuple[bool, str]:
    (verdict,) = (one for one in found.verdicts if one.tag == tag)
    return verdict.keep, verdict.rule


def numbered(count: int, *, prefix: str = "v") -> World:
    world = World()
    for number in range(1, count + 1):
        world.put(f"image {number}", f"{prefix}{number}", age=count - number + 1)
    return world


def test_the_newest_are_kept_and_what_people_pull() -> None:
    world = numbered(15)
    world.put("old release", "stable", age=300)
    world.put("old base", "base-stable", age=300)
    world.tags["latest"] = world.tags["v2"]
    found = plan(world, keeping(10))
    assert found.tags == ("v1", "v3", "v4", "v5")
    assert why(found, "v2") == (True, "protect latest")
    assert why(found, "v6") == (True, "keep 10")
    assert why(found, "v5") == (False, "keep 10")
    assert found.freed == 4000
    assert found.unmatched == ()


def test_several_tags_on_one_image_count_once() -> None:
    world = numbered(3)
    world.tags |= {"a": world.tags["v3"], "b": world.tags["v3"], "latest": world.tags["v3"]}
    found = plan(world, keeping(2))
    assert found.tags == ("v1",)


def test_an_image_that_is_protected_alone_takes_no_place() -> None:
    world = numbered(3)
    world.put("newest", "latest", age=0.1)
    assert plan(world, keeping(2)).tags == ("v1",)


@pytest.mark.parametrize("deletes_tags", [True, False])
def test_a_shared_digest_goes_only_with_all_of_its_tags(deletes_tags: bool) -> None:
    world = World()
    world.put("shared", "old", "pr-1", age=50)
    world.put("new", "new", age=1)
    policy = keeping(1, rules=(Rule(name="pulls", tags=("pr-*",), younger=7 * DAY), Rule(name="rest", keep=5)))
    found = plan(world, policy, deletes_tags=deletes_tags)
    assert found.manifests == ()
    assert found.tags == (("pr-1",) if deletes_tags else ())
    assert why(found, "pr-1") == ((False, "pulls") if deletes_tags else (True, "shared"))
    assert found.roots["old"] == digest("shared")


@pytest.mark.parametrize("deletes_tags", [True, False])
def test_a_tag_on_a_part_of_a_kept_index_costs_the_index_nothing(deletes_tags: bool) -> None:
    world = World()
    world.put("amd64", "pr-1", age=50)
    world.put("arm64", age=50)
    world.put("both", "1.0", kind="index", children=("amd64", "arm64"), age=50)
    policy = keeping(1, rules=(Rule(name="pulls", tags=("pr-*",), younger=7 * DAY), Rule(name="rest", keep=5)))
    found = plan(world, policy, deletes_tags=deletes_tags)
    assert found.manifests == ()
    assert found.tags == (("pr-1",) if deletes_tags else ())


def test_a_tagged_part_shares_the_place_of_its_image() -> None:
    world = World()
    for number in (1, 2, 3):
        world.put(f"amd64 {number}", f"{number}.0-amd64", age=10 - number)
        world.put(f"both {number}", f"{number}.0", kind="index", children=(f"amd64 {number}",), age=10 - number)
    found = plan(world, keeping(2))
    assert found.tags == ("1.0", "1.0-amd64")
    assert found.manifests == (digest("both 1"), digest("amd64 1"))


@pytest.mark.parametrize("deletes_tags", [True, False])
def test_a_manifest_in_two_indexes_stays_with_either(deletes_tags: bool) -> None:
    world = World()
    world.put("amd64", age=20)
    world.put("arm64", age=20)
    world.put("old", "1.0", kind="index", children=("amd64", "arm64"), age=20)
    world.put("new", "2.0", kind="index", children=("amd64",), age=10)
    found = plan(world, keeping(1), deletes_tags=deletes_tags)
    assert found.tags == ("1.0",)
    assert found.manifests == (digest("old"), digest("arm64"))


def test_what_speaks_about_an_image_goes_with_it_and_last() -> None:
    world = World()
    for number, age in ((1, 20), (2, 10)):
        name = f"image {number}"
        world.put(f"platform {number}", age=age)
        world.put(f"sbom {number}", kind="artifact")
        world.put(
            name,
            f"{number}.0",
            kind="index",
            children=(f"platform {number}", f"sbom {number}"),
            attests={f"sbom {number}": f"platform {number}"},
            age=age,
        )
        world.put(f"signature {number}", beside(name), kind="referrer", subject=name)
        world.put(f"attested {number}", beside(f"platform {number}", ".att"), kind="referrer")
        world.put(f"referrer {number}", kind="referrer", subject=name)
        world.put(f"about it {number}", kind="referrer", subject=f"referrer {number}")
        world.put(f"list {number}", beside(name, ""), kind="referrer", children=(f"referrer {number}",))
    found = plan(world, keeping(1))
    assert found.tags == ("1.0", *sorted([beside("image 1"), beside("image 1", ""), beside("platform 1", ".att")]))
    assert found.manifests[0] == digest("image 1")
    assert set(found.manifests[1:3]) == {digest("platform 1"), digest("sbom 1")}
    rest = {digest(f"{name} 1") for name in ("signature", "attested", "referrer", "about it", "list")}
    assert set(found.manifests[3:]) == rest
    assert found.manifests.index(digest("list 1")) < found.manifests.index(digest("referrer 1"))
    assert why(found, beside("image 2")) == (True, "with its image")
    assert why(found, beside("image 1")) == (False, "with its image")


def test_a_signature_of_something_unknown_stays() -> None:
    world = numbered(3)
    world.put("signature", beside("never read"), beside("image 1"), kind="referrer")
    found = plan(world, keeping(1))
    assert why(found, beside("never read")) == (True, "unknown")
    assert why(found, beside("image 1")) == (False, "with its image")
    assert digest("signature") not in found.manifests
    assert why(plan(world, keeping(1), deletes_tags=False), beside("image 1")) == (True, "shared")


def test_an_attestation_stays_with_the_platform_that_stays() -> None:
    world = World()
    world.put("amd64", "stable", age=50)
    world.put("sbom", kind="artifact")
    world.put("index", "1.0", kind="index", children=("amd64", "sbom"), attests={"sbom": "amd64"}, age=50)
    world.put("new", "2.0", age=1)
    found = plan(world, keeping(1))
    assert found.tags == ("1.0",)
    assert found.manifests == (digest("index"),)


def test_a_registry_that_answers_the_fallback_tag_with_the_image_itself() -> None:
    world = numbered(3)
    world.put("image 1", beside("image 1", ""), age=3)
    found = plan(world, keeping(1))
    assert found.tags == (beside("image 1", ""), "v1", "v2")
    del world.tags["v1"]
    found = plan(world, keeping(2))
    assert found.tags == (beside("image 1", ""),)


@pytest.mark.parametrize("kind", ["cache", "artifact", "unknown", "referrer"])
def test_what_is_no_image_stays_and_takes_no_place(kind: str) -> None:
    world = numbered(3)
    world.put("other", "buildcache", kind=kind, age=0.5)  # type: ignore[arg-type]
    found = plan(world, keeping(2))
    assert found.tags == ("v1",)
    assert why(found, "buildcache") == (True, "no image")


@pytest.mark.parametrize(
    "created",
    [
        None,
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1980, 1, 1, 0, 0, 1, tzinfo=UTC),
        datetime(2013, 3, 19, 23, 59, 59, tzinfo=UTC),
        NOW + timedelta(seconds=1),
        datetime(9999, 12, 31, tzinfo=UTC),
    ],
)
def test_a_date_that_cannot_be_keeps_the_image_and_takes_no_place(created: datetime | None) -> None:
    world = numbered(3)
    world.put("odd", "odd", created=created)
    for rule in (Rule(name="two", keep=2), Rule(name="two", keep=2, younger=DAY), Rule(name="young", younger=DAY)):
        found = plan(world, keeping(2, rules=(rule,)))
        assert why(found, "odd") == (True, "unknown date")
    assert plan(world, keeping(2)).tags == ("v1",)


def test_the_registrys_word_counts_before_the_images_own() -> None:
    world = World()
    world.put("rebuilt", "a", created=NOW - 900 * DAY, pushed=NOW - 2 * DAY)
    world.put("built", "b", created=NOW - 5 * DAY)
    assert plan(world, keeping(1)).tags == ("b",)
    world.put("rebuilt", "a", created=NOW - 2 * DAY, pushed=NOW + DAY)
    assert plan(world, keeping(1)).tags == ()


def test_all_dates_equal_then_versions_then_tags_decide() -> None:
    world = World()
    for tag in ("1.9", "1.10", "1.2", "zeta", "pr-9", "pr-10"):
        world.put(tag, tag, age=9)
    assert plan(world, keeping(1)).tags == ("1.2", "1.9", "pr-10", "pr-9", "zeta")
    assert set(plan(world, keeping(4)).tags) == {"pr-9", "pr-10"}
    del world.tags["zeta"]
    assert set(plan(world, keeping(4)).tags) == {"pr-9"}


@pytest.mark.parametrize(
    ("sort", "kept"),
    [("date", {"1.9", "1.9.1"}), ("version", {"1.10", "1.9.1"}), ("parts", {"1.10", "1.9.1"})],
)
def test_version_order_against_date_order(sort: Sort, kept: set[str]) -> None:
    world = World()
    for age, tag in enumerate(("1.9.1", "1.9", "1.2", "1.10"), start=1):
        world.put(tag, tag, age=age)
    found = plan(world, keeping(2, rules=(Rule(name="two", keep=2, sort=sort),)))
    assert set(found.roots) == kept


def test_a_tag_without_a_version_is_not_ranked_by_one() -> None:
    world = World()
    for age, tag in enumerate(("1.9", "1.10", "nightly", "sha-abc"), start=1):
        world.put(tag, tag, age=age)
    world.put("1.9", "1.9", "sha-1234567", age=1)
    found = plan(world, keeping(1, rules=(Rule(name="one", keep=1, sort="version"),)))
    assert found.tags == ("1.9", "sha-1234567")
    assert why(found, "nightly") == (True, "unknown version")
    found = plan(world, keeping(1, rules=(Rule(name="one", keep=1, sort="parts"),)))
    assert why(found, "nightly") == (True, "unknown parts")


def test_parts_compare_all_numbers() -> None:
    world = World()
    for tag in ("build-2025.9-3", "build-2025.10-1", "build-2025.10-12", "build-2025.10-2"):
        world.put(tag, tag, age=5)
    found = plan(world, keeping(1, rules=(Rule(name="one", keep=2, sort="parts"),)))
    assert set(found.roots) == {"build-2025.10-12", "build-2025.10-2"}


def test_images_without_dates_are_kept_also_where_versions_decide() -> None:
    world = World()
    for tag in ("1.1", "1.2"):
        world.put(tag, tag, created=datetime(1970, 1, 1, tzinfo=UTC))
    world.put("1.0", "1.0", age=5)
    rules = (Rule(name="one", keep=0, sort="version"),)
    assert plan(world, keeping(0, rules=rules)).tags == ("1.0",)


def test_what_was_just_pushed_is_left_alone() -> None:
    world = numbered(3)
    world.put("hotfix", "0.9", created=NOW - timedelta(minutes=59))
    world.put("reproducible", "0.8", created=NOW - 400 * DAY, pushed=NOW - timedelta(minutes=1))
    world.put("an hour ago", "0.7", created=NOW - timedelta(hours=1))
    found = plan(world, keeping(0, grace=timedelta(hours=1)))
    assert set(found.roots) == {"0.8", "0.9"}
    assert why(found, "0.8") == (True, "grace")


def test_a_limit_by_age_is_no_limit_by_number() -> None:
    world = numbered(10)
    young = Rule(name="week", younger=7 * DAY)
    assert plan(world, keeping(0, rules=(young,))).tags == ("v1", "v2", "v3", "v4")
    both = Rule(name="both", younger=7 * DAY, keep=8)
    assert plan(world, keeping(0, rules=(both,))).tags == ("v1", "v2")


def test_a_clock_that_is_off_by_a_day() -> None:
    world = numbered(5)
    policy = keeping(2, rules=(Rule(name="young", younger=2 * DAY + timedelta(hours=1)),))
    assert plan(world, policy).tags == ("v1", "v2", "v3")
    assert plan(world, policy, now=NOW + DAY).tags == ("v1", "v2", "v3"), "the registry's clock says otherwise"
    assert plan(world, policy, now=NOW - DAY).tags == ("v1", "v2")
    world.taken = NOW - DAY
    assert plan(world, policy).tags == ("v1", "v2")
    assert plan(world, keeping(2), now=NOW - 2.5 * DAY).tags == ("v1",), "two are of the future, and kept beside"


def test_keeping_nothing_and_more_than_there_are() -> None:
    world = numbered(4)
    assert plan(world, keeping(10)).tags == ()
    assert plan(world, keeping(0)).tags == ("v1", "v2", "v3", "v4")
    refused = plan(world, keeping(0, allow_keep_zero=False))
    assert refused.refused
    assert "--allow-keep-zero" in refused.refused
    assert refused.tags == refused.manifests == ()
    assert not plan(world, keeping(4, allow_keep_zero=False)).refused


def test_an_empty_repository() -> None:
    found = plan(World(), keeping(10, allow_empty=False, max_share=0.5))
    assert found == RepositoryPlan(repository=HERE, verdicts=(), manifests=(), tags=(), freed=0)


def test_the_breakers_say_how_to_overrule_them() -> None:
    world = numbered(4)
    found = plan(world, keeping(1, max_share=0.5))
    assert found.refused == (
        "3 of 4 images would go, a greater share than 0.5: say `--max-share 0.75` if that is meant"
    )
    assert [verdict.tag for verdict in found.verdicts if not verdict.keep] == ["v1", "v2", "v3"]
    assert found.tags == found.manifests == ()
    assert not plan(world, keeping(1, max_share=0.75)).refused
    assert not plan(world, keeping(2, max_share=0.5)).refused

    found = plan(world, keeping(2, max_delete=3))
    assert found.refused == ("4 tags and manifests would go, more than 3: say `--max-delete 4` if that is meant")
    assert not plan(world, keeping(2, max_delete=4)).refused

    found = plan(world, keeping(0, allow_empty=False))
    assert found.refused == "no image would keep a tag: say `--allow-empty` if that is meant"
    world.put("cache", "buildcache", kind="cache")
    assert plan(world, keeping(0, allow_empty=False)).refused


@pytest.mark.parametrize(
    "use",
    [
        f"{HERE}:v1",
        f"{HERE}@{digest('image 1')}",
        f"{HERE}:other@{digest('image 1')}",
        digest("image 1"),
        f"mirror.example.com/copy@{digest('image 1')}",
    ],
)
def test_what_is_in_use_stays(use: str) -> None:
    found = plan(numbered(5), keeping(2), use)
    assert why(found, "v1") == (True, "in use")
    assert found.tags == ("v2", "v3")
    (verdict,) = (one for one in found.verdicts if one.tag == "v1")
    assert verdict.reason.endswith("needed by deploy.yaml:1")


def test_all_tags_of_an_image_in_use_stay() -> None:
    world = numbered(3)
    world.tags["alias"] = world.tags["v1"]
    found = plan(world, keeping(1), f"{HERE}:alias")
    assert found.tags == ("v2",)
    assert why(found, "v1") == (True, "in use")


def test_the_index_over_a_platform_in_use_stays() -> None:
    world = numbered(2)
    world.put("amd64", age=50)
    world.put("arm64", age=50)
    world.put("both", "old", kind="index", children=("amd64", "arm64"), age=50)
    found = plan(world, keeping(1), f"{HERE}@{digest('amd64')}")
    assert why(found, "old") == (True, "in use")
    assert found.tags == ("v1",)


def test_an_image_in_use_that_lost_its_tag_keeps_its_parts() -> None:
    world = numbered(2)
    world.put("amd64", "v0", age=50)
    world.put("deployed", kind="index", children=("amd64",), age=50)
    pinned = f"{HERE}@{digest('deployed')}"
    found = plan(world, keeping(1), pinned, extra=(digest("deployed"),))
    assert found.manifests == (digest("image 1"),)
    assert "looked for" in (plan(world, keeping(1), pinned).refused or "")
    gone = f"{HERE}@{digest('long gone')}"
    assert plan(world, keeping(1), gone, extra=(digest("long gone"),)).tags == ("v0", "v1")


@pytest.mark.parametrize("use", ["ghcr.io/me/other:v1", "docker.io/me/app:v1", "docker.io/library/app:v1"])
def test_the_same_tag_elsewhere_protects_nothing(use: str) -> None:
    assert plan(numbered(2), keeping(1), use).tags == ("v1",)


def test_a_use_that_cannot_be_read_stops_everything() -> None:
    with pytest.raises(UsageError, match=r"deploy.yaml:1: .*is no tag"):
        plan(numbered(2), keeping(1), f"{HERE}:not a tag")


def test_only_what_may_be_deleted_is_ranked() -> None:
    world = numbered(3)
    for number in range(1, 5):
        world.put(f"pull {number}", f"pr-{number}", age=20 - number)
    found = plan(world, keeping(2, only=("pr-*",)))
    assert found.tags == ("pr-1", "pr-2")
    assert why(found, "v1") == (True, "only")


def test_a_tag_that_no_rule_fits_is_kept() -> None:
    world = numbered(3)
    found = plan(world, keeping(1, rules=(Rule(name="pulls", tags=("pr-*",), keep=1),)))
    assert found.tags == ()
    assert why(found, "v1") == (True, "no rule")
    assert found.unmatched == ("pulls: pr-*",)


def test_a_rule_without_a_limit_keeps() -> None:
    assert plan(numbered(3), keeping(1, rules=(Rule(name="all"),))).tags == ()


def test_patterns_that_fit_nothing_are_told() -> None:
    world = numbered(3)
    policy = keeping(
        1,
        rules=(
            Rule(name="first", tags=("v*", "w*"), keep=9),
            Rule(name="second", tags=("v1",), keep=1),
            Rule(name="rest", keep=1),
        ),
        protect=("v1", "v[7-9]", digest("nowhere"), digest("image 1")),
        only=("v*", "x*"),
    )
    assert plan(world, policy).unmatched == (
        "protect v[7-9]",
        f"protect {digest('nowhere')}",
        "only x*",
        "first: w*",
        "second: v1",
    )


def test_a_protected_digest_keeps_all_of_its_tags() -> None:
    world = numbered(3)
    world.tags["alias"] = world.tags["v1"]
    found = plan(world, keeping(1, protect=(digest("image 1"),)))
    assert found.tags == ("v2",)
    assert why(found, "alias")[1].startswith("protect sha256:")


def test_a_protected_part_of_what_goes_stays() -> None:
    world = numbered(1)
    world.put("amd64", age=50)
    world.put("arm64", age=50)
    world.put("both", "old", kind="index", children=("amd64", "arm64"), age=50)
    world.put("signature", kind="referrer", subject="amd64")
    found = plan(world, keeping(1, protect=(digest("amd64"),)))
    assert found.tags == ("old",)
    assert found.manifests == (digest("both"), digest("arm64"))


def test_a_signature_in_use_stays_without_its_image() -> None:
    world = numbered(2)
    world.put("signature", kind="referrer", subject="image 1")
    found = plan(world, keeping(1), f"{HERE}@{digest('signature')}")
    assert found.manifests == (digest("image 1"),)


def test_what_was_read_and_nobody_asked_about_keeps_its_parts() -> None:
    world = numbered(1)
    world.put("amd64", "old", age=50)
    world.put("found by chance", kind="index", children=("amd64",), age=50)
    assert plan(world, keeping(1), extra=(digest("found by chance"),)).manifests == ()
    picture = replace(world.picture(), untagged=frozenset([digest("amd64")]))
    assert plan_repository(picture, keeping(1), now=NOW, deletes_tags=True).manifests == ()


@pytest.mark.parametrize(("untagged", "goes"), [(None, False), (30 * DAY, False), (7 * DAY, True)])
def test_manifests_without_a_tag(untagged: timedelta | None, goes: bool) -> None:
    world = numbered(1)
    world.lists_untagged = True
    world.put("part", age=20)
    world.put("moved away from", kind="index", children=("part",), age=20)
    world.put("signature", kind="referrer", subject="moved away from")
    world.put("undated", created=None)
    found = plan(world, keeping(1, untagged=untagged))
    expected = (digest("moved away from"), digest("part"), digest("signature"))
    assert found.manifests == (expected if goes else ())
    kept = {verdict.digest: verdict.keep for verdict in found.verdicts if verdict.tag is None}
    assert kept == {
        digest("moved away from"): not goes,
        digest("signature"): not goes,
        digest("undated"): True,
    }


@pytest.mark.parametrize(("minutes", "goes"), [(30, False), (90, True)])
def test_what_is_just_being_published_has_no_tag_yet(minutes: int, goes: bool) -> None:
    world = numbered(1)
    world.lists_untagged = True
    world.put("loose", pushed=NOW - timedelta(minutes=minutes))
    found = plan(world, keeping(1, untagged=timedelta(0)))
    assert found.manifests == ((digest("loose"),) if goes else ())


def test_what_was_not_read_is_told_with_the_first_of_all_problems() -> None:
    picture = replace(numbered(3).picture(), problems=("v1: 500", "v2: 404"))
    found = plan_repository(picture, keeping(1, protect=("x*",)), now=NOW, deletes_tags=True)
    assert found.refused == "not all of it could be read: v1: 500, and 1 more like it"
    assert {verdict.rule for verdict in found.verdicts} == {"unread"}
    assert found.unmatched == ()


def test_bytes_are_freed_where_nobody_else_needs_them() -> None:
    world = World()
    layer = {digest("common"): 1_000_000}
    world.put("old", "old", age=9, blobs={**layer, digest("old layer"): 70})
    world.put("new", "new", age=1, blobs={**layer, digest("new layer"): 5})
    found = plan(world, keeping(1))
    assert found.freed == 70
    assert {verdict.tag: verdict.size for verdict in found.verdicts} == {"old": 1_000_070, "new": 1_000_005}


def test_a_thousand_tags() -> None:
    world = World(lists_referrers=False)
    for number in range(1, 951):
        world.put(f"image {number}", f"main-{number}", age=number / 10)
    for number in range(1, 51):
        parts = (f"amd64 {number}", f"arm64 {number}")
        for part in parts:
            world.put(part, age=number)
        world.put(f"index {number}", f"1.0.{number}", kind="index", children=parts, age=number)
    found = plan(world, keeping(10))
    assert len(found.verdicts) == 1_000
    assert len(found.tags) == 990
    assert len(found.manifests) == 990 + 2 * 49


class TestLeftOver:
    """What an earlier cleanup was to delete, and was killed before it did."""

    @pytest.fixture
    def world(self) -> World:
        world = World(lists_referrers=False)
        world.put("left part", age=50)
        world.put("attestation", kind="artifact")
        world.put("left", kind="index", children=("left part", "attestation"), age=50)
        world.put("kept", "2.0", age=1)
        return world

    @staticmethod
    def picture(world: World, *left: str, gone: tuple[str, ...] = ()) -> Picture:
        seen = world.picture(*map(digest, (*left, *gone)))
        below = {child for name in left for child in world.manifests[digest(name)].children}
        loose = {*map(digest, left), *below} - set(seen.tags.values())
        return replace(seen, untagged=frozenset(loose), left=frozenset({*map(digest, left), *below}))

    def test_goes_with_the_next_one(self, world: World) -> None:
        plan = plan_repository(self.picture(world, "left"), keeping(1), now=NOW, deletes_tags=True)
        assert plan.manifests[0] == digest("left")
        assert set(plan.manifests) == {digest(one) for one in ("left", "left part", "attestation")}
        assert {one.rule for one in plan.verdicts if one.tag is None} == {"left over"}

    def test_stays_where_somebody_needs_it(self, world: World) -> None:
        use = Use(reference=digest("left"), where="deploy.yaml:1")
        plan = plan_repository(self.picture(world, "left"), keeping(1), [use], now=NOW, deletes_tags=True)
        assert plan.manifests == ()
        protected = keeping(1, protect=(digest("left"),))
        assert plan_repository(self.picture(world, "left"), protected, now=NOW, deletes_tags=True).manifests == ()

    def test_stays_where_an_image_has_it_by_now(self, world: World) -> None:
        world.put("new", "3.0", kind="index", children=("left part",), age=0)
        plan = plan_repository(self.picture(world, "left"), keeping(2), now=NOW, deletes_tags=True)
        assert set(plan.manifests) == {digest("left"), digest("attestation")}

    @pytest.mark.parametrize("deletes_tags", [True, False])
    def test_a_signature_goes_after_its_image(self, world: World, deletes_tags: bool) -> None:
        world.put("signature", beside("deleted"), kind="referrer", subject="deleted")
        picture = self.picture(world, "signature", gone=("deleted",))
        plan = plan_repository(picture, keeping(1), now=NOW, deletes_tags=deletes_tags)
        assert plan.tags == (beside("deleted"),)
        assert plan.manifests == (digest("signature"),)

    def test_a_signature_of_what_was_never_seen_stays(self, world: World) -> None:
        world.put("signature", beside("elsewhere"), kind="referrer", subject="elsewhere")
        for picture in (
            self.picture(world, "signature"),  # nobody has looked for what it speaks about
            replace(self.picture(world, "signature", gone=("elsewhere",)), left=frozenset()),
        ):
            plan = plan_repository(picture, keeping(1), now=NOW, deletes_tags=True)
            assert plan.tags == plan.manifests == ()
