"""Reading a repository from a registry in memory that is whatever a test wants it to be."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from imagewright.cleanup.read import read_picture
from imagewright.registry.copy import Place
from imagewright.registry.model import OCI_INDEX
from tests.cleanup.stock import NOW, Stock
from tests.registry.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from imagewright.cleanup.model import Picture
    from imagewright.registry.model import Descriptor

REPOSITORY = "shop/app"
DIGEST = "sha256:" + "0" * 64


@dataclass
class Odd(Memory):
    """A registry of which some answers are another one's."""

    instead: Callable[[httpx.Request], httpx.Response | None] = field(default=lambda _: None)

    def answer(self, request: httpx.Request) -> httpx.Response:
        return self.instead(request) or super().answer(request)


@pytest.fixture
def memory() -> Odd:
    return Odd()


@pytest.fixture
def stock(memory: Odd) -> Stock:
    return Stock(Place(memory.client(), REPOSITORY))


@dataclass
class Reader:
    place: Place
    folder: Path

    def __call__(self, **how: object) -> Picture:
        parts: dict[str, object] = {"memory": self.folder, "now": NOW, **how}
        return read_picture(self.place, **parts)  # type: ignore[arg-type]


@pytest.fixture
def read(stock: Stock, tmp_path: Path) -> Reader:
    return Reader(stock.place, tmp_path)


def only(path: str, response: Callable[[], httpx.Response]) -> Callable[[httpx.Request], httpx.Response | None]:
    """Another answer to every GET and HEAD of what ends so."""
    return lambda request: response() if request.method in ("GET", "HEAD") and request.url.path.endswith(path) else None


def test_all_that_tags_lead_to(stock: Stock, read: Reader) -> None:
    index = stock.multi("app", "1.0", "latest", attested=True, days=5)
    picture = read()
    assert picture.repository == f"r.example/{REPOSITORY}"
    assert picture.taken == NOW
    assert picture.tags == {"1.0": index.digest, "latest": index.digest}
    top = picture.manifests[index.digest]
    first, second, attestation = (picture.manifests[child] for child in top.children)
    assert (top.kind, first.kind, second.kind, attestation.kind) == ("index", "image", "image", "artifact")
    assert top.platforms == (*first.platforms, *second.platforms) == ("linux/amd64", "linux/arm64")
    assert top.attests == {attestation.digest: first.digest}
    assert top.created == first.created == NOW - timedelta(days=5)
    assert set(first.blobs) == {blob.digest for blob in index_child_blobs(stock, first.digest)}
    assert (picture.untagged, picture.absent, picture.problems) == (frozenset(), frozenset(), ())


def index_child_blobs(stock: Stock, digest: str) -> tuple[Descriptor, ...]:
    manifest = stock.place.registry.manifest(REPOSITORY, digest)
    assert manifest is not None
    return manifest.blobs


def test_progress_ends_at_its_end(stock: Stock, read: Reader) -> None:
    stock.multi("app", "1.0")
    told: list[tuple[int, int]] = []
    read(progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (3, 3)
    assert [done for done, _ in told] == [1, 2, 3]


@pytest.mark.parametrize("tags", [None, []])
def test_no_tags(memory: Odd, read: Reader, tags: list[str] | None) -> None:
    memory.instead = only("/tags/list", lambda: httpx.Response(200, json={"name": REPOSITORY, "tags": tags}))
    picture = read()
    assert (dict(picture.tags), dict(picture.manifests), picture.problems) == ({}, {}, ())


def test_tags_over_pages(memory: Odd, stock: Stock, read: Reader) -> None:
    one = stock.image("one", "t0")
    memory.tags |= {(REPOSITORY, f"t{number}"): one.digest for number in range(1500)}

    def paged(request: httpx.Request) -> httpx.Response | None:
        if not request.url.path.endswith("/tags/list"):
            return None
        first = int(request.url.params.get("last", "0"))
        link = {"link": f'</v2/{REPOSITORY}/tags/list?last=1000>; rel="next"'} if first == 0 else {}
        names = [f"t{number}" for number in range(1500)][first : first + 1000]
        return httpx.Response(200, json={"tags": names}, headers=link)

    memory.instead = paged
    picture = read()
    assert len(picture.tags) == 1500
    assert picture.problems == ()
    lists = [path for _, path in memory.log if path.endswith("/tags/list")]
    assert lists == []  # the pages above were all


LISTS = {
    "a page that leads to itself": httpx.Response(
        200, json={"tags": ["1"]}, headers={"link": f'</v2/{REPOSITORY}/tags/list?last=1>; rel="next"'}
    ),
    "a page at another host": httpx.Response(
        200, json={"tags": ["1"]}, headers={"link": '<https://other.example/v2/tags/list?last=1>; rel="next"'}
    ),
    "a failure": httpx.Response(500),
    "a refusal": httpx.Response(403),
    "a limit": httpx.Response(429, headers={"retry-after": "0"}),
    "no JSON": httpx.Response(200, text="<html>"),
    "no list": httpx.Response(200, json={"tags": {"1": 2}}),
    "no tags": httpx.Response(200, json={"tags": ["../../other/manifests/1"]}),
    "an unknown tag": httpx.Response(200, json={"tags": ["1", "2"]}),
}


@pytest.mark.parametrize("what", LISTS)
def test_a_list_that_cannot_be_trusted_is_a_problem(memory: Odd, stock: Stock, read: Reader, what: str) -> None:
    stock.image("one", "1")
    memory.instead = only("/tags/list", lambda: LISTS[what])
    assert read().problems


@pytest.mark.parametrize("at", ["index", "child", "config"])
@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(500),
        httpx.Response(404),
        httpx.Response(403),
        httpx.Response(200, content=b"{}", headers={"content-type": OCI_INDEX}),
    ],
    ids=["500", "404", "403", "other bytes"],
)
def test_whatever_cannot_be_read_is_a_problem(
    memory: Odd, stock: Stock, read: Reader, at: str, response: httpx.Response
) -> None:
    index = stock.multi("app", "latest")
    child = index.manifests[0].digest
    config = memory.manifests[REPOSITORY, child].config
    assert config is not None
    path = {"index": "/manifests/latest", "child": f"/manifests/{child}", "config": f"/blobs/{config.digest}"}[at]
    headers = {**response.headers, "docker-content-digest": index.digest} if response.is_success else {}
    copy = lambda: httpx.Response(response.status_code, content=response.content, headers=headers)  # noqa: E731
    memory.instead = only(path, copy)
    assert read().problems
    memory.instead = lambda _: None
    assert read().problems == ()


def test_a_registry_that_fails_is_left_alone_soon(memory: Odd, stock: Stock, read: Reader) -> None:
    one = stock.image("one", "t0")
    memory.tags |= {(REPOSITORY, f"t{number}"): one.digest for number in range(500)}
    memory.instead = lambda request: httpx.Response(403) if "/manifests/t" in request.url.path else None
    seen = len(memory.log)
    read()
    assert len(memory.log) - seen < 100


def test_a_child_that_is_no_digest(memory: Odd, stock: Stock, read: Reader) -> None:
    child = {"mediaType": OCI_INDEX, "digest": "sha256:../../x", "size": 1}
    memory.instead = only(
        "/manifests/latest",
        lambda: httpx.Response(
            200, content=json.dumps({"manifests": [child]}).encode(), headers={"content-type": OCI_INDEX}
        ),
    )
    stock.image("one", "latest")
    assert "no sha256" in read().problems[0]


def test_referrers_of_a_registry_that_lists_them(memory: Odd, stock: Stock, read: Reader) -> None:
    memory.lists_referrers = True
    image = stock.image("one", "latest")
    signature = stock.referrer(image, "signature")
    about = stock.referrer(signature, "about the signature")
    picture = read()
    assert set(picture.manifests) == {image.digest, signature.digest, about.digest}
    assert picture.manifests[about.digest].subject == signature.digest
    assert picture.untagged == frozenset()


def test_one_manifest_beside_two_images_names_neither(memory: Odd, stock: Stock, read: Reader) -> None:
    one, two = stock.image("one", "1"), stock.image("two", "2")
    tag = stock.cosign(one, "sbom")
    shared = memory.tags[REPOSITORY, tag]
    memory.tags[REPOSITORY, f"{two.digest.replace(':', '-')}.sbom"] = shared
    picture = read()
    assert (picture.manifests[shared].kind, picture.manifests[shared].subject) == ("referrer", None)


def test_what_has_an_ordinary_tag_too_is_what_it_is(memory: Odd, stock: Stock, read: Reader) -> None:
    one, two = stock.image("one", "1"), stock.image("two", "2")
    memory.tags[REPOSITORY, one.digest.replace(":", "-")] = two.digest
    assert read().manifests[two.digest].kind == "image"


def test_untagged_and_pushed_by_the_vendors_word(stock: Stock, read: Reader) -> None:
    index = stock.multi("app", "latest")
    loose = stock.multi("loose")
    children = {child.digest for child in loose.manifests}
    picture = read(
        untagged={loose.digest, *children, index.manifests[0].digest}, listed=["latest"], pushed={loose.digest: NOW}
    )
    # What a loose index names is part of that and has no word of its own; it is in the vendor's list nevertheless.
    assert picture.untagged == {loose.digest, *children}
    assert picture.manifests[loose.digest].pushed == NOW
    assert picture.manifests[index.digest].pushed is None


def test_a_vendors_list_that_does_not_agree(memory: Odd, stock: Stock, read: Reader) -> None:
    index = stock.multi("app", "latest")
    assert read(listed=["latest", "other"]).problems
    memory.lists_tags = False
    assert read(untagged=[index.manifests[0].digest]).problems


def test_digests_that_somebody_uses(stock: Stock, read: Reader) -> None:
    tagged, loose = stock.image("one", "latest"), stock.multi("loose")
    picture = read(also=[tagged.digest, loose.digest, DIGEST])
    assert picture.absent == {DIGEST}
    assert {child.digest for child in loose.manifests} < set(picture.manifests)
    assert picture.problems == ()


def test_a_missing_child_is_a_problem_though_it_was_asked_for(memory: Odd, stock: Stock, read: Reader) -> None:
    child = stock.multi("app", "latest").manifests[0].digest
    del memory.manifests[REPOSITORY, child]
    assert read(also=[child]).problems


def test_memory_is_believed_for_an_hour_only(memory: Odd, stock: Stock, read: Reader) -> None:
    index = stock.multi("app", "latest")
    child = index.manifests[0].digest
    first = read()
    del memory.manifests[REPOSITORY, child]
    assert read(now=NOW + timedelta(minutes=59)).manifests == first.manifests
    assert read(now=NOW + timedelta(minutes=61)).problems
    assert read(now=NOW - timedelta(days=1)).problems  # a clock that is off


def test_a_moved_tag_is_read_anew(stock: Stock, read: Reader) -> None:
    stock.image("one", "latest")
    read()
    two = stock.multi("two", "latest")
    assert read().tags == {"latest": two.digest}


def test_a_second_reading_sends_one_request_a_tag(memory: Odd, stock: Stock, read: Reader) -> None:
    for number in range(5):
        stock.multi(f"app {number}", str(number), attested=True)
    first = read()
    memory.log.clear()
    assert read() == first
    assert memory.methods() == {"GET": 2, "HEAD": 5}  # the list, and whether there is one of referrers


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 100, None])
def test_a_damaged_memory_costs_requests_and_nothing_else(
    stock: Stock, read: Reader, tmp_path: Path, damage: bytes | None
) -> None:
    stock.multi("app", "latest")
    first = read()
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    path.write_bytes(damage if damage is not None else data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    assert read() == first


def test_a_memory_that_cannot_be_written_does_not_matter(stock: Stock, tmp_path: Path) -> None:
    stock.multi("app", "latest")
    (tmp_path / "file").write_text("")
    picture = read_picture(stock.place, memory=tmp_path / "file" / "folder", now=NOW)
    assert len(picture.manifests) == 3


def test_what_is_gone_is_forgotten(memory: Odd, stock: Stock, read: Reader, tmp_path: Path) -> None:
    import sqlite3

    one = stock.image("one", "1")
    stock.image("two", "2")
    read()
    del memory.tags[REPOSITORY, "1"]
    read()
    (path,) = tmp_path.iterdir()
    with sqlite3.connect(path) as database:
        kept = {row[0] for row in database.execute("SELECT digest FROM content")}
    assert one.digest not in kept
    assert len(kept) == 2  # a manifest and its configuration
