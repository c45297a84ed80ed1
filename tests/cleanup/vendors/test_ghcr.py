"""GitHub's Packages API as docs.github.com/rest/packages/packages describes it, behind real HTTP."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagewright.cleanup.vendors.api import Pace
from imagewright.cleanup.vendors.ghcr import GhcrDoor
from imagewright.cleanup.vendors.model import KeptError
from imagewright.errors import RegistryError
from imagewright.registry.authentication import RefusedError
from imagewright.registry.model import Deletion
from tests.cleanup.vendors.server import DIGESTS, Answer, Request, Server, manifest_answer, serving

TOKEN = "ghp_verysecret"
LAST = "You cannot delete the last tagged version of a package. You must delete the package instead."


@dataclass
class GitHub:
    kind: str = "User"
    owner: str = "me"
    page: int = 100
    versions: dict[int, tuple[str, list[str]]] = field(default_factory=dict)  # id: digest, tags
    popular: set[int] = field(default_factory=set)  # downloaded more than 5,000 times

    def push(self, digest: str, *tags: str) -> int:
        number = next(numbers)
        for _, others in self.versions.values():
            others[:] = [tag for tag in others if tag not in tags]
        self.versions[number] = (digest, list(tags))
        return number

    def tags(self) -> dict[str, str]:
        return {tag: digest for digest, tags in self.versions.values() for tag in tags}

    def answer(self, request: Request) -> Answer:
        path = request.path
        if path.startswith("/v2/"):
            digest = path.rpartition("/")[2]
            known = {one for one, _ in self.versions.values()}
            return manifest_answer(digest) if digest in known else Answer(404)
        if request.authorization != f"Bearer {TOKEN}":
            return Answer(401, {"message": "Bad credentials"})
        if path == f"/users/{self.owner}":
            return Answer(200, {"login": self.owner, "type": self.kind})
        place = "users" if self.kind == "User" else "orgs"
        base = f"/{place}/{self.owner}/packages/container/app%2Fweb/versions"
        if path == base and request.method == "GET":
            return self.list(request)
        number = int(path.rpartition("/")[2]) if path.startswith(f"{base}/") else -1
        if number not in self.versions:
            return Answer(404, {"message": "Not Found"})
        if request.method == "GET":
            return Answer(200, self.document(number))
        digest, tags = self.versions[number]
        if number in self.popular:
            return Answer(400, {"message": "Publicly visible package versions with more than 5000 downloads stay."})
        if tags and sum(bool(others) for _, others in self.versions.values()) == 1:
            return Answer(400, {"message": LAST})
        del self.versions[number]
        return Answer(204)

    def list(self, request: Request) -> Answer:
        number = int(request.query.get("page", "1"))
        size = min(int(request.query["per_page"]), self.page)
        ids = sorted(self.versions)[(number - 1) * size : number * size]
        more = number * size < len(self.versions)
        link = f'<http://{request.headers["host"]}{request.path}?per_page={size}&page={number + 1}>; rel="next"'
        return Answer(200, [self.document(one) for one in ids], {"Link": link} if more else {})

    def document(self, number: int) -> dict[str, Any]:
        digest, tags = self.versions[number]
        return {
            "id": number,
            "name": digest,
            "created_at": f"2026-01-{number % 27 + 1:02}T00:00:00Z",
            "metadata": {"package_type": "container", "container": {"tags": list(tags)}},
        }


numbers = itertools.count(1)


@contextlib.contextmanager
def door_to(hub: GitHub, token: str | None = TOKEN) -> Iterator[tuple[GhcrDoor, Server]]:
    with serving(hub.answer) as server, server.registry() as registry:
        pace = Pace(10**9)
        with GhcrDoor(registry, "me/app/web", token, api=server.host, pace=pace, sleep=lambda _: None) as door:
            yield door, server


@pytest.fixture
def github() -> GitHub:
    return GitHub()


def test_the_listing_follows_the_pages(github: GitHub) -> None:
    github.page = 2
    for number in range(5):
        github.push(DIGESTS[number], f"v{number}")
    github.push(DIGESTS[9])
    with door_to(github) as (door, _):
        listing = door.listing()
    assert listing is not None
    assert listing.tags == {f"v{number}": DIGESTS[number] for number in range(5)}
    assert listing.untagged == {DIGESTS[9]}
    assert set(listing.pushed) == {*DIGESTS[:5], DIGESTS[9]}


@pytest.mark.parametrize(("kind", "place"), [("User", "users"), ("Organization", "orgs")])
def test_a_version_goes_with_its_approved_tags(github: GitHub, kind: str, place: str) -> None:
    github.kind = kind
    number = github.push(DIGESTS[1], "old", "older")
    github.push(DIGESTS[2], "new")
    with door_to(github) as (door, server):
        door.approve({"old": DIGESTS[1], "older": DIGESTS[1]}, [DIGESTS[1]])
        assert door.delete_manifest(DIGESTS[1]) is Deletion.DONE
        assert door.delete_manifest(DIGESTS[1]) is Deletion.ABSENT
    assert github.tags() == {"new": DIGESTS[2]}
    deletes = [request.target for request in server.log if request.method == "DELETE"]
    assert deletes == [f"/{place}/me/packages/container/app%2Fweb/versions/{number}"]


def test_a_version_with_another_tag_stays(github: GitHub) -> None:
    github.push(DIGESTS[1], "old", "latest")
    github.push(DIGESTS[2], "new")
    with door_to(github) as (door, server):
        door.approve({"old": DIGESTS[1]}, [DIGESTS[1]])
        with pytest.raises(KeptError, match="latest"):
            door.delete_manifest(DIGESTS[1])
    assert "DELETE" not in server.methods()


def test_a_tag_that_came_after_the_listing_is_seen(github: GitHub) -> None:
    number = github.push(DIGESTS[1], "old")
    github.push(DIGESTS[2], "new")
    with door_to(github) as (door, server):
        door.listing()
        github.versions[number][1].append("stable")
        door.approve({"old": DIGESTS[1]}, [DIGESTS[1]])
        with pytest.raises(KeptError, match="stable"):
            door.delete_manifest(DIGESTS[1])
    assert "DELETE" not in server.methods()


def test_a_tag_that_was_approved_on_another_version_counts_as_another(github: GitHub) -> None:
    github.push(DIGESTS[1], "moved")
    github.push(DIGESTS[2], "new")
    with door_to(github) as (door, server):
        door.approve({"moved": DIGESTS[3]}, [DIGESTS[1]])
        with pytest.raises(KeptError, match="moved"):
            door.delete_manifest(DIGESTS[1])
    assert "DELETE" not in server.methods()


def test_an_id_that_shows_another_digest_stays(github: GitHub) -> None:
    number = github.push(DIGESTS[1])
    with door_to(github) as (door, server):
        door.listing()
        github.versions[number] = (DIGESTS[2], [])
        door.approve({}, [DIGESTS[1]])
        with pytest.raises(KeptError, match="another version"):
            door.delete_manifest(DIGESTS[1])
    assert "DELETE" not in server.methods()


def test_the_last_tagged_version_is_kept_in_githubs_words(github: GitHub) -> None:
    github.push(DIGESTS[1], "only")
    with door_to(github) as (door, _):
        door.approve({"only": DIGESTS[1]}, [DIGESTS[1]])
        with pytest.raises(KeptError, match="last tagged version"):
            door.delete_manifest(DIGESTS[1])


def test_a_popular_version_is_kept(github: GitHub) -> None:
    github.popular.add(github.push(DIGESTS[1]))
    with door_to(github) as (door, _):
        door.approve({}, [DIGESTS[1]])
        with pytest.raises(KeptError, match="5000 downloads"):
            door.delete_manifest(DIGESTS[1])


def test_tags_alone_are_not_supported_and_nothing_is_sent(github: GitHub) -> None:
    github.push(DIGESTS[1], "old", "latest")
    with door_to(github) as (door, server):
        door.approve({"old": DIGESTS[1]}, [])
        assert not door.can.deletes_tags
        assert door.delete_tag("old") is Deletion.UNSUPPORTED
        assert server.log == []


def test_without_a_token_one_can_only_plan(github: GitHub) -> None:
    github.push(DIGESTS[1])
    with door_to(github, token=None) as (door, server):
        door.approve({}, [DIGESTS[1]])
        assert not door.can.deletes_manifests
        assert "GITHUB_TOKEN" in " ".join(door.can.notes)
        assert door.listing() is None
        assert door.delete_manifest(DIGESTS[1]) is Deletion.UNSUPPORTED
        assert server.log == []


def test_a_refused_token_says_what_it_needs_and_not_what_it_is(github: GitHub) -> None:
    with door_to(github, token="ghp_wrong") as (door, _), pytest.raises(RefusedError) as caught:
        door.listing()
    assert "delete:packages" in str(caught.value)
    assert "ghp_wrong" not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("answer", [Answer(500), Answer(502), Answer(hangs_up=True)])
def test_a_delete_without_a_clear_answer_is_unknown_and_not_sent_again(github: GitHub, answer: Answer) -> None:
    github.push(DIGESTS[1])
    with door_to(github) as (door, server):
        door.approve({}, [DIGESTS[1]])
        door.listing()
        server.fail("DELETE", answer)
        assert door.delete_manifest(DIGESTS[1]) is Deletion.UNKNOWN
    assert server.methods().count("DELETE") == 1


@pytest.mark.parametrize("status", [403, 429])
def test_limits_are_waited_for(github: GitHub, status: int) -> None:
    github.push(DIGESTS[1])
    with door_to(github) as (door, server):
        door.approve({}, [DIGESTS[1]])
        server.fail("DELETE", *[Answer(status, headers={"Retry-After": "1"})] * 2)
        assert door.delete_manifest(DIGESTS[1]) is Deletion.DONE
    assert server.methods().count("DELETE") == 3


def test_a_limit_that_lasts_ends_it(github: GitHub) -> None:
    github.push(DIGESTS[1])
    with door_to(github) as (door, server):
        door.approve({}, [DIGESTS[1]])
        server.fail("DELETE", *[Answer(403, headers={"Retry-After": "1"})] * 5)
        with pytest.raises(RegistryError, match="limits our requests"):
            door.delete_manifest(DIGESTS[1])
    assert github.versions


@pytest.mark.parametrize(
    "document",
    [
        {},
        [{}],
        [{"id": "1", "name": DIGESTS[1], "metadata": {"container": {"tags": []}}}],
        [{"id": 1, "name": DIGESTS[1]}],
    ],
)
def test_a_malformed_list_is_an_error(github: GitHub, document: Any) -> None:
    with door_to(github) as (door, server):
        server.fail("GET", Answer(200, {"type": "User"}), Answer(200, document))
        with pytest.raises(RegistryError, match="malformed"):
            door.listing()


def test_a_page_that_fails_is_an_error_and_no_shorter_list(github: GitHub) -> None:
    github.page = 1
    github.push(DIGESTS[1])
    github.push(DIGESTS[2])
    with door_to(github) as (door, server):
        original = server.answer
        server.answer = lambda request: Answer(404) if "page=2" in request.target else original(request)
        with pytest.raises(RegistryError, match="404"):
            door.listing()


def test_what_the_api_does_not_list_is_kept_while_the_registry_has_it(github: GitHub) -> None:
    github.push(DIGESTS[1])
    with door_to(github) as (door, server):
        original = server.answer
        server.answer = lambda request: Answer(200, []) if request.query.get("state") else original(request)
        door.approve({}, [DIGESTS[1]])
        with pytest.raises(KeptError, match="does not list"):
            door.delete_manifest(DIGESTS[1])


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 4), max_size=8),
    st.sets(st.sampled_from("abcdefgh")),
    st.sets(st.integers(0, 4)),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 4), max_size=2),
)
def test_no_tag_and_no_version_goes_that_was_not_approved(
    tags: dict[str, int], approved: set[str], manifests: set[int], moved: dict[str, int]
) -> None:
    github = GitHub()
    for number in range(5):
        github.push(DIGESTS[number], *(tag for tag, at in tags.items() if at == number))
    seen = github.tags()
    with door_to(github) as (door, _):
        door.listing()
        for tag, number in moved.items():  # by somebody else, after the plan
            target = next(others for digest, others in github.versions.values() if digest == DIGESTS[number])
            for _, others in github.versions.values():
                others[:] = [one for one in others if one != tag]
            target.append(tag)
        before = github.tags()
        door.approve({tag: seen[tag] for tag in approved & set(seen)}, [DIGESTS[number] for number in manifests])
        for digest in DIGESTS[:5]:
            with contextlib.suppress(KeptError):
                door.delete_manifest(digest)
    kept = {tag: digest for tag, digest in before.items() if tag not in approved or seen.get(tag) != digest}
    assert kept.items() <= github.tags().items()
    left = {digest for digest, _ in github.versions.values()}
    assert {DIGESTS[number] for number in range(5) if number not in manifests} <= left
