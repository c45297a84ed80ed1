"""Platforms pushed apart, as runners do, and joined: by files and through the registry, whole or not at all."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from imagewright.builds.digests import PushedPart, part_tag, write
from imagewright.changes.published import FINGERPRINT, REVISION
from imagewright.registry.client import Registry
from imagewright.registry.copy import Place
from imagewright.registry.index import assemble, join
from imagewright.registry.oci import image_from_tar
from tests.e2e.conftest import BUILDER
from tests.e2e.faults import proxy
from tests.e2e.repository import Repository
from tests.e2e.test_registry_client import image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tests.e2e.conftest import Inv, LocalEngine
    from tests.e2e.registries import Served

pytestmark = pytest.mark.e2e

BOTH = ("linux/amd64", "linux/arm64")
BY_DIGEST = ",push-by-digest=true,name-canonical=true"
_NAMES = count(1)


@pytest.fixture(scope="module", params=[3, 2], ids=["distribution 3", "distribution 2"])
def served(request: pytest.FixtureRequest, serve: Callable[[int], Served]) -> Served:
    return serve(request.param)


@pytest.fixture(scope="module")
def third(serve: Callable[[int], Served]) -> Served:
    return serve(3)


@dataclass
class Farm:
    """A repository of images with the state that runners have checked out, and what they push."""

    repository: Repository
    host: str
    path: str = field(default_factory=lambda: f"merge-{next(_NAMES)}")

    def __post_init__(self) -> None:
        repository = self.repository
        repository.write(
            "config/images.yml", f'repository: "{{registry}}/{self.path}/{{name}}"\nplatforms: {[*BOTH]}\n'
        )
        for name in ("app", "tool"):
            repository.dockerfile(name, "FROM scratch", "ARG TARGETARCH", "COPY $TARGETARCH.txt /", f"LABEL n={name}")
        for platform in BOTH:
            repository.write(f"{platform[6:]}.txt", f"for {platform}")
        repository.write(".gitignore", "")
        repository.git("init", "-q", "-b", "main")
        self.commit = repository.commit()
        self.tag = f"sha-{self.commit[:7]}"

    def configure(self) -> None:
        text = f'repository: "{{registry}}/{self.path}/{{name}}"\nplatforms: {[*BOTH]}\n'
        self.repository.write("config/images.yml", text)

    def environ(self, host: str) -> dict[str, str]:
        """One of the registries of `serve`, or a way to it, in the place of this machine's own service."""
        return {"IMAGEWRIGHT_REGISTRY": host, "IMAGEWRIGHT_STATE_DIR": str(self.repository.root.parent / "state")}

    def files(self) -> list[Path]:
        """Those that were handed on."""
        return sorted(self.repository.root.glob("dist/digests/*/*.json"))

    def buildx(
        self, output: str, *platforms: str, name: str = "app", more: Sequence[str] = ("--provenance=false",)
    ) -> str:
        """A plain build; the digest."""
        root, engine = self.repository.root, self.repository.engine
        metadata = root.parent / "metadata.json"
        engine.docker(
            *("buildx", "build", "--builder", BUILDER, "--platform", ",".join(platforms), *more),
            *("--label", f"{REVISION}={self.commit}", "--label", f"{FINGERPRINT}=sha256:{'1' * 64}"),
            *("--file", str(root / f"Dockerfiles/Dockerfile.{name}"), "--metadata-file", str(metadata)),
            *("--output", f"type=image,name={self.host}/{self.path}/{name},push=true{output}", str(root)),
        )
        digest: str = json.loads(metadata.read_bytes())["containerimage.digest"]
        return digest

    def part(self, platform: str, name: str = "app", digest: str | None = None) -> PushedPart:
        """Pushed as a runner does."""
        return PushedPart(
            image=name,
            repository=f"{self.host}/{self.path}/{name}",
            platforms=(platform,),
            digest=digest or self.buildx(BY_DIGEST, platform, name=name),
            commit=self.commit,
            fingerprint=f"sha256:{'1' * 64}",
        )

    def made(self, platform: str, name: str = "app") -> PushedPart:
        """The same without a builder, which is faster."""
        content = image(self.repository.root.parent, f"{name} {platform}", platform)
        labels = {REVISION: self.commit, FINGERPRINT: f"sha256:{'1' * 64}"}
        tar = next(iter(content.layers)).source
        assert not isinstance(tar, bytes)
        made = image_from_tar(
            self.repository.root.parent / str(tar).rpartition("/")[2].removesuffix(".gz"),
            platform=platform,
            created=0,
            labels=labels,
        )
        with Registry(self.host) as registry:
            for blob in (*made.layers, made.config):
                registry.push_blob(f"{self.path}/{name}", blob)
            registry.push_manifest(f"{self.path}/{name}", made.manifest.digest, made.manifest)
        return self.part(platform, name, made.manifest.digest)

    def hand_on(self, *parts: PushedPart, tags: bool) -> None:
        """As files, or as tags in the registry."""
        with Registry(self.host) as registry:
            for part in parts:
                if tags:
                    manifest = registry.manifest(f"{self.path}/{part.image}", part.digest)
                    assert manifest
                    registry.push_manifest(f"{self.path}/{part.image}", part_tag(part), manifest)
                else:
                    write(self.repository.root / "dist/digests", part)

    def merge(self, *args: str, code: int = 0, env: Mapping[str, str] | None = None) -> dict[str, Any]:
        done = self.run(*args, "--json", env=env)
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        document: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
        return document | {"stderr": done.stderr}

    def run(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return self.repository.invoke("merge", *args, env={**self.environ(self.host), **(env or {})})

    def tags(self, name: str = "app") -> dict[str, str]:
        """The registry's tags with their digests."""
        with Registry(self.host) as registry:
            path = f"{self.path}/{name}"
            found = {tag: registry.resolve(path, tag) for tag in registry.tags(path) or ()}
        return {tag: one.digest for tag, one in found.items() if one}

    def platforms(self, digest: str, name: str = "app") -> list[str | None]:
        """Those of an index, all of whose parts must be there."""
        with Registry(self.host) as registry:
            top = registry.manifest(f"{self.path}/{name}", digest)
            assert top
            assert all(registry.manifest(f"{self.path}/{name}", one.digest) for one in top.manifests)
            return [one.platform for one in top.manifests]


@pytest.fixture
def repository(engine: LocalEngine, inv: Inv, tmp_path: Path) -> Repository:
    (tmp_path / "project").mkdir()
    return Repository(tmp_path / "project", engine, inv)


@pytest.mark.parametrize("tags", [False, True], ids=["files", "registry"])
def test_two_parts_become_what_one_build_would_be(repository: Repository, served: Served, tags: bool) -> None:
    farm = Farm(repository, served.host)
    parts = [farm.part(platform) for platform in BOTH]
    farm.hand_on(*parts, tags=tags)
    before = farm.tags()
    ways = ["--digests", "registry"] if tags else []

    shown = farm.merge("--dry-run", *ways)
    assert [(one["name"], one["action"], one["reasons"][0]["kind"]) for one in shown["images"]] == [
        ("app", "reuse", "merged")
    ]
    assert farm.tags() == before, "a dry run"
    document = farm.merge(*ways)

    (result,) = document["images"]
    assert (result["name"], result["status"], document["ok"]) == ("app", "reused", True)
    assert result["platforms"] == [*BOTH]
    assert set(result["sizes"]) == {*BOTH}
    assert farm.platforms(result["digest"]) == [*BOTH]
    after = farm.tags()
    assert after[farm.tag] == after["main"] == result["digest"]
    left = {tag for tag in after if tag.startswith("part-")}
    if tags and served.program.name == "docker-registry":
        assert left == {part_tag(part) for part in parts}, "distribution 2 cannot delete a tag alone"
        assert "left there: this registry deletes no tag" in document["stderr"]
    else:
        assert not left
    if not left:
        again = farm.merge(*ways, "app")
        assert again["images"][0]["digest"] == result["digest"]
        assert farm.tags() == after


@pytest.mark.parametrize("platforms", [BOTH, BOTH[::-1]])
def test_the_index_is_byte_for_byte_what_buildkit_makes_of_both_at_once(
    repository: Repository, third: Served, platforms: tuple[str, ...]
) -> None:
    farm = Farm(repository, third.host)
    digests = {platform: farm.part(platform).digest for platform in platforms}
    with Registry(third.host) as registry:
        place = Place(registry, f"{farm.path}/app")
        joined = join(place, digests)
        assert joined == farm.buildx(BY_DIGEST, *platforms)
        assert join(place, dict(list(digests.items())[:1])) == digests[platforms[0]], "one platform needs no index"


@pytest.mark.parametrize("way", ["dist/digests", "registry"])
def test_two_runners_and_one_that_joins_publish_what_one_machine_would(repository: Repository, way: str) -> None:
    farm = Farm(repository, repository.engine.registry)
    repository.dockerfile("app", f"FROM {farm.host}/{farm.path}/tool", "ARG TARGETARCH", "COPY $TARGETARCH.txt /own")
    farm.commit = repository.commit()
    for platform in BOTH:
        told = repository.build("app", "--platform", platform, "--push-by-digest", "--digests", way)
        assert [one["tags"] for one in told.document["images"]] == [[]] * 2 or way == "registry"
    joined = json.loads(repository.invoke("merge", "--digests", way, "--json").stdout)
    assert [(one["name"], one["status"]) for one in joined["images"]] == [("tool", "reused"), ("app", "reused")]
    digests = {one["name"]: one["digest"] for one in joined["images"]}
    assert [*repository.images(f"{farm.host}/{farm.path}/app@{digests['app']}")] == [*BOTH]

    if way != "registry":
        alone = repository.build("app")
        assert alone.digests() == digests
        assert alone["app"]["tags"] == joined["images"][1]["tags"]


def test_attestations_stay_with_their_platform(repository: Repository, third: Served) -> None:
    farm = Farm(repository, third.host)
    attested = ("--attest", "type=provenance,mode=max")
    digests = {platform: farm.buildx(BY_DIGEST, platform, more=attested) for platform in BOTH}
    with Registry(third.host) as registry:
        place = Place(registry, f"{farm.path}/app")
        index = assemble(place, digests)
        assert join(place, digests) == index.digest
        parts = [registry.manifest(place.repository, digest) for digest in digests.values()]
    images = [one for one in index.manifests if not one.attests]
    assert [one.platform for one in images] == [*BOTH]
    assert [one.attests for one in index.manifests[2:]] == [one.digest for one in images]
    whole = {one.digest for part in parts if part for one in part.manifests}
    assert {one.digest for one in index.manifests} == whole
    assert farm.platforms(index.digest)[2:] == ["unknown/unknown"] * 2


def test_what_is_not_whole_gets_no_name_and_stops_no_other(repository: Repository, third: Served) -> None:
    farm = Farm(repository, third.host)
    tool = [farm.made(platform, "tool") for platform in BOTH]
    farm.hand_on(farm.made("linux/amd64"), *tool, tags=False)

    document = farm.merge(code=1)

    assert {one["name"]: one["status"] for one in document["images"]} == {"app": "failed", "tool": "reused"}
    (failed,) = (one for one in document["images"] if one["name"] == "app")
    assert "linux/arm64 is missing: there is linux/amd64" in failed["error"]
    assert farm.tags() == {}
    assert farm.tag in farm.tags("tool")
    assert farm.merge("--dry-run", code=1)["unplanned"][0]["name"] == "app"

    farm.hand_on(farm.made("linux/arm64"), tags=False)
    assert farm.merge()["ok"]
    assert farm.platforms(farm.tags()[farm.tag]) == [*BOTH]


def test_what_is_not_what_it_is_said_to_be(repository: Repository, third: Served) -> None:
    farm = Farm(repository, third.host)
    amd64, arm64 = (farm.made(platform) for platform in BOTH)
    farm.hand_on(amd64, replace(arm64, digest=amd64.digest), tags=False)
    assert "for linux/amd64, and not for linux/arm64" in farm.merge(code=1)["images"][0]["error"]

    farm.hand_on(replace(arm64, digest=f"sha256:{'0' * 64}"), tags=False)
    assert "the part for linux/arm64 is not there" in farm.merge(code=1)["images"][0]["error"]

    farm.hand_on(replace(arm64, commit="f" * 40), tags=False)
    assert "its parts are of different commits" in farm.merge(code=1)["images"][0]["error"]

    file = write(repository.root / "dist/digests", arm64)
    file.write_bytes(file.read_bytes()[:-20])
    done = farm.run()
    assert (done.returncode, done.stdout) == (2, "")
    assert "linux-arm64.json: this is no whole file of a digest" in done.stderr
    assert farm.tags() == {}


def test_through_the_registry_only_this_commit_counts(repository: Repository, third: Served) -> None:
    farm = Farm(repository, third.host)
    amd64, arm64 = (farm.made(platform) for platform in BOTH)
    farm.hand_on(amd64, replace(arm64, commit="f" * 40), tags=True)
    assert "linux/arm64 is missing" in farm.merge("--digests", "registry", code=1)["images"][0]["error"]
    assert not [tag for tag in farm.tags() if not tag.startswith("part-")]

    farm.hand_on(arm64, tags=True)
    document = farm.merge("--digests", "registry")
    assert document["ok"]
    assert [tag for tag in farm.tags() if tag.startswith("part-")] == [part_tag(replace(arm64, commit="f" * 40))]
    nothing = farm.merge("--digests", "registry")
    assert (nothing["images"], "nothing to merge" in nothing["stderr"]) == ([], True)


def kill(farm: Farm, *args: str, after: str) -> None:
    """Run `merge` behind a proxy that kills it right after the first request of that kind was carried out."""
    child: list[subprocess.Popen[bytes]] = []

    def hook(method: str, path: str) -> None:
        what = "index" if "sha256:" in path else "tag"
        if "/manifests/" in path and f"{method} {what}" == after:
            child[0].kill()
            child[0].wait(10)

    with proxy(farm.host) as way:
        way.after = hook
        for file in farm.files():  # it believes the way to be the registry
            document = json.loads(file.read_bytes())
            file.write_text(json.dumps({**document, "repository": f"{way.host}/{farm.path}/app"}))
        child.append(
            subprocess.Popen(
                [sys.executable, "-m", "invoke", "merge", *args],
                cwd=farm.repository.root,
                env={**farm.repository.engine.env, **farm.environ(way.host)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        )
        _, told = child[0].communicate(timeout=60)
    assert child[0].returncode == -signal.SIGKILL, told.decode()


@pytest.mark.parametrize(
    ("ways", "after"),
    [
        ([], "PUT index"),
        ([], "PUT tag"),
        (["app", "--digests", "registry"], "PUT tag"),
        (["app", "--digests", "registry"], "DELETE tag"),
    ],
)
def test_after_a_kill_no_tag_has_half_an_image_and_the_next_run_converges(
    repository: Repository, third: Served, ways: list[str], after: str
) -> None:
    farm = Farm(repository, third.host)
    parts = [farm.made(platform) for platform in BOTH]
    farm.hand_on(*parts, tags=bool(ways))

    kill(farm, *ways, after=after)

    half = farm.tags()
    assert (farm.tag in half) == (after == "DELETE tag")
    assert [tag for tag in half if tag.startswith("part-")] == [
        part_tag(part) for part in (parts[1:] if after == "DELETE tag" else parts) if ways
    ]
    for tag, digest in half.items():
        assert tag.startswith("part-") or farm.platforms(digest) == [*BOTH]

    if not ways:
        farm.hand_on(*parts, tags=False)
    document = farm.merge(*ways)
    assert set(farm.tags().values()) == {document["images"][0]["digest"]}
    assert {"main", farm.tag} <= set(farm.tags())
    assert not [tag for tag in farm.tags() if tag.startswith("part-")]
