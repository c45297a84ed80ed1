"""Images to be cleaned up, pushed through the product's own client, and plans over them that are made by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from imagewright.cleanup.model import RepositoryPlan, Verdict
from imagewright.cleanup.needs import held
from imagewright.cleanup.vendors.model import Capabilities
from imagewright.registry.model import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Blob,
    Manifest,
    digest_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from imagewright.cleanup.model import Picture
    from imagewright.registry.copy import Place
    from imagewright.registry.model import Deletion

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EMPTY = Blob.of(b"{}", "application/vnd.oci.empty.v1+json")
SIGNATURE = "application/vnd.example.signature"
_DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass(frozen=True)
class Stock:
    """Puts images into a place."""

    place: Place

    def image(self, name: str, *tags: str, days: float = 100, created: str | None = None, **how: Any) -> Manifest:
        """An image of one filesystem layer, `days` old, or with the date that is given."""
        docker = how.pop("docker", False)
        date = (NOW - timedelta(days=days)).isoformat() if created is None else created
        config: dict[str, Any] = {"os": "linux", "architecture": how.pop("architecture", "amd64"), "name": name}
        if date:
            config["created"] = date
        types = (
            (_DOCKER_CONFIG, _DOCKER_LAYER, DOCKER_MANIFEST) if docker else (OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST)
        )
        parts = {
            "config": self._blob(json.dumps(config).encode(), types[0]),
            "layers": [self._blob(f"filesystem of {name}".encode() * 10, types[1])],
        }
        return self.put({**parts, **how}, types[2], *tags)

    def index(self, children: Collection[Manifest], *tags: str, docker: bool = False, **more: Any) -> Manifest:
        """An index over children, with a platform each."""
        platforms = ("amd64", "arm64", "s390x", "riscv64")
        manifests = [
            {**described(child), "platform": {"os": "linux", "architecture": architecture}}
            for child, architecture in zip(children, platforms, strict=False)
        ]
        return self.put({"manifests": manifests, **more}, DOCKER_LIST if docker else OCI_INDEX, *tags)

    def multi(self, name: str, *tags: str, days: float = 100, attested: bool = False) -> Manifest:
        """An index of two platforms, with an attestation if that is wanted."""
        children = [self.image(f"{name} {one}", days=days, architecture=one) for one in ("amd64", "arm64")]
        manifests = [
            {**described(child), "platform": {"os": "linux", "architecture": one}}
            for child, one in zip(children, ("amd64", "arm64"), strict=True)
        ]
        if attested:
            manifests.append(self._attestation(children[0]))
        return self.put({"manifests": manifests}, OCI_INDEX, *tags)

    def referrer(self, subject: Manifest, name: str, *tags: str) -> Manifest:
        """Something with a `subject`."""
        parts = {"config": self._blob(b"{}", EMPTY.media_type), "layers": [self._blob(name.encode(), SIGNATURE)]}
        return self.put({"artifactType": SIGNATURE, **parts, "subject": described(subject)}, OCI_MANIFEST, *tags)

    def fallback(self, subject: Manifest, *referrers: Manifest) -> str:
        """The tag under which a registry without a list of referrers has them."""
        tag = subject.digest.replace(":", "-")
        self.put({"manifests": [{**described(one), "artifactType": SIGNATURE} for one in referrers]}, OCI_INDEX, tag)
        return tag

    def cosign(self, subject: Manifest, suffix: str = "sig") -> str:
        """A signature as cosign keeps it."""
        tag = f"{subject.digest.replace(':', '-')}.{suffix}"
        layer = self._blob(f"{suffix} of {subject.digest}".encode(), "application/vnd.dev.cosign.simplesigning.v1+json")
        config = self._blob(json.dumps({"rootfs": {}, "of": tag}).encode(), OCI_CONFIG)
        self.put({"config": config, "layers": [layer]}, OCI_MANIFEST, tag)
        return tag

    def cache(self, *tags: str, as_index: bool) -> Manifest:
        """BuildKit's cache, in either of its two forms."""
        config = self._blob(b'{"layers":[]}', "application/vnd.buildkit.cacheconfig.v0")
        layer = self._blob(b"cached", OCI_LAYER_GZIP)
        if as_index:
            return self.put({"manifests": [layer, config]}, OCI_INDEX, *tags)
        return self.put({"config": config, "layers": [layer]}, OCI_MANIFEST, *tags)

    def put(self, document: Mapping[str, Any], media_type: str, *tags: str) -> Manifest:
        """A manifest, under tags or under its digest alone."""
        raw = json.dumps({"schemaVersion": 2, "mediaType": media_type, **document}).encode()
        manifest = Manifest(raw=raw, media_type=media_type, digest=digest_of(raw))
        for reference in tags or (manifest.digest,):
            self.place.registry.push_manifest(self.place.repository, reference, manifest)
        return manifest

    def _attestation(self, subject: Manifest) -> dict[str, Any]:
        layers = [self._blob(b'{"predicate":{}}', "application/vnd.in-toto+json")]
        config = self._blob(json.dumps({"os": "unknown", "architecture": "unknown"}).encode(), OCI_CONFIG)
        about = {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": subject.digest,
        }
        made = self.put({"config": config, "layers": layers, "annotations": {"of": subject.digest}}, OCI_MANIFEST)
        return {**described(made), "platform": {"os": "unknown", "architecture": "unknown"}, "annotations": about}

    def _blob(self, content: bytes, media_type: str) -> dict[str, Any]:
        blob = Blob.of(content, media_type)
        self.place.registry.push_blob(self.place.repository, blob)
        return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}


@dataclass
class PlainDoor:
    """Deletes through the distribution API alone, and writes down what it was asked for."""

    place: Place
    by_tag: bool = True
    asked: list[str] = field(default_factory=list)
    approved: tuple[Mapping[str, str], Collection[str]] | None = None

    @property
    def can(self) -> Capabilities:
        return Capabilities(kind="distribution", deletes_tags=self.by_tag, deletes_manifests=True)

    def approve(self, tags: Mapping[str, str], manifests: Collection[str]) -> None:
        self.approved = (tags, manifests)

    def delete_tag(self, tag: str) -> Deletion:
        self.asked.append(tag)
        return self.place.registry.delete_tag(self.place.repository, tag)

    def delete_manifest(self, digest: str) -> Deletion:
        self.asked.append(digest)
        return self.place.registry.delete_manifest(self.place.repository, digest)


def plan_for(picture: Picture, doomed: Collection[str], *, by_tag: bool = True) -> RepositoryPlan:
    """The plan that deletes these tags and all that then nothing leads to."""
    going = set(doomed)
    while True:
        kept = {tag: digest for tag, digest in picture.tags.items() if tag not in going}
        stays = held(picture.manifests, {}, kept.values())
        # What speaks about an image goes with it.
        beside = {tag for tag in kept if tag.startswith("sha256-") and f"sha256:{tag[7:71]}" not in stays}
        bound = {tag for tag in going if picture.tags[tag] in stays} if not by_tag else set()
        if not beside - going and not bound:
            break
        going = (going | beside) - bound
    manifests = [digest for digest in picture.manifests if digest not in stays]
    children = {digest: picture.manifests[digest].children for digest in manifests}
    depth: dict[str, int] = {}

    def deep(digest: str) -> int:
        above = [parent for parent, named in children.items() if digest in named]
        depth.setdefault(digest, 1 + max((deep(one) for one in above), default=-1))
        return depth[digest]

    manifests.sort(key=lambda one: (picture.manifests[one].kind == "referrer", deep(one), one))
    return RepositoryPlan(
        repository=picture.repository,
        verdicts=tuple(
            Verdict(tag=tag, digest=digest, keep=tag not in going, rule="by hand", reason="", dated=None, size=0)
            for tag, digest in picture.tags.items()
        ),
        manifests=tuple(manifests),
        tags=tuple(sorted(going, key=lambda tag: (tag.startswith("sha256-"), tag))),
        freed=0,
        roots=kept,
    )


def described(manifest: Manifest) -> dict[str, Any]:
    """A manifest's descriptor."""
    return {"mediaType": manifest.media_type, "digest": manifest.digest, "size": len(manifest.raw)}
