"""Harbor's API as its swagger.yaml and its controller describe it: an artifact takes along what it alone needs."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagewright.cleanup.vendors.harbor import HarborDoor
from imagewright.cleanup.vendors.model import KeptError
from imagewright.errors import RegistryError
from imagewright.registry.authentication import RefusedError
from imagewright.registry.credentials import Credential
from imagewright.registry.model import Deletion
from tests.cleanup.vendors.server import DIGESTS, Answer, Request, Server, serving

ROBOT = Credential(username="robot$cleaner", password="verysecret")
BASE = "/api/v2.0/projects/team/repositories/app%252Fweb/artifacts"
_ONE = re.compile(re.escape(BASE) + r"/(?P<digest>sha256:[0-9a-f]{64})(?:/tags/(?P<tag>[^/?]+))?")


@dataclass
class Artifact:
    tags: list[str] = field(default_factory=list)
    children: tuple[str, ...] = ()
    accessories: tuple[str, ...] = ()


@dataclass
class Harbor:
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    immutable: set[str] = field(default_factory=set)

    def tags(self) -> dict[str, str]:
        return {tag: digest for digest, one in self.artifacts.items() for tag in one.tags}

    def answer(self, request: Request) -> Answer:
        expected = base64.b64encode(f"{ROBOT.username}:{ROBOT.password}".encode()).decode()
        if request.authorization != f"Basic {expected}":
            return Answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "unauthorized"}]})
        if "cookie" in request.headers:
            return Answer(403, {"errors": [{"code": "FORBIDDEN", "message": "CSRF token not found in request"}]})
        answer = self.of(request)
        return Answer(answer.status, answer.document, {**answer.headers, "Set-Cookie": "sid=1; Path=/"})

    def of(self, request: Request) -> Answer:
        if request.path == BASE:
            return self.list(request)
        found = _ONE.fullmatch(request.path)
        digest = found["digest"] if found else ""
        artifact = self.artifacts.get(digest)
        if found is None or artifact is None:
            return missing()
        if request.method == "GET":
            return Answer(200, self.document(digest))
        if found["tag"]:
            return self.untag(artifact, found["tag"])
        if any(tag in self.immutable for tag in artifact.tags):
            return precondition("matched a immutable rule")
        if self.parents(digest):
            return precondition("the deleting artifact is referenced by others")
        self.delete(digest)
        return Answer(200)

    def untag(self, artifact: Artifact, tag: str) -> Answer:
        if tag not in artifact.tags:
            return missing()
        if tag in self.immutable:
            return precondition("the tag is immutable")
        artifact.tags.remove(tag)
        return Answer(200)

    def parents(self, digest: str) -> list[str]:
        return [one for one, artifact in self.artifacts.items() if digest in artifact.children]

    def delete(self, digest: str, *, is_root: bool = True) -> None:
        """src/controller/artifact/controller.go, deleteDeeply"""
        artifact = self.artifacts.get(digest)
        if artifact is None or (not is_root and (artifact.tags or self.parents(digest))):
            return
        del self.artifacts[digest]
        for one in (*artifact.accessories, *artifact.children):
            self.delete(one, is_root=False)

    def list(self, request: Request) -> Answer:
        inner = {one for artifact in self.artifacts.values() for one in (*artifact.children, *artifact.accessories)}
        base = [digest for digest, one in self.artifacts.items() if one.tags or digest not in inner]
        number, size = int(request.query["page"]), min(int(request.query["page_size"]), 3)
        page = base[(number - 1) * size : number * size]
        link = f'<{BASE}?with_tag=true&page={number + 1}&page_size={size}>; rel="next"'
        more = number * size < len(base)
        return Answer(200, [self.document(one) for one in page], {"Link": link} if more else {})

    def document(self, digest: str) -> dict[str, Any]:
        artifact = self.artifacts[digest]
        return {
            "digest": digest,
            "push_time": "2026-03-01T10:00:00.000Z",
            "tags": [{"name": tag, "immutable": False} for tag in artifact.tags] or None,
            "references": [{"child_digest": child} for child in artifact.children] or None,
            "accessories": [{"digest": one, "type": "signature.cosign"} for one in artifact.accessories] or None,
        }


def missing() -> Answer:
    return Answer(404, {"errors": [{"code": "NOT_FOUND", "message": "not found"}]})


def precondition(message: str) -> Answer:
    return Answer(412, {"errors": [{"code": "PRECONDITION", "message": message}]})


@contextlib.contextmanager
def door_to(harbor: Harbor, credential: Credential | None = ROBOT) -> Iterator[tuple[HarborDoor, Server]]:
    with (
        serving(harbor.answer) as server,
        server.registry() as registry,
        HarborDoor(registry, "team/app/web", credential, sleep=lambda _: None) as door,
    ):
        yield door, server


@pytest.fixture
def harbor() -> Harbor:
    return Harbor()


def test_the_listing_follows_the_pages(harbor: Harbor) -> None:
    for number in range(7):
        harbor.artifacts[DIGESTS[number]] = Artifact([f"v{number}"])
    harbor.artifacts[DIGESTS[8]] = Artifact(children=(DIGESTS[9],))
    harbor.artifacts[DIGESTS[9]] = Artifact()
    with door_to(harbor) as (door, _):
        listing = door.listing()
    assert listing is not None
    assert listing.tags == {f"v{number}": DIGESTS[number] for number in range(7)}
    assert listing.untagged == {DIGESTS[8]}
    assert set(listing.pushed) == {*DIGESTS[:7], DIGESTS[8]}


def test_a_tag_goes_alone(harbor: Harbor) -> None:
    harbor.artifacts[DIGESTS[1]] = Artifact(["old", "latest"])
    with door_to(harbor) as (door, _):
        door.approve({"old": DIGESTS[1]}, [])
        assert door.delete_tag("old") is Deletion.DONE
        assert door.delete_tag("old") is Deletion.ABSENT
    assert harbor.tags() == {"latest": DIGESTS[1]}


def test_the_last_tag_leaves_its_artifact(harbor: Harbor) -> None:
    harbor.artifacts[DIGESTS[1]] = Artifact(["old"])
    with door_to(harbor) as (door, _):
        door.approve({"old": DIGESTS[1]}, [])
        assert door.delete_tag("old") is Deletion.DONE
    assert DIGESTS[1] in harbor.artifacts


def test_a_tag_that_has_moved_stays(harbor: Harbor) -> None:
    harbor.artifacts = {DIGESTS[1]: Artifact(), DIGESTS[2]: Artifact(["moved"])}
    with door_to(harbor) as (door, _):
        door.approve({"moved": DIGESTS[1]}, [])
        assert door.delete_tag("moved") is Deletion.ABSENT
    assert harbor.tags() == {"moved": DIGESTS[2]}


def test_an_immutable_tag_is_kept(harbor: Harbor) -> None:
    harbor.artifacts[DIGESTS[1]] = Artifact(["v1"])
    harbor.immutable.add("v1")
    with door_to(harbor) as (door, _):
        door.approve({"v1": DIGESTS[1]}, [])
        with pytest.raises(KeptError, match="immutable"):
            door.delete_tag("v1")


def test_an_artifact_with_another_tag_stays(harbor: Harbor) -> None:
    harbor.artifacts[DIGESTS[1]] = Artifact(["old", "latest"])
    with door_to(harbor) as (door, server):
        door.approve({"old": DIGESTS[1]}, [DIGESTS[1]])
        with pytest.raises(KeptError, match="latest"):
            door.delete_manifest(DIGESTS[1])
    assert "DELETE" not in server.methods()


def test_an_index_whose_child_is_needed_stays(harbor: Harbor) -> None:
    harbor.artifacts = {DIGESTS[1]: Artifact(children=(DIGESTS[2],)), DIGESTS[2]: Artifact()}
    with door_to(harbor) as (door, server):
        door.approve({}, [DIGESTS[1]])
        with pytest.raises(KeptError, match=DIGESTS[2]):
            door.delete_manifest(DIGESTS[1])
    assert "DELETE" not in server.methods()


def test_a_signature_of_a_child_counts_as_well(harbor: Harbor) -> None:
    harbor.artifacts = {
        DIGESTS[1]: Artifact(children=(DIGESTS[2],)),
        DIGESTS[2]: Artifact(accessories=(DIGESTS[3],)),
        DIGESTS[3]: Artifact(),
    }
    with door_to(harbor) as (door, _):
        door.approve({}, DIGESTS[1:3])
        with pytest.raises(KeptError, match=DIGESTS[3]):
            door.delete_manifest(DIGESTS[1])
        door.approve({}, DIGESTS[1:4])
        assert door.delete_manifest(DIGESTS[1]) is Deletion.DONE
    assert not harbor.artifacts


def test_a_child_with_a_tag_of_its_own_does_not_hold_the_index(harbor: Harbor) -> None:
    harbor.artifacts = {DIGESTS[1]: Artifact(children=(DIGESTS[2],)), DIGESTS[2]: Artifact(["amd64"])}
    with door_to(harbor) as (door, _):
        door.approve({}, [DIGESTS[1]])
        assert door.delete_manifest(DIGESTS[1]) is Deletion.DONE
    assert set(harbor.artifacts) == {DIGESTS[2]}


def test_a_child_of_an_index_is_kept_in_harbors_words(harbor: Harbor) -> None:
    harbor.artifacts = {DIGESTS[1]: Artifact(["v1"], children=(DIGESTS[2],)), DIGESTS[2]: Artifact()}
    with door_to(harbor) as (door, _):
        door.approve({}, [DIGESTS[2]])
        with pytest.raises(KeptError, match="referenced by others"):
            door.delete_manifest(DIGESTS[2])


@pytest.mark.parametrize("answer", [Answer(500), Answer(hangs_up=True)])
def test_no_clear_answer_is_unknown(harbor: Harbor, answer: Answer) -> None:
    harbor.artifacts[DIGESTS[1]] = Artifact(["old"])
    with door_to(harbor) as (door, server):
        door.approve({"old": DIGESTS[1]}, [])
        server.fail("DELETE", answer)
        assert door.delete_tag("old") is Deletion.UNKNOWN
    assert server.methods().count("DELETE") == 1


def test_refused_credentials_are_not_told(harbor: Harbor) -> None:
    wrong = Credential(username="me", password="wrongsecret")
    with door_to(harbor, wrong) as (door, _), pytest.raises(RefusedError, match="robot") as caught:
        door.listing()
    assert "wrongsecret" not in str(caught.value)


def test_another_error_stops(harbor: Harbor) -> None:
    with door_to(harbor) as (door, server):
        door.approve({"old": DIGESTS[1]}, [])
        server.fail("DELETE", Answer(400, {"errors": [{"code": "BAD_REQUEST", "message": "invalid digest"}]}))
        with pytest.raises(RegistryError, match="invalid digest") as caught:
            door.delete_tag("old")
        assert not isinstance(caught.value, KeptError)


@pytest.mark.parametrize("document", [{}, ["x"], [{"digest": DIGESTS[1], "tags": [{}]}], None])
def test_a_malformed_list_is_an_error(harbor: Harbor, document: Any) -> None:
    with door_to(harbor) as (door, server):
        door.listing()
        server.fail("GET", Answer(200, document))
        with pytest.raises(RegistryError, match="malformed"):
            door.listing()


digests = st.sampled_from(range(6))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nothing_goes_that_was_not_approved(data: st.DataObject) -> None:
    harbor = Harbor()
    for number in range(6):
        below = st.lists(st.sampled_from(DIGESTS[:number]), max_size=2, unique=True) if number else st.just([])
        harbor.artifacts[DIGESTS[number]] = Artifact(
            [f"t{number}{letter}" for letter in data.draw(st.sets(st.sampled_from("ab")))],
            tuple(data.draw(below)),
            tuple(data.draw(below)),
        )
    before = harbor.tags()
    tags = data.draw(st.sets(st.sampled_from(sorted(before)))) if before else set()
    manifests = data.draw(st.sets(st.sampled_from(DIGESTS[:6])))
    with door_to(harbor) as (door, _):
        door.approve({tag: before[tag] for tag in tags}, manifests)
        for call, one in [(door.delete_tag, tag) for tag in before] + [
            (door.delete_manifest, one) for one in DIGESTS[:6]
        ]:
            with contextlib.suppress(KeptError):
                call(one)
    assert {tag: digest for tag, digest in before.items() if tag not in tags}.items() <= harbor.tags().items()
    assert set(DIGESTS[:6]) - manifests <= set(harbor.artifacts)
