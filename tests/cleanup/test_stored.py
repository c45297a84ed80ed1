"""What a manifest is, from its bytes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from imagewright.cleanup.names import subject_of_tag
from imagewright.cleanup.stored import kind_of, settled, stored
from imagewright.registry.model import (
    DOCKER_LIST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Manifest,
    digest_of,
)

HEX = "ab" * 32


def made(media_type: str = OCI_MANIFEST, **document: Any) -> Manifest:
    raw = json.dumps({"schemaVersion": 2, **document}).encode()
    return Manifest(raw=raw, media_type=media_type, digest=digest_of(raw))


def part(media_type: str, name: str = "part", **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(name.encode()), "size": len(name), **more}


def of(manifest: Manifest, **more: Any) -> dict[str, Any]:
    return {"mediaType": manifest.media_type, "digest": manifest.digest, "size": len(manifest.raw), **more}


CACHE = part("application/vnd.buildkit.cacheconfig.v0")
KINDS = {
    "image": made(config=part(OCI_CONFIG), layers=[part(OCI_LAYER_GZIP)]),
    "image without filesystem": made(config=part(OCI_CONFIG), layers=[]),
    "image of docker": made(
        config=part("application/vnd.docker.container.image.v1+json"),
        layers=[part("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")],
    ),
    "artifact: attestation": made(config=part(OCI_CONFIG), layers=[part("application/vnd.in-toto+json")]),
    "artifact: chart": made(config=part("application/vnd.cncf.helm.config.v1+json"), layers=[part(OCI_LAYER_GZIP)]),
    "artifact: typed": made(artifactType="x", config=part(OCI_CONFIG), layers=[]),
    "referrer": made(config=part(OCI_CONFIG), layers=[], subject=part(OCI_MANIFEST)),
    "cache as image": made(config=CACHE, layers=[part(OCI_LAYER_GZIP)]),
    "cache as index": made(OCI_INDEX, manifests=[part(OCI_LAYER_GZIP, "layer"), CACHE]),
    "index": made(OCI_INDEX, manifests=[part(OCI_MANIFEST)]),
    "index of docker": made(DOCKER_LIST, manifests=[part(OCI_MANIFEST)]),
    "unknown": made(layers=[part(OCI_LAYER_GZIP)]),
}


@pytest.mark.parametrize("what", KINDS)
def test_kinds(what: str) -> None:
    assert kind_of(KINDS[what]) == what.replace(":", "").split()[0]


@pytest.mark.parametrize(
    ("created", "moment"),
    [
        ("2024-05-06T07:08:09.123456789Z", datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)),
        ("2024-05-06T07:08:09+02:00", datetime(2024, 5, 6, 5, 8, 9, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00+05:00", None),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2024-05-06T07:08:09", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (1700000000, None),
    ],
)
def test_dates(created: object, moment: datetime | None) -> None:
    assert stored(KINDS["image"], {"created": created}).created == moment


@pytest.mark.parametrize(
    ("dates", "created"),
    [
        (("2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"), datetime(2021, 1, 1, tzinfo=UTC)),
        (("2020-01-01T00:00:00Z", None), None),
        (("2020-01-01T00:00:00Z", "1970-01-01T00:00:00Z"), None),
        (("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"), datetime(2099, 1, 1, tzinfo=UTC)),
    ],
)
def test_an_index_is_as_new_as_its_newest_platform(dates: tuple[str | None, ...], created: datetime | None) -> None:
    children = [
        made(config=part(OCI_CONFIG), layers=[part(OCI_LAYER_GZIP, str(number))]) for number in range(len(dates))
    ]
    attestation = KINDS["artifact: attestation"]
    about = {"annotations": {"vnd.docker.reference.digest": children[0].digest}}
    index = made(OCI_INDEX, manifests=[*map(of, children), of(attestation, **about)])
    manifests = {
        child.digest: stored(child, {"created": date}) for child, date in zip(children, dates, strict=True)
    } | {attestation.digest: stored(attestation, {"created": "2030-01-01T00:00:00Z"})}
    manifests[index.digest] = stored(index, None)
    assert settled(manifests, {})[index.digest].created == created


def test_an_index_of_artifacts_alone_is_no_image() -> None:
    chart = KINDS["artifact: chart"]
    index = made(OCI_INDEX, manifests=[of(chart)])
    found = settled({chart.digest: stored(chart, None), index.digest: stored(index, None)}, {})
    assert found[index.digest].kind == "artifact"


def test_layers_elsewhere_are_none_of_its_blobs() -> None:
    far = part("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "far", urls=["https://x.example/far"])
    image = made(config=part(OCI_CONFIG), layers=[far, part(OCI_LAYER_GZIP, "near")])
    assert set(stored(image, {}).blobs) == {digest_of(b"part"), digest_of(b"near")}


@pytest.mark.parametrize(
    ("tag", "digest"),
    [
        (f"sha256-{HEX}", f"sha256:{HEX}"),
        (f"sha256-{HEX}.sig", f"sha256:{HEX}"),
        (f"sha256-{HEX}.att", f"sha256:{HEX}"),
        (f"sha256-{HEX}.sbom", f"sha256:{HEX}"),
        (f"sha256-{HEX}.other", None),
        (f"sha256-{HEX}a", None),
        (f"sha256-{HEX.upper()}", None),
        (f"sha512-{HEX}", None),
        ("latest", None),
    ],
)
def test_tags_about_other_manifests(tag: str, digest: str | None) -> None:
    assert subject_of_tag(tag) == digest
