"""GitLab's registry as its own docs/spec describes it: both ways to delete a tag, and its detailed list."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from imagewright.cleanup.vendors.gitlab import GitLabDoor
from imagewright.cleanup.vendors.model import KeptError
from imagewright.errors import RegistryError
from imagewright.registry.authentication import RefusedError
from imagewright.registry.model import Deletion
from tests.cleanup.vendors.server import DIGESTS, Answer, Request, Server, serving

LIST = "/gitlab/v1/repositories/group/app/tags/list/"


@dataclass
class GitLab:
    tags: dict[str, str] = field(default_factory=dict)
    knows_oci: bool = True
    knows_legacy: bool = True
    has_database: bool = True
    named: set[str] = field(default_factory=set)  # by an index
    manifests: set[str] = field(default_factory=set)

    def answer(self, request: Request) -> Answer:
        path = request.path
        last = path.rpartition("/")[2]
        if path.startswith("/v2/group/app/manifests/sha256:"):
            return self.manifest(last)
        if path.startswith("/v2/group/app/manifests/"):
            return self.tag(last) if self.knows_oci else error(400, "DIGEST_INVALID")
        if path.startswith("/v2/group/app/tags/reference/") and self.knows_legacy:
            return self.tag(last)
        if path == LIST and self.has_database:
            return self.list(request)
        return Answer(404, text="404 page not found\n", headers={"Content-Type": "text/plain"})

    def tag(self, tag: str) -> Answer:
        return (
            Answer(202)
            if self.tags.pop(tag, None)
            else error(404, "MANIFEST_UNKNOWN" if self.knows_oci else "TAG_UNKNOWN")
        )

    def manifest(self, digest: str) -> Answer:
        if digest in self.named:
            return error(409, "MANIFEST_REFERENCED_IN_LIST")
        if digest not in self.manifests:
            return error(404, "MANIFEST_UNKNOWN")
        self.manifests.remove(digest)
        return Answer(202)

    def list(self, request: Request) -> Answer:
        after = request.query.get("last", "")
        names = sorted(tag for tag in self.tags if tag > after)
        page = names[:2]
        link = f'<http://{request.headers["host"]}{LIST}?n=2&last={page[-1]}>; rel="next"' if len(names) > 2 else ""
        document = [
            {
                "name": tag,
                "digest": self.tags[tag],
                "created_at": "2026-01-01T00:00:00.000Z",
                "published_at": f"2026-02-0{i + 1}T00:00:00.000Z",
            }
            for i, tag in enumerate(page)
        ]
        return Answer(200, document, {"Link": link} if link else {})


def error(status: int, code: str) -> Answer:
    return Answer(status, {"errors": [{"code": code, "message": code.lower()}]})


@contextmanager
def door_to(gitlab: GitLab) -> Iterator[tuple[GitLabDoor, Server]]:
    with serving(gitlab.answer) as server, server.registry() as registry, GitLabDoor(registry, "group/app") as door:
        yield door, server


@pytest.fixture
def gitlab() -> GitLab:
    return GitLab({"a": DIGESTS[1], "b": DIGESTS[1], "c": DIGESTS[2]}, manifests=set(DIGESTS[:5]))


def test_the_listing_follows_the_pages(gitlab: GitLab) -> None:
    with door_to(gitlab) as (door, _):
        listing = door.listing()
    assert listing is not None
    assert listing.tags == gitlab.tags
    assert [time.day for _, time in sorted(listing.pushed.items())] == [2, 1]
    assert listing.untagged == frozenset()


def test_without_a_database_there_is_no_listing(gitlab: GitLab) -> None:
    gitlab.has_database = False
    with door_to(gitlab) as (door, _):
        assert door.listing() is None


def test_a_list_that_only_gitlab_may_see_is_none(gitlab: GitLab) -> None:
    with door_to(gitlab) as (door, server):
        server.fail("GET", Answer(401))
        assert door.listing() is None


@pytest.mark.parametrize(
    "answer", [Answer(404), Answer(400), Answer(200, {"errors": []}), Answer(200, [{"name": "x"}])]
)
def test_a_later_page_that_is_wrong_is_an_error(gitlab: GitLab, answer: Answer) -> None:
    with door_to(gitlab) as (door, server):
        original = server.answer
        server.answer = lambda request: answer if "last=" in request.target else original(request)
        with pytest.raises(RegistryError):
            door.listing()


@pytest.mark.parametrize("knows_legacy", [True, False])
def test_a_tag_goes_by_the_specification(gitlab: GitLab, knows_legacy: bool) -> None:
    gitlab.knows_legacy = knows_legacy
    with door_to(gitlab) as (door, server):
        door.approve({"a": DIGESTS[1]}, [])
        assert door.delete_tag("a") is Deletion.DONE
        assert door.delete_tag("a") is Deletion.ABSENT
        assert all(request.path == "/v2/group/app/manifests/a" for request in server.log if request.method == "DELETE")
    assert set(gitlab.tags) == {"b", "c"}


def test_an_older_one_has_its_own_address(gitlab: GitLab) -> None:
    gitlab.knows_oci = False
    with door_to(gitlab) as (door, server):
        door.approve({"a": DIGESTS[1], "c": DIGESTS[2]}, [])
        assert door.delete_tag("a") is Deletion.DONE
        assert door.delete_tag("c") is Deletion.DONE
        assert door.delete_tag("a") is Deletion.ABSENT
        deletes = [request.path for request in server.log if request.method == "DELETE"]
    assert set(gitlab.tags) == {"b"}
    assert deletes[:3] == [
        "/v2/group/app/manifests/a",
        "/v2/group/app/tags/reference/a",
        "/v2/group/app/tags/reference/c",
    ]


def test_one_that_knows_neither_is_left_alone(gitlab: GitLab) -> None:
    gitlab.knows_oci = gitlab.knows_legacy = False
    with door_to(gitlab) as (door, server):
        door.approve({"a": DIGESTS[1]}, [DIGESTS[1]])
        assert door.delete_tag("a") is Deletion.UNSUPPORTED
        assert not any("sha256" in request.path for request in server.log)
    assert len(gitlab.tags) == 3


def test_a_manifest_that_an_index_names_is_kept(gitlab: GitLab) -> None:
    gitlab.named.add(DIGESTS[2])
    with door_to(gitlab) as (door, _):
        door.approve({}, DIGESTS[:5])
        with pytest.raises(KeptError, match="REFERENCED"):
            door.delete_manifest(DIGESTS[2])
        assert door.delete_manifest(DIGESTS[3]) is Deletion.DONE


@pytest.mark.parametrize("answer", [Answer(500), Answer(hangs_up=True)])
@pytest.mark.parametrize("knows_oci", [True, False])
def test_no_clear_answer_is_unknown(gitlab: GitLab, answer: Answer, knows_oci: bool) -> None:
    gitlab.knows_oci = knows_oci
    with door_to(gitlab) as (door, server):
        door.approve({"a": DIGESTS[1]}, [])
        if not knows_oci:
            server.fail("DELETE", error(400, "DIGEST_INVALID"))
        server.fail("DELETE", answer)
        assert door.delete_tag("a") is Deletion.UNKNOWN


def test_a_refusal_stops(gitlab: GitLab) -> None:
    with door_to(gitlab) as (door, server):
        door.approve({"a": DIGESTS[1]}, [])
        server.fail("DELETE", error(403, "DENIED"))
        with pytest.raises(RefusedError):
            door.delete_tag("a")
