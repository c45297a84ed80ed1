from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from imagewright.registry.model import OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST, Blob, Manifest, digest_of
from imagewright.registry.oci import image_from_tar, index_of, push_image

contents = st.binary(max_size=3000)
platforms = st.sampled_from(["linux/amd64", "linux/arm64/v8", "linux/arm/v7"])
labels = st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=4)


def tar_of(path: Path, content: bytes) -> Path:
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("etc/file")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return path


@settings(deadline=None, max_examples=40)
@given(content=contents, platform=platforms, labels=labels, created=st.integers(0, 4_000_000_000))
def test_the_same_input_gives_the_same_image(
    content: bytes, platform: str, labels: dict[str, str], created: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = tar_of(Path(folder, "a.tar"), content)
        second = tar_of(Path(folder, "another-name.tar"), content)
        os.utime(second, (1, 1))
        one = image_from_tar(first, platform=platform, created=created, labels=labels)
        reordered = dict(reversed(list(labels.items())))
        two = image_from_tar(second, platform=platform, created=created, labels=reordered)
        assert one.manifest == two.manifest
        assert index_of([one]) == index_of([two])
        packed = first.with_name("a.tar.gz").read_bytes()
        assert gzip.decompress(packed) == first.read_bytes()
        assert sorted(path.name for path in Path(folder).iterdir() if path.suffix != ".tar") == [
            "a.tar.gz",
            "another-name.tar.gz",
        ]


@settings(deadline=None, max_examples=30)
@given(a=contents, b=contents)
def test_another_content_gives_another_digest(a: bytes, b: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        digests = {
            image_from_tar(
                tar_of(Path(folder, f"{number}.tar"), content), platform="linux/amd64", created=0, labels={}
            ).manifest.digest
            for number, content in enumerate((a, b))
        }
        assert (len(digests) == 1) == (a == b)


def test_an_image_says_what_it_is(tmp_path: Path) -> None:
    tar = tar_of(tmp_path / "root.tar", b"hello")
    image = image_from_tar(tar, platform="linux/arm/v7", created=1_700_000_000, labels={"a": "b"}, command=["bash"])
    packed = (tmp_path / "root.tar.gz").read_bytes()
    config = json.loads(bytes(image.config.source) if isinstance(image.config.source, bytes) else b"")

    assert packed[3:8] == bytes(5)  # RFC 1952: no name, and no time
    assert image.manifest.media_type == OCI_MANIFEST
    assert image.manifest.digest == digest_of(image.manifest.raw)
    assert image.manifest.config is not None
    assert image.manifest.config.digest == image.config.digest
    (layer,) = image.manifest.layers
    assert (layer.media_type, layer.digest, layer.size) == (OCI_LAYER_GZIP, digest_of(packed), len(packed))
    assert (config["os"], config["architecture"], config["variant"]) == ("linux", "arm", "v7")
    assert config["created"] == "2023-11-14T22:13:20Z"
    assert config["rootfs"] == {
        "type": "layers",
        "diff_ids": [f"sha256:{hashlib.sha256(tar.read_bytes()).hexdigest()}"],
    }
    assert config["config"]["Cmd"] == ["bash"]
    assert config["config"]["Labels"] == {"a": "b"}


class Recorder:
    """A destination that refuses what names something it does not have, as registries do."""

    def __init__(self) -> None:
        self.have: set[str] = set()
        self.tags: dict[str, str] = {}

    def push_blob(self, repository: str, blob: Blob) -> None:
        with blob.open() as content:
            assert digest_of(b"".join(content)) == blob.digest
        self.have.add(blob.digest)

    def push_manifest(self, repository: str, reference: str, manifest: Manifest) -> str:
        named = [*manifest.manifests, *manifest.layers, *([manifest.config] if manifest.config else [])]
        assert {descriptor.digest for descriptor in named} <= self.have
        self.have.add(manifest.digest)
        self.tags[reference] = manifest.digest
        return manifest.digest


def test_parts_are_pushed_before_the_index_that_names_them(tmp_path: Path) -> None:
    images = [
        image_from_tar(tar_of(tmp_path / f"{name}.tar", name.encode()), platform=platform, created=0, labels={})
        for name, platform in (("a", "linux/amd64"), ("b", "linux/arm64"))
    ]
    registry = Recorder()
    digest = push_image(registry, "library/debian", "trixie", images)
    assert registry.tags["trixie"] == digest
    index = index_of(images)
    assert (index.digest, index.media_type, index.is_index) == (digest, OCI_INDEX, True)
    assert [child.platform for child in index.manifests] == ["linux/amd64", "linux/arm64"]
    assert [child.digest for child in index.manifests] == [image.manifest.digest for image in images]
