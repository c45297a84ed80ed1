from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.errors import RegistryError
from imagewright.registry.client import Registry
from imagewright.registry.model import OCI_INDEX, OCI_MANIFEST, Manifest, digest_of
from imagewright.registry.referrers import Referrers, cosign_tags, fallback_tag, merged, supersedes
from tests.registry.answering import Answering
from tests.registry.memory import Memory, described, put_image, put_index, put_manifest, put_signature

if TYPE_CHECKING:
    from collections.abc import Callable

SUBJECT = digest_of(b"subject")


def manifest(document: dict[str, Any], media_type: str = OCI_MANIFEST) -> Manifest:
    raw = json.dumps(document).encode()
    return Manifest(raw=raw, media_type=media_type, digest=digest_of(raw))


def referrer(number: int) -> Manifest:
    return manifest({"artifactType": "a/b", "annotations": {"number": str(number)}, "config": {"mediaType": "c/d"}})


def entries(*digests: str) -> Manifest:
    found = [{"mediaType": OCI_MANIFEST, "digest": digest, "size": 1} for digest in digests]
    return manifest({"schemaVersion": 2, "manifests": found}, OCI_INDEX)


def test_names_of_tags() -> None:
    assert fallback_tag("sha256:abc") == "sha256-abc"
    assert len(fallback_tag(f"sha512:{'f' * 128}")) == len("sha512-") + 64
    assert cosign_tags("sha256:abc") == ("sha256-abc.sig", "sha256-abc.att", "sha256-abc.sbom")


class TestTheList:
    def registry(self, answer: Callable[[httpx.Request], httpx.Response]) -> Registry:
        return Registry("r.example", credentials=lambda _: None, transport=Answering(answer))

    @pytest.mark.parametrize(
        "answer",
        [
            httpx.Response(404),
            httpx.Response(405),
            httpx.Response(400),
            httpx.Response(200, html="<p>a page for browsers</p>"),
        ],
    )
    def test_registries_without_it(self, answer: httpx.Response) -> None:
        assert self.registry(lambda _: answer).referrers("app", SUBJECT) is None

    def test_all_pages(self) -> None:
        memory = Memory(lists_referrers=True, page=2)
        image = put_image(memory, "app", "image")
        made = {put_signature(memory, "app", image, str(number)).digest for number in range(5)}
        found = memory.client().referrers("app", image.digest)
        assert found is not None
        assert {one.digest for one in found} == made
        assert len(memory.log) == 3

    @pytest.mark.parametrize(
        ("link", "told"),
        [("https://evil.example/v2/x", "goes on at another host"), ("?again", "goes in a circle")],
    )
    def test_links_that_lead_astray(self, link: str, told: str) -> None:
        headers = {"content-type": OCI_INDEX, "link": f'<{link}>; rel="next"'}
        registry = self.registry(lambda _: httpx.Response(200, content=b'{"manifests": []}', headers=headers))
        with pytest.raises(RegistryError, match=told):
            registry.referrers("app", SUBJECT)

    def test_a_page_that_fails_is_no_shorter_list(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.query:
                return httpx.Response(404)
            headers = {"content-type": OCI_INDEX, "link": '<?next=1>; rel="next"'}
            return httpx.Response(200, content=b'{"manifests": []}', headers=headers)

        with pytest.raises(RegistryError, match="says no"):
            self.registry(answer).referrers("app", SUBJECT)

    def test_an_answer_that_is_no_index(self) -> None:
        headers = {"content-type": OCI_INDEX}
        registry = self.registry(lambda _: httpx.Response(200, content=b'{"manifests": [5]}', headers=headers))
        with pytest.raises(RegistryError, match="malformed"):
            registry.referrers("app", SUBJECT)


class TestOf:
    def test_a_registry_that_takes_the_tag_for_the_digest(self) -> None:
        """`sha256-<hex>` answered with the index itself: its children are no referrers."""
        memory = Memory()
        index = put_index(memory, "app", [described(put_image(memory, "app", "child"))])
        memory.tags["app", fallback_tag(index.digest)] = index.digest
        assert Referrers(memory.client(), "app").of(index.digest) == ()

    def test_what_is_listed_and_refers_to_something_else_or_is_gone(self) -> None:
        memory = Memory()
        image, other = (put_image(memory, "app", name) for name in ("image", "other"))
        ours, theirs, gone = (
            put_signature(memory, "app", subject, name)
            for subject, name in ((image, "ours"), (other, "theirs"), (image, "gone"))
        )
        del memory.manifests["app", gone.digest]
        put_index(memory, "app", [described(one) for one in (ours, theirs, gone, other)], fallback_tag(image.digest))
        assert Referrers(memory.client(), "app").of(image.digest) == (ours,)

    def test_an_image_under_the_tag(self) -> None:
        memory = Memory()
        image = put_image(memory, "app", "image")
        put_image(memory, "app", "strange", fallback_tag(image.digest))
        assert Referrers(memory.client(), "app").of(image.digest) == ()

    def test_the_list_is_asked_for_in_vain_only_once(self) -> None:
        memory = Memory()
        asked = Referrers(memory.client(), "app")
        for name in ("a", "b", "c"):
            asked.of(put_image(memory, "app", name).digest)
        assert sum("referrers" in path for _, path in memory.log) == 1

    def test_what_cosign_put_there(self) -> None:
        memory = Memory()
        image = put_image(memory, "app", "image")
        tag = f"{fallback_tag(image.digest)}.att"
        attestation = put_manifest(memory, "app", {"layers": []}, tag)
        assert Referrers(memory.client(), "app").cosigned(image.digest) == {tag: attestation}


class TestMerged:
    def test_a_new_index_tells_all_that_the_specification_wants(self) -> None:
        one = referrer(1)
        index = merged(None, [one])
        assert index is not None
        assert index.digest == digest_of(index.raw)
        assert index.document == {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [
                {
                    "mediaType": OCI_MANIFEST,
                    "digest": one.digest,
                    "size": len(one.raw),
                    "artifactType": "a/b",
                    "annotations": {"number": "1"},
                }
            ],
        }

    def test_the_type_of_the_configuration_is_the_artifacts_where_it_says_none(self) -> None:
        index = merged(None, [manifest({"config": {"mediaType": "c/d"}})])
        assert index is not None
        assert index.document["manifests"][0]["artifactType"] == "c/d"

    @given(st.sets(st.integers(0, 9)), st.lists(st.integers(0, 9)), st.sets(st.integers(0, 9)))
    def test_nothing_is_lost_and_nothing_comes_twice(self, have: set[int], add: list[int], gone: set[int]) -> None:
        there = entries(*(referrer(number).digest for number in sorted(have))) if have else None
        gone_digests = {referrer(number).digest for number in gone - set(add)}
        index = merged(there, [referrer(number) for number in dict.fromkeys(add)], gone_digests)
        if set(add) <= have:
            assert index is None
            return
        assert index is not None
        digests = [entry.digest for entry in index.manifests]
        assert len(digests) == len(set(digests))
        assert set(digests) == {referrer(number).digest for number in have | set(add)} - gone_digests
        assert merged(index, [referrer(number) for number in add]) is None


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [("ab", "a", True), ("a", "ab", False), ("ab", "ba", True), ("a", "", True), ("a", "b", False)],
)
def test_who_has_all_signatures(ours: str, theirs: str, expected: bool) -> None:
    def signed(names: str) -> Manifest:
        # One payload, signed twice: only the annotations differ.
        return manifest(
            {"layers": [{"digest": SUBJECT, "size": 7, "annotations": {"signature": name}} for name in names]}
        )

    assert supersedes(signed(ours), signed(theirs)) is expected
