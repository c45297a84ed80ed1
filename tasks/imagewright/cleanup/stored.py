"""What a manifest is, and when it was made: from its bytes and its configuration alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from sys import intern
from typing import TYPE_CHECKING, Any

from imagewright.cleanup.model import Stored
from imagewright.cleanup.names import subject_of_tag
from imagewright.registry.model import OCI_CONFIG, is_manifest_type, platform_text
from imagewright.registry.reach import is_foreign

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from imagewright.cleanup.model import ManifestKind
    from imagewright.registry.model import Manifest

# docs.docker.com/build/cache/backends: the type of the configuration that BuildKit's cache has in a registry
_CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"
_IMAGE_CONFIGS = (OCI_CONFIG, "application/vnd.docker.container.image.v1+json")
_FILESYSTEMS = ("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.")
_FIRST_IMAGE = datetime(2013, 3, 20, tzinfo=UTC)  # docker was shown to the public; what is older is no date


def kind_of(manifest: Manifest) -> ManifestKind:
    """What the manifest is for. Of an index that is a first word: see `settled`."""
    config = manifest.config
    if any(one.media_type == _CACHE_CONFIG for one in (*manifest.manifests, *((config,) if config else ()))):
        return "cache"
    if manifest.subject:
        return "referrer"
    if manifest.is_index:
        return "index"
    if config is None:
        return "unknown"
    if manifest.document.get("artifactType") or config.media_type not in _IMAGE_CONFIGS:
        return "artifact"
    # Signatures and attestations come with an image's configuration, too, but not with its filesystem layers.
    is_image = all(layer.media_type.startswith(_FILESYSTEMS) for layer in manifest.layers)
    return "image" if is_image else "artifact"


def stored(manifest: Manifest, config: Mapping[str, Any] | None, *, pushed: datetime | None = None) -> Stored:
    """What deciding needs of a manifest; `config` is an image's configuration. RegistryError where it is malformed."""
    children = [child for child in manifest.manifests if is_manifest_type(child.media_type)]
    platforms = [child.platform for child in children if child.platform and not child.attests]
    return Stored(
        digest=intern(manifest.digest),
        media_type=intern(manifest.media_type),
        kind=kind_of(manifest),
        size=len(manifest.raw),
        children=tuple(dict.fromkeys(intern(child.digest) for child in children)),
        attests={intern(child.digest): intern(child.attests) for child in children if child.attests},
        subject=intern(manifest.subject.digest) if manifest.subject else None,
        blobs={intern(blob.digest): blob.size for blob in manifest.blobs if not is_foreign(blob)},
        pushed=pushed,
        created=_moment(config.get("created")) if config else None,
        platforms=(platform_text(config),) if config else tuple(dict.fromkeys(platforms)),
    )


def settled(manifests: Mapping[str, Stored], tags: Mapping[str, str]) -> dict[str, Stored]:
    """The manifests with what only their neighbours and their tags tell: dates and kinds of indexes, subjects."""
    names: dict[str, list[str]] = {}
    for tag, digest in tags.items():
        names.setdefault(digest, []).append(tag)
    done: dict[str, Stored] = {}

    def settle(one: Stored) -> Stored:
        if one.digest not in done:
            children = [settle(manifests[child]) for child in one.children if child in manifests]
            done[one.digest] = _beside(_over(one, children), names.get(one.digest, ()))
        return done[one.digest]

    return {digest: settle(one) for digest, one in manifests.items()}


def _over(index: Stored, children: Iterable[Stored]) -> Stored:
    """An index is as new as its newest platform. One date that is none could be the newest: then it has none."""
    if index.kind != "index":
        return index
    runnable = [one for one in children if one.kind not in ("artifact", "referrer") and one.digest not in index.attests]
    if not runnable:
        return replace(index, kind="artifact")
    dates = [one.created for one in runnable if one.created and one.created >= _FIRST_IMAGE]
    return replace(index, created=max(dates) if len(dates) == len(runnable) else None)


def _beside(one: Stored, tags: Iterable[str]) -> Stored:
    """What lies under nothing but tags about other manifests, speaks about those."""
    subjects = {subject_of_tag(tag) for tag in tags} - {one.digest}
    if not subjects or None in subjects or one.kind == "cache":
        return one
    named = next(iter(subjects)) if len(subjects) == 1 else None
    return replace(one, kind="referrer", subject=one.subject or named)


def _moment(text: object) -> datetime | None:
    """RFC 3339, section 5.6, in UTC; None for what is no such date, or one without its zone."""
    try:
        moment = datetime.fromisoformat(str(text))
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (OverflowError, ValueError):
        return None
