"""What an image uses of other people's images, from Dockerfiles as they are written."""

from __future__ import annotations

import pytest

from imagewright.images.graph import Graph, edges
from imagewright.images.model import Image, ImageUse, Reading
from imagewright.images.outside import Outside, outside
from tests.changes.states import snapshot

DIGEST = "sha256:" + "1" * 64
HUB = "docker.io/library"


def uses(dockerfile: str, config: str = "") -> Outside:
    """Of the image `app`; there is an image `base`, too."""
    read = snapshot(
        {
            "Dockerfiles/Dockerfile.app": dockerfile,
            "Dockerfiles/Dockerfile.base": "FROM scratch\n",
            "config/images.yml": config,
        }
    )
    return outside("app", read.graph, read.readings.by_name["app"])


@pytest.mark.parametrize(
    ("dockerfile", "used"),
    [
        ("FROM scratch\n", {}),
        ("FROM debian\n", {f"{HUB}/debian:latest": 1}),
        ("ARG V=12\nFROM debian:$V\n", {f"{HUB}/debian:12": 2}),
        ("FROM --platform=linux/arm64 ghcr.io/me/x:1\n", {"ghcr.io/me/x:1": 1}),
        (f"FROM debian:12@{DIGEST}\n", {}),
        ("FROM localhost:5050/base\n", {}),
        ("FROM localhost:5050/base:stable\n", {}),
        ("FROM debian AS one\nFROM one\nFROM one\n", {f"{HUB}/debian:latest": 1}),
        ("FROM debian AS unused\nFROM scratch\n", {}),
        ("FROM scratch\nCOPY --from=busybox:1 /bin /bin\n", {f"{HUB}/busybox:1": 2}),
        ("FROM scratch\nRUN --mount=type=bind,from=busybox,target=/b true\n", {f"{HUB}/busybox:latest": 2}),
        ("# syntax=docker/dockerfile:1\nFROM debian\n", {f"{HUB}/debian:latest": 2}),
        ("FROM debian\nCOPY --from=docker.io/debian:latest /a /b\n", {f"{HUB}/debian:latest": 1}),
    ],
)  # fmt: skip
def test_what_a_reached_stage_uses_and_no_digest_pins(dockerfile: str, used: dict[str, int]) -> None:
    assert uses(dockerfile) == Outside(used=used)


def test_a_named_context_of_the_configuration() -> None:
    config = "images:\n  app: {contexts: {busybox: 'docker-image://debian:12', ours: 'docker-image://localhost:5050/base'}}\n"
    assert uses("FROM busybox\nCOPY --from=ours / /\n", config) == Outside(used={f"{HUB}/debian:12": 0})


def test_what_cannot_be_told() -> None:
    assert uses("# syntax=ghcr.io/me/frontend\nanything\n").unclear == {
        1: "the front end ghcr.io/me/frontend may use any image"
    }
    image = Image(
        name="app", repository="localhost:5050/app", dockerfile="D", context=".", layer=None, platforms=("linux/amd64",)
    )
    reading = Reading(
        images=(
            ImageUse(reference=None, raw="$BASE", line=2, kind="from"),
            ImageUse(reference="A:B", raw="A:B", line=3, kind="copy"),
        )
    )
    found = outside("app", Graph([image], edges([image], {"app": reading})), reading)
    assert found.used == {}
    assert found.unclear[2] == "$BASE has a variable whose value is not known"
    assert "A:B" in found.unclear[3]
