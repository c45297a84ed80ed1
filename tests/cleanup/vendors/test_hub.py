"""Docker Hub's API as docs.docker.com/reference/api/hub and .../registry describe it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from imagewright.cleanup.vendors.hub import HubDoor
from imagewright.cleanup.vendors.model import KeptError
from imagewright.errors import RegistryError
from imagewright.registry.authentication import RefusedError
from imagewright.registry.credentials import Credential
from imagewright.registry.model import Deletion
from tests.cleanup.vendors.server import DIGESTS, Answer, Request, Server, serving

ME = Credential(username="me", password="dckr_pat_verysecret")


@dataclass
class Hub:
    tags: dict[str, str] = field(default_factory=dict)
    token: str = "jwt-1"
    expired: set[str] = field(default_factory=set)
    is_old: bool = False  # knows /v2/users/login alone
    needed: set[str] = field(default_factory=set)  # by an index
    manifests: set[str] = field(default_factory=set)

    def answer(self, request: Request) -> Answer:
        path = request.path
        if path == "/v2/auth/token" and not self.is_old:
            return self.login(request, "identifier", "secret", "access_token")
        if path == "/v2/users/login" and self.is_old:
            return self.login(request, "username", "password", "token")
        if path.startswith("/v2/me/app/manifests/"):
            return self.manifest(path.rpartition("/")[2])
        if path in ("/v2/", "/v2/auth/token"):
            return Answer(404)
        if request.authorization != f"Bearer {self.token}" or self.token in self.expired:
            return Answer(401, {"detail": "token expired"})
        if path == "/v2/namespaces/me/repositories/app/tags":
            return self.list(request)
        tag = path.removeprefix("/v2/repositories/me/app/tags/").removesuffix("/")
        if request.method == "DELETE" and tag in self.tags:
            del self.tags[tag]
            return Answer(204)
        return Answer(404, {"message": "object not found"})

    def login(self, request: Request, user: str, secret: str, key: str) -> Answer:
        if json.loads(request.body) != {user: ME.username, secret: ME.password}:
            return Answer(401, {"detail": "Incorrect authentication credentials"})
        if self.token in self.expired:
            self.token = f"jwt-{len(self.expired) + 1}"
        return Answer(200, {key: self.token})

    def manifest(self, digest: str) -> Answer:
        if digest in self.needed or digest in self.tags.values():
            return Answer(403, {"errors": [{"code": "DENIED", "message": "manifest is referenced"}]})
        if digest not in self.manifests:
            return Answer(404, {"errors": [{"code": "MANIFEST_UNKNOWN"}]})
        self.manifests.remove(digest)
        return Answer(202)

    def list(self, request: Request) -> Answer:
        number = int(request.query.get("page", "1"))
        names = sorted(self.tags)
        page = names[(number - 1) * 2 : number * 2]
        following = f"http://{request.headers['host']}{request.path}?page_size=100&page={number + 1}"
        results = [
            {"name": tag, "digest": self.tags[tag], "tag_last_pushed": f"2026-02-{number:02}T00:00:00.5Z"}
            for tag in page
        ]
        return Answer(
            200, {"count": len(names), "next": following if number * 2 < len(names) else None, "results": results}
        )


@contextmanager
def door_to(hub: Hub, credential: Credential | None = ME) -> Iterator[tuple[HubDoor, Server]]:
    with (
        serving(hub.answer) as server,
        server.registry() as registry,
        HubDoor(registry, "me/app", credential, api=server.host, sleep=lambda _: None) as door,
    ):
        yield door, server


@pytest.fixture
def hub() -> Hub:
    return Hub({"old": DIGESTS[1], "latest": DIGESTS[1], "v1": DIGESTS[2]}, manifests=set(DIGESTS[:5]))


def test_the_listing_follows_the_pages(hub: Hub) -> None:
    with door_to(hub) as (door, server):
        listing = door.listing()
    assert listing is not None
    assert listing.tags == hub.tags
    assert {digest: time.isoformat() for digest, time in listing.pushed.items()} == {
        DIGESTS[1]: "2026-02-01T00:00:00.500000+00:00",
        DIGESTS[2]: "2026-02-02T00:00:00.500000+00:00",
    }
    assert [request.path for request in server.log].count("/v2/auth/token") == 1


def test_a_page_on_another_host_is_not_followed(hub: Hub) -> None:
    with door_to(hub) as (door, server):
        server.fail("GET", Answer(200, {"results": [], "next": "https://evil.example/v2/tags?page=2"}))
        with pytest.raises(RegistryError, match=r"evil\.example"):
            door.listing()


def test_pages_in_a_circle_end(hub: Hub) -> None:
    with door_to(hub) as (door, server):
        path = "/v2/namespaces/me/repositories/app/tags?page_size=100"
        original = server.answer
        loop = Answer(200, {"results": [], "next": path})
        server.answer = lambda request: loop if "/tags" in request.path else original(request)
        with pytest.raises(RegistryError, match="circle"):
            door.listing()


def test_a_tag_goes_alone(hub: Hub) -> None:
    with door_to(hub) as (door, _):
        door.approve({"old": DIGESTS[1]}, [])
        assert door.delete_tag("old") is Deletion.DONE
        assert door.delete_tag("old") is Deletion.ABSENT
    assert hub.tags == {"latest": DIGESTS[1], "v1": DIGESTS[2]}


def test_an_expired_token_is_renewed_once(hub: Hub) -> None:
    with door_to(hub) as (door, server):
        door.approve({"old": DIGESTS[1]}, [])
        door.listing()
        hub.expired.add(hub.token)
        assert door.delete_tag("old") is Deletion.DONE
    assert [request.path for request in server.log].count("/v2/auth/token") == 2


def test_the_older_login(hub: Hub) -> None:
    hub.is_old = True
    with door_to(hub) as (door, _):
        assert door.listing() is not None


def test_a_wrong_password_is_not_told(hub: Hub) -> None:
    with door_to(hub, Credential(username="me", password="wrongsecret")) as (door, _):
        door.approve({"old": DIGESTS[1]}, [])
        with pytest.raises(RefusedError, match="DOCKERHUB_TOKEN") as caught:
            door.delete_tag("old")
    assert "wrongsecret" not in str(caught.value)


def test_a_login_without_a_token_is_an_error(hub: Hub) -> None:
    with door_to(hub) as (door, server):
        server.fail("POST", Answer(200, {"login_2fa_token": "xyz"}))
        with pytest.raises(RegistryError, match="gave no token") as caught:
            door.listing()
    assert "xyz" not in str(caught.value)


def test_without_a_password_one_can_only_plan(hub: Hub) -> None:
    with door_to(hub, None) as (door, _):
        assert not door.can.deletes_tags
        assert not door.can.deletes_manifests
        assert door.can.notes


def test_a_manifest_goes_when_nothing_needs_it(hub: Hub) -> None:
    with door_to(hub) as (door, _):
        door.approve({}, DIGESTS[:5])
        assert door.delete_manifest(DIGESTS[3]) is Deletion.DONE
        assert door.delete_manifest(DIGESTS[3]) is Deletion.ABSENT
        with pytest.raises(KeptError, match="needs it"):
            door.delete_manifest(DIGESTS[1])
    assert DIGESTS[1] in hub.manifests


def test_its_slow_deletions_are_unknown(hub: Hub) -> None:
    with door_to(hub) as (door, server):
        door.approve({}, DIGESTS[:5])
        server.fail("DELETE", Answer(500))
        assert door.delete_manifest(DIGESTS[3]) is Deletion.UNKNOWN


@pytest.mark.parametrize("answer", [Answer(503), Answer(hangs_up=True)])
def test_no_clear_answer_is_unknown(hub: Hub, answer: Answer) -> None:
    with door_to(hub) as (door, server):
        door.approve({"old": DIGESTS[1]}, [])
        door.listing()
        server.fail("DELETE", answer)
        assert door.delete_tag("old") is Deletion.UNKNOWN
    assert server.methods().count("DELETE") == 1


@pytest.mark.parametrize("document", [[], {"results": [{}]}, {"results": [{"digest": DIGESTS[1]}]}, {}])
def test_a_malformed_list_is_an_error(hub: Hub, document: Any) -> None:
    with door_to(hub) as (door, server):
        door.listing()
        server.fail("GET", Answer(200, document))
        with pytest.raises(RegistryError):
            door.listing()
