"""OCI images made from a filesystem tarball, without a builder: the same input gives the same digest.

Format: OCI image spec v1.1 (manifest.md, image-index.md, config.md, layer.md).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from imagewright.registry.model import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Blob,
    Manifest,
    digest_of,
    platform_document,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_CHUNK = 1 << 20
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_GZIP_LEVEL = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class OciImage:
    """An image for one platform: its manifest and the blobs that the manifest names."""

    platform: str
    manifest: Manifest
    config: Blob
    layers: tuple[Blob, ...]


class Destination(Protocol):
    """Where an image is pushed to: what `client.Registry` offers."""

    def push_blob(self, repository: str, blob: Blob) -> None: ...

    def push_manifest(self, repository: str, reference: str, manifest: Manifest) -> str: ...


def image_from_tar(
    tar_path: Path,
    *,
    platform: str,
    created: int,
    labels: Mapping[str, str],
    command: Sequence[str] = (),
) -> OciImage:
    """An image of one filesystem layer, from an uncompressed tar; `created` is in seconds since 1970, UTC.

    The layer is compressed into `<tar_path>.gz`, which must stay until the image is pushed. Nothing of the file's
    name or times enters it, so equal tars give equal digests (as long as the zlib below Python is the same; the
    diff id, taken over the tar itself, does not depend on it).
    """
    layer, diff_id = _compressed(tar_path)
    when = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    runtime: dict[str, Any] = {"Env": [_PATH]}
    if command:
        runtime["Cmd"] = list(command)
    if labels:
        runtime["Labels"] = dict(labels)
    config = Blob.of(
        _canonical(
            {
                **platform_document(platform),
                "created": when,
                "config": runtime,
                "rootfs": {"type": "layers", "diff_ids": [diff_id]},
                "history": [{"created": when, "created_by": "imagewright: root filesystem"}],
            }
        ),
        OCI_CONFIG,
    )
    manifest = _manifest(OCI_MANIFEST, {"config": _descriptor(config), "layers": [_descriptor(layer)]})
    return OciImage(platform=platform, manifest=manifest, config=config, layers=(layer,))


def index_of(images: Sequence[OciImage]) -> Manifest:
    """The index over images for different platforms, in the order given."""
    children = [
        {**_descriptor(image.manifest.descriptor), "platform": platform_document(image.platform)} for image in images
    ]
    return _manifest(OCI_INDEX, {"manifests": children})


def push_image(registry: Destination, repository: str, tag: str, images: Sequence[OciImage]) -> str:
    """Push an index over `images` as `repository:tag`, its parts first; the digest of the index.

    `repository` is the path on that registry (`library/debian`). RegistryError where the registry refuses.
    """
    for image in images:
        for blob in (*image.layers, image.config):
            registry.push_blob(repository, blob)
        registry.push_manifest(repository, image.manifest.digest, image.manifest)
    return registry.push_manifest(repository, tag, index_of(images))


def _compressed(tar_path: Path) -> tuple[Blob, str]:
    target = tar_path.with_name(f"{tar_path.name}.gz")
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    diff = hashlib.sha256()
    try:
        with tar_path.open("rb") as tar, unfinished.open("wb") as file:
            stored = _Hashing(file)
            with gzip.GzipFile("", "wb", _GZIP_LEVEL, cast("IO[bytes]", stored), mtime=0) as packed:
                while chunk := tar.read(_CHUNK):
                    diff.update(chunk)
                    packed.write(chunk)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    layer = Blob(media_type=OCI_LAYER_GZIP, digest=f"sha256:{stored.hash.hexdigest()}", size=stored.size, source=target)
    return layer, f"sha256:{diff.hexdigest()}"


class _Hashing:
    """A file being written, with its digest taken on the way."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


class _Described(Protocol):
    @property
    def media_type(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def size(self) -> int: ...


def _descriptor(content: _Described) -> dict[str, Any]:
    return {"mediaType": content.media_type, "digest": content.digest, "size": content.size}


def _manifest(media_type: str, body: Mapping[str, Any]) -> Manifest:
    raw = _canonical({"schemaVersion": 2, "mediaType": media_type, **body})
    return Manifest(raw=raw, media_type=media_type, digest=digest_of(raw))


def _canonical(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
