from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.errors import EnvironmentMissingError, RegistryError, UsageError
from imagewright.registry.client import Registry
from imagewright.registry.copy import Place, copy
from imagewright.registry.model import DOCKER_LIST, OCI_ARTIFACT, OCI_LAYER_GZIP, Manifest, digest_of
from imagewright.registry.publish import Target, publish
from imagewright.registry.session import WORKERS
from tests.registry.answering import Answering
from tests.registry.memory import (
    Memory,
    described,
    put_blob,
    put_image,
    put_index,
    put_manifest,
    put_signature,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imagewright.registry.model import Descriptor

OTHER = "backup.example"


def two_platforms(memory: Memory, repository: str = "app", tag: str = "dev") -> Manifest:
    """An index of two platforms, the first with an attestation beside it, as BuildKit writes it."""
    amd64, arm64 = (put_image(memory, repository, name) for name in ("amd64", "arm64"))
    attestation = put_image(memory, repository, "provenance")
    annotations = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": amd64.digest}
    children = [
        described(amd64, platform={"os": "linux", "architecture": "amd64"}),
        described(arm64, platform={"os": "linux", "architecture": "arm64"}),
        described(attestation, platform={"os": "unknown", "architecture": "unknown"}, annotations=annotations),
    ]
    return put_index(memory, repository, children, tag)


def places(memory: Memory, *repositories: str) -> list[Place]:
    registry = memory.client()
    return [Place(registry, repository) for repository in repositories]


def holdings(memory: Memory, repository: str) -> tuple[set[str], set[str]]:
    """The digests of the manifests and of the blobs in a repository."""
    return (
        {digest for name, digest in memory.manifests if name == repository},
        {digest for name, digest in memory.blobs if name == repository},
    )


class TestWithinARepository:
    def test_one_get_and_one_put_for_each_tag(self) -> None:
        memory = Memory()
        index = two_platforms(memory)
        [place] = places(memory, "app")

        copied = copy(place, "dev", place, ["1.2.3", "latest"])

        assert copied.ok
        assert copied.digest == index.digest == memory.tags["app", "1.2.3"] == memory.tags["app", "latest"]
        assert memory.methods() == {"GET": 1, "PUT": 2, "HEAD": 2}  # the last to see that they are there
        assert not any("/blobs/" in path for _, path in memory.log)
        assert copied.requests == 5

    def test_docker_lists_keep_their_bytes(self) -> None:
        memory = Memory()
        child = put_image(memory, "app", "one")
        listed = put_manifest(memory, "app", {"manifests": [described(child)]}, "dev", media_type=DOCKER_LIST)
        [place] = places(memory, "app")

        copy(place, listed.digest, place, ["stable"])

        assert memory.manifests["app", memory.tags["app", "stable"]] == listed


class TestBetweenRepositories:
    @pytest.mark.parametrize("mounts", [True, False])
    def test_blobs_are_mounted_and_stream_only_where_that_is_refused(self, mounts: bool) -> None:
        memory = Memory(mounts=mounts)
        index = two_platforms(memory)
        source, target = places(memory, "app", "released/app")

        copied = copy(source, "dev", target, ["1.2.3"])

        assert copied.ok
        assert memory.tags["released/app", "1.2.3"] == index.digest
        assert holdings(memory, "released/app") == holdings(memory, "app")
        if mounts:
            assert (copied.mounted, copied.streamed, copied.bytes, memory.uploaded) == (6, 0, 0, 0)
            assert memory.methods()["POST"] == 6
        else:
            assert (copied.mounted, copied.streamed) == (0, 6)
            assert copied.bytes == memory.uploaded > 0

    def test_a_registry_that_refuses_to_mount_is_not_asked_for_each_blob(self) -> None:
        memory = Memory(mounts=False)
        layers = [put_blob(memory, "app", str(number).encode()) for number in range(40)]
        put_manifest(memory, "app", {"config": put_blob(memory, "app", b"{}"), "layers": layers}, "dev")
        source, target = places(memory, "app", "released/app")
        assert copy(source, "dev", target, ["1"]).streamed == 41
        assert memory.methods()["POST"] <= 41 + WORKERS

    def test_a_mount_that_needs_rights_we_lack_is_no_error(self) -> None:
        memory = Memory()
        two_platforms(memory)

        def guarded(request: httpx.Request) -> httpx.Response:
            return httpx.Response(403) if "mount" in request.url.params else memory.answer(request)

        registry = Registry("r.example", credentials=lambda _: None, transport=Answering(guarded))
        copied = copy(Place(registry, "app"), "dev", Place(registry, "released/app"), ["1"])
        assert copied.ok
        assert copied.streamed == 6

    def test_the_tag_comes_last_and_parents_after_their_children(self) -> None:
        memory = Memory()
        index = two_platforms(memory)
        put_signature(memory, "app", index, "signature")
        source, target = places(memory, "app", "released/app")

        copy(source, "dev", target, ["1.2.3"])

        puts = [path.rpartition("/")[2] for method, path in memory.log if method == "PUT"]
        assert puts[-1] == "1.2.3"
        assert set(puts[:3]) == {child.digest for child in index.manifests}
        assert puts[3] == index.digest

    def test_an_index_within_an_index(self) -> None:
        memory = Memory()
        leaf = put_image(memory, "app", "leaf")
        inner = put_index(memory, "app", [described(leaf)])
        put_index(memory, "app", [described(leaf), described(inner)], "dev")
        source, target = places(memory, "app", "released/app")

        assert copy(source, "dev", target, ["1"]).ok
        assert holdings(memory, "released/app") == holdings(memory, "app")

    def test_an_artifact_of_an_old_type_and_a_cache_of_filesystem_layers(self) -> None:
        memory = Memory()
        blob = put_blob(memory, "app", b"sbom", "application/spdx+json")
        put_manifest(memory, "app", {"blobs": [blob]}, "artifact", media_type=OCI_ARTIFACT)
        put_index(memory, "app", [put_blob(memory, "app", b"cached layer", OCI_LAYER_GZIP)], "cache")
        source, target = places(memory, "app", "released/app")

        assert copy(source, "artifact", target, ["artifact"]).ok
        assert copy(source, "cache", target, ["cache"]).ok
        assert holdings(memory, "released/app") == holdings(memory, "app")

    def test_layers_that_have_their_own_address_stay_there(self) -> None:
        memory = Memory()
        config = put_blob(memory, "app", b"{}")
        foreign = {
            "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "digest": digest_of(b"windows"),
            "size": 7,
            "urls": ["https://mcr.example/windows"],
        }
        put_manifest(memory, "app", {"config": config, "layers": [foreign]}, "dev")
        source, target = places(memory, "app", "released/app")

        copied = copy(source, "dev", target, ["1"])

        assert copied.ok
        assert copied.foreign == 1

    def test_doing_it_again_moves_nothing(self) -> None:
        memory = Memory(mounts=False)
        two_platforms(memory)
        source, target = places(memory, "app", "released/app")
        copy(source, "dev", target, ["1"])
        uploaded = memory.uploaded

        copied = copy(source, "dev", target, ["1"])

        assert copied.ok
        assert (copied.streamed, copied.bytes, copied.present) == (0, 0, 6)
        assert memory.uploaded == uploaded


class TestBetweenRegistries:
    def pair(self) -> tuple[Memory, Memory, Place, Place]:
        ours, theirs = Memory(), Memory(host=OTHER)
        return ours, theirs, Place(ours.client(), "app"), Place(theirs.client(), "me/app")

    def test_everything_arrives(self) -> None:
        ours, theirs, source, target = self.pair()
        index = two_platforms(ours)

        copied = copy(source, "dev", target, ["1"])

        assert copied.ok
        assert copied.digest == index.digest == theirs.tags["me/app", "1"]
        assert holdings(theirs, "me/app") == holdings(ours, "app")
        assert copied.streamed == 6
        assert copied.bytes == theirs.uploaded == sum(map(len, theirs.blobs.values()))

    @pytest.mark.parametrize(
        ("sent", "told"),
        [
            (b"other content", "13 bytes instead of 500"),
            (b"", "0 bytes instead of 500"),
            (b"arm64" * 101, "more than 500 bytes"),
            (b"arm65" * 100, f"content with the digest {digest_of(b'arm65' * 100)}"),
        ],
    )
    def test_a_blob_that_is_not_what_was_promised_leaves_no_tag(self, sent: bytes, told: str) -> None:
        ours, theirs, source, target = self.pair()
        two_platforms(ours)
        bad = digest_of(b"arm64" * 100)
        ours.served[bad] = sent

        with pytest.raises(RegistryError, match=f"the registry sent {told}") as raised:
            copy(source, "dev", target, ["1"])

        assert raised.value.where == f"r.example/app@{bad}"
        assert ("me/app", bad) not in theirs.blobs
        assert not theirs.tags
        assert not theirs.manifests

    def test_what_is_on_its_way_stops_when_something_else_fails(self) -> None:
        ours, theirs, _, target = self.pair()
        large, bad = (put_blob(ours, "app", name) for name in (b"large", b"bad"))
        piece, count = bytes(1000), 2_000_000
        large["size"] = len(piece) * count
        put_manifest(ours, "app", {"config": bad, "layers": [large]}, "dev")
        flowing, failed = threading.Event(), threading.Event()
        sent = 0

        def endless() -> Iterator[bytes]:
            nonlocal sent
            yield piece
            flowing.set()
            failed.wait(20)
            for sent in range(count):  # noqa: B007 - read when it has stopped
                yield piece

        class Endless(httpx.SyncByteStream):
            def __iter__(self) -> Iterator[bytes]:
                return endless()

        def answer(request: httpx.Request) -> httpx.Response:
            if request.method == "GET" and request.url.path.endswith(large["digest"]):
                return httpx.Response(200, stream=Endless())
            if request.method == "GET" and request.url.path.endswith(bad["digest"]):
                assert flowing.wait(20)
                failed.set()
                return httpx.Response(404)
            return ours.answer(request)

        registry = Registry("r.example", credentials=lambda _: None, transport=Answering(answer))
        with pytest.raises(RegistryError, match="HTTP 404"):
            copy(Place(registry, "app"), "dev", target, ["1"])
        assert 0 <= sent < count - 1
        assert not theirs.tags

    def test_a_registry_that_goes_away_leaves_no_tag(self) -> None:
        ours, theirs, source, _ = self.pair()
        two_platforms(ours)

        def dying(request: httpx.Request) -> httpx.Response:
            if request.method == "PUT" and "/manifests/" in request.url.path:
                raise httpx.ConnectError("refused")
            return theirs.answer(request)

        gone = Registry(OTHER, credentials=lambda _: None, transport=Answering(dying), sleep=lambda _: None)
        with pytest.raises(EnvironmentMissingError):
            copy(source, "dev", Place(gone, "me/app"), ["1"])
        assert not theirs.tags

    def test_a_missing_child_is_named(self) -> None:
        ours, theirs, source, target = self.pair()
        index = two_platforms(ours)
        gone = index.manifests[1].digest
        del ours.manifests["app", gone]

        with pytest.raises(RegistryError, match="does not have it") as raised:
            copy(source, "dev", target, ["1"])
        assert raised.value.where == f"r.example/app@{gone}"
        assert not theirs.log

    @pytest.mark.parametrize("digest", ["sha256:../../../secret", "md5:d41d8cd98f00b204e9800998ecf8427e", ""])
    def test_a_manifest_that_names_content_by_no_digest(self, digest: str) -> None:
        ours, theirs, source, target = self.pair()
        layer = {"mediaType": OCI_LAYER_GZIP, "digest": digest, "size": 7}
        put_manifest(ours, "app", {"config": put_blob(ours, "app", b"{}"), "layers": [layer]}, "dev")
        with pytest.raises(RegistryError, match="is no sha256 or sha512 digest"):
            copy(source, "dev", target, ["1"])
        assert not theirs.log

    def test_what_is_not_there(self) -> None:
        _, _, source, target = self.pair()
        with pytest.raises(RegistryError, match="no such image") as raised:
            copy(source, "nothing", target, ["1"])
        assert raised.value.where == "r.example/app:nothing"

    def test_a_registry_that_lost_a_blob_is_not_believed(self) -> None:
        ours, theirs, source, target = self.pair()
        two_platforms(ours)
        lost = digest_of(b"arm64" * 100)

        def forgetful(request: httpx.Request) -> httpx.Response:
            answer = theirs.answer(request)
            if request.method == "PUT" and request.url.path.endswith("/manifests/1"):
                theirs.blobs.pop(("me/app", lost))
            return answer

        registry = Registry(OTHER, credentials=lambda _: None, transport=Answering(forgetful))
        copied = copy(source, "dev", replace(target, registry=registry), ["1"])
        assert not copied.verified
        assert not copied.ok
        assert any(lost in note for note in copied.notes)


class TestTags:
    def test_a_guard_sees_what_is_there_and_refuses_one_tag(self) -> None:
        memory = Memory()
        old = put_image(memory, "app", "old", "latest", "1.0")
        new = put_image(memory, "app", "new", "dev", "main")
        [place] = places(memory, "app")
        seen: dict[str, str | None] = {}

        def guard(_: Place, tag: str, now: Descriptor | None) -> None:
            seen[tag] = now.digest if now else None
            if tag == "1.0":
                raise UsageError("a version stays")

        copied = copy(place, "dev", place, ["1.0", "latest", "fresh", "main"], guard=guard)

        assert [(put.tag, put.status, put.before) for put in copied.tags] == [
            ("1.0", "refused", old.digest),
            ("latest", "put", old.digest),
            ("fresh", "put", None),
            ("main", "same", new.digest),
        ]
        assert seen == {"1.0": old.digest, "latest": old.digest, "fresh": None}
        assert memory.tags["app", "1.0"] == old.digest
        assert memory.tags["app", "latest"] == new.digest
        assert not copied.ok

    def test_somebody_who_moves_the_tag_at_the_same_time_is_noticed(self) -> None:
        memory = Memory()
        put_image(memory, "app", "ours", "dev")
        theirs = put_image(memory, "app", "theirs")

        def racing(request: httpx.Request) -> httpx.Response:
            answer = memory.answer(request)
            if request.method == "PUT":
                memory.tags["app", "latest"] = theirs.digest
            return answer

        registry = Registry("r.example", credentials=lambda _: None, transport=Answering(racing))
        copied = copy(Place(registry, "app"), "dev", Place(registry, "app"), ["latest"])

        assert [put.status for put in copied.tags] == ["failed"]
        assert theirs.digest in str(copied.tags[0].error)
        assert not copied.verified


class TestReferrers:
    @pytest.mark.parametrize("source_lists", [True, False])
    @pytest.mark.parametrize("target_lists", [True, False])
    def test_signatures_of_parts_and_of_signatures_come_along(self, source_lists: bool, target_lists: bool) -> None:
        ours, theirs = Memory(lists_referrers=source_lists, page=1), Memory(host=OTHER, lists_referrers=target_lists)
        index = two_platforms(ours)
        amd64 = ours.manifests["app", index.manifests[0].digest]
        of_index = [put_signature(ours, "app", index, name) for name in ("signature", "sbom")]
        of_amd64 = put_signature(ours, "app", amd64, "platform", annotations={"a": "b"})
        of_sbom = put_signature(ours, "app", of_index[1], "signature of the sbom")
        referring = {index.digest: of_index, amd64.digest: [of_amd64], of_index[1].digest: [of_sbom]}
        if not source_lists:
            for digest, found in referring.items():
                tag = digest.replace(":", "-")
                put_index(ours, "app", [described(one) for one in found], tag)
        put_image(ours, "app", "cosigned", f"sha256-{amd64.digest[7:]}.sig")
        before = {digest for (name, digest) in ours.manifests if name == "app"}
        fallbacks = {digest for (_, tag), digest in ours.tags.items() if len(tag) == len("sha256-") + 64}

        source, target = Place(ours.client(), "app"), Place(theirs.client(), "me/app")
        copied = copy(source, "dev", target, ["1"])

        assert copied.ok
        assert copied.referrers == 5
        there = {digest for _, digest in theirs.manifests}
        assert before - fallbacks <= there
        assert f"sha256-{amd64.digest[7:]}.sig" in {tag for _, tag in theirs.tags}
        kept = {
            digest: {entry.digest for entry in theirs.manifests["me/app", theirs.tags["me/app", tag]].manifests}
            for digest in referring
            if ("me/app", tag := digest.replace(":", "-")) in theirs.tags
        }
        expected = {digest: {one.digest for one in found} for digest, found in referring.items()}
        assert kept == ({} if target_lists else expected)

    def test_they_can_be_left(self) -> None:
        memory = Memory(lists_referrers=True)
        put_signature(memory, "app", two_platforms(memory), "signature")
        source, target = places(memory, "app", "released/app")

        copied = copy(source, "dev", target, ["1"], referrers=False)

        assert copied.ok
        assert copied.referrers == 0
        assert not any("referrers" in path or "sha256-" in path for _, path in memory.log)

    @pytest.mark.parametrize("dangling", [False, True])
    def test_the_targets_own_fallback_entries_stay(self, dangling: bool) -> None:
        """But for those of which it has no manifest: a registry takes no index with such an entry."""
        memory = Memory()
        index = two_platforms(memory)
        signature = put_signature(memory, "app", index, "ours")
        tag = index.digest.replace(":", "-")
        put_index(memory, "app", [described(signature)], tag)
        theirs, gone = (put_signature(memory, "released/app", index, name) for name in ("theirs", "gone"))
        listed = [described(theirs, annotations={"a": "b"}), *([described(gone)] if dangling else [])]
        put_index(memory, "released/app", listed, tag, annotations={"kept": "yes"})
        del memory.manifests["released/app", gone.digest]
        source, target = places(memory, "app", "released/app")

        assert copy(source, "dev", target, ["1"]).ok

        document = memory.manifests["released/app", memory.tags["released/app", tag]].document
        assert document["manifests"][0] == listed[0]
        assert [entry["digest"] for entry in document["manifests"]] == [theirs.digest, signature.digest]
        assert document["manifests"][1]["artifactType"] == "application/vnd.example.signature"
        assert document["annotations"] == {"kept": "yes"}

    def test_a_fallback_tag_with_an_image_is_left_and_told(self) -> None:
        memory = Memory()
        index = two_platforms(memory)
        tag = index.digest.replace(":", "-")
        put_index(memory, "app", [described(put_signature(memory, "app", index, "ours"))], tag)
        strange = put_image(memory, "released/app", "strange", tag)
        source, target = places(memory, "app", "released/app")

        copied = copy(source, "dev", target, ["1"])

        assert memory.tags["released/app", tag] == strange.digest
        assert not copied.ok
        assert tag in copied.notes[0]

    @pytest.mark.parametrize(
        ("theirs", "moved", "told"),
        [([], True, False), (["a"], True, False), (["a", "b", "c"], False, False), (["x"], False, True)],
    )
    def test_signatures_of_cosign_are_never_lost(self, theirs: list[str], moved: bool, told: bool) -> None:
        memory = Memory()
        image = put_image(memory, "app", "signed", "dev")
        tag = f"sha256-{image.digest[7:]}.sig"

        def sign(repository: str, signatures: list[str]) -> Manifest:
            layers = [put_blob(memory, repository, one.encode()) for one in signatures]
            return put_manifest(
                memory, repository, {"config": put_blob(memory, repository, b"{}"), "layers": layers}, tag
            )

        ours = sign("app", ["a", "b"])
        there = sign("released/app", theirs) if theirs else None
        source, target = places(memory, "app", "released/app")

        copied = copy(source, "dev", target, ["1"])

        expected = ours if moved or there is None else there
        assert memory.tags["released/app", tag] == expected.digest
        assert copied.ok is not told
        assert bool(copied.notes) is told


class TestPublish:
    def test_a_target_that_fails_stops_no_other(self) -> None:
        ours, theirs = Memory(), Memory(host=OTHER)
        index = two_platforms(ours)

        def dead(_: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("refused")

        registry = ours.client()
        broken = Registry("gone.example", credentials=lambda _: None, transport=Answering(dead))
        targets = [
            Target(place=Place(registry, "app"), tags=("1", "latest")),
            Target(place=Place(broken, "me/app"), tags=("1",)),
            Target(place=Place(theirs.client(), "me/app"), tags=("1",)),
        ]

        outcomes = publish(Place(registry, "app"), index.digest, targets)

        assert [one.ok for one in outcomes] == [True, False, True]
        assert isinstance(outcomes[1].error, EnvironmentMissingError)
        assert ours.tags["app", "latest"] == theirs.tags["me/app", "1"] == index.digest


@given(
    shape=st.lists(st.lists(st.integers(0, 30), max_size=4), min_size=1, max_size=8),
    signed=st.lists(st.integers(0, 30), max_size=4),
    lists=st.booleans(),
)
def test_whatever_hangs_together_arrives_together(shape: list[list[int]], signed: list[int], lists: bool) -> None:
    """Random graphs: the registry refuses a parent before its children, so the order is proven as well."""
    ours, theirs = Memory(lists_referrers=lists), Memory(host=OTHER, lists_referrers=not lists)
    made = [put_image(ours, "app", "leaf")]
    for number, children in enumerate(shape):
        known = {made[child % len(made)].digest: made[child % len(made)] for child in children}
        made.append(put_index(ours, "app", [described(one) for one in known.values()], annotations={"n": str(number)}))
    ours.tags["app", "dev"] = made[-1].digest
    reachable = _reachable(ours, made[-1].digest)
    for number, subject in enumerate(signed):
        one = made[subject % len(made)]
        signature = put_signature(ours, "app", one, f"signature {number}", annotations={"n": str(number)})
        tag = one.digest.replace(":", "-")
        if not lists:
            at = ours.tags.get(("app", tag))
            entries = ours.manifests["app", at].document["manifests"] if at else []
            put_index(ours, "app", [*entries, described(signature)], tag)
        if one.digest in reachable:
            reachable.add(signature.digest)
        made.append(signature)

    copied = copy(Place(ours.client(), "app"), "dev", Place(theirs.client(), "me/app"), ["1"])

    assert copied.ok
    fallbacks = {digest for (_, tag), digest in theirs.tags.items() if tag != "1"}
    assert {digest for _, digest in theirs.manifests} - fallbacks == reachable


def _reachable(memory: Memory, top: str) -> set[str]:
    found, todo = set[str](), [top]
    while todo:
        digest = todo.pop()
        if digest not in found:
            found.add(digest)
            todo += [child.digest for child in memory.manifests["app", digest].manifests]
    return found
