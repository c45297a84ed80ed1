"""Doors to registries that delete as the OCI distribution specification says, each with its own refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from imagewright.cleanup.vendors.model import Door, KeptError
from imagewright.cleanup.vendors.oci import Distribution2Door, GoogleDoor, OciDoor, UnknownDoor, ZotDoor
from imagewright.errors import RegistryError
from imagewright.registry.authentication import RefusedError
from imagewright.registry.client import Registry
from imagewright.registry.model import Deletion
from tests.cleanup.vendors.server import DIGESTS, Answer, Request, Server, serving

Make = Callable[[Registry, str], Door]


def distribution(registry: Registry, repository: str) -> OciDoor:
    return OciDoor(registry, repository, "distribution")


def error(status: int, code: str) -> Answer:
    return Answer(status, {"errors": [{"code": code, "message": code.lower()}]})


@contextmanager
def door_to(make: Make, *answers: Answer) -> Iterator[tuple[Door, Server]]:
    """What is asked to be deleted is answered in this order, then by 500."""
    left = list(answers)

    def answer(request: Request) -> Answer:
        if request.method != "DELETE":
            return Answer(404)
        return left.pop(0) if left else Answer(500)

    with serving(answer) as server, server.registry() as registry, make(registry, "me/app") as door:
        door.approve({"old": DIGESTS[1]}, [DIGESTS[1]])
        yield door, server


def deletes(server: Server) -> list[str]:
    return [request.path for request in server.log if request.method == "DELETE"]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer(202), Deletion.DONE),
        (Answer(200), Deletion.DONE),
        (error(404, "MANIFEST_UNKNOWN"), Deletion.ABSENT),
        (error(405, "UNSUPPORTED"), Deletion.UNSUPPORTED),
        (error(400, "DIGEST_INVALID"), Deletion.UNSUPPORTED),
        (Answer(500), Deletion.UNKNOWN),
        (Answer(504), Deletion.UNKNOWN),
        (Answer(hangs_up=True), Deletion.UNKNOWN),
    ],
)
@pytest.mark.parametrize("what", ["tag", "manifest"])
def test_what_the_answers_mean(answer: Answer, outcome: Deletion, what: str) -> None:
    with door_to(distribution, answer) as (door, server):
        found = door.delete_tag("old") if what == "tag" else door.delete_manifest(DIGESTS[1])
        assert found is outcome
        assert deletes(server) == [f"/v2/me/app/manifests/{'old' if what == 'tag' else DIGESTS[1]}"]


@pytest.mark.parametrize(("status", "kind"), [(401, RefusedError), (403, RefusedError), (418, RegistryError)])
def test_a_no_stops(status: int, kind: type[Exception]) -> None:
    with door_to(distribution, error(status, "NO"), error(status, "NO")) as (door, _), pytest.raises(kind) as caught:
        door.delete_tag("old")
    assert not isinstance(caught.value, KeptError)


def test_what_is_not_approved_is_not_even_asked_for() -> None:
    with door_to(distribution) as (door, server):
        with pytest.raises(KeptError):
            door.delete_tag("latest")
        with pytest.raises(KeptError):
            door.delete_manifest(DIGESTS[2])
        door.approve({}, [])
        with pytest.raises(KeptError):
            door.delete_tag("old")
        assert deletes(server) == []


@pytest.mark.parametrize(
    ("tags", "manifests"),
    [({"a/b": DIGESTS[1]}, []), ({"a": "sha256:1"}, []), ({}, ["latest"]), ({"": DIGESTS[1]}, [])],
)
def test_malformed_approvals_are_refused(tags: dict[str, str], manifests: list[str]) -> None:
    with door_to(distribution) as (door, _), pytest.raises(RegistryError, match="malformed"):
        door.approve(tags, manifests)


class TestDistribution2:
    def test_a_tag_is_never_asked_for(self) -> None:
        with door_to(Distribution2Door) as (door, server):
            assert door.delete_tag("old") is Deletion.UNSUPPORTED
            assert deletes(server) == []

    def test_a_manifest_goes_after_one_look_at_how_it_answers(self) -> None:
        answers = [error(400, "DIGEST_INVALID"), Answer(202), Answer(404)]
        with door_to(Distribution2Door, *answers) as (door, server):
            assert door.delete_manifest(DIGESTS[1]) is Deletion.DONE
            assert door.delete_manifest(DIGESTS[1]) is Deletion.ABSENT
            first, *others = deletes(server)
        assert first.startswith("/v2/me/app/manifests/no-such-tag-")
        assert others == [f"/v2/me/app/manifests/{DIGESTS[1]}"] * 2

    @pytest.mark.parametrize(
        "answer",
        [
            Answer(202),
            Answer(404),
            error(400, "UNSUPPORTED"),
            error(405, "UNSUPPORTED"),
        ],
    )
    def test_what_answers_otherwise_is_left_alone(self, answer: Answer) -> None:
        with door_to(Distribution2Door, answer, Answer(202)) as (door, server):
            assert door.delete_manifest(DIGESTS[1]) is Deletion.UNSUPPORTED
            assert door.delete_manifest(DIGESTS[1]) is Deletion.UNSUPPORTED
            assert not any("sha256" in path for path in deletes(server))

    @pytest.mark.parametrize("answer", [Answer(500), Answer(hangs_up=True)])
    def test_what_gives_no_answer_is_asked_again_before_anything_goes(self, answer: Answer) -> None:
        with door_to(Distribution2Door, answer, error(400, "DIGEST_INVALID"), Answer(202)) as (door, server):
            assert door.delete_manifest(DIGESTS[1]) is Deletion.UNKNOWN
            assert not any("sha256" in path for path in deletes(server))
            assert door.delete_manifest(DIGESTS[1]) is Deletion.DONE


def test_zot_keeps_what_an_index_names() -> None:
    with door_to(ZotDoor, error(405, "DENIED"), error(409, "MANIFEST_INVALID"), error(405, "UNSUPPORTED")) as (door, _):
        with pytest.raises(KeptError, match="DENIED"):
            door.delete_manifest(DIGESTS[1])
        with pytest.raises(KeptError, match="MANIFEST_INVALID"):
            door.delete_manifest(DIGESTS[1])
        assert door.delete_manifest(DIGESTS[1]) is Deletion.UNSUPPORTED


@pytest.mark.parametrize("code", ["GOOGLE_MANIFEST_DANGLING_TAG", "GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE"])
def test_google_keeps_what_a_tag_or_an_index_needs(code: str) -> None:
    with door_to(GoogleDoor, error(400, code)) as (door, _), pytest.raises(KeptError, match=code):
        door.delete_manifest(DIGESTS[1])


def google_listing(document: Any, status: int = 200) -> Any:
    with serving(lambda _: Answer(status, document)) as server, server.registry() as registry:
        return GoogleDoor(registry, "me/app").listing()


def test_googles_list_has_everything() -> None:
    document = {
        "tags": ["v1", "latest"],
        "manifest": {
            DIGESTS[1]: {"tag": ["v1", "latest"], "timeUploadedMs": "1767225600000", "timeCreatedMs": "0"},
            DIGESTS[2]: {"tag": [], "timeUploadedMs": "x"},
            DIGESTS[3]: {},
        },
    }
    listing = google_listing(document)
    assert listing.tags == {"v1": DIGESTS[1], "latest": DIGESTS[1]}
    assert {digest: time.isoformat() for digest, time in listing.pushed.items()} == {
        DIGESTS[1]: "2026-01-01T00:00:00+00:00"
    }
    assert listing.untagged == {DIGESTS[2], DIGESTS[3]}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"manifest": []},
        {"manifest": {"sha256:1": "x"}},
        {"manifest": {"a": {"tag": 1}}},
        {"manifest": {DIGESTS[1]: {"tag": "v1"}}},
    ],
)
def test_a_malformed_google_list_is_an_error_or_none(document: Any) -> None:
    if not isinstance(document, dict):
        assert google_listing(document) is None
    else:
        with pytest.raises(RegistryError, match="malformed"):
            google_listing(document)


@pytest.mark.parametrize("digest", ["../../x", "sha256:1", "md5:0", ""])
def test_a_digest_that_is_none_is_an_error(digest: str) -> None:
    with pytest.raises(RegistryError, match="digest"):
        google_listing({"manifest": {digest: {}}})


def test_a_plain_list_has_no_times() -> None:
    assert google_listing({"tags": ["a"]}) is None


def test_an_unknown_registry_is_only_planned_for() -> None:
    with door_to(lambda registry, name: UnknownDoor(registry, name, "not known")) as (door, server):
        assert not door.can.deletes_tags
        assert not door.can.deletes_manifests
        assert door.delete_tag("old") is Deletion.UNSUPPORTED
        assert door.delete_manifest(DIGESTS[1]) is Deletion.UNSUPPORTED
        assert door.listing() is None
        assert server.log == []
