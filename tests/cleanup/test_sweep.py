"""Carrying out a plan on registries that have lists of referrers, or take a manifest with its last tag."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import pytest

from imagewright.cleanup.carry_out import carry_out
from imagewright.cleanup.journal import Journal
from imagewright.cleanup.read import read_picture
from imagewright.cleanup.sweep import sweep
from imagewright.cleanup.vendors.model import Capabilities, KeptError
from imagewright.registry.copy import Place
from imagewright.registry.model import Deletion
from tests.cleanup.stock import NOW, PlainDoor, Stock, plan_for
from tests.registry.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from imagewright.cleanup.model import Picture, RepositoryPlan
    from imagewright.cleanup.sweep import Outcome

REPOSITORY = "shop/app"


@dataclass
class Deleting(Memory):
    """Deletes as distribution 3 does, and then does something once."""

    then: Callable[[], object] | None = None

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method != "DELETE":
            return super().answer(request)
        reference = request.url.path.rpartition("/")[2]
        if ":" in reference:
            gone = self.manifests.pop((REPOSITORY, reference), None) is not None
            self.tags = {at: digest for at, digest in self.tags.items() if digest != reference}
        else:
            gone = self.tags.pop((REPOSITORY, reference), None) is not None
        then, self.then = self.then, None
        if then:
            then()
        return httpx.Response(202 if gone else 404)


@dataclass
class LastTagDoor(PlainDoor):
    """As Amazon: an image goes with its last tag, and never while an index names it."""

    memory: Deleting = field(default_factory=Deleting)

    @property
    def can(self) -> Capabilities:
        return Capabilities(kind="ecr", deletes_tags=True, deletes_manifests=True, last_tag_takes_manifest=True)

    def delete_tag(self, tag: str) -> Deletion:
        digest = self.memory.tags[REPOSITORY, tag]
        last = list(self.memory.tags.values()).count(digest) == 1
        if last and any(digest in [of.digest for of in one.manifests] for one in self.memory.manifests.values()):
            raise KeptError("an index names it")
        done = super().delete_tag(tag)
        if last:
            del self.memory.manifests[REPOSITORY, digest]
        return done


@dataclass
class Site:
    memory: Deleting
    folder: Path
    stock: Stock = field(init=False)

    def __post_init__(self) -> None:
        self.stock = Stock(Place(self.memory.client(), REPOSITORY))

    def read(self) -> Picture:
        picture = read_picture(self.stock.place, memory=self.folder / "memory", now=NOW)
        assert picture.problems == ()
        return picture

    def sweep(
        self, plan: RepositoryPlan, picture: Picture, door: PlainDoor | None = None, *, last_tag: bool = False
    ) -> Outcome:
        place = self.stock.place
        with Journal.create(self.folder, str(place), NOW) as journal:
            return sweep(
                plan,
                picture,
                place,
                door or PlainDoor(place),
                journal,
                deletes_tags=True,
                last_tag_takes_manifest=last_tag,
            )

    def has(self, digest: str) -> bool:
        return (REPOSITORY, digest) in self.memory.manifests


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(Deleting(), tmp_path)


def test_what_was_signed_after_the_plan_keeps_its_tag_and_its_signature(site: Site) -> None:
    """Where the registry lists referrers, no tag tells of a new one."""
    site.memory.lists_referrers = True
    old, other = site.stock.image("old", "1"), site.stock.image("other", "2")
    first = site.stock.referrer(old, "first")
    picture = site.read()
    plan = plan_for(picture, ["1", "2"])
    assert {old.digest, first.digest, other.digest} == set(plan.manifests)
    site.stock.referrer(old, "second")

    done = site.sweep(plan, picture)

    assert site.memory.tags == {(REPOSITORY, "1"): old.digest}
    assert site.has(old.digest)
    assert site.has(first.digest)
    assert not site.has(other.digest)
    assert [one.reference for one in done.skipped] == ["1", old.digest, first.digest]


def test_what_is_signed_between_two_deletions_stays(site: Site) -> None:
    site.memory.lists_referrers = True
    old = site.stock.image("old", "1")
    picture = site.read()
    site.memory.then = lambda: site.stock.referrer(old, "signature")

    done = site.sweep(plan_for(picture, ["1"]), picture)

    assert site.has(old.digest)
    assert done.deleted_tags == ("1",)


def test_an_image_that_stays_after_all_keeps_its_signature(site: Site) -> None:
    """Somebody tags it again while its own tag goes: by then its signature's tag must not be gone."""
    old = site.stock.image("old", "1")
    signature = site.stock.cosign(old)
    fallback = site.stock.fallback(old, site.stock.referrer(old, "sbom"))
    picture = site.read()
    plan = plan_for(picture, ["1"])
    assert {signature, fallback} < set(plan.tags)
    site.memory.then = lambda: site.memory.tags.update({(REPOSITORY, "again"): old.digest})

    done = site.sweep(plan, picture)

    assert set(site.read().manifests) == set(picture.manifests)
    assert {tag for _, tag in site.memory.tags} == {"again", signature, fallback}
    assert done.deleted_tags == ("1",)


def test_a_signature_of_a_signature_goes_with_both(site: Site) -> None:
    old = site.stock.image("old", "1")
    signature = site.stock.cosign(old)
    signed = site.stock.place.registry.manifest(REPOSITORY, signature)
    assert signed is not None
    site.stock.cosign(signed)
    picture = site.read()
    done = site.sweep(plan_for(picture, ["1"]), picture)
    assert done.skipped == ()
    assert site.memory.tags == {}
    assert site.memory.manifests == {}


class TestLastTag:
    """What goes with its last tag has no deletion of its own at which it would be looked at."""

    def test_goes_in_the_order_of_the_manifests(self, site: Site) -> None:
        part = site.stock.image("part", "0-part")
        index = site.stock.index([part], "1")
        picture = site.read()
        plan = plan_for(picture, ["0-part", "1"])
        assert plan.manifests == (index.digest, part.digest)
        place, folder = site.stock.place, site.folder
        door = LastTagDoor(place, memory=site.memory)
        done = carry_out(plan, picture, place, door, journals=folder / "j", leases=folder / "l", now=NOW)
        assert done.ok
        assert done.outcome.skipped == ()
        assert done.outcome.deleted_tags == ("1", "0-part")
        assert site.memory.manifests == {}

    def test_stays_where_somebody_needs_its_image(self, site: Site) -> None:
        part = site.stock.image("part", "part")
        picture = site.read()
        plan = plan_for(picture, ["part"])
        index = site.stock.index([part], "new")
        door = LastTagDoor(site.stock.place, memory=site.memory)
        done = site.sweep(plan, picture, door, last_tag=True)
        assert door.asked == []
        assert done.skipped[0].reference == "part"
        assert index.digest in done.skipped[0].reason
        assert site.has(part.digest)
