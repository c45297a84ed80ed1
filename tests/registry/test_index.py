from __future__ import annotations

import json
from typing import Any

import pytest

from imagewright.errors import RegistryError
from imagewright.registry.copy import Place
from imagewright.registry.index import assemble, images_at, join
from imagewright.registry.model import DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Manifest, digest_of
from tests.registry.memory import Memory, described, put_blob, put_index, put_manifest

REPOSITORY = "me/app"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"


def put(
    memory: Memory, platform: str, *, config_type: str = OCI_CONFIG, kind: str = OCI_MANIFEST, **more: Any
) -> Manifest:
    """An image for one platform, as its configuration says."""
    document = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False)) | more
    config = put_blob(memory, REPOSITORY, json.dumps(document).encode(), config_type)
    layers = [put_blob(memory, REPOSITORY, platform.encode() * 9)]
    return put_manifest(memory, REPOSITORY, {"config": config, "layers": layers}, media_type=kind)


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def place(memory: Memory) -> Place:
    return Place(memory.client(), REPOSITORY)


def test_it_is_put_by_its_digest_alone(memory: Memory, place: Place) -> None:
    amd64, arm64 = put(memory, "linux/amd64"), put(memory, "linux/arm64")
    digest = join(place, {"linux/amd64": amd64.digest, "linux/arm64": arm64.digest})
    assert memory.tags == {}
    assert [path for method, path in memory.log if method == "PUT"] == [f"/v2/{REPOSITORY}/manifests/{digest}"]
    made = memory.manifests[REPOSITORY, digest]
    assert (made.media_type, digest_of(made.raw)) == (OCI_INDEX, digest)
    assert (
        made.raw.decode()
        == f"""{{
  "schemaVersion": 2,
  "mediaType": "{OCI_INDEX}",
  "manifests": [
    {{
      "mediaType": "{OCI_MANIFEST}",
      "digest": "{amd64.digest}",
      "size": {len(amd64.raw)},
      "platform": {{
        "architecture": "amd64",
        "os": "linux"
      }}
    }},
    {{
      "mediaType": "{OCI_MANIFEST}",
      "digest": "{arm64.digest}",
      "size": {len(arm64.raw)},
      "platform": {{
        "architecture": "arm64",
        "os": "linux"
      }}
    }}
  ]
}}"""
    )


def test_variants_and_windows_versions_are_told(memory: Memory, place: Place) -> None:
    arm, arm64 = put(memory, "linux/arm/v7"), put(memory, "linux/arm64/v8")
    windows = put(memory, "windows/amd64", **{"os.version": "10.0.20348.1"})
    made = assemble(
        place, {"linux/arm": arm.digest, "linux/arm64": arm64.digest, "windows/amd64": windows.digest}
    ).document["manifests"]
    assert [one["platform"] for one in made] == [
        {"architecture": "arm", "os": "linux", "variant": "v7"},
        {"architecture": "arm64", "os": "linux"},
        {"architecture": "amd64", "os": "windows", "os.version": "10.0.20348.1"},
    ]


def test_images_of_docker_s_own_format_are_taken_as_they_are(memory: Memory, place: Place) -> None:
    old = put(memory, "linux/amd64", config_type=DOCKER_CONFIG, kind=DOCKER_MANIFEST)
    new = put(memory, "linux/arm64")
    made = assemble(place, {"linux/amd64": old.digest, "linux/arm64": new.digest})
    assert made.media_type == OCI_INDEX
    assert [one.media_type for one in made.manifests] == [DOCKER_MANIFEST, OCI_MANIFEST]


def test_indexes_are_taken_apart_and_their_attestations_come_last(memory: Memory, place: Place) -> None:
    images = {platform: put(memory, platform) for platform in ("linux/amd64", "linux/arm64", "linux/riscv64")}

    def entry(platform: str) -> dict[str, Any]:
        system, architecture = platform.split("/")
        return described(images[platform], platform={"architecture": architecture, "os": system})

    def about(platform: str) -> dict[str, Any]:
        statement = put_manifest(memory, REPOSITORY, {"config": put_blob(memory, REPOSITORY, platform.encode())})
        return described(
            statement,
            annotations={
                "vnd.docker.reference.digest": images[platform].digest,
                "vnd.docker.reference.type": "attestation-manifest",
            },
            platform={"architecture": "unknown", "os": "unknown"},
        )

    statements = {platform: about(platform) for platform in images}
    two = put_index(
        memory,
        REPOSITORY,
        [entry("linux/amd64"), entry("linux/riscv64"), statements["linux/amd64"], statements["linux/riscv64"]],
    )
    one = put_index(memory, REPOSITORY, [entry("linux/arm64"), statements["linux/arm64"]])
    made = assemble(place, {"linux/amd64": two.digest, "linux/arm64": one.digest})
    assert made.document["manifests"] == [
        entry("linux/amd64"),
        entry("linux/arm64"),
        statements["linux/amd64"],
        statements["linux/arm64"],
    ]
    both = assemble(place, {"linux/amd64": two.digest, "linux/riscv64": two.digest})
    assert both.document == two.document
    alone = assemble(place, {"linux/amd64": two.digest})
    assert alone.document["manifests"] == [entry("linux/amd64"), statements["linux/amd64"]]
    assert images_at(place, made.digest) == {}, "it was only made"
    join(place, {"linux/amd64": two.digest, "linux/arm64": one.digest})
    assert images_at(place, made.digest) == {
        platform: images[platform].digest for platform in ("linux/amd64", "linux/arm64")
    }


def test_one_platform_alone_is_its_image(memory: Memory, place: Place) -> None:
    image = put(memory, "linux/amd64")
    assert join(place, {"linux/amd64": image.digest}) == image.digest
    assert memory.methods()["PUT"] == 0
    assert images_at(place, image.digest) == {"linux/amd64": image.digest}


def test_what_is_no_image_for_the_platform(memory: Memory, place: Place) -> None:
    amd64, arm = put(memory, "linux/amd64"), put(memory, "linux/arm/v6")
    config = put_blob(memory, REPOSITORY, b"{}", "application/vnd.example+json")
    artifact = put_manifest(memory, REPOSITORY, {"config": config, "layers": []})
    bare = put_manifest(memory, REPOSITORY, {"layers": []})
    entry = described(amd64, platform={"os": "linux", "architecture": "amd64"})
    twice = put_index(memory, REPOSITORY, [entry, entry])
    lost = put_index(
        memory,
        REPOSITORY,
        [{**entry, "digest": f"sha256:{'0' * 64}"}],
    )
    lying = put_index(memory, REPOSITORY, [{**entry, "platform": {"os": "linux", "architecture": "arm64"}}])
    escaping = put_index(memory, REPOSITORY, [{**entry, "digest": "../../other/manifests/latest"}])
    # An index with a configuration is still no image.
    disguised = put_index(memory, REPOSITORY, [entry], config=amd64.document["config"])
    nested = put_index(memory, REPOSITORY, [described(disguised, platform={"os": "linux", "architecture": "amd64"})])
    memory.tags[REPOSITORY, "latest"] = amd64.digest
    for platform, digest, told in (
        ("linux/arm64", amd64.digest, "it is an image for linux/amd64, and not for linux/arm64"),
        ("linux/arm/v7", arm.digest, "it is an image for linux/arm/v6, and not for linux/arm/v7"),
        ("linux/amd64", artifact.digest, "this is no image for linux/amd64"),
        ("linux/amd64", bare.digest, "this is no image for linux/amd64"),
        ("linux/amd64", twice.digest, "it is an index of linux/amd64, with 2 images for linux/amd64"),
        ("linux/arm64", twice.digest, "it is an index of linux/amd64, with 0 images for linux/arm64"),
        ("linux/amd64", nested.digest, "this is no image for linux/amd64"),
        ("linux/arm64", lying.digest, "it is an image for linux/amd64, and not for linux/arm64"),
        ("linux/amd64", lost.digest, "the part for linux/amd64 is not there"),
        ("linux/amd64", escaping.digest, "the part for linux/amd64 is not there"),
        ("linux/amd64", f"sha256:{'1' * 64}", "the part for linux/amd64 is not there"),
        ("linux/amd64", "latest", "the part for linux/amd64 is not there"),
    ):
        with pytest.raises(RegistryError) as problem:
            join(place, {platform: digest})
        assert problem.value.message == told
        assert problem.value.where
        assert problem.value.where.startswith(f"{memory.host}/{REPOSITORY}@")
    assert memory.methods()["PUT"] == 0
    assert all(path.startswith(f"/v2/{REPOSITORY}/") for _, path in memory.log)


@pytest.mark.parametrize("digests", [{}, {"linux/arm64": "a", "linux/arm64/v8": "b"}])
def test_platforms_that_are_no_set(place: Place, digests: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="no set of platforms"):
        assemble(place, digests)
