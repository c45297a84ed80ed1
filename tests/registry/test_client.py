from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from imagewright.errors import RegistryError
from imagewright.registry.client import Registry
from imagewright.registry.model import (
    DOCKER_LIST,
    MANIFEST_TYPES,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Blob,
    Deletion,
    Manifest,
    digest_of,
)
from imagewright.registry.session import WORKERS
from tests.registry.answering import Answering

HOST = "r.example"
Answer = Callable[[httpx.Request], httpx.Response]


def registry_of(answer: Answer) -> Registry:
    return Registry(HOST, credentials=lambda _: None, transport=Answering(answer), sleep=lambda _: None)


def manifest_of(document: dict[str, Any], media_type: str = OCI_MANIFEST) -> Manifest:
    raw = json.dumps(document).encode()
    return Manifest(raw=raw, media_type=media_type, digest=digest_of(raw))


def answered(manifest: Manifest, **headers: str) -> httpx.Response:
    fields = {"content-type": manifest.media_type, "docker-content-digest": manifest.digest}
    fields |= {key.replace("_", "-"): value for key, value in headers.items()}
    return httpx.Response(200, content=manifest.raw, headers={key: value for key, value in fields.items() if value})


APP = manifest_of(
    {
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": "sha256:c", "size": 7},
        "layers": [
            {"mediaType": OCI_LAYER_GZIP, "digest": "sha256:a", "size": 100},
            {"mediaType": OCI_LAYER_GZIP, "digest": "sha256:b", "size": 23},
        ],
    }
)


class TestResolve:
    def test_one_head_with_all_four_types_is_enough(self) -> None:
        requests = []

        def answer(request: httpx.Request) -> httpx.Response:
            requests.append(request)
            return answered(APP)

        assert registry_of(answer).resolve("app", "latest") == APP.descriptor
        assert [request.method for request in requests] == ["HEAD"]
        assert sorted(requests[0].headers["accept"].split(", ")) == sorted(MANIFEST_TYPES)

    @pytest.mark.parametrize(
        "head",
        [
            answered(APP, docker_content_digest=""),
            answered(APP, content_type="application/json"),
            httpx.Response(405),
            httpx.Response(400),
        ],
    )
    def test_the_content_is_fetched_where_the_head_says_too_little(self, head: httpx.Response) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            return head if request.method == "HEAD" else answered(APP, docker_content_digest="")

        assert registry_of(answer).resolve("app", "latest") == APP.descriptor

    def test_what_is_not_there_is_none(self) -> None:
        registry = registry_of(lambda _: httpx.Response(404))
        assert registry.resolve("app", "latest") is None
        assert registry.manifest("app", "latest") is None
        assert registry.config("app", APP.digest) is None
        assert registry.tags("app") is None


class TestManifest:
    @pytest.mark.parametrize("reference", ["latest", APP.digest])
    def test_content_with_another_digest_is_refused(self, reference: str) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(
                200,
                content=APP.raw + b" ",
                headers={"docker-content-digest": APP.digest, "content-type": OCI_MANIFEST},
            )

        with pytest.raises(RegistryError, match=f"for {APP.digest}") as raised:
            registry_of(answer).manifest("app", reference)
        assert raised.value.where == f"{HOST}/app"

    def test_a_digest_is_believed_over_the_header(self) -> None:
        other = manifest_of({"other": True})
        with pytest.raises(RegistryError, match=f"for {APP.digest}"):
            registry_of(lambda _: answered(other)).manifest("app", APP.digest)

    def test_sha512(self) -> None:
        digest = digest_of(APP.raw, "sha512")
        found = registry_of(lambda _: answered(APP, docker_content_digest=digest)).manifest("app", "latest")
        assert found is not None
        assert found.digest == digest

    def test_the_type_is_taken_from_the_document_where_the_header_is_vague(self) -> None:
        found = registry_of(lambda _: answered(APP, content_type="text/plain; charset=utf-8")).manifest("app", "x")
        assert found == APP

    def test_an_unknown_type_is_refused(self) -> None:
        old = manifest_of({"schemaVersion": 1}, "application/vnd.docker.distribution.manifest.v1+prettyjws")
        with pytest.raises(RegistryError, match=r"unknown type: .*v1\+prettyjws") as raised:
            registry_of(lambda _: answered(old)).manifest("app", "x")
        assert raised.value.where == f"{HOST}/app:x"

    @pytest.mark.parametrize("raw", [b"<html>", b"[]", b"\xff"])
    def test_no_json(self, raw: bytes) -> None:
        found = registry_of(
            lambda _: httpx.Response(200, content=raw, headers={"content-type": OCI_MANIFEST})
        ).manifest("app", "x")
        assert found is not None
        with pytest.raises(RegistryError, match="no JSON object"):
            _ = found.document

    @pytest.mark.parametrize("child", [{}, {"digest": "sha256:a"}, {"digest": "sha256:a", "size": "many"}, 5])
    def test_malformed_descriptors(self, child: Any) -> None:
        with pytest.raises(RegistryError, match="malformed descriptor"):
            _ = manifest_of({"manifests": [child]}, OCI_INDEX).manifests


def test_a_config_is_checked_against_its_digest() -> None:
    registry = registry_of(lambda _: httpx.Response(200, content=b'{"os":"linux"}'))
    assert registry.config("app", digest_of(b'{"os":"linux"}')) == {"os": "linux"}
    with pytest.raises(RegistryError, match="sent content with the digest"):
        registry.config("app", digest_of(b"other"))


class TestSizes:
    def test_of_one_platform(self) -> None:
        config = b'{"os":"linux","architecture":"arm","variant":"v7"}'
        single = manifest_of({**APP.document, "config": {"digest": digest_of(config), "size": len(config)}})
        registry = registry_of(lambda _: httpx.Response(200, content=config))
        assert registry.sizes("app", single) == {"linux/arm/v7": 123}

    @pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
    def test_of_an_index_without_its_attestations(self, media_type: str) -> None:
        platform = {"os": "linux", "architecture": "amd64"}
        child = {"mediaType": OCI_MANIFEST, "digest": APP.digest, "size": len(APP.raw)}
        attestation = {
            **child,
            "digest": "sha256:att",
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {"vnd.docker.reference.digest": APP.digest},
        }
        index = manifest_of({"manifests": [{**child, "platform": platform}, attestation]}, media_type)
        assert registry_of(lambda _: answered(APP)).sizes("app", index) == {"linux/amd64": 123}


def page(tags: list[str] | None, following: str = "") -> httpx.Response:
    return httpx.Response(200, json={"name": "app", "tags": tags}, headers={"link": following} if following else {})


class TestTags:
    def test_all_pages_are_followed(self) -> None:
        pages = {
            "/v2/app/tags/list": page(["a", "b"], '</v2/app/tags/list?last=b&n=2>; rel="next"'),
            "/v2/app/tags/list?last=b&n=2": page(["c", "d"], f'<http://{HOST}/v2/app/tags/list?last=d>; rel="next"'),
            "/v2/app/tags/list?last=d": page([], '<list?last=e>; rel="next"'),  # an empty page is no end
            "/v2/app/tags/list?last=e": page(["e"]),
        }
        seen = []

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(str(request.url))
            return pages[request.url.raw_path.decode()]

        assert registry_of(answer).tags("app") == ("a", "b", "c", "d", "e")
        assert all(url.startswith(f"https://{HOST}/") for url in seen)

    @pytest.mark.parametrize("tags", [[], None])
    def test_a_repository_without_tags(self, tags: list[str] | None) -> None:
        assert registry_of(lambda _: page(tags)).tags("app") == ()

    @pytest.mark.parametrize("tags", [["a"], []])
    def test_the_same_page_again(self, tags: list[str]) -> None:
        with pytest.raises(RegistryError, match="in a circle"):
            registry_of(lambda _: page(tags, '</v2/app/tags/list>; rel="next"')).tags("app")

    def test_ever_other_pages_with_nothing_new(self) -> None:
        count = 0

        def answer(request: httpx.Request) -> httpx.Response:
            nonlocal count
            count += 1
            return page(["a", "b"], f'</v2/app/tags/list?page={count}>; rel="next"')

        with pytest.raises(RegistryError, match="in a circle"):
            registry_of(answer).tags("app")
        assert count == 2

    @pytest.mark.parametrize("host", ["evil.example", f"{HOST}.evil.example", f"{HOST}:8443"])
    def test_another_host_is_not_followed(self, host: str) -> None:
        seen = []

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(request.url.host)
            return page(["a"], f'<https://{host}/v2/app/tags/list>; rel="next"')

        with pytest.raises(RegistryError, match="another host"):
            registry_of(answer).tags("app")
        assert seen == [HOST]

    @pytest.mark.parametrize("body", [b"", b"[]", b'{"name": "app"}', b'{"tags": "a"}', b'{"tags": [1]}'])
    def test_nonsense_is_no_empty_list(self, body: bytes) -> None:
        with pytest.raises(RegistryError, match="malformed"):
            registry_of(lambda _: httpx.Response(200, content=body)).tags("app")

    def test_a_page_that_is_missing_in_the_middle_is_no_end(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(404) if request.url.query else page(["a"], '<list?last=a>; rel="next"')

        with pytest.raises(RegistryError, match="HTTP 404"):
            registry_of(answer).tags("app")


class Uploads:
    """A registry's upload protocol, with failures on the way."""

    def __init__(self, *, mounts: bool = False, lose: int = 0) -> None:
        self.mounts = mounts
        self.lose = lose
        self.blobs: dict[str, bytes] = {}
        self.log: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.log.append(request.method)
        if request.method == "HEAD":
            return httpx.Response(200 if request.url.path.rpartition("/")[2] in self.blobs else 404)
        if request.method == "POST":
            if request.url.params.get("mount") and self.mounts:
                return httpx.Response(201)
            return httpx.Response(202, headers={"location": f"/upload/{len(self.log)}?state=x%3D"})
        if self.lose:
            self.lose -= 1
            raise httpx.ReadError("connection reset by peer")
        assert request.url.params["state"] == "x="
        assert "transfer-encoding" not in request.headers
        content = request.read()
        assert int(request.headers["content-length"]) == len(content)
        self.blobs[request.url.params["digest"]] = content
        return httpx.Response(201)


BLOB = Blob.of(b"content" * 100_000, OCI_LAYER_GZIP)


class TestPush:
    def test_a_blob_is_uploaded_once(self) -> None:
        server = Uploads()
        registry = registry_of(server)
        registry.push_blob("app", BLOB)
        registry.push_blob("app", BLOB)
        assert server.log == ["HEAD", "POST", "PUT", "HEAD"]
        assert server.blobs == {BLOB.digest: BLOB.source}

    @pytest.mark.parametrize(("mounts", "log"), [(True, ["HEAD", "POST"]), (False, ["HEAD", "POST", "PUT"])])
    def test_a_blob_is_mounted_where_the_registry_can(self, mounts: bool, log: list[str]) -> None:
        server = Uploads(mounts=mounts)
        registry_of(server).push_blob("app", BLOB, mount_from="base")
        assert server.log == log

    def test_a_mount_asks_for_the_right_to_both_repositories(self) -> None:
        server, asked = Uploads(mounts=True), []

        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/token":
                asked.append(request.url.params.get_list("scope"))
                return httpx.Response(200, json={"token": "t"})
            if "authorization" not in request.headers:
                return httpx.Response(401, headers={"www-authenticate": f'Bearer realm="https://{HOST}/token"'})
            return server(request)

        registry_of(answer).push_blob("app", BLOB, mount_from="base")
        assert asked == [
            ["repository:app:pull,push"],
            ["repository:app:pull,push", "repository:base:pull"],
        ]

    def test_a_lost_upload_begins_again(self) -> None:
        server = Uploads(lose=2)
        registry_of(server).push_blob("app", BLOB)
        assert server.log == ["HEAD", *["POST", "PUT"] * 3]
        assert server.blobs == {BLOB.digest: BLOB.source}

    def test_an_upload_that_is_always_lost(self) -> None:
        server = Uploads(lose=99)
        with pytest.raises(Exception, match="closed the connection"):
            registry_of(server).push_blob("app", BLOB)
        assert server.log.count("PUT") == 3

    def test_a_registry_that_stores_something_else(self) -> None:
        registry = registry_of(lambda _: httpx.Response(201, headers={"docker-content-digest": "sha256:other"}))
        with pytest.raises(RegistryError, match="stored sha256:other"):
            registry.push_manifest("app", "latest", APP)

    def test_a_refused_manifest(self) -> None:
        errors = {"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown to registry"}]}
        registry = registry_of(lambda _: httpx.Response(400, json=errors))
        with pytest.raises(RegistryError, match="MANIFEST_BLOB_UNKNOWN"):
            registry.push_manifest("app", "latest", APP)


INVALID = {"errors": [{"code": "DIGEST_INVALID", "message": "provided digest did not match uploaded content"}]}


class TestDelete:
    @pytest.mark.parametrize(
        ("response", "outcome"),
        [
            (httpx.Response(202), Deletion.DONE),
            (httpx.Response(200), Deletion.DONE),
            (httpx.Response(404), Deletion.ABSENT),
            (httpx.Response(405), Deletion.UNSUPPORTED),
            (httpx.Response(400, json=INVALID), Deletion.UNSUPPORTED),
            (httpx.Response(500), Deletion.UNKNOWN),
            (httpx.Response(503), Deletion.UNKNOWN),
        ],
    )
    def test_outcomes(self, response: httpx.Response, outcome: Deletion) -> None:
        sent = []

        def answer(request: httpx.Request) -> httpx.Response:
            sent.append(f"{request.method} {request.url.path}")
            return response

        assert registry_of(answer).delete_tag("app", "v1") is outcome
        assert sent == ["DELETE /v2/app/manifests/v1"]
        assert registry_of(answer).delete_manifest("app", APP.digest) is outcome

    def test_a_lost_answer_is_unknown(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            raise httpx.ReadTimeout("timed out")

        assert registry_of(answer).delete_tag("app", "v1") is Deletion.UNKNOWN

    @pytest.mark.parametrize("status", [400, 401, 403, 409])
    def test_other_refusals_are_errors(self, status: int) -> None:
        with pytest.raises(RegistryError):
            registry_of(lambda _: httpx.Response(status)).delete_tag("app", "v1")


def test_ping_wants_a_registry() -> None:
    with pytest.raises(RegistryError, match="no registry"):
        registry_of(lambda _: httpx.Response(404)).ping()


def test_concurrent_results_keep_their_order_and_the_first_error_ends_them() -> None:
    registry = registry_of(lambda _: httpx.Response(200))
    assert registry.concurrently(lambda number: number * 2, range(100)) == [number * 2 for number in range(100)]
    started = []

    def fail(number: int) -> None:
        started.append(number)
        raise RegistryError(str(number))

    with pytest.raises(RegistryError, match="0"):
        registry.concurrently(fail, range(100_000))
    assert len(started) < 100_000


def test_after_an_error_no_more_is_begun() -> None:
    begun, told = [], threading.Event()

    def call(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise RegistryError("the first")
        told.wait(30)

    with pytest.raises(RegistryError, match="the first"):
        registry_of(lambda _: httpx.Response(200)).concurrently(call, range(1000), stop=told.set)
    assert told.is_set()
    assert len(begun) <= WORKERS


def test_what_fails_because_of_the_stop_is_not_the_error() -> None:
    told = threading.Event()

    def call(number: int) -> None:
        if number == 0:
            told.wait(30)
        raise RegistryError("given up" if number == 0 else "the cause")

    with pytest.raises(RegistryError, match="the cause"):
        registry_of(lambda _: httpx.Response(200)).concurrently(call, range(2), stop=told.set)
