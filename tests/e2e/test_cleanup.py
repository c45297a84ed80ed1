"""Cleaning up real registries of both generations: what goes, what stays, and what happened while it was done."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from imagewright.cleanup.carry_out import carry_out
from imagewright.cleanup.journal import read_journal, unfinished
from imagewright.cleanup.lease import lease
from imagewright.cleanup.model import Verdict
from imagewright.cleanup.read import read_picture
from imagewright.cleanup.undo import undo
from imagewright.cleanup.verify import verify
from imagewright.errors import ImagewrightError, RegistryError
from imagewright.registry.client import Registry
from imagewright.registry.copy import Place
from imagewright.registry.model import Deletion
from tests.cleanup.stock import NOW, PlainDoor, Stock, described, plan_for
from tests.e2e.registries import Served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from imagewright.cleanup.carry_out import Done
    from imagewright.cleanup.model import Picture, RepositoryPlan
    from imagewright.registry.model import Manifest

pytestmark = pytest.mark.e2e

_names = itertools.count()


@dataclass
class Site:
    """A repository of its own on a real registry."""

    stock: Stock
    by_tag: bool  # whether the registry deletes tags
    folder: Path

    @property
    def place(self) -> Place:
        return self.stock.place

    def read(self, memory: str = "memory") -> Picture:
        picture = read_picture(self.place, memory=self.folder / memory, now=NOW)
        assert picture.problems == ()
        return picture

    def plan(self, *doomed: str) -> RepositoryPlan:
        return plan_for(self.read(), doomed, by_tag=self.by_tag)

    def door(self) -> PlainDoor:
        return PlainDoor(self.place, by_tag=self.by_tag)

    def carry_out(self, plan: RepositoryPlan, door: PlainDoor | None = None) -> Done:
        return carry_out(
            plan,
            self.read(),
            self.place,
            door or self.door(),
            journals=self.folder / "journals",
            leases=self.folder / "leases",
            now=NOW,
        )

    def clean(self, *doomed: str) -> Done:
        """Plan and carry out, and see for ourselves that all that was kept is there."""
        plan = self.plan(*doomed)
        done = self.carry_out(plan)
        assert done.outcome.error is None
        assert done.verified
        assert verify(self.place, plan.roots) == ()
        return done

    def digest(self, reference: str) -> str | None:
        found = self.place.registry.resolve(self.place.repository, reference, artifacts=True)
        return found.digest if found else None

    def has(self, *manifests: Manifest) -> list[bool]:
        return [self.digest(one.digest) is not None for one in manifests]


@pytest.fixture(scope="module", params=[3, 2], ids=["distribution 3", "distribution 2"])
def generation(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def served(generation: int, serve: Callable[[int], Served]) -> Served:
    return serve(generation)


@pytest.fixture
def site(served: Served, generation: int, tmp_path: Path) -> Iterator[Site]:
    with Registry(served.host, credentials=lambda _: None, sleep=lambda _: None) as registry:
        place = Place(registry, f"shop/app{next(_names)}")
        yield Site(Stock(place), generation == 3, tmp_path)


def test_old_images_go_and_the_others_stay(site: Site) -> None:
    old, new = site.stock.image("old", "1.0"), site.stock.multi("new", "2.0", "latest", attested=True)
    done = site.clean("1.0")
    assert done.outcome.deleted_tags == ("1.0",)
    assert done.outcome.deleted_manifests == (old.digest,)
    assert done.ok
    assert site.has(old, new) == [False, True]
    assert site.digest("1.0") is None
    assert site.digest("latest") == new.digest


def test_one_of_two_tags_on_one_digest_goes_and_never_takes_the_other_along(site: Site) -> None:
    shared = site.stock.image("shared", "old", "latest")
    done = site.clean("old")
    assert site.digest("latest") == shared.digest
    assert done.outcome.deleted_manifests == ()
    assert done.outcome.deleted_tags == (("old",) if site.by_tag else ())
    assert (site.digest("old") is None) == site.by_tag


def test_a_planned_digest_is_not_deleted_while_a_kept_tag_points_to_it(site: Site) -> None:
    # The plan is wrong, and says so of nothing: the sweep looks for itself.
    shared = site.stock.image("shared", "old", "latest")
    right = site.plan("old")
    wrong = replace(
        right,
        tags=("old",),
        manifests=(shared.digest,),
        verdicts=tuple(replace(one, keep=one.tag != "old") for one in right.verdicts),
    )
    done = site.carry_out(wrong)
    assert site.digest("latest") == shared.digest
    assert [one.reference for one in done.outcome.skipped] == [shared.digest]


def test_a_tag_on_a_child_of_a_kept_index(site: Site) -> None:
    child = site.stock.image("child", "amd64")
    other = site.stock.image("other")
    index = site.stock.index([child, other], "latest")
    done = site.clean("amd64")
    assert site.has(child, other, index) == [True, True, True]
    assert done.outcome.deleted_tags == (("amd64",) if site.by_tag else ())


def test_a_child_of_a_kept_index_stays_even_if_a_plan_has_it(site: Site) -> None:
    child = site.stock.image("child")
    site.stock.index([child], "latest")
    plan = replace(site.plan(), manifests=(child.digest,))
    done = site.carry_out(plan)
    assert site.has(child) == [True]
    assert "names it" in done.outcome.skipped[0].reason


def test_the_same_manifest_in_two_indexes(site: Site) -> None:
    shared, first, second = (site.stock.image(name) for name in ("shared", "first", "second"))
    old, new = site.stock.index([shared, first], "1"), site.stock.index([shared, second], "2")
    site.clean("1")
    assert site.has(old, first) == [False, False]
    assert site.has(new, shared, second) == [True, True, True]


def test_docker_lists_beside_oci_indexes(site: Site) -> None:
    children = [site.stock.image(f"docker {one}", docker=True, architecture=one) for one in ("amd64", "arm64")]
    listed = site.stock.index(children, "docker", docker=True)
    index = site.stock.multi("oci", "oci")
    picture = site.read()
    assert {picture.manifests[listed.digest].kind, picture.manifests[index.digest].kind} == {"index"}
    site.clean("docker")
    assert site.has(listed, *children) == [False, False, False]
    assert site.has(index) == [True]


def test_signatures_go_with_their_image_and_stay_with_it(site: Site) -> None:
    old, new = site.stock.image("old", "1"), site.stock.image("new", "2")
    beside = {one: [site.stock.cosign(one, suffix) for suffix in ("sig", "att", "sbom")] for one in (old, new)}
    referrers = {one: site.stock.referrer(one, f"signature of {one.digest}") for one in (old, new)}
    fallbacks = {one: site.stock.fallback(one, referrers[one]) for one in (old, new)}
    picture = site.read()
    assert picture.manifests[referrers[old].digest].subject == old.digest
    assert {picture.manifests[picture.tags[tag]].kind for tag in (*beside[old], fallbacks[new])} == {"referrer"}
    done = site.clean("1")
    assert [site.digest(tag) for tag in (*beside[old], fallbacks[old])] == [None] * 4
    assert site.has(old, referrers[old]) == [False, False]
    assert all(site.digest(tag) for tag in (*beside[new], fallbacks[new]))
    assert site.has(new, referrers[new]) == [True, True]
    assert done.outcome.deleted_manifests[-1] == referrers[old].digest or not site.by_tag


def test_a_signature_stays_when_its_image_could_not_go(site: Site) -> None:
    old = site.stock.image("old", "1")
    signature = site.stock.cosign(old)
    plan = site.plan("1")
    assert signature in plan.tags
    site.stock.image("moved", "1")
    site.place.registry.push_manifest(site.place.repository, "now-kept", old)
    site.carry_out(plan)
    assert site.digest("now-kept") == old.digest
    assert site.digest(signature) is not None


def test_a_layer_cache_in_the_same_repository(site: Site) -> None:
    cache = site.stock.cache("cache", as_index=not site.by_tag)  # generation 3 refuses the index of old
    site.stock.image("old", "1")
    picture = site.read()
    assert picture.manifests[cache.digest].kind == "cache"
    assert len(picture.manifests[cache.digest].blobs) == 2
    assert picture.manifests[cache.digest].children == ()
    site.clean("1")
    assert site.has(cache) == [True]


@pytest.mark.parametrize("bad", ["../../other/manifests/1", "sha256:1", "1?x"])
def test_a_plan_that_names_something_else_deletes_nothing(site: Site, bad: str) -> None:
    site.stock.image("old", "1")
    plan = site.plan("1")
    odd = Verdict(tag=bad, digest=plan.manifests[0], keep=False, rule="", reason="", dated=None, size=0)
    for wrong in (
        replace(plan, manifests=(*plan.manifests, bad)),
        replace(plan, tags=(*plan.tags, bad), verdicts=(*plan.verdicts, odd)),
        replace(plan, tags=("unspoken",)),
    ):
        door = site.door()
        done = site.carry_out(wrong, door)
        assert isinstance(done.outcome.error, RegistryError)
        assert door.asked == []


def test_a_plan_of_another_repository_deletes_nothing(site: Site) -> None:
    site.stock.image("old", "1")
    with pytest.raises(RegistryError, match="the plan is for another repository"):
        site.carry_out(replace(site.plan("1"), repository="other.example/shop/app"))


def test_an_empty_repository_and_one_that_never_was(site: Site) -> None:
    assert site.read().tags == {}
    old = site.stock.image("old", "1")
    site.place.registry.delete_manifest(site.place.repository, old.digest)
    picture = site.read()
    assert (dict(picture.tags), dict(picture.manifests)) == ({}, {})
    done = site.carry_out(plan_for(picture, ()))
    assert done.ok
    assert done.journal is None


def test_a_tag_that_moved_between_plan_and_deletion(site: Site) -> None:
    old = site.stock.image("old", "1")
    plan = site.plan("1")
    new = site.stock.image("new", "1")
    done = site.carry_out(plan)
    assert site.digest("1") == new.digest
    assert done.outcome.deleted_tags == ()
    assert site.has(old) == [site.by_tag]  # nothing points to it: where it goes by digest, it may
    assert done.outcome.error is None


def test_a_doomed_tag_that_moved_onto_another_doomed_image(site: Site) -> None:
    """Nobody has agreed to this tag of that image: somebody wants it, by whatever name."""
    first, second = site.stock.image("first", "1"), site.stock.image("second", "2")
    site.stock.image("kept", "latest")
    plan = site.plan("1", "2")
    site.place.registry.push_manifest(site.place.repository, "1", second)
    assert {first.digest, second.digest} == set(plan.manifests)
    done = site.carry_out(plan)
    assert done.outcome.error is None
    assert site.digest("1") == second.digest


def test_a_kept_tag_that_moved_onto_a_doomed_image(site: Site) -> None:
    old = site.stock.multi("old", "1")
    site.stock.image("new", "latest")
    plan = site.plan("1")
    site.place.registry.push_manifest(site.place.repository, "latest", old)
    done = site.carry_out(plan)
    assert verify(site.place, {"latest": old.digest}) == ()
    assert done.outcome.deleted_manifests == ()


@dataclass
class PushingDoor(PlainDoor):
    """Somebody pushes right before a deletion, once."""

    push: Callable[[], object] = lambda: None
    before: int = 0  # the number of deletions that were asked for by then

    def delete_manifest(self, digest: str) -> Deletion:
        done = super().delete_manifest(digest)
        if len(self.asked) == self.before:
            self.push()
        return done

    def delete_tag(self, tag: str) -> Deletion:
        done = super().delete_tag(tag)
        if len(self.asked) == self.before:
            self.push()
        return done


@pytest.mark.parametrize("before", range(1, 6))
def test_a_push_during_the_sweep_keeps_all_that_it_needs(site: Site, before: int) -> None:
    shared = site.stock.image("shared")
    images = [site.stock.image(f"image {number}") for number in range(2)]
    for number, one in enumerate(images):
        site.stock.index([one, shared], f"old-{number}")
    site.stock.image("kept", "latest")
    plan = site.plan("old-0", "old-1")
    fresh: list[Manifest] = []

    def push() -> None:
        # An index over whatever of it is still there, as a build that reuses a platform would push it.
        there = [one for one in (shared, *images) if site.digest(one.digest)]
        if there:
            fresh.append(site.stock.index(there, "fresh"))

    door = PushingDoor(site.place, by_tag=site.by_tag, push=push, before=before)
    done = site.carry_out(plan, door)
    assert done.outcome.error is None
    roots = dict(plan.roots) | dict(zip(["fresh"], [one.digest for one in fresh], strict=False))
    assert verify(site.place, roots) == ()


def test_a_kept_tag_that_moves_during_the_sweep(site: Site) -> None:
    first, second = site.stock.image("a", "1"), site.stock.image("b", "2")
    site.stock.image("kept", "latest")
    plan = site.plan("1", "2")
    last = first if plan.manifests[-1] == first.digest else second

    def move() -> None:
        site.place.registry.push_manifest(site.place.repository, "latest", last)

    door = PushingDoor(site.place, by_tag=site.by_tag, push=move, before=3 if site.by_tag else 1)
    done = site.carry_out(plan, door)
    assert site.digest("latest") == last.digest
    assert [one.reference for one in done.outcome.skipped] == [last.digest]
    assert done.verified  # it has moved, and all of it is there


# Where tags cannot be deleted, one that was put back cannot be told from the one that is to go with its manifest.
@pytest.mark.parametrize("generation", [3], indirect=True, ids=["distribution 3"])
def test_a_tag_that_comes_back_during_the_sweep_keeps_its_image(site: Site) -> None:
    old = site.stock.image("old", "1")
    site.stock.image("kept", "latest")

    def put_back() -> None:
        site.place.registry.push_manifest(site.place.repository, "1", old)

    done = site.carry_out(site.plan("1"), PushingDoor(site.place, push=put_back, before=1))
    assert site.digest("1") == old.digest
    assert [one.reference for one in done.outcome.skipped] == [old.digest]


def test_a_new_signature_during_the_sweep_keeps_its_image(site: Site) -> None:
    first, second = site.stock.image("a", "1"), site.stock.image("b", "2")
    plan = site.plan("1", "2")
    last = plan.manifests[-1]
    signed = first if last == first.digest else second
    before = len(plan.tags) + 1 if site.by_tag else 1
    door = PushingDoor(site.place, by_tag=site.by_tag, push=lambda: site.stock.cosign(signed), before=before)
    site.carry_out(plan, door)
    assert site.has(signed) == [True]


def test_two_cleanups_at_once(site: Site) -> None:
    site.stock.image("old", "1")
    plan = site.plan("1")
    with (
        lease(site.folder / "leases", str(site.place)),
        pytest.raises(RegistryError, match="another cleanup of this repository is running"),
    ):
        site.carry_out(plan)
    assert site.digest("1") is not None
    assert site.carry_out(plan).ok


def test_what_another_machine_has_deleted_meanwhile_is_fine(site: Site) -> None:
    site.stock.multi("old", "1")
    site.stock.image("kept", "latest")
    picture, plan = site.read(), site.plan("1")
    assert site.carry_out(plan).ok
    again = carry_out(
        plan, picture, site.place, site.door(), journals=site.folder, leases=site.folder / "other", now=NOW
    )
    assert again.ok
    assert again.outcome.deleted_tags == again.outcome.deleted_manifests == ()


def test_undo_brings_everything_back(site: Site) -> None:
    old = site.stock.multi("old", "1", "1.0", attested=True)
    signature, referrer = site.stock.cosign(old), site.stock.referrer(old, "sbom")
    fallback = site.stock.fallback(old, referrer)
    site.stock.image("kept", "latest")
    before = site.read()
    done = site.clean("1", "1.0")
    assert done.journal is not None
    assert site.digest("1") is None
    restored = undo(done.journal, site.place)
    assert restored.ok
    assert set(restored.tags) == {"1", "1.0", signature, fallback}
    after = site.read("another memory")
    assert after.tags == before.tags
    assert after.manifests == before.manifests
    assert verify(site.place, before.tags) == ()
    again = undo(done.journal, site.place)
    assert (again.manifests, again.tags, again.left) == ((), (), ())


def test_undo_leaves_a_tag_that_is_somebody_elses_now(site: Site) -> None:
    site.stock.image("old", "1")
    site.stock.image("kept", "latest")
    done = site.clean("1")
    assert done.journal is not None
    new = site.stock.image("new", "1")
    restored = undo(done.journal, site.place)
    assert site.digest("1") == new.digest
    assert [one.reference for one in restored.left] == ["1"]


def test_undo_brings_nothing_back_that_somebody_else_deleted(site: Site) -> None:
    old = site.stock.image("old", "1")
    site.stock.image("kept", "latest")

    class Late(PlainDoor):
        def delete_manifest(self, digest: str) -> Deletion:
            self.place.registry.delete_manifest(self.place.repository, digest)
            return super().delete_manifest(digest)

    done = site.carry_out(site.plan("1"), Late(site.place, by_tag=site.by_tag))
    assert done.ok
    assert done.outcome.deleted_manifests == ()
    assert done.journal is not None
    restored = undo(done.journal, site.place)
    assert restored.manifests == ()
    assert restored.tags == (("1",) if site.by_tag else ())  # which was ours to delete
    assert site.has(old) == [site.by_tag]


def test_undo_shown_changes_nothing(site: Site) -> None:
    old = site.stock.image("old", "1")
    site.stock.image("kept", "latest")
    done = site.clean("1")
    assert done.journal is not None
    assert unfinished(done.journal.parent, str(site.place)) == {}
    restored = undo(done.journal, site.place, dry_run=True)
    assert (restored.manifests, restored.tags) == ((old.digest,), ("1",))
    assert site.digest("1") is None


@dataclass
class RecklessDoor(PlainDoor):
    """Takes a manifest with all its tags, whatever it was asked for."""

    def delete_tag(self, tag: str) -> Deletion:
        found = self.place.registry.resolve(self.place.repository, tag)
        assert found is not None
        self.place.registry.delete_manifest(self.place.repository, found.digest)
        return Deletion.DONE


def test_what_is_lost_nevertheless_is_put_back(site: Site) -> None:
    shared = site.stock.multi("shared", "old", "latest")
    site.by_tag = True  # whatever the registry can do, the door says that it can
    done = site.carry_out(site.plan("old"), RecklessDoor(site.place))
    assert site.digest("latest") == shared.digest
    assert verify(site.place, {"latest": shared.digest}) == ()
    assert done.restored is not None
    assert done.restored.ok
    assert done.verified
    assert not done.ok


def test_a_kept_tag_that_somebody_else_deletes_undoes_nothing(site: Site) -> None:
    old, kept = site.stock.image("old", "1"), site.stock.image("kept", "2")
    site.stock.image("other", "3")
    plan = site.plan("1")
    picture = site.read()
    site.place.registry.delete_manifest(site.place.repository, kept.digest)
    done = carry_out(
        plan, picture, site.place, site.door(), journals=site.folder / "j", leases=site.folder / "l", now=NOW
    )
    assert done.restored is None
    assert not done.verified
    assert [one.reference for one in done.breaches] == ["2"]
    assert site.has(old) == [False]


def test_verify_tells_what_is_gone_moved_and_missing(site: Site) -> None:
    index = site.stock.multi("index", "index")
    child = index.manifests[0].digest
    moved, gone = site.stock.image("moved", "moved"), site.stock.image("gone", "gone")
    roots = dict(site.read().tags)
    site.stock.image("elsewhere", "moved")
    for digest in (gone.digest, child):
        site.place.registry.delete_manifest(site.place.repository, digest)
    found = verify(site.place, roots)
    assert {(one.reference, one.problem) for one in found} == {
        ("moved", "moved"),
        ("gone", "gone"),
        (child, "missing"),
    }
    assert next(one for one in found if one.reference == "moved").digest == moved.digest


def test_verify_asks_for_every_blob_of_every_platform(site: Site) -> None:
    index = site.stock.multi("index", "index", attested=True)
    roots = dict(site.read().tags)
    assert verify(site.place, roots) == ()
    registry, name = site.place.registry, site.place.repository
    for child in index.manifests:
        manifest = registry.manifest(name, child.digest)
        assert manifest is not None
        lost = manifest.blobs[-1].digest
        registry.ask("DELETE", f"/v2/{name}/blobs/{lost}")
        assert (lost, "missing") in {(one.reference, one.problem) for one in verify(site.place, roots)}


def test_the_journal_has_each_manifest_before_it_goes(site: Site) -> None:
    old = site.stock.multi("old", "1")
    site.stock.image("kept", "latest")
    journals: list[set[str]] = []

    class Watching(PlainDoor):
        def delete_manifest(self, digest: str) -> Deletion:
            (path,) = (site.folder / "journals").iterdir()
            record = read_journal(path)
            assert record.entries[-1].reference == digest
            assert digest in record.manifests
            journals.append(set(record.manifests))
            return super().delete_manifest(digest)

    done = site.carry_out(site.plan("1"), Watching(site.place, by_tag=site.by_tag))
    assert done.ok
    assert journals[-1] == {old.digest, *(child.digest for child in old.manifests)}


def test_a_registry_with_deletion_switched_off(serve: Callable[..., Served], generation: int, tmp_path: Path) -> None:
    served = serve(generation, deletes=False)
    with Registry(served.host, credentials=lambda _: None) as registry:
        site = Site(Stock(Place(registry, "shop/app")), generation == 3, tmp_path)
        old = site.stock.image("old", "1")
        site.stock.image("kept", "latest")
        done = site.carry_out(site.plan("1"))
        assert isinstance(done.outcome.error, ImagewrightError)
        assert "does not delete" in str(done.outcome.error)
        assert not done.ok
        assert site.has(old) == [True]
        assert site.digest("1") == old.digest


def test_a_second_reading_needs_less_than_half_of_the_requests(site: Site) -> None:
    for number in range(12):
        site.stock.multi(f"multi {number}", f"m{number}", attested=True) if number % 4 == 0 else site.stock.image(
            f"single {number}", f"s{number}"
        )
    counts = []
    pictures = []
    for _ in range(2):
        before = site.place.registry.requests
        pictures.append(site.read())
        counts.append(site.place.registry.requests - before)
    assert pictures[0] == pictures[1]
    assert counts[1] < counts[0] / 2
    # One for the list, one for the list of referrers that there is not, one a tag and one more for what is distinct.
    distinct = len(pictures[0].manifests) + sum(one.kind == "image" for one in pictures[0].manifests.values())
    assert counts[0] <= 2 + distinct
    assert counts[1] == 2 + 12


def test_an_index_in_the_picture_has_the_dates_of_its_platforms(site: Site) -> None:
    old, new = site.stock.image("old", days=30), site.stock.image("new", days=3)
    index = site.stock.index([old, new], "latest")
    undated = site.stock.index([site.stock.image("undated", created=""), new], "undated")
    picture = site.read()
    assert picture.manifests[index.digest].created == picture.manifests[new.digest].created
    assert picture.manifests[undated.digest].created is None
    assert described(new)["digest"] in picture.manifests[index.digest].children
