"""One image index over images that were pushed platform by platform, each by its digest, to one repository.

Format: OCI image spec v1.1 (image-index.md, descriptor.md), in the very bytes that BuildKit writes for a build of all
these platforms in this order (exporter/containerimage/writer.go): the same images give the same digest both ways.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imagewright.errors import RegistryError
from imagewright.platforms import normal
from imagewright.references import is_digest
from imagewright.registry.model import (
    INDEX_TYPES,
    OCI_CONFIG,
    OCI_INDEX,
    Manifest,
    digest_of,
    platform_document,
    platform_text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imagewright.registry.copy import Place
    from imagewright.registry.model import Descriptor

_CONFIGS = (OCI_CONFIG, "application/vnd.docker.container.image.v1+json")
_AGAIN = "build and push this part again"


def join(place: Place, digests: Mapping[str, str]) -> str:
    """Make one image of `digests`, by platform (`os/architecture[/variant]`), and put it; its digest.

    It gets no tag, so nobody sees it before somebody gives it one. Raises as `assemble` does.
    """
    made = assemble(place, digests)
    if made.is_index:  # else it is the image of a single platform, which is there
        place.registry.push_manifest(place.repository, made.digest, made)
    return made.digest


def assemble(place: Place, digests: Mapping[str, str]) -> Manifest:
    """The index over `digests`, in their order: read and checked, and not put.

    A digest is that of one platform's image, or of an index that has one: that is taken out of it, with the
    attestations about it. Where there is one platform and nothing else to say, it is that image itself, as BuildKit
    has it. RegistryError where one is not there, or is something else than it is said to be; ValueError for no
    digests, or a platform in two spellings.
    """
    if not digests or len({normal(one) for one in digests}) < len(digests):
        raise ValueError(f"no set of platforms: {', '.join(digests)}")
    parts = place.registry.concurrently(lambda item: _read(place, *item), digests.items())
    attestations = [one for part in parts for one in part.attestations]
    if len(parts) == 1 and not attestations:
        return parts[0].image
    # BuildKit's order: all images, then what speaks about them.
    return _index([*(part.entry for part in parts), *attestations])


def images_at(place: Place, digest: str) -> dict[str, str]:
    """The images of a digest by platform, in their usual spelling; nothing where it is not there."""
    top = place.registry.manifest(place.repository, digest)
    if top is None or top.is_index:
        return _images(top) if top else {}
    config = place.registry.config(place.repository, top.config.digest) if top.config else None
    return {normal(platform_text(config)): digest} if config else {}


@dataclass(frozen=True, slots=True)
class _Part:
    image: Manifest
    entry: Mapping[str, Any]  # the descriptor, as it stands in the index
    attestations: Sequence[Mapping[str, Any]] = ()


def _read(place: Place, platform: str, digest: str) -> _Part:
    top = _required(place, platform, digest)
    if not top.is_index:
        return _Part(top, _entry(place, platform, top))
    found = [one for one in top.manifests if _is_image(one) and _is_same(one.platform, platform)]
    if len(found) != 1:
        has = ", ".join(_images(top)) or "no platform"
        raise RegistryError(
            f"it is an index of {has}, with {len(found)} images for {platform}", where=f"{place}@{digest}", hint=_AGAIN
        )
    image = _required(place, platform, found[0].digest)
    documents = zip(top.manifests, top.document["manifests"], strict=True)
    about = [document for one, document in documents if one.attests == image.digest]
    return _Part(image, _entry(place, platform, image), about)


def _required(place: Place, platform: str, digest: str) -> Manifest:
    # A registry's index is somebody else's text, and what it names becomes part of addresses.
    found = place.registry.manifest(place.repository, digest) if is_digest(digest) else None
    if found is None:
        raise RegistryError(
            f"the part for {platform} is not there",
            where=f"{place}@{digest}",
            hint=f"{_AGAIN}; a cleanup of untagged manifests may have taken it",
        )
    return found


def _entry(place: Place, platform: str, image: Manifest) -> dict[str, Any]:
    """The descriptor of an image, which must be one for exactly this platform."""
    where = f"{place}@{image.digest}"
    if image.media_type in INDEX_TYPES or image.config is None or image.config.media_type not in _CONFIGS:
        raise RegistryError(f"this is no image for {platform}", where=where, hint=_AGAIN)
    config = place.registry.config(place.repository, image.config.digest)
    if config is None:
        raise RegistryError("the image has no configuration", where=where, hint=_AGAIN)
    if not _is_same(platform_text(config), platform):
        raise RegistryError(
            f"it is an image for {platform_text(config)}, and not for {platform}", where=where, hint=_AGAIN
        )
    named = {**platform_document(normal(platform))}
    if named["os"] == "windows":  # which runs an image only where this fits
        named |= {key: config[key] for key in ("os.version", "os.features") if config.get(key)}
    order = ("architecture", "os", "os.version", "os.features", "variant")
    return {
        "mediaType": image.media_type,
        "digest": image.digest,
        "size": len(image.raw),
        "platform": {key: named[key] for key in order if key in named},
    }


def _images(index: Manifest) -> dict[str, str]:
    return {normal(str(one.platform)): one.digest for one in index.manifests if _is_image(one)}


def _is_image(entry: Descriptor) -> bool:
    return bool(entry.platform) and not entry.attests and entry.platform != "unknown/unknown"


def _is_same(one: str | None, other: str) -> bool:
    return one is not None and normal(one) == normal(other)


def _index(entries: Sequence[Mapping[str, Any]]) -> Manifest:
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    # As Go's json.MarshalIndent(…, "", "  ") has it, down to the escapes of its encoder.
    text = json.dumps(document, indent=2, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    raw = text.encode()
    return Manifest(raw=raw, media_type=OCI_INDEX, digest=digest_of(raw))
