"""What is recorded of outside images by a run that builds: without a registry, and without a builder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imagewright.builds.builder import Builder
from imagewright.builds.result import ImageResult
from imagewright.cli import outside
from imagewright.cli.build_options import request
from imagewright.cli.outside import BasesOfRun
from imagewright.registry.model import Descriptor
from imagewright.services.places import Places
from tests.changes.states import snapshot

FILES = {
    "Dockerfiles/Dockerfile.one": "FROM ghcr.io/me/there:1\n",
    "Dockerfiles/Dockerfile.two": "FROM ghcr.io/me/gone:1\nCOPY --from=ghcr.io/me/there:1 / /\n",
}
LOCAL = Builder(name="imagewright", driver="remote", is_local=True)


class Registry:
    """One registry that has one image."""

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def resolve(self, repository: str, reference: str) -> Descriptor | None:
        return Descriptor(media_type="", digest="sha256:there", size=1) if repository == "me/there" else None


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that were connected to."""
    hosts: list[str] = []

    def connect(host: str) -> Registry:
        hosts.append(host)
        return Registry()

    monkeypatch.setattr(outside, "_connect", connect)
    return hosts


def run(said: list[str], builder: Builder = LOCAL, files: Mapping[str, str] = FILES, **options: Any) -> BasesOfRun:
    project: Any = SimpleNamespace(
        say=said.append,
        snapshot=lambda _adjust: snapshot(files),
        places=Places(cache=Path("/none"), state=Path("/none"), registry="localhost:1"),
    )
    plan: Any = SimpleNamespace(to_build=[SimpleNamespace(name=name.rpartition(".")[2]) for name in files])
    return BasesOfRun(project, plan, request(**options), builder)


def result(name: str, status: Any) -> ImageResult:
    return ImageResult(
        name=name, status=status, reference="", digest=None, platforms=(), tags=(), because=None, failure=None
    )


def test_what_is_known_is_recorded_and_what_is_not_is_said_once(asked: list[str]) -> None:
    said: list[str] = []
    bases = run(said)
    assert bases.of("one") == bases.of("two") == {"ghcr.io/me/there:1": "sha256:there"}
    assert bases.of("two") == {"ghcr.io/me/there:1": "sha256:there"}  # as for a second try
    assert asked == ["ghcr.io"]
    bases.say_unknown([result("one", "built"), result("two", "built")])
    (line,) = said
    assert line == (
        "the digest of ghcr.io/me/gone:1 is not recorded (the registry does not have it): "
        "a scheduled run builds what uses it"
    )


@pytest.mark.parametrize(
    ("builder", "hosts"),
    [(LOCAL, ["localhost:1", "docker.io"]), (Builder(name="imagewright-fleet", driver="remote"), ["docker.io"])],
)
def test_only_the_local_builder_asks_our_registry_for_docker_hubs_images(
    asked: list[str], builder: Builder, hosts: list[str]
) -> None:
    run([], builder, {"Dockerfiles/Dockerfile.one": "FROM debian\n"}).of("one")
    assert asked == hosts


def test_what_failed_has_said_enough(asked: list[str]) -> None:
    said: list[str] = []
    bases = run(said)
    bases.of("two")
    bases.say_unknown([result("one", "built"), result("two", "failed")])
    assert said == []


@pytest.mark.parametrize(
    ("builder", "options"),
    [(LOCAL, {"push": False}), (LOCAL, {"load": True}), (Builder(name="default", driver="docker"), {})],
)
def test_nothing_is_asked_where_nothing_is_pushed_or_the_engine_takes_what_it_has(
    asked: list[str], builder: Builder, options: dict[str, Any]
) -> None:
    said: list[str] = []
    bases = run(said, builder, **options)
    assert bases.of("one") == bases.of("two") == {}
    bases.say_unknown([result("one", "built"), result("two", "built")])
    assert (asked, said) == ([], [])
