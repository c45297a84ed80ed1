"""What registries hold, as values (OCI image spec: descriptor.md, manifest.md, image-index.md)."""

from __future__ import annotations

import enum
import hashlib
import io
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagewright.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    Content = AbstractContextManager[Iterable[bytes]]
    """Bytes in pieces, for instance an open file; they end with the context."""

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

# Not images: what signatures and SBOMs came as before OCI 1.1 gave manifests a `subject`.
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
ORAS_ARTIFACT = "application/vnd.cncf.oras.artifact.manifest.v1+json"

INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
# All four, always: without the index types a registry answers with one platform's manifest, or with 404.
MANIFEST_TYPES = (OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST)
ANY_TYPES = (*MANIFEST_TYPES, OCI_ARTIFACT, ORAS_ARTIFACT)  # all that can be copied


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """The content's digest, as `algorithm:hex` (OCI image spec, descriptor.md#digests)."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A pointer to content. `size` is in bytes, as stored; `platform` is `os/architecture[/variant]`."""

    media_type: str
    digest: str
    size: int
    platform: str | None = None
    attests: str | None = None  # the digest that this attestation manifest (SBOM, provenance) speaks about
    urls: tuple[str, ...] = ()  # where else the content is: a filesystem layer that registries need not have

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Descriptor:
        """From a manifest's JSON; KeyError or TypeError where it is no descriptor."""
        platform = document.get("platform")
        annotations = document.get("annotations") or {}
        return cls(
            media_type=str(document.get("mediaType", "")),
            digest=str(document["digest"]),
            size=int(document["size"]),
            platform=platform_text(platform) if platform else None,
            attests=annotations.get("vnd.docker.reference.digest"),
            urls=tuple(map(str, document.get("urls") or ())),
        )


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest or an index, with the very bytes that its digest is taken over."""

    raw: bytes
    media_type: str
    digest: str

    @cached_property
    def document(self) -> dict[str, Any]:
        """The parsed JSON; RegistryError where it is no JSON object."""
        try:
            document = json.loads(self.raw)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise RegistryError("the registry's manifest is no JSON object", where=self.digest)
        return document

    @property
    def descriptor(self) -> Descriptor:
        """The pointer to this manifest."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=len(self.raw))

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests (one a platform) instead of filesystem layers."""
        return self.media_type in INDEX_TYPES

    @cached_property
    def manifests(self) -> tuple[Descriptor, ...]:
        """An index's children, attestations among them; empty for an image's manifest."""
        return self._descriptors(self.document.get("manifests"))

    @cached_property
    def layers(self) -> tuple[Descriptor, ...]:
        """An image's filesystem layers, the lowest first; empty for an index."""
        return self._descriptors(self.document.get("layers"))

    @cached_property
    def config(self) -> Descriptor | None:
        """The image's configuration; None for an index."""
        config = self.document.get("config")
        return self._descriptors([config])[0] if config else None

    @cached_property
    def blobs(self) -> tuple[Descriptor, ...]:
        """All content that is no manifest: configuration, filesystem layers, an artifact's blobs; each digest once."""
        config = (self.config,) if self.config else ()
        # BuildKit's cache lists filesystem layers in an index, where manifests are expected.
        listed = (child for child in self.manifests if not is_manifest_type(child.media_type))
        artifact = self._descriptors(self.document.get("blobs"))
        return tuple({blob.digest: blob for blob in (*config, *self.layers, *artifact, *listed)}.values())

    @cached_property
    def subject(self) -> Descriptor | None:
        """The manifest that this one (a signature, an SBOM) refers to (OCI image spec 1.1, manifest.md#subject)."""
        subject = self.document.get("subject")
        return self._descriptors([subject])[0] if subject else None

    def _descriptors(self, documents: Any) -> tuple[Descriptor, ...]:
        try:
            return tuple(Descriptor.read(document) for document in documents or ())
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RegistryError("the registry's manifest has a malformed descriptor", where=self.digest) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Content to be pushed: in memory, or streamed from a file or from where a call opens it."""

    media_type: str
    digest: str
    size: int
    source: bytes | Path | Callable[[], Content]  # a call opens it from its beginning

    @classmethod
    def of(cls, data: bytes, media_type: str) -> Blob:
        """A blob of bytes, with its digest taken."""
        return cls(media_type=media_type, digest=digest_of(data), size=len(data), source=data)

    def open(self) -> Content:
        """The content from its beginning; the caller closes it."""
        if callable(self.source):
            return self.source()
        return self.source.open("rb") if isinstance(self.source, Path) else io.BytesIO(self.source)


class Deletion(enum.Enum):
    """What a registry made of a DELETE. A refusal for want of rights is a RegistryError instead."""

    DONE = "deleted"
    ABSENT = "already gone"
    UNSUPPORTED = "the registry does not support it"
    UNKNOWN = "the registry failed while deleting: look again before believing either"


def is_manifest_type(media_type: str) -> bool:
    """Whether content of this type lies among a repository's manifests, and not among its blobs."""
    return media_type in ANY_TYPES or ".manifest." in media_type or ".index." in media_type or not media_type


def platform_text(platform: Mapping[str, Any]) -> str:
    """`os/architecture[/variant]` of an OCI platform object or of an image's configuration."""
    parts = [str(platform.get("os", "unknown")), str(platform.get("architecture", "unknown"))]
    if platform.get("variant"):
        parts.append(str(platform["variant"]))
    return "/".join(parts)


def platform_document(platform: str) -> dict[str, str]:
    """The OCI platform object of `os/architecture[/variant]`."""
    return dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
