"""What a registry has under each tag."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imagewright.errors import RegistryError
from imagewright.registry.model import OCI_CONFIG
from imagewright.tags.published import PublishedTag, published
from tests.registry.memory import Memory, described, put_blob, put_image, put_index, put_manifest, put_signature

CREATED = "2023-11-14T22:13:20Z"


def image(memory: Memory, name: str, *tags: str, architecture: str = "amd64", sizes: tuple[int, ...] = (10,)) -> Any:
    document = {"os": "linux", "architecture": architecture, "created": CREATED, "name": name}
    config = put_blob(memory, "app", json.dumps(document).encode(), OCI_CONFIG)
    layers = [put_blob(memory, "app", f"{name}{number}".encode().ljust(size)) for number, size in enumerate(sizes)]
    return put_manifest(memory, "app", {"config": config, "layers": layers}, *tags)


def platform(architecture: str) -> dict[str, Any]:
    return {"platform": {"os": "linux", "architecture": architecture}}


def read(memory: Memory) -> tuple[PublishedTag, ...] | None:
    with memory.client() as registry:
        return published(registry, "app", print)


def test_a_repository_that_is_not_there() -> None:
    assert read(Memory(lists_tags=False)) is None
    assert read(Memory()) == ()


def test_an_image_of_one_platform() -> None:
    memory = Memory()
    manifest = image(memory, "a", "1.2", sizes=(10, 32))
    assert read(memory) == (
        PublishedTag(tag="1.2", digest=manifest.digest, created=CREATED, platforms=("linux/amd64",), size=42),
    )


def test_an_index_has_the_platforms_and_the_sizes_of_all_its_images() -> None:
    memory = Memory()
    one, other = image(memory, "a"), image(memory, "b", architecture="arm64", sizes=(30, 2))
    attestation = put_image(memory, "app", "attestation")
    children = [
        described(one, **platform("amd64")),
        described(other, **platform("arm64")),
        described(
            attestation,
            platform={"os": "unknown", "architecture": "unknown"},
            annotations={"vnd.docker.reference.digest": one.digest},
        ),
    ]
    index = put_index(memory, "app", children, "latest", "1.2")
    found = read(memory)
    assert found == tuple(
        PublishedTag(tag=tag, digest=index.digest, created=CREATED, platforms=("linux/amd64", "linux/arm64"), size=42)
        for tag in ("1.2", "latest")
    )
    paths = [path for _, path in memory.log]
    assert len(paths) == len(set(paths)), "nothing is asked for twice"
    assert len(paths) == 1 + 2 + 2 + 1, "the list, the tags, the images, and one configuration"


def test_tags_are_in_the_order_of_their_numbers() -> None:
    memory = Memory()
    image(memory, "a", "1.10", "1.9", "main", "1.9-rc1", "10", "sha-0123456")
    assert [one.tag for one in read(memory) or ()] == ["1.9", "1.9-rc1", "1.10", "10", "main", "sha-0123456"]


def test_what_is_no_image_or_incomplete_is_shown_as_far_as_it_is_known() -> None:
    memory = Memory()
    one = image(memory, "a")
    lost = {"mediaType": one.media_type, "digest": f"sha256:{'0' * 64}", "size": 9}
    put_index(memory, "app", [described(one, **platform("amd64")), {**lost, **platform("arm64")}], "half")
    put_signature(memory, "app", one, "signed", "signature")
    put_manifest(
        memory, "app", {"manifests": "nonsense"}, "broken", media_type="application/vnd.oci.image.index.v1+json"
    )
    found = {tag.tag: tag for tag in read(memory) or ()}
    assert found["half"].platforms == ("linux/amd64", "linux/arm64")
    assert (found["half"].size, found["half"].created) == (None, CREATED)
    assert (found["signature"].platforms, found["signature"].created) == ((), None)
    assert found["broken"].digest is None
    assert "malformed" in (found["broken"].problem or "")


def test_a_tag_that_goes_away_meanwhile_is_left_out() -> None:
    memory = Memory()
    image(memory, "a", "kept")
    memory.tags["app", "gone"] = f"sha256:{'1' * 64}"
    assert [tag.tag for tag in read(memory) or ()] == ["kept"]


def test_many_tags_are_read_with_a_word_on_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    memory = Memory()
    image(memory, "a", *(f"sha-{number:07}" for number in range(1200)))
    assert len(read(memory) or ()) == 1200
    said = capsys.readouterr().out
    assert "reading 1200 tags: 0 done" in said
    assert "reading 1200 tags: 1000 done" in said
    assert len(memory.log) == 1 + 1200 + 1


def test_a_registry_that_does_not_list_is_an_error() -> None:
    class Refusing(Memory):
        def _tags(self, request: Any, name: str) -> Any:
            import httpx

            return httpx.Response(403, json={"errors": [{"code": "DENIED"}]})

    with pytest.raises(RegistryError, match="wants credentials"):
        read(Refusing())
