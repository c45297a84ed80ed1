"""What the registry holds of our images: digest, platforms, and what they were made from."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from imagewright.errors import RegistryError
from imagewright.platforms import normal
from imagewright.references import Reference

if TYPE_CHECKING:
    from imagewright.registry.model import Manifest

FINGERPRINT = "io.imagewright.fingerprint"
"""The label that says what an image was made from: the fingerprint of its inputs."""

BASES = "io.imagewright.bases"
"""The label with the digests of the outside images that an image was built on: JSON, `{"docker.io/library/debian:12":
"sha256:…"}`. Those that were not known, and those that the Dockerfile pins, are not in it."""

REVISION = "org.opencontainers.image.revision"
VERSION = "org.opencontainers.image.version"
CREATED = "org.opencontainers.image.created"
_MAX_KEPT = 5000

_Key = TypeVar("_Key", bound=Hashable)
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """An image of the registry, by one of its tags. The labels are None where it does not have them."""

    digest: str
    platforms: tuple[str, ...]
    fingerprint: str | None
    revision: str | None
    created: str | None = None  # the time of that commit, RFC 3339
    version: str | None = None
    bases: Mapping[str, str] = field(default_factory=dict)  # empty, too, for what the memory has from before

    def covers(self, platforms: Iterable[str]) -> bool:
        """Whether it can be used on all of these platforms."""
        return {normal(one) for one in platforms} <= {normal(one) for one in self.platforms}


class Registry(Protocol):
    """What is asked of a registry (`registry.client.Registry`)."""

    def __enter__(self) -> Registry: ...

    def __exit__(self, *error: Any) -> None: ...

    def concurrently(self, call: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
        """`call` for each item, several at a time."""

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        """The manifest of a tag or digest, checked against its digest."""

    def config(self, repository: str, digest: str) -> dict[str, Any] | None:
        """A configuration, checked against its digest."""


Answer = Published | RegistryError | None


def look_up(wanted: Mapping[_Key, str], connect: Callable[[str], Registry], memory: Path) -> dict[_Key, Answer]:
    """What stands at each full reference (`localhost:5050/app:dev`), by the keys of `wanted`.

    None where there is nothing, a RegistryError where the registry refuses to say. One request an image, and two more
    for one that was never seen before: `memory` is a file that keeps what a digest means. EnvironmentMissingError:
    a registry cannot be reached.
    """
    known = _load(memory)
    before = len(known)
    hosts: dict[str, list[tuple[_Key, Reference]]] = {}
    for key, text in wanted.items():
        reference = Reference.parse(text)
        hosts.setdefault(reference.domain, []).append((key, reference))
    found: dict[_Key, Answer] = {}
    for host, items in sorted(hosts.items()):
        with connect(host) as registry:

            def ask(item: tuple[_Key, Reference], registry: Registry = registry) -> Answer:
                return _ask(registry, item[1], known)

            found |= zip((key for key, _ in items), registry.concurrently(ask, items), strict=True)
    if len(known) > before:
        with suppress(OSError):
            memory.parent.mkdir(parents=True, exist_ok=True)
            memory.write_text(json.dumps(dict(list(known.items())[-_MAX_KEPT:])), encoding="utf-8")
    return found


def _ask(registry: Registry, reference: Reference, known: dict[str, Any]) -> Answer:
    try:
        manifest = registry.manifest(reference.path, reference.tag or "latest")
        if manifest is None:
            return None
        with suppress(KeyError, TypeError):
            kept = known[manifest.digest]
            return Published(digest=manifest.digest, **{**kept, "platforms": tuple(kept["platforms"])})
        found = _read(registry, reference.path, manifest)
    except RegistryError as error:
        return error
    known[manifest.digest] = {key: value for key, value in asdict(found).items() if key != "digest"}
    return found


def _read(registry: Registry, repository: str, manifest: Manifest) -> Published:
    from imagewright.registry.model import platform_text

    images = [child for child in manifest.manifests if child.platform and not child.attests]
    first: Manifest | None = manifest
    if manifest.is_index:
        first = registry.manifest(repository, images[0].digest) if images else None
    if first is None or first.config is None:
        raise RegistryError("there is no image in it", where=f"{repository}@{manifest.digest}")
    config = registry.config(repository, first.config.digest)
    if config is None:
        raise RegistryError("the image has no configuration", where=f"{repository}@{manifest.digest}")
    labels = (config.get("config") or {}).get("Labels") or {}
    platforms = (str(child.platform) for child in images) if manifest.is_index else (platform_text(config),)
    return Published(
        digest=manifest.digest,
        platforms=tuple(platforms),
        fingerprint=labels.get(FINGERPRINT),
        revision=labels.get(REVISION),
        created=labels.get(CREATED),
        version=labels.get(VERSION),
        bases=_bases(labels.get(BASES)),
    )


def _bases(label: str | None) -> Mapping[str, str]:
    """What the label says; nothing where it was written by somebody else."""
    try:
        found = json.loads(label or "{}")
    except (TypeError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {reference: digest for reference, digest in found.items() if isinstance(digest, str)}


def _load(memory: Path) -> dict[str, Any]:
    try:
        found = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
