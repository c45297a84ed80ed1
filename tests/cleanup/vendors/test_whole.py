"""A whole cleanup, from the vendor's listing to the proof, on servers that delete as each vendor's does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from imagewright.cleanup.carry_out import Done, carry_out
from imagewright.cleanup.model import Picture, Policy, RepositoryPlan, Rule
from imagewright.cleanup.plan import plan_repository
from imagewright.cleanup.read import read_picture
from imagewright.cleanup.vendors.api import Pace
from imagewright.cleanup.vendors.ecr import EcrDoor
from imagewright.cleanup.vendors.ghcr import GhcrDoor
from imagewright.cleanup.vendors.gitlab import GitLabDoor
from imagewright.cleanup.vendors.harbor import HarborDoor
from imagewright.cleanup.vendors.model import Deleter
from imagewright.cleanup.vendors.oci import Distribution2Door, OciDoor
from imagewright.registry.copy import Place
from tests.cleanup.stock import NOW, Stock
from tests.cleanup.vendors.server import Answer, serving
from tests.cleanup.vendors.test_ecr import HOST, Amazon
from tests.cleanup.vendors.test_ghcr import TOKEN, GitHub
from tests.cleanup.vendors.test_harbor import ROBOT, Artifact, Harbor
from tests.registry.memory import Memory

REPOSITORY = "team/app/web"
_DELETE = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)")
POLICY = Policy(
    rules=(Rule(name="keep 1", keep=1),), protect=("latest", "stable", "release"), max_share=1.0, usual=("latest",)
)


class Deletable(Memory):
    """Deletes as distribution does: tags alone only where `by_tag`."""

    by_tag = True

    def answer(self, request: httpx.Request) -> httpx.Response:
        found = _DELETE.fullmatch(request.url.path)
        if request.method != "DELETE" or found is None:
            return super().answer(request)
        name, reference = found.groups()
        if ":" not in reference:
            if not self.by_tag:
                return httpx.Response(400, json={"errors": [{"code": "DIGEST_INVALID"}]})
            return httpx.Response(202 if self.tags.pop((name, reference), None) else 404)
        if self.manifests.pop((name, reference), None) is None:
            return httpx.Response(404)
        self.remove(reference)
        return httpx.Response(202)

    def remove(self, digest: str) -> None:
        self.manifests.pop((REPOSITORY, digest), None)
        self.tags = {at: target for at, target in self.tags.items() if target != digest}

    def tags_on(self, digest: str) -> list[str]:
        return [tag for (_, tag), target in self.tags.items() if target == digest]

    def digests(self) -> list[str]:
        return [digest for _, digest in self.manifests]


Open = Callable[[Deletable, Place], Any]


@contextmanager
def distribution_3(_: Deletable, place: Place) -> Iterator[Deleter]:
    yield OciDoor(place.registry, place.repository, "distribution")


@contextmanager
def distribution_2(memory: Deletable, place: Place) -> Iterator[Deleter]:
    memory.by_tag = False
    yield Distribution2Door(place.registry, place.repository)


@contextmanager
def gitlab(_: Deletable, place: Place) -> Iterator[Deleter]:
    yield GitLabDoor(place.registry, place.repository)


@contextmanager
def ghcr(memory: Deletable, place: Place) -> Iterator[Deleter]:
    github = GitHub(owner="team")
    for digest in memory.digests():
        github.push(digest, *memory.tags_on(digest))

    def answer(request: Any) -> Answer:
        before = dict(github.versions)
        given = github.answer(request)
        for number in before.keys() - github.versions.keys():
            memory.remove(before[number][0])
        return given

    with serving(answer) as server:
        api = {"api": server.host, "pace": Pace(10**9), "sleep": lambda _: None}
        yield GhcrDoor(place.registry, place.repository, TOKEN, **api)  # type: ignore[arg-type]


@contextmanager
def harbor(memory: Deletable, place: Place) -> Iterator[Deleter]:
    held = Harbor()
    for digest in memory.digests():
        document = memory.manifests[REPOSITORY, digest].document
        children = tuple(one["digest"] for one in document.get("manifests", ()))
        held.artifacts[digest] = Artifact(memory.tags_on(digest), children)

    def answer(request: Any) -> Answer:
        given = held.answer(request)
        for digest in set(memory.digests()) - set(held.artifacts):
            memory.remove(digest)
        memory.tags = {(REPOSITORY, tag): digest for tag, digest in held.tags().items()}
        return given

    with serving(answer) as server, server.registry() as registry:
        door = HarborDoor(registry, place.repository, ROBOT, sleep=lambda _: None)
        yield door


class AmazonOver(Amazon):
    def __init__(self, memory: Deletable) -> None:
        super().__init__()
        self.memory = memory
        for digest in memory.digests():
            self.images[digest] = set(memory.tags_on(digest))
            document = memory.manifests[REPOSITORY, digest].document
            self.children[digest] = {one["digest"] for one in document.get("manifests", ())}

    def batch_delete_image(self, **parts: Any) -> Any:
        answer = super().batch_delete_image(**parts)
        for digest in set(self.memory.digests()) - set(self.images):
            self.memory.remove(digest)
        self.memory.tags = {(REPOSITORY, tag): digest for tag, digest in self.tags().items()}
        return answer


@contextmanager
def ecr(memory: Deletable, place: Place) -> Iterator[Deleter]:
    yield EcrDoor(place.registry, place.repository, client=AmazonOver(memory), sleep=lambda _: None)


VENDORS: dict[str, Open] = {
    "distribution 3": distribution_3,
    "distribution 2": distribution_2,
    "gitlab": gitlab,
    "ghcr": ghcr,
    "harbor": harbor,
    "ecr": ecr,
}


@dataclass
class Cleanup:
    memory: Deletable
    place: Place
    door: Deleter
    folder: Path
    now: datetime = NOW

    def picture(self) -> Picture:
        listing = self.door.listing()
        untagged = listing.untagged if listing else frozenset()
        return read_picture(self.place, memory=self.folder / "memory", now=self.now, untagged=untagged)

    def plan(self, picture: Picture) -> RepositoryPlan:
        return plan_repository(picture, POLICY, now=self.now, deletes_tags=self.door.can.deletes_tags)

    def run(self) -> tuple[RepositoryPlan, Done]:
        picture = self.picture()
        assert picture.problems == ()
        plan = self.plan(picture)
        journals, leases = self.folder / "journals", self.folder / "leases"
        return plan, carry_out(plan, picture, self.place, self.door, journals=journals, leases=leases, now=self.now)

    def tags(self) -> dict[str, str]:
        return {tag: digest for (_, tag), digest in self.memory.tags.items()}


@pytest.fixture(params=list(VENDORS))
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def memory() -> Deletable:
    memory = Deletable(host=HOST)
    stock = Stock(Place(memory.client(), REPOSITORY))
    stock.multi("new", "latest", "v9", days=2)
    stock.image("shared", "v2", "stable", days=90)
    child = stock.image("child", "child-alone", days=95)
    stock.index([child], "release")
    old = stock.multi("old", "v1", "v1.0", days=100, attested=True)
    stock.cosign(old)
    stock.image("older", "v0", days=200)
    return memory


@pytest.fixture
def cleanup(vendor: str, memory: Deletable, tmp_path: Path) -> Iterator[Cleanup]:
    with ExitStack() as stack:
        place = Place(stack.enter_context(memory.client()), REPOSITORY)
        door = stack.enter_context(VENDORS[vendor](memory, place))
        yield Cleanup(memory, place, stack.enter_context(door), tmp_path)


def test_what_is_kept_is_whole_and_the_rest_goes(cleanup: Cleanup, vendor: str) -> None:
    before, manifests = cleanup.tags(), dict(cleanup.memory.manifests)
    _, done = cleanup.run()
    after = cleanup.tags()
    assert done.outcome.error is None
    assert done.breaches == ()
    assert {"latest", "v9", "stable", "v2", "release"} <= set(after)
    assert not {"v0", "v1", "v1.0"} & set(after)
    assert not any(tag.endswith(".sig") for tag in after)
    assert after.items() <= before.items()
    for digest in after.values():
        found = manifests[REPOSITORY, digest]
        assert all((REPOSITORY, child.digest) in cleanup.memory.manifests for child in found.manifests)
    assert before["v1"] not in cleanup.memory.digests()
    assert before["child-alone"] in cleanup.memory.digests()


def test_a_second_run_has_nothing_to_do(cleanup: Cleanup) -> None:
    cleanup.run()
    first = dict(cleanup.memory.manifests), dict(cleanup.memory.tags)
    _, done = cleanup.run()
    assert done.outcome.error is None
    assert done.outcome.deleted_manifests == done.outcome.deleted_tags == ()
    assert (dict(cleanup.memory.manifests), dict(cleanup.memory.tags)) == first
