"""The client against both generations of the registry, with passwords: distribution 3, and 2 as Debian packs it."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt
import pytest
from invoke.collection import Collection
from invoke.program import Program

from imagewright.cli.login import login
from imagewright.config.models import Settings
from imagewright.errors import EnvironmentMissingError, RegistryError
from imagewright.registry.authentication import RefusedError
from imagewright.registry.client import Registry
from imagewright.registry.credentials import Credential, find_credential
from imagewright.registry.model import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Blob,
    Deletion,
    Manifest,
    digest_of,
)
from imagewright.registry.oci import OciImage, image_from_tar, index_of, push_image
from imagewright.services.places import Places
from tests.e2e.registries import program_of, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.e2e

ME = Credential(username="me", password="s3cr3t-of-mine")


@dataclass(frozen=True)
class Served:
    host: str
    generation: int
    data: Path

    def client(self, credential: Credential | None = ME) -> Registry:
        return Registry(self.host, credentials=lambda _: credential)


@pytest.fixture(scope="module", params=[3, 2], ids=["distribution 3", "distribution 2"])
def served(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    free_ports: Callable[[int], list[int]],
    tell: Callable[[str], None],
) -> Iterator[Served]:
    places = Places.of(Settings(), os.environ, Path.cwd())
    folder = tmp_path_factory.mktemp("registry")
    host = f"127.0.0.1:{free_ports(1)[0]}"
    (folder / "htpasswd").write_text(f"me:{bcrypt.hashpw(ME.password.encode(), bcrypt.gensalt(rounds=4)).decode()}\n")
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": host},
        "auth": {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}},
    }
    (folder / "config.yml").write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            [program_of(request.param, places, tell), "serve", str(folder / "config.yml")],
            stdout=log,
            stderr=log,
            env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
        )
    try:
        wait_for(host, child, folder / "log")
        yield Served(host, request.param, folder / "data")
    finally:
        child.terminate()
        child.wait(10)


def image(folder: Path, content: str, platform: str = "linux/amd64") -> OciImage:
    path = folder / f"{digest_of(f'{content}{platform}'.encode())[7:]}.tar"
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("etc/content")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content.encode()))
    return image_from_tar(path, platform=platform, created=1_700_000_000, labels={"content": content})


def test_credentials(served: Served) -> None:
    with served.client() as registry:
        assert registry.ping() is True
    with served.client(None) as registry, pytest.raises(RefusedError, match="wants credentials"):
        registry.ping()
    wrong = Credential(username="me", password=f"wrong-{ME.password}")
    with served.client(wrong) as registry, pytest.raises(RefusedError, match="refuses the credentials") as raised:
        registry.tags("app")
    assert ME.password not in str(raised.value)
    assert f"invoke login {served.host}" in str(raised.value)


def test_what_was_pushed_comes_back(served: Served, tmp_path: Path) -> None:
    images = [image(tmp_path, "round trip", platform) for platform in ("linux/amd64", "linux/arm64/v8")]
    with served.client() as registry:
        assert registry.tags("team/app") is None
        assert registry.resolve("team/app", "v1") is None
        digest = push_image(registry, "team/app", "v1", images)
        assert push_image(registry, "team/app", "v1", images) == digest

        assert registry.tags("team/app") == ("v1",)
        assert registry.resolve("team/app", "v1") == index_of(images).descriptor
        index = registry.manifest("team/app", "v1")
        assert index == index_of(images)
        assert registry.manifest("team/app", digest) == index
        assert index is not None
        assert registry.sizes("team/app", index) == {
            "linux/amd64": images[0].layers[0].size,
            "linux/arm64/v8": images[1].layers[0].size,
        }
        child = registry.manifest("team/app", images[1].manifest.digest)
        assert child == images[1].manifest
        assert registry.sizes("team/app", images[1].manifest) == {"linux/arm64/v8": images[1].layers[0].size}
        config = registry.config("team/app", images[0].config.digest)
        assert config is not None
        assert config["created"] == "2023-11-14T22:13:20Z"


def test_a_blob_is_taken_over_from_another_repository(served: Served, tmp_path: Path) -> None:
    layer = image(tmp_path, "mounted").layers[0]
    with served.client() as registry:
        registry.push_blob("mount/from", layer)
        assert not registry.has_blob("mount/to", layer.digest)
        assert isinstance(layer.source, Path)
        layer.source.unlink()  # a mount reads nothing from here
        registry.push_blob("mount/to", layer, mount_from="mount/from")
        assert registry.has_blob("mount/to", layer.digest)


def test_dockers_and_ocis_indexes_keep_their_own_digests(served: Served, tmp_path: Path) -> None:
    """With a shorter Accept a registry answers with the amd64 child of a docker list, and 404 for an OCI index."""
    one = image(tmp_path, "typed")
    with served.client() as registry:
        push_image(registry, "typed", "oci", [one])
        document = {
            **one.manifest.document,
            "mediaType": DOCKER_MANIFEST,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "digest": one.config.digest,
                "size": one.config.size,
            },
            "layers": [
                {**layer, "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip"}
                for layer in one.manifest.document["layers"]
            ],
        }
        child = written(document, DOCKER_MANIFEST)
        registry.push_manifest("typed", child.digest, child)
        entry = {
            "mediaType": DOCKER_MANIFEST,
            "digest": child.digest,
            "size": len(child.raw),
            "platform": {"os": "linux", "architecture": "amd64"},
        }
        listed = written({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [entry]}, DOCKER_LIST)
        registry.push_manifest("typed", "docker", listed)

        for tag, expected, kind in (("oci", index_of([one]), OCI_INDEX), ("docker", listed, DOCKER_LIST)):
            assert registry.resolve("typed", tag) == expected.descriptor
            found = registry.manifest("typed", tag)
            assert found == expected
            assert found is not None
            assert found.media_type == kind
        assert registry.resolve("typed", child.digest) == child.descriptor


def written(document: dict[str, object], media_type: str) -> Manifest:
    raw = json.dumps(document).encode()
    return Manifest(raw=raw, media_type=media_type, digest=digest_of(raw))


def test_a_manifest_that_names_missing_content_is_refused(served: Served) -> None:
    absent = {"mediaType": OCI_LAYER_GZIP, "digest": digest_of(b"absent"), "size": 6}
    config = {**absent, "mediaType": OCI_CONFIG}
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [absent]}
    with served.client() as registry, pytest.raises(RegistryError, match="BLOB_UNKNOWN"):
        registry.push_manifest("broken", "v1", written(dict(document), OCI_MANIFEST))


def test_content_that_went_bad_on_the_registrys_disk_is_noticed(served: Served) -> None:
    blob = Blob.of(b'{"os":"linux"}', OCI_CONFIG)
    with served.client() as registry:
        registry.push_blob("bad", blob)
        assert registry.config("bad", blob.digest) == {"os": "linux"}
        name = blob.digest.removeprefix("sha256:")
        (served.data / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data").write_bytes(b'{"os":"linuX"}')
        with pytest.raises(RegistryError, match="sent content with the digest"):
            registry.config("bad", blob.digest)


def test_deleting(served: Served, tmp_path: Path) -> None:
    with served.client() as registry:
        digest = push_image(registry, "gone", "v1", [image(tmp_path, "gone")])
        push_image(registry, "gone", "v2", [image(tmp_path, "gone")])
        outcome = registry.delete_tag("gone", "v1")
        if served.generation == 2:
            assert outcome is Deletion.UNSUPPORTED
            assert registry.tags("gone") is not None
            assert set(registry.tags("gone") or ()) == {"v1", "v2"}
        else:
            assert outcome is Deletion.DONE
            assert registry.delete_tag("gone", "v1") is Deletion.ABSENT
            assert registry.tags("gone") == ("v2",)
        assert registry.resolve("gone", digest) is not None
        assert registry.delete_manifest("gone", digest) is Deletion.DONE
        assert registry.delete_manifest("gone", digest) is Deletion.ABSENT
        assert registry.resolve("gone", "v2") is None
        assert registry.tags("gone") == ()


def test_many_tags_at_once(served: Served, tmp_path: Path) -> None:
    with served.client() as registry:
        one = image(tmp_path, "many")
        push_image(registry, "many", "first", [one])
        tags = [f"t{number}" for number in range(150)]
        registry.concurrently(lambda tag: registry.push_manifest("many", tag, one.manifest), tags)
        assert set(registry.tags("many") or ()) == {"first", *tags}
        assert registry.concurrently(lambda tag: registry.resolve("many", tag), tags) == [
            one.manifest.descriptor
        ] * len(tags)


def test_login_through_dockers_own_store(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for variable in ("IMAGEWRIGHT_LOGIN_USER", "IMAGEWRIGHT_LOGIN_PASSWORD"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "Dockerfiles").mkdir()
    monkeypatch.setattr(sys, "stdin", io.StringIO(ME.password))
    Program(namespace=Collection(login)).run(["invoke", "login", served.host, "--user", "me", "--password-stdin"])
    output = "".join(capfd.readouterr())
    assert f"logged in to {served.host} as me" in output
    assert ME.password not in output

    assert find_credential(served.host) == ME
    with Registry(served.host) as registry:
        assert registry.ping() is True
    auths = json.loads((tmp_path / "config.json").read_text())["auths"]
    assert base64.b64decode(auths[served.host]["auth"]) == f"me:{ME.password}".encode()


def test_a_registry_that_stopped() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with (
            Registry(f"127.0.0.1:{bound.getsockname()[1]}") as registry,
            pytest.raises(EnvironmentMissingError, match="invoke start registry"),
        ):
            registry.tags("app")
