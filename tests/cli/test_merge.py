from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from imagewright.builds.digests import PushedPart, part_tag, write
from imagewright.changes.published import FINGERPRINT, REVISION, look_up
from imagewright.cleanup.vendors.model import Capabilities, Door
from imagewright.cli.build_options import request
from imagewright.cli.cleanup_doors import Doors
from imagewright.cli.merging import Merging
from imagewright.cli.parts import PartTags
from imagewright.cli.project import Project
from imagewright.errors import UsageError
from imagewright.events.local import ByHand
from imagewright.registry.model import OCI_CONFIG, Deletion
from tests.registry.memory import Memory, put_blob, put_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from imagewright.builds.plan import Plan
    from imagewright.registry.client import Registry
    from tests.cli.conftest import Invoke

HOST = "r.example"
BOTH = ("linux/amd64", "linux/arm64")
PRINT = f"sha256:{'f' * 64}"
CONFIG = f"""\
registry: {HOST}/me
platforms: [linux/amd64, linux/arm64]
images: {{tool: {{platforms: [linux/amd64]}}, released: {{version: 1.2.3}}}}
"""


class Known(Project):
    """A project whose registry is in memory."""

    memory: Memory
    said: list[str]

    def say(self, text: str) -> None:
        self.said.append(text)

    def published(self, references: Mapping[Any, str]) -> Mapping[Any, Any]:
        return look_up(references, lambda _host: self.memory.client(), self.root.parent / "published.json")

    def published_tags(self, repositories: Any) -> Mapping[str, tuple[str, ...]]:
        with self.memory.client() as registry:
            return {one: registry.tags(one.partition("/")[2]) or () for one in repositories}


@dataclass
class Runner:
    """What the runners push, and the one that joins it."""

    root: Path
    memory: Memory = field(default_factory=lambda: Memory(host=HOST))
    said: list[str] = field(default_factory=list)

    def git(self, *args: str) -> str:
        identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org")
        return subprocess.run(
            ["git", *identity, *args], cwd=self.root, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "--message", "state")
        return self.git("rev-parse", "HEAD")

    def project(self) -> Known:
        made = Known(self.root, {"IMAGEWRIGHT_CACHE_DIR": str(self.root.parent / "cache")})
        made.memory = self.memory
        made.by_hand = ByHand(event="push", branch="master")
        made.said = self.said
        return made

    def push(self, platform: str, name: str = "app", **more: Any) -> PushedPart:
        commit = self.project().head.revision
        labels = {REVISION: commit, FINGERPRINT: PRINT, **more.pop("labels", {})}
        system, architecture = platform.split("/")
        document = {"os": system, "architecture": architecture, "name": name, "config": {"Labels": labels}}
        config = put_blob(self.memory, f"me/{name}", json.dumps(document).encode(), OCI_CONFIG)
        manifest = put_manifest(self.memory, f"me/{name}", {"config": config, "layers": []})
        made = PushedPart(
            image=name,
            repository=f"{HOST}/me/{name}",
            platforms=(platform,),
            digest=manifest.digest,
            commit=commit,
            fingerprint=PRINT,
        )
        return replace(made, **more)

    def tagged(self, *parts: PushedPart) -> None:
        for part in parts:
            self.memory.tags[f"me/{part.image}", part_tag(part)] = part.digest

    def kept(self, *parts: PushedPart) -> None:
        for part in parts:
            write(self.root / "dist/digests", part)

    def plan(self, names: str = "", *, way: str = "dist/digests", dry_run: bool = False, **asked: Any) -> Plan:
        with Doors({}, connect=self.connect) as doors:
            return Merging(self.project(), request(**asked), doors, way, dry_run=dry_run).plan(names)

    def connect(self, host: str) -> Registry:
        assert host == HOST
        return self.memory.client()


@pytest.fixture
def runner(project: Path) -> Runner:
    (project / "config").mkdir()
    (project / "config/images.yml").write_text(CONFIG)
    (project / "Dockerfiles").mkdir()
    for name, base in (("app", f"{HOST}/me/tool"), ("tool", "scratch"), ("released", "scratch")):
        (project / f"Dockerfiles/Dockerfile.{name}").write_text(f"FROM {base}\n")
    made = Runner(project)
    made.commit()
    return made


def test_what_is_whole_is_published_under_the_names_of_a_build(runner: Runner) -> None:
    runner.kept(*(runner.push(platform) for platform in BOTH), runner.push("linux/amd64", "tool"))
    made = runner.plan()
    assert [(one.name, one.action, one.platforms) for one in made.images] == [
        ("tool", "reuse", ("linux/amd64",)),
        ("app", "reuse", BOTH),
    ]
    assert made.to_retag == made.images
    commit = str(made.head.commit)[:7]
    assert made.images[1].tags == tuple(f"{HOST}/me/app:{tag}" for tag in (f"sha-{commit}", "master", "latest"))
    assert made.images[1].reasons[0].detail == "joined from linux/amd64, linux/arm64"
    index = runner.memory.manifests["me/app", str(made.images[1].digest)]
    assert [one.platform for one in index.manifests] == [*BOTH]
    assert runner.memory.tags == {}, "names come last of all"


def test_a_dry_run_puts_nothing_and_finds_the_same(runner: Runner) -> None:
    runner.kept(*(runner.push(platform) for platform in BOTH))
    shown = runner.plan(dry_run=True)
    assert {method for method, _ in runner.memory.log} <= {"GET", "HEAD"}
    assert shown == runner.plan()


def test_the_files_are_no_change_of_the_work_tree(runner: Runner) -> None:
    runner.kept(*(runner.push(platform) for platform in BOTH))
    (runner.root / "dist/digests/.gitignore").unlink()  # as it is lost between runners
    assert runner.project().head.dirty
    assert not runner.plan().head.dirty
    (runner.root / "other.txt").write_text("")
    refused = runner.plan().unplanned[0].error
    assert "-dirty" in str(refused)


def test_names_choose_and_may_have_tags(runner: Runner) -> None:
    runner.kept(*(runner.push(platform) for platform in BOTH), runner.push("linux/amd64", "tool"))
    (only,) = runner.plan("app:1.5,app:edge").images
    assert only.tags == (f"{HOST}/me/app:1.5", f"{HOST}/me/app:edge")
    (missing,) = runner.plan("released").unplanned
    assert "no part of it was pushed" in str(missing.error)
    assert {tag.rpartition(":")[2] for one in runner.plan(tag="7").images for tag in one.tags} == {"7"}


def test_other_platforms_than_the_configured_ones(runner: Runner) -> None:
    parts = [runner.push(platform) for platform in BOTH]
    runner.kept(*parts)
    (one,) = runner.plan(platform="linux/arm64").images
    assert (one.digest, one.platforms) == (parts[1].digest, ("linux/arm64",))
    assert runner.said == ["app: linux/amd64 was pushed and is not wanted: left out"]


def test_one_that_is_not_whole_stops_no_other(runner: Runner) -> None:
    runner.kept(runner.push("linux/arm64"), runner.push("linux/amd64", "tool"))
    made = runner.plan()
    assert [one.name for one in made.to_retag] == ["tool"]
    (refused,) = made.unplanned
    assert "linux/amd64 is missing" in str(refused.error)
    assert refused.error
    assert refused.error.exit_code == 1


def test_what_was_published_from_this_commit_needs_no_parts_any_more(runner: Runner) -> None:
    parts = [runner.push(platform) for platform in BOTH]
    runner.kept(*parts)
    first = runner.plan().images[0]
    runner.memory.tags["me/app", "master"] = str(first.digest)
    (runner.root / "dist/digests/app/linux-amd64.json").unlink()
    assert runner.plan().images[0].digest == first.digest

    runner.kept(runner.push("linux/arm64", labels={"another": "build"}))
    assert "linux/amd64 is missing" in str(runner.plan().unplanned[0].error)
    runner.kept(parts[0], replace(parts[1], commit="f" * 40))
    assert "different commits" in str(runner.plan().unplanned[0].error)


def test_parts_of_an_image_that_is_not_here(runner: Runner) -> None:
    runner.kept(runner.push("linux/arm64", "ap"))
    with pytest.raises(UsageError, match="no image is called that\n  did you mean `app`"):
        runner.plan()


class TestVersions:
    def test_what_is_published_with_this_content_stays(self, runner: Runner) -> None:
        parts = [runner.push(platform, "released") for platform in BOTH]
        runner.kept(*parts)
        first = runner.plan().images[0]
        assert f"{HOST}/me/released:1.2.3" in first.tags
        runner.memory.tags["me/released", "1.2.3"] = str(first.digest)
        # Built again it has another digest, and the same fingerprint.
        runner.kept(*(runner.push(platform, "released", labels={"again": "1"}) for platform in BOTH))
        again = runner.plan().images[0]
        assert again.digest == first.digest
        assert "published with this very content" in again.reasons[0].detail

    def test_half_of_it_under_the_version_is_not_all_of_it(self, runner: Runner) -> None:
        parts = [runner.push(platform, "released") for platform in BOTH]
        runner.memory.tags["me/released", "1.2.3"] = parts[0].digest
        runner.kept(*parts)
        assert runner.plan().images[0].digest != parts[0].digest

    def test_other_content_is_refused(self, runner: Runner) -> None:
        other = runner.push("linux/amd64", "released", labels={FINGERPRINT: f"sha256:{'0' * 64}"})
        runner.memory.tags["me/released", "1.2.3"] = other.digest
        runner.kept(*(runner.push(platform, "released") for platform in BOTH))
        assert "published already" in str(runner.plan().unplanned[0].error)

    def test_the_same_digest_needs_no_fingerprint(self, runner: Runner) -> None:
        runner.kept(*(runner.push(one, "released", fingerprint=None, labels={FINGERPRINT: None}) for one in BOTH))
        first = runner.plan().images[0]
        runner.memory.tags["me/released", "1.2.3"] = str(first.digest)
        assert runner.plan().images[0].digest == first.digest

    def test_what_no_runner_had_to_build_gets_its_names_as_in_a_build(self, runner: Runner) -> None:
        own = runner.project().snapshot().fingerprint("released")
        parts = [runner.push(one, "released", fingerprint=own, labels={FINGERPRINT: own}) for one in BOTH]
        runner.kept(*parts, *(runner.push(one) for one in BOTH))
        first = {one.name: one.digest for one in runner.plan().images}
        runner.memory.tags["me/released", "1.2.3"] = str(first["released"])
        for file in (runner.root / "dist/digests/released").iterdir():
            file.unlink()
        runner.commit()
        runner.kept(*(runner.push(one) for one in BOTH))

        made = runner.plan("app,released")
        assert not made.unplanned
        (released,) = (one for one in made.to_retag if one.name == "released")
        assert released.digest == first["released"]
        assert f"{HOST}/me/released:sha-{str(made.head.commit)[:7]}" in released.tags
        assert [one.name for one in runner.plan().images] == ["app"]

        (runner.root / "Dockerfiles/Dockerfile.released").write_text("FROM scratch\nLABEL changed=1\n")
        runner.commit()
        assert "no part of it was pushed" in str(runner.plan("released").unplanned[0].error)

    def test_nothing_but_a_part_of_the_version_stands(self, runner: Runner) -> None:
        own = runner.project().snapshot().fingerprint("released")
        half = runner.push("linux/amd64", "released", labels={FINGERPRINT: own})
        runner.memory.tags["me/released", "1.2.3"] = half.digest
        (runner.root / "dist/digests").mkdir(parents=True)
        assert "no part of it was pushed" in str(runner.plan("released").unplanned[0].error)


class TestThroughTheRegistry:
    def test_parts_of_this_state_are_found_by_their_tags(self, runner: Runner) -> None:
        parts = [runner.push(platform) for platform in BOTH]
        runner.tagged(*parts, replace(runner.push("linux/amd64", "tool"), commit="f" * 40))
        made = runner.plan(way="registry")
        assert [one.name for one in made.images] == ["app"]
        assert not made.unplanned
        assert runner.plan(way="registry", dry_run=True) == made

    def test_where_the_commit_does_not_tell_the_state_the_inputs_do(self, runner: Runner) -> None:
        (runner.root / "Dockerfiles/Dockerfile.app").write_text("FROM scratch\nCOPY x /\n")
        (runner.root / "x").write_text("x")
        own = runner.project().snapshot().fingerprint("app")
        runner.tagged(*(runner.push(one, fingerprint=own, labels={FINGERPRINT: own}) for one in BOTH))
        assert [one.name for one in runner.plan(way="registry", tag="mine").images] == ["app"]
        (runner.root / "x").write_text("y")
        assert not runner.plan(way="registry", tag="mine").images

    def test_what_was_joined_before_is_known_by_what_is_published(self, runner: Runner) -> None:
        parts = [runner.push(platform) for platform in BOTH]
        runner.tagged(*parts)
        first = runner.plan(way="registry").images[0]
        runner.memory.tags = {("me/app", "master"): str(first.digest)}
        runner.tagged(parts[1])  # the run ended while it took the tags of the parts away

        (again,) = runner.plan(way="registry").images
        assert again.digest == first.digest
        assert again.tags == first.tags
        runner.memory.tags = {("me/app", "master"): str(first.digest)}
        assert runner.plan("app", way="registry").images[0].digest == first.digest
        assert not runner.plan(way="registry").images

        runner.tagged(runner.push("linux/arm64", labels={"another": "build"}))
        assert "linux/amd64 is missing" in str(runner.plan(way="registry").unplanned[0].error)
        assert "linux/amd64 is missing" in str(runner.plan("app", way="registry").unplanned[0].error)
        runner.commit()
        assert "no part of it was pushed" in str(runner.plan("app", way="registry").unplanned[0].error)

    def test_half_an_image_of_this_commit_is_not_what_was_joined(self, runner: Runner) -> None:
        half = runner.push("linux/arm64")
        runner.memory.tags["me/app", "master"] = half.digest
        runner.tagged(half)
        assert "linux/amd64 is missing" in str(runner.plan(way="registry").unplanned[0].error)


class Deletes(Door):
    """Deletes tags from a registry in memory, in the ways in which registries do."""

    memory: Memory
    can = Capabilities(kind="distribution", deletes_tags=True, deletes_manifests=True)
    takes_manifest = False

    def _delete_tag(self, tag: str, digest: str) -> Deletion:
        del self.memory.tags[self.repository, tag]
        if self.takes_manifest:
            del self.memory.manifests[self.repository, digest]
        return Deletion.DONE

    def _delete_manifest(self, digest: str) -> Deletion:
        raise AssertionError(digest)


class TestTakingTheTagsAway:
    @pytest.fixture
    def merged(self, runner: Runner) -> Plan:
        runner.tagged(*(runner.push(platform) for platform in BOTH))
        made = runner.plan(way="registry")
        for tag in made.images[0].tags:
            runner.memory.tags["me/app", tag.rpartition(":")[2]] = str(made.images[0].digest)
        return made

    def away(
        self, runner: Runner, merged: Plan, meanwhile: Callable[[], None] = lambda: None, **door: Any
    ) -> list[str]:
        """What is left of the parts' tags."""

        def open_door(registry: Registry, path: str) -> Door:
            made = Deletes(registry, path)
            for name, value in {"memory": runner.memory, **door}.items():
                setattr(made, name, value)
            return made

        with Doors({}, connect=runner.connect, door=open_door) as doors:
            tags = PartTags(runner.project(), doors)
            tags.find([one.image for one in merged.images])
            meanwhile()
            tags.take_away(merged.to_retag)
        assert {digest for _, digest in runner.memory.tags.items()} <= {key[1] for key in runner.memory.manifests}
        return sorted(tag for _, tag in runner.memory.tags if tag.startswith("part-"))

    def test_all_of_them(self, runner: Runner, merged: Plan) -> None:
        assert self.away(runner, merged) == []
        assert runner.said == []
        assert len(runner.memory.manifests) == 3

    def test_not_while_a_name_is_missing(self, runner: Runner, merged: Plan) -> None:
        del runner.memory.tags["me/app", "master"]
        assert len(self.away(runner, merged)) == 2
        assert "the image is not published" in runner.said[0]

    def test_not_what_was_pushed_meanwhile(self, runner: Runner, merged: Plan) -> None:
        again = runner.push("linux/arm64", labels={"another": "build"})
        assert self.away(runner, merged, lambda: runner.tagged(again)) == [part_tag(again)]

    @pytest.mark.parametrize(("tags", "takes"), [(False, False), (True, True)])
    def test_not_where_the_manifest_would_go_as_well(
        self, runner: Runner, merged: Plan, tags: bool, takes: bool
    ) -> None:
        can = Capabilities(kind="ecr", deletes_tags=tags, deletes_manifests=True, last_tag_takes_manifest=takes)
        assert len(self.away(runner, merged, can=can)) == 2
        assert "deletes no tag without its manifest" in runner.said[0]

    def test_a_manifest_that_went_along_is_put_back(self, runner: Runner, merged: Plan) -> None:
        assert len(self.away(runner, merged, takes_manifest=True)) == 2
        assert "put back" in runner.said[0]
        assert len(runner.memory.manifests) == 3


class TestCommand:
    def test_there_is_no_folder(self, runner: Runner, invoked: Invoke) -> None:
        done = invoked("merge")
        assert (done.returncode, done.stdout) == (2, "")
        assert "dist/digests: there is no such folder" in done.stderr
        assert "Traceback" not in done.stderr

    def test_the_result_is_a_build_s(self, runner: Runner, invoked: Invoke) -> None:
        runner.kept(runner.push("linux/arm64"))
        done = invoked("merge", "--json")
        assert done.returncode == 1
        document = json.loads(done.stdout)
        assert (document["schema"], document["ok"]) == (1, False)
        (app,) = document["images"]
        assert (app["name"], app["status"], app["digest"], app["platforms"]) == ("app", "failed", None, [*BOTH])
        assert "linux/amd64 is missing: there is linux/arm64" in app["error"]

    def test_an_empty_folder_is_nothing_to_do(self, runner: Runner, invoked: Invoke) -> None:
        (runner.root / "digests").mkdir()
        done = invoked("merge", "--digests", "digests", "--json")
        assert (done.returncode, json.loads(done.stdout)["images"]) == (0, [])
        assert "nothing to merge" in done.stderr
        assert invoked("merge", "app", "--digests", "digests").returncode == 1
