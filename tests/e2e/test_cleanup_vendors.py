"""The doors to distribution, of both generations, on the real thing."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from imagewright.cleanup.vendors.choose import deleter_for
from imagewright.cleanup.vendors.model import Deleter, KeptError
from imagewright.registry.client import Registry
from imagewright.registry.model import OCI_CONFIG, OCI_MANIFEST, Blob, Deletion, Manifest, digest_of
from tests.e2e.registries import Served

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module", params=[3, 2], ids=["distribution 3", "distribution 2"])
def generation(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def served(serve: Callable[..., Served], generation: int) -> Served:
    return serve(generation)


@pytest.fixture(scope="module")
def without_deletion(serve: Callable[..., Served], generation: int) -> Served:
    return serve(generation, deletes=False)


def client(host: str) -> Registry:
    return Registry(host, credentials=lambda _: None)


def push(registry: Registry, repository: str, name: str, *tags: str) -> str:
    config = Blob.of(json.dumps({"name": name}).encode(), OCI_CONFIG)
    registry.push_blob(repository, config)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": config.digest, "size": config.size},
        "layers": [],
    }
    raw = json.dumps(document).encode()
    manifest = Manifest(raw=raw, media_type=OCI_MANIFEST, digest=digest_of(raw))
    for tag in tags:
        registry.push_manifest(repository, tag, manifest)
    return manifest.digest


def door_to(registry: Registry, repository: str, kind: str | None = None) -> Deleter:
    return deleter_for(registry, repository, {"HOME": "/nonexistent"}, kind)


@pytest.mark.parametrize("kind", [None, "distribution"])
def test_the_generation_is_told_by_reads(served: Served, generation: int, kind: str | None) -> None:
    with client(served.host) as registry:
        push(registry, "told", "one", "a")
        can = door_to(registry, "told", kind).can
    assert can.kind == "distribution"
    assert can.deletes_tags is (generation == 3)
    assert can.deletes_manifests


def test_a_repository_that_was_never_pushed(served: Served, generation: int) -> None:
    with client(served.host) as registry:
        found = door_to(registry, "never/pushed")
        found.approve({"a": digest_of(b"")}, [digest_of(b"")])
        assert found.delete_manifest(digest_of(b"")) in (Deletion.ABSENT, Deletion.UNSUPPORTED)


def test_a_tag_goes_alone_or_not_at_all(served: Served, generation: int) -> None:
    with client(served.host) as registry:
        digest = push(registry, "alone", "one", "old", "latest")
        door = door_to(registry, "alone")
        door.approve({"old": digest}, [])
        assert door.delete_tag("old") is (Deletion.DONE if generation == 3 else Deletion.UNSUPPORTED)
        with pytest.raises(KeptError):
            door.delete_tag("latest")
        with pytest.raises(KeptError):
            door.delete_manifest(digest)
        assert registry.resolve("alone", "latest") is not None
        assert (registry.resolve("alone", "old") is None) is (generation == 3)


def test_a_manifest_goes(served: Served) -> None:
    with client(served.host) as registry:
        old, new = push(registry, "goes", "one", "old"), push(registry, "goes", "two", "new")
        door = door_to(registry, "goes")
        door.approve({"old": old}, [old])
        assert door.delete_manifest(old) is Deletion.DONE
        assert door.delete_manifest(old) is Deletion.ABSENT
        assert registry.resolve("goes", "old") is None
        found = registry.resolve("goes", "new")
        assert found is not None
        assert found.digest == new


def test_where_deletion_is_switched_off(without_deletion: Served) -> None:
    with client(without_deletion.host) as registry:
        digest = push(registry, "kept", "one", "old")
        door = door_to(registry, "kept")
        door.approve({"old": digest}, [digest])
        assert door.delete_tag("old") is Deletion.UNSUPPORTED
        assert door.delete_manifest(digest) is Deletion.UNSUPPORTED
        assert registry.resolve("kept", "old") is not None
