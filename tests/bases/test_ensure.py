"""Against a registry in memory; root filesystems are small tarballs."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from imagewright.bases import debian
from imagewright.bases.ensure import Made, asked_ahead, choose, ensure_bases, hint, to_withdraw
from imagewright.bases.mirror import ORIGIN_LABEL, RECIPE_LABEL
from imagewright.bases.record import Record
from imagewright.config.models import DebianBase
from imagewright.errors import ConfigError, EnvironmentMissingError
from imagewright.references import DOCKER_HUB
from imagewright.registry.model import Blob, Deletion, Manifest
from imagewright.registry.oci import image_from_tar, push_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from imagewright.bases.recipe import Recipe

BASES = {"debian:trixie-slim": DebianBase(debootstrap="trixie")}
REPOSITORY = "docker.io/library/debian"


class Memory:
    """What a registry keeps, in dictionaries."""

    host = "localhost:5050"

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], Manifest] = {}
        self.deletes_tags = True

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        return self.manifests.get((repository, reference))

    def config(self, repository: str, digest: str) -> dict[str, Any] | None:
        return dict(json.loads(self.blobs[digest]))

    def push_blob(self, repository: str, blob: Blob) -> None:
        with blob.open() as content:
            self.blobs[blob.digest] = b"".join(content)

    def push_manifest(self, repository: str, reference: str, manifest: Manifest) -> str:
        self.manifests[repository, reference] = self.manifests[repository, manifest.digest] = manifest
        return manifest.digest

    def delete_tag(self, repository: str, tag: str) -> Deletion:
        if not self.deletes_tags:
            return Deletion.UNSUPPORTED
        return Deletion.DONE if self.manifests.pop((repository, tag), None) else Deletion.ABSENT

    def delete_manifest(self, repository: str, digest: str) -> Deletion:
        self.manifests = {key: one for key, one in self.manifests.items() if one.digest != digest}
        return Deletion.DONE

    def labels(self, tag: str, number: int = 0) -> dict[str, str]:
        index = self.manifests[REPOSITORY, tag]
        config = self.manifests[REPOSITORY, index.manifests[number].digest].config
        assert config
        return dict(json.loads(self.blobs[config.digest])["config"]["Labels"])


class World:
    """A machine, with or without Docker Hub in reach."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.mirror = Memory()
        self.hub = False
        self.asked = 0
        self.connected = 0
        self.made: list[str] = []
        self.said: list[str] = []
        self.newer: dict[str, int] = {}  # seconds that a platform's packages are newer than the others'
        monkeypatch.setattr(debian, "make", self._make)

    def _make(self, recipe: Recipe, *, cache: Path, say: object, max_age: float) -> debian.Rootfs:
        self.made.append(recipe.platform)
        path = self.folder / f"{recipe.architecture}.tar"
        with tarfile.open(path, "w") as tar:
            tar.addfile(tarfile.TarInfo(recipe.key))
        return debian.Rootfs(tar=path, created=1795054374 + self.newer.get(recipe.platform, 0))

    def _reachable(self, registry: str) -> bool:
        assert registry == "docker.io"
        self.asked += 1
        return self.hub

    def _connect(self) -> nullcontext[Memory]:
        self.connected += 1
        return nullcontext(self.mirror)

    def ensure(
        self,
        *wanted: str,
        bases: dict[str, DebianBase] = BASES,
        platforms: Sequence[str] = ("linux/amd64",),
        refresh: bool = False,
    ) -> tuple[Made, ...]:
        self.said.clear()
        return ensure_bases(
            wanted or ("debian:trixie-slim",),
            bases,
            platforms=platforms,
            connect=self._connect,
            state=self.folder / "state",
            cache=self.folder / "cache",
            say=self.said.append,
            reachable=self._reachable,
            refresh=refresh,
        )

    def to_withdraw(self, *wanted: str) -> frozenset[str]:
        return to_withdraw(
            wanted or ("docker.io/library/debian:trixie-slim",),
            BASES,
            connect=self._connect,
            state=self.folder / "state",
            reachable=self._reachable,
        )

    def time_passes(self) -> None:
        (self.folder / "state/bases.json").unlink()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_where_docker_hub_answers_nothing_is_made_and_it_is_asked_once(world: World) -> None:
    world.hub = True
    assert world.ensure() == ()
    assert world.ensure() == ()
    assert (world.asked, world.connected, world.made, world.said) == (1, 1, [], [])


@pytest.mark.parametrize("wanted", ["ghcr.io/me/base", "debian:trixie", "debian:trixie-slim@sha256:" + "0" * 64, "a b"])
def test_what_the_configuration_does_not_know_is_left_alone(world: World, wanted: str) -> None:
    assert world.ensure(wanted) == ()
    assert (world.asked, world.connected) == (0, 0)


def test_it_is_made_and_pushed_and_loudly_said(world: World) -> None:
    [made] = world.ensure("docker.io/library/debian:trixie-slim", "debian:trixie-slim")
    assert made.name == "debian:trixie-slim"
    assert made.packages == "2026-11-19"
    assert world.mirror.manifests[REPOSITORY, "trixie-slim"].digest == made.digest
    labels = world.mirror.labels("trixie-slim")
    assert "trixie" in labels[ORIGIN_LABEL]
    assert labels[RECIPE_LABEL]
    assert any(text.startswith("ATTENTION") and made.digest in text for text in world.said)


def test_the_next_call_asks_nobody_and_says_one_line(world: World) -> None:
    first = world.ensure()
    assert world.ensure() == first
    assert (world.asked, world.connected, world.made) == (1, 1, ["linux/amd64"])
    assert len(world.said) == 1


def test_when_all_is_forgotten_the_registry_still_knows(world: World) -> None:
    first = world.ensure()
    world.time_passes()
    assert world.ensure() == first
    assert world.made == ["linux/amd64"]
    assert len(world.said) == 1


def test_another_recipe_or_another_platform_is_made(world: World) -> None:
    world.ensure()
    world.ensure(bases={"debian:trixie-slim": DebianBase(debootstrap="trixie", include=("jq",))})
    assert world.made == ["linux/amd64"] * 2
    world.made.clear()
    world.ensure(platforms=["linux/arm64"])
    assert world.made == ["linux/amd64", "linux/arm64"], "the platform that was there stays in the index"
    assert len(world.mirror.manifests[REPOSITORY, "trixie-slim"].manifests) == 2


def test_refresh_makes_it_anew_and_publishes_what_is_newer(world: World) -> None:
    world.ensure(platforms=["linux/amd64", "linux/arm64"])
    before = world.mirror.manifests[REPOSITORY, "trixie-slim"]
    world.ensure(refresh=True)
    assert world.made == ["linux/amd64", "linux/arm64"] * 2
    assert world.mirror.manifests[REPOSITORY, "trixie-slim"] is before, "compressed for nothing"
    world.newer["linux/arm64"] = 86_400
    (made,) = world.ensure(refresh=True)
    after = world.mirror.manifests[REPOSITORY, "trixie-slim"]
    assert after.digest != before.digest
    assert made.digest == after.digest


@pytest.mark.parametrize("deletes_tags", [True, False])
def test_when_docker_hub_answers_again_ours_is_withdrawn(world: World, deletes_tags: bool) -> None:
    world.mirror.deletes_tags = deletes_tags
    world.ensure()
    world.time_passes()
    world.hub = True
    assert world.ensure() == ()
    assert world.mirror.manifest(REPOSITORY, "trixie-slim") is None
    assert len(world.said) == 1
    assert "withdrawn" in world.said[0]


def test_what_somebody_else_put_there_is_used_and_never_touched(world: World, tmp_path: Path) -> None:
    tar = tmp_path / "theirs.tar"
    tarfile.open(tar, "w").close()
    image = image_from_tar(tar, platform="linux/amd64", created=0, labels={"maintainer": "them"})
    theirs = push_image(world.mirror, REPOSITORY, "trixie-slim", [image])
    assert world.ensure(refresh=True) == ()
    assert world.ensure() == ()
    world.time_passes()
    world.hub = True
    world.ensure()
    assert world.made == []
    found = world.mirror.manifest(REPOSITORY, "trixie-slim")
    assert found
    assert found.digest == theirs


def test_where_docker_hub_answers_a_registry_that_does_not_run_is_no_matter(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> nullcontext[Memory]:
        raise EnvironmentMissingError("no registry")

    monkeypatch.setattr(world, "_connect", refuse)
    world.hub = True
    assert world.ensure() == ()
    world.hub = False
    world.time_passes()
    with pytest.raises(EnvironmentMissingError):
        world.ensure()


@pytest.mark.parametrize("name", ["ghcr.io/me/base:1", "debian@sha256:" + "0" * 64, "De bian"])
def test_a_base_that_cannot_be_served_is_a_configuration_error(name: str) -> None:
    with pytest.raises(ConfigError):
        choose([], {name: DebianBase(debootstrap="trixie")})


def test_a_name_without_a_tag_is_latest() -> None:
    assert [base.name for base in choose(["debian:latest"], {"debian": DebianBase(debootstrap="trixie")})] == [
        "debian:latest"
    ]


@pytest.mark.parametrize(
    ("reference", "suite"),
    [("debian:bookworm-slim", "bookworm"), ("debian:trixie", "trixie"), ("debian", "trixie")],
)
def test_the_hint_is_a_piece_of_configuration_that_works(reference: str, suite: str) -> None:
    import yaml

    text = hint(reference)
    assert yaml.safe_load(text[text.index("    bases:") :]) == {
        "bases": {f"{reference}:latest" if reference == "debian" else reference: {"debootstrap": suite}}
    }


def test_the_hint_never_makes_a_debian_of_another_image() -> None:
    text = hint("python:3.13-slim")
    assert "debootstrap" not in text
    assert "docker.io/library/python" in text


def test_the_quick_way_imports_nothing_heavy() -> None:
    heavy = "urllib3 tarfile subprocess pydantic imagewright.registry"
    code = f"import sys, imagewright.bases.ensure; sys.exit(' '.join(set('{heavy}'.split()) & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_will_be_withdrawn_is_known_before(world: World) -> None:
    world.ensure()
    world.time_passes()
    assert world.to_withdraw("ghcr.io/me/base:1") == frozenset()
    assert world.to_withdraw() == frozenset()  # Docker Hub does not answer, and that holds for a while
    world.hub = True
    assert world.to_withdraw() == frozenset()
    world.time_passes()
    for _ in range(2):
        assert world.to_withdraw() == {"docker.io/library/debian:trixie-slim"}
    world.ensure()
    assert world.mirror.manifest(REPOSITORY, "trixie-slim") is None
    assert world.to_withdraw() == frozenset()


def test_other_peoples_images_are_never_withdrawn(world: World) -> None:
    world.ensure()
    manifest = world.mirror.manifests[REPOSITORY, "trixie-slim"]
    child = world.mirror.manifests[REPOSITORY, manifest.manifests[0].digest]
    assert child.config
    document = json.loads(world.mirror.blobs[child.config.digest])
    document["config"]["Labels"] = {}
    world.mirror.blobs[child.config.digest] = json.dumps(document).encode()
    world.time_passes()
    world.hub = True
    assert world.to_withdraw() == frozenset()


def test_docker_hub_is_asked_ahead_unless_the_answer_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answers(registry: str = DOCKER_HUB) -> bool:
        asked.append(registry)
        return False

    monkeypatch.setattr("imagewright.bases.ensure.docker_hub_answers", answers)
    reachable = asked_ahead(tmp_path)
    assert reachable(DOCKER_HUB) is False
    assert asked == [DOCKER_HUB]
    Record(tmp_path / "bases.json").remember(("answers", DOCKER_HUB), False)
    asked_ahead(tmp_path)
    assert asked == [DOCKER_HUB]
