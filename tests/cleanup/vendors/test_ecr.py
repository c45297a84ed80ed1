"""Amazon's registry: the door against moto's server, and against a client with the semantics that moto leaves out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from imagewright.cleanup.vendors import ecr
from imagewright.cleanup.vendors.ecr import EcrDoor
from imagewright.cleanup.vendors.model import KeptError
from imagewright.errors import ConfigError, EnvironmentMissingError, RegistryError
from imagewright.registry.authentication import RefusedError
from imagewright.registry.client import Registry
from imagewright.registry.model import Deletion
from tests.cleanup.vendors.server import DIGESTS

HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"

OWN = {"registryId": "123456789012", "repositoryName": "me/app"}
REGISTRY = Registry(HOST, credentials=lambda _: None)  # not asked


def door_with(client: Any) -> EcrDoor:
    return EcrDoor(REGISTRY, "me/app", client=client, sleep=lambda _: None)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def client(moto: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    config = Config(retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("ecr", region_name="eu-central-1", endpoint_url=moto, config=config, **keys)
    client.create_repository(repositoryName="me/app", registryId="123456789012")
    yield client
    client.delete_repository(repositoryName="me/app", registryId="123456789012", force=True)


def push(client: Any, name: str, *tags: str) -> str:
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 1, "digest": DIGESTS[0]},
            "layers": [{"digest": f"sha256:{name}", "size": 1}],  # moto takes its digest over these alone
        }
    )
    parts = {"repositoryName": "me/app", "imageManifest": manifest}
    answers = [client.put_image(**parts, imageTag=tag) for tag in tags] or [client.put_image(**parts)]
    return str(answers[0]["image"]["imageId"]["imageDigest"])


def tags_of(client: Any) -> dict[str, str]:
    images = client.describe_images(repositoryName="me/app")["imageDetails"]
    return {tag: image["imageDigest"] for image in images for tag in image.get("imageTags", ())}


class TestMoto:
    def test_the_listing(self, client: Any) -> None:
        one, two = push(client, "one", "v1", "latest"), push(client, "two")
        listing = door_with(client).listing()
        assert listing is not None
        assert listing.tags == {"v1": one, "latest": one}
        assert listing.untagged == {two}
        assert set(listing.pushed) == {one, two}
        assert all(time.tzinfo for time in listing.pushed.values())

    def test_tags_go_alone(self, client: Any) -> None:
        one, two = push(client, "one", "old", "older", "latest"), push(client, "two", "v2")
        door = door_with(client)
        door.approve({"old": one, "older": one, "v2": two}, [two])
        assert {door.delete_tag(tag) for tag in ("old", "older", "v2")} == {Deletion.DONE}
        assert tags_of(client) == {"latest": one}
        assert door.delete_tag("old") is Deletion.ABSENT

    def test_the_last_tag_of_an_image_that_stays_is_kept(self, client: Any) -> None:
        one = push(client, "one", "old")
        door = door_with(client)
        door.approve({"old": one}, [])
        with pytest.raises(KeptError, match="last tag"):
            door.delete_tag("old")
        assert tags_of(client) == {"old": one}

    def test_a_tag_that_has_moved_stays(self, client: Any) -> None:
        one, two = push(client, "one", "a", "b"), push(client, "two", "c")
        door = door_with(client)
        door.approve({"c": one}, [one, two])
        with pytest.raises(KeptError, match="moved"):
            door.delete_tag("c")
        assert tags_of(client)["c"] == two

    def test_a_manifest_goes_with_approved_tags_only(self, client: Any) -> None:
        one = push(client, "one", "old", "latest")
        door = door_with(client)
        door.approve({"old": one}, [one])
        with pytest.raises(KeptError, match="latest"):
            door.delete_manifest(one)
        assert set(tags_of(client)) == {"old", "latest"}
        door.approve({"old": one, "latest": one}, [one])
        assert door.delete_manifest(one) is Deletion.DONE
        assert door.delete_manifest(one) is Deletion.ABSENT

    def test_a_repository_that_is_not_there(self, client: Any) -> None:
        with pytest.raises(RegistryError, match="RepositoryNotFound"):
            EcrDoor(REGISTRY, "me/none", client=client).listing()


class Amazon:
    """What BatchDeleteImage and DescribeImages document, in memory."""

    def __init__(self) -> None:
        self.images: dict[str, set[str]] = {}
        self.children: dict[str, set[str]] = {}  # of an index
        self.errors: list[Exception] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.on_delete: Callable[[Any], Any] = lambda answer: answer

    def tags(self) -> dict[str, str]:
        return {tag: digest for digest, tags in self.images.items() for tag in tags}

    def _begin(self, operation: str, parts: dict[str, Any]) -> None:
        self.calls.append((operation, parts))
        if operation == "batch_delete_image" and self.errors:
            raise self.errors.pop(0)

    def describe_images(self, **parts: Any) -> Any:
        self._begin("describe_images", parts)
        assert len(parts.get("imageIds", ())) <= 100
        found = self.images
        if "imageIds" in parts:
            digests = [one.get("imageDigest") or self.tags().get(one["imageTag"]) for one in parts["imageIds"]]
            if not all(digest in self.images for digest in digests):
                raise client_error("ImageNotFoundException", 400)
            found = {str(digest): self.images[str(digest)] for digest in digests}
        time = datetime(2026, 1, 1, tzinfo=UTC)
        details = [
            {"imageDigest": digest, "imagePushedAt": time, **({"imageTags": sorted(tags)} if tags else {})}
            for digest, tags in found.items()
        ]
        return {"imageDetails": details}

    def batch_delete_image(self, **parts: Any) -> Any:
        self._begin("batch_delete_image", parts)
        assert len(parts["imageIds"]) <= 100
        answer: dict[str, list[Any]] = {"imageIds": [], "failures": []}
        for one in parts["imageIds"]:
            assert len(one) == 1
            digest = one.get("imageDigest") or self.tags().get(one["imageTag"])
            if digest not in self.images:
                self._fail(answer, one, "ImageNotFound")
                continue
            others = self.images[digest] - {one.get("imageTag")} if "imageTag" in one else set()
            if others:
                self.images[digest] = set(others)
            elif any(digest in children for index, children in self.children.items() if index in self.images):
                self._fail(answer, one, "ImageReferencedByManifestList")
                continue
            else:
                del self.images[digest]
            answer["imageIds"].append({"imageDigest": digest, **one})
        return self.on_delete(answer)

    def close(self) -> None:
        pass

    def _fail(self, answer: dict[str, list[Any]], one: dict[str, str], code: str) -> None:
        answer["failures"].append({"imageId": one, "failureCode": code, "failureReason": "because"})


def client_error(code: str, status: int) -> ClientError:
    message = "The signature is wrong: x-amz-security-token:verysecret"
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},
        "BatchDeleteImage",
    )


@pytest.fixture
def amazon() -> Amazon:
    amazon = Amazon()
    amazon.images = {DIGESTS[1]: {"old", "latest"}, DIGESTS[2]: {"v2"}, DIGESTS[3]: set()}
    return amazon


class TestDocumented:
    def test_a_child_of_an_index_is_kept(self, amazon: Amazon) -> None:
        amazon.images[DIGESTS[4]] = {"index"}
        amazon.children[DIGESTS[4]] = {DIGESTS[3]}
        door = door_with(amazon)
        door.approve({}, [DIGESTS[3]])
        with pytest.raises(KeptError, match="ImageReferencedByManifestList"):
            door.delete_manifest(DIGESTS[3])

    def test_each_tag_is_looked_at_just_before_it_goes(self, amazon: Amazon) -> None:
        door = door_with(amazon)
        door.approve({"old": DIGESTS[1]}, [])
        assert door.delete_tag("old") is Deletion.DONE
        assert amazon.calls == [
            ("describe_images", {**OWN, "imageIds": [{"imageDigest": DIGESTS[1]}]}),
            ("batch_delete_image", {**OWN, "imageIds": [{"imageTag": "old"}]}),
        ]

    def test_the_last_of_two_tags_of_an_image_that_stays_is_kept(self, amazon: Amazon) -> None:
        door = door_with(amazon)
        door.approve({"old": DIGESTS[1], "latest": DIGESTS[1]}, [])
        assert door.delete_tag("old") is Deletion.DONE
        with pytest.raises(KeptError, match="last tag"):
            door.delete_tag("latest")
        assert set(amazon.tags()) == {"latest", "v2"}

    def test_a_tag_on_an_image_that_is_gone(self, amazon: Amazon) -> None:
        door = door_with(amazon)
        door.approve({"gone": DIGESTS[9], "latest": DIGESTS[9]}, [])
        assert door.delete_tag("gone") is Deletion.ABSENT
        with pytest.raises(KeptError, match="moved"):
            door.delete_tag("latest")

    def test_what_the_answer_leaves_out_is_unknown(self, amazon: Amazon) -> None:
        amazon.on_delete = lambda _: {"imageIds": []}
        door = door_with(amazon)
        door.approve({"old": DIGESTS[1]}, [])
        assert door.delete_tag("old") is Deletion.UNKNOWN

    @pytest.mark.parametrize(
        "error",
        [
            client_error("ServerException", 500),
            ReadTimeoutError(endpoint_url="https://x"),
            ConnectionClosedError(endpoint_url="https://x"),
        ],
    )
    def test_no_clear_answer_is_unknown_and_not_sent_again(self, amazon: Amazon, error: Exception) -> None:
        amazon.errors = [error]
        door = door_with(amazon)
        door.approve({"old": DIGESTS[1]}, [])
        assert door.delete_tag("old") is Deletion.UNKNOWN
        assert [operation for operation, _ in amazon.calls].count("batch_delete_image") == 1

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (client_error("AccessDeniedException", 400), RefusedError),
            (client_error("InvalidSignatureException", 403), RefusedError),
            (NoCredentialsError(), RefusedError),
            (client_error("InvalidParameterException", 400), RegistryError),
            (EndpointConnectionError(endpoint_url="https://x"), EnvironmentMissingError),
        ],
    )
    def test_errors_stop_without_secrets(self, amazon: Amazon, error: Exception, kind: type[Exception]) -> None:
        amazon.errors = [error]
        door = door_with(amazon)
        door.approve({"old": DIGESTS[1]}, [])
        with pytest.raises(kind) as caught:
            door.delete_tag("old")
        assert not isinstance(caught.value, KeptError)
        assert "verysecret" not in f"{caught.value}{caught.value!r}{caught.value.__cause__!r}"

    def test_limits_are_waited_for(self, amazon: Amazon) -> None:
        amazon.errors = [client_error("ThrottlingException", 400)] * 2
        door = door_with(amazon)
        door.approve({"old": DIGESTS[1]}, [])
        assert door.delete_tag("old") is Deletion.DONE

    def test_a_limit_that_lasts_ends_it(self, amazon: Amazon) -> None:
        amazon.errors = [client_error("ThrottlingException", 400)] * 5
        door = door_with(amazon)
        door.approve({"old": DIGESTS[1]}, [])
        with pytest.raises(RegistryError, match="limits"):
            door.delete_tag("old")
        assert len(amazon.tags()) == 3

    @settings(max_examples=200, deadline=None)
    @given(st.data())
    def test_nothing_goes_that_was_not_approved(self, data: st.DataObject) -> None:
        amazon = Amazon()
        for number in range(4):
            amazon.images[DIGESTS[number]] = {
                f"t{number}{letter}" for letter in data.draw(st.sets(st.sampled_from("abc")))
            }
            amazon.children[DIGESTS[number]] = (
                data.draw(st.sets(st.sampled_from(DIGESTS[:number]))) if number else set()
            )
        seen = amazon.tags()
        tags = data.draw(st.sets(st.sampled_from(sorted(seen)))) if seen else set()
        manifests = data.draw(st.sets(st.sampled_from(DIGESTS[:4])))
        for tag in data.draw(st.sets(st.sampled_from(sorted(seen)))) if seen else set():  # moved by somebody else
            amazon.images[seen[tag]].discard(tag)
            amazon.images[data.draw(st.sampled_from(DIGESTS[:4]))].add(tag)
        before = amazon.tags()
        door = door_with(amazon)
        door.approve({tag: seen[tag] for tag in tags}, manifests)
        names = list(seen)
        for tag in names:
            with contextlib.suppress(KeptError):
                door.delete_tag(tag)
        for digest in DIGESTS[:4]:
            with contextlib.suppress(KeptError):
                door.delete_manifest(digest)
        kept = {tag: digest for tag, digest in before.items() if tag not in tags or seen[tag] != digest}
        assert kept.items() <= amazon.tags().items()
        assert set(DIGESTS[:4]) - manifests <= set(amazon.images)


def test_another_host_is_refused() -> None:
    with pytest.raises(ConfigError, match="Amazon"):
        EcrDoor(Registry("r.example", credentials=lambda _: None), "me/app")


def test_the_registrys_password(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", moto)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    found = ecr.registry_credential(HOST)
    assert found is not None
    assert found.username == "AWS"
    assert found.password
    assert found.password not in repr(found)


def test_no_credentials_of_amazon_are_none_of_the_registrys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    assert ecr.registry_credential(HOST) is None
