"""What speaks about an image without being part of it: signatures, SBOMs, attestations beside the index.

Three ways to find them, in the order of their age: cosign's tags (`sha256-<hex>.sig`), the fallback tag of registries
without a list of referrers (OCI distribution spec 1.1, "Referrers Tag Schema"), and that list itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from imagewright.registry.model import OCI_INDEX, Manifest, digest_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from imagewright.registry.client import Registry

_COSIGN = (".sig", ".att", ".sbom")  # github.com/sigstore/cosign, pkg/oci/remote: SignatureTag and its neighbours


class Referrers:
    """Who refers to the manifests of one repository. Safe to share between threads."""

    def __init__(self, registry: Registry, repository: str) -> None:
        self._registry = registry
        self._repository = repository
        self._listed: bool | None = None

    def are_listed(self, digest: str) -> bool:
        """Whether the registry keeps the list itself; asked once, about `digest`."""
        if self._listed is None:
            self._listed = self._registry.referrers(self._repository, digest) is not None
        return self._listed

    def of(self, digest: str) -> tuple[Manifest, ...]:
        """The manifests whose `subject` is `digest`, by digest.

        What a list or a fallback tag names counts only where it is there and says the same: some registries answer
        `sha256-<hex>` with the manifest sha256:<hex> itself, whose parts are no referrers.
        """
        listed = self._registry.referrers(self._repository, digest) if self._listed is not False else None
        self._listed = listed is not None
        if listed is None:
            index = self.fallback(digest)
            listed = index.manifests if index else ()
        digests = sorted({entry.digest for entry in listed if entry.digest != digest})
        manifests = (self._registry.manifest(self._repository, one, artifacts=True) for one in digests)
        return tuple(one for one in manifests if one and one.subject and one.subject.digest == digest)

    def fallback(self, digest: str) -> Manifest | None:
        """What is under the fallback tag: an index of referrers, or whatever somebody else put there."""
        found = self._registry.manifest(self._repository, fallback_tag(digest))
        return found if found and found.digest != digest else None

    def cosigned(self, digest: str) -> dict[str, Manifest]:
        """What cosign has put beside a manifest, by tag."""
        found = {tag: self._registry.manifest(self._repository, tag, artifacts=True) for tag in cosign_tags(digest)}
        return {tag: manifest for tag, manifest in found.items() if manifest}


def fallback_tag(digest: str) -> str:
    """Where an index of the referrers is kept: `sha256-<hex>`, the two parts cut at 32 and 64 characters."""
    algorithm, _, value = digest.partition(":")
    return f"{algorithm[:32]}-{value[:64]}"


def cosign_tags(digest: str) -> tuple[str, ...]:
    """Where cosign keeps signatures, attestations and SBOMs of a manifest."""
    return tuple(f"{digest.replace(':', '-')}{suffix}" for suffix in _COSIGN)


def merged(index: Manifest | None, referrers: Iterable[Manifest], gone: Collection[str] = ()) -> Manifest | None:
    """The fallback index with these referrers added to those that it has; None where it has them all.

    `gone` has digests that are not to be listed any more, as there are no manifests for them.
    """
    document: dict[str, Any] = (
        index.document if index else {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    )
    known = {entry.digest for entry in index.manifests} if index else set()
    added = [_entry(one) for one in sorted(referrers, key=lambda one: one.digest) if one.digest not in known]
    if not added:
        return None
    entries = [*(entry for entry in document.get("manifests") or () if entry["digest"] not in gone), *added]
    raw = json.dumps({**document, "manifests": entries}, separators=(",", ":"), ensure_ascii=False).encode()
    return Manifest(raw=raw, media_type=OCI_INDEX, digest=digest_of(raw))


def supersedes(ours: Manifest, theirs: Manifest) -> bool:
    """Whether all that `theirs` holds (for cosign each signature is a filesystem layer) is in `ours`, too."""
    return _parts(theirs) <= _parts(ours)


def _parts(manifest: Manifest) -> set[str]:
    # With their annotations: two signatures of one payload differ in nothing else.
    lists = (manifest.document.get(key) or () for key in ("layers", "manifests", "blobs"))
    return {json.dumps(part, sort_keys=True) for parts in lists for part in parts}


def _entry(manifest: Manifest) -> dict[str, Any]:
    """A referrer's descriptor, as the specification wants it: with its own type and all its annotations."""
    document = manifest.document
    config = document.get("config") or {}
    kind = document.get("artifactType") or config.get("mediaType")
    annotations = document.get("annotations")
    return {
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": len(manifest.raw),
        **({"artifactType": kind} if kind else {}),
        **({"annotations": annotations} if annotations else {}),
    }
