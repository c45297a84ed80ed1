"""`invoke cleanup` as a user runs it, on registries of both generations."""

from __future__ import annotations

import io
import itertools
import json
import os
import pty
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from imagewright.cleanup.journal import Journal
from imagewright.registry.client import Registry
from imagewright.registry.copy import Place
from imagewright.registry.model import OCI_CONFIG, OCI_MANIFEST, Blob, Deletion, Manifest, digest_of
from imagewright.registry.oci import OciImage, image_from_tar, push_image
from tests.cleanup.stock import Stock
from tests.e2e.test_cleanup_accidents import new

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.e2e.conftest import Inv, Isolated
    from tests.e2e.registries import Served

pytestmark = pytest.mark.e2e

DAY = 86_400
_numbers = itertools.count()


@dataclass
class Site:
    """A project with a repository of its own on a real registry."""

    served: Served
    inv: Inv
    root: Path
    name: str = field(default_factory=lambda: f"site-{next(_numbers)}")
    started: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self.root.mkdir()
        (self.root / "tasks.py").write_text("from imagewright import ns\n")
        (self.root / "Dockerfiles").mkdir()
        self.dockerfile("app")
        self.configure()

    def configure(self, text: str = "") -> None:
        (self.root / "config").mkdir(exist_ok=True)
        header = f"registry: {self.served.host}/{self.name}\n"
        (self.root / "config/images.yml").write_text(header + text)

    def dockerfile(self, name: str, base: str = "scratch") -> None:
        (self.root / f"Dockerfiles/Dockerfile.{name}").write_text(f"FROM {base}\n")

    def repository(self, name: str = "app") -> str:
        return f"{self.served.host}/{self.name}/{name}"

    @property
    def env(self) -> dict[str, str]:
        return {"IMAGEWRIGHT_REGISTRY": f"{self.served.host}/{self.name}"}

    def push(self, tag: str, *, days: int, name: str = "app", platforms: int = 1, content: str = "") -> str:
        """An index that was built so many days ago; its digest."""
        images = [
            self.image(f"{name} {content or tag} {number}", days, platform)
            for number, platform in enumerate(["linux/amd64", "linux/arm64"][:platforms])
        ]
        with Registry(self.served.host) as registry:
            return push_image(registry, f"{self.name}/{name}", tag, images)

    def image(self, content: str, days: int, platform: str = "linux/amd64") -> OciImage:
        path = self.root.parent / f"{next(_numbers)}.tar"
        with tarfile.open(path, "w") as tar:
            member = tarfile.TarInfo("content")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content.encode()))
        return image_from_tar(path, platform=platform, created=self.started - days * DAY, labels={})

    def tag(self, old: str, new: str, name: str = "app") -> None:
        with Registry(self.served.host) as registry:
            found = registry.manifest(f"{self.name}/{name}", old)
            assert found
            registry.push_manifest(f"{self.name}/{name}", new, found)

    def tags(self, name: str = "app") -> set[str]:
        with Registry(self.served.host) as registry:
            return set(registry.tags(f"{self.name}/{name}") or ())

    def digest(self, tag: str, name: str = "app") -> str | None:
        with Registry(self.served.host) as registry:
            found = registry.resolve(f"{self.name}/{name}", tag)
            return found.digest if found else None

    def run(self, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = self.inv(self.root, *args, env=self.env)
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr + done.stdout
        return done

    def cleaned(self, *args: str, code: int = 0) -> Mapping[str, Any]:
        """`invoke cleanup ARGS --json`: what it says of its one repository."""
        document = json.loads(self.run("cleanup", *args, "--json", code=code).stdout)
        assert document["schema"] == 1
        assert document["ok"] == (code == 0)
        (found,) = document["repositories"]
        return dict(found)


@pytest.fixture(scope="module", params=[3, 2], ids=["distribution 3", "distribution 2"])
def served(request: pytest.FixtureRequest, serve: Callable[[int], Served]) -> Served:
    return serve(request.param)


@pytest.fixture
def site(served: Served, inv: Inv, tmp_path: Path) -> Site:
    return Site(served, inv, tmp_path / "project")


def five(site: Site) -> dict[str, str]:
    """1.5 is the newest; latest is 1.2, an old one."""
    digests = {f"1.{number}": site.push(f"1.{number}", days=60 - number, platforms=2) for number in range(1, 6)}
    site.tag("1.2", "latest")
    return digests


def test_what_is_old_goes_and_what_is_needed_stays(site: Site) -> None:
    digests = five(site)

    done = site.run("cleanup", "--keep", "2", "--max-share", "60%", "--yes")

    assert site.tags() == {"1.5", "1.4", "1.2", "latest"}
    assert site.digest("latest") == digests["1.2"], "it shares a digest with an old tag"
    assert site.digest(digests["1.1"]) is None, "the manifest is gone, too"
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line}
    assert rows["TAG"] == ["TAG", "DIGEST", "AGE", "SIZE", "PLAN", "RULE", "WHY"]
    assert {tag for tag, row in rows.items() if "delete" in row} == {"1.1", "1.3"}
    assert "verified: 4 kept tags, and everything" in done.stderr
    assert "deleted 2 tags" in done.stderr


def test_again_there_is_nothing_to_do(site: Site) -> None:
    five(site)
    site.run("cleanup", "--keep", "2", "--yes")
    done = site.run("cleanup", "--keep", "2", "--yes")
    assert "nothing to delete, 4 tags stay" in done.stderr


def test_as_json(site: Site) -> None:
    digests = five(site)

    found = site.cleaned("--keep", "2", "--yes")

    assert found["repository"] == site.repository()
    assert {one["tag"]: one["digest"] for one in found["delete"]} == {tag: digests[tag] for tag in ("1.1", "1.3")}
    assert {one["tag"] for one in found["keep"]} == {"1.2", "1.4", "1.5", "latest"}
    assert all(one["rule"] and one["reason"] for one in (*found["keep"], *found["delete"]))
    assert {one["tag"] for one in found["deleted"] if one["tag"]} == {"1.1", "1.3"}
    assert {one["digest"] for one in found["deleted"] if one["tag"] is None} == set(found["manifests"])
    assert found["refused"] is None
    assert found["verified"] is True
    assert found["error"] is None


@pytest.mark.parametrize("args", [(), ("--dry-run",), ("--dry-run", "--yes")])
def test_without_a_terminal_it_only_shows(site: Site, args: tuple[str, ...]) -> None:
    five(site)
    before = site.tags()

    done = site.run("cleanup", "--keep", "2", *args)

    assert site.tags() == before
    assert "2 of 6 tags and" in done.stderr
    assert ("--yes says that it may be" in done.stderr) == (not args)
    assert site.cleaned("--keep", "2", *args)["verified"] is None
    assert site.tags() == before


@pytest.mark.parametrize(("answer", "stays"), [("n\n", True), ("\n", True), ("y\n", False)])
def test_at_a_terminal_it_asks(site: Site, isolated: Isolated, answer: str, stays: bool) -> None:
    five(site)
    ours, theirs = pty.openpty()
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "invoke", "cleanup", "--keep", "2"],
            cwd=site.root,
            env={**isolated.env, **site.env},
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.write(ours, answer.encode())
        _, said = child.communicate(timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
    assert child.returncode == 0, said
    assert "Delete 2 tags and" in said
    assert ("1.1" in site.tags()) == stays


def test_a_plan_is_carried_out_as_it_was_saved(site: Site) -> None:
    five(site)

    site.run("cleanup", "--keep", "2", "--plan", "plan.json")
    assert len(site.tags()) == 6
    site.push("1.6", days=1)
    site.run("cleanup", "--apply", "plan.json")
    assert len(site.tags()) == 7, "nobody agreed"
    found = site.cleaned("--apply", "plan.json", "--yes")

    assert site.tags() == {"latest", "1.2", "1.4", "1.5", "1.6"}, "a new plan would delete 1.4, too"
    assert found["verified"] is True


def test_a_plan_is_refused_when_the_registry_has_moved(site: Site) -> None:
    five(site)
    site.run("cleanup", "--keep", "2", "--plan", "plan.json")
    site.tag("1.5", "1.1")  # one that is to be deleted has another image now
    before = site.tags()

    done = site.run("cleanup", "--apply", "plan.json", "--yes", code=1)

    assert "the registry is not as the plan has it" in done.stderr
    assert site.tags() == before


def test_a_plan_is_refused_when_something_of_it_came_into_use(site: Site) -> None:
    five(site)
    site.run("cleanup", "--keep", "2", "--plan", "plan.json")
    (site.root / "deploy.yaml").write_text(f"image: {site.repository()}:1.1\n")

    done = site.run("cleanup", "--apply", "plan.json", "--in-use", "deploy.yaml", "--yes", code=1)

    assert "1.1 is in use: deploy.yaml:1" in done.stderr
    assert len(site.tags()) == 6


def test_a_plan_that_was_edited_is_refused(site: Site) -> None:
    five(site)
    site.run("cleanup", "--keep", "2", "--plan", "plan.json")
    plan = site.root / "plan.json"
    plan.write_text(plan.read_text().replace("1.1", "1.5"))

    site.run("cleanup", "--apply", "plan.json", "--yes", code=2)

    assert len(site.tags()) == 6


def test_what_was_deleted_is_put_back(site: Site) -> None:
    digests = five(site)
    journal = site.cleaned("--keep", "2", "--yes")["journal"]
    assert site.digest("1.1") is None

    would = site.run("cleanup", "--undo", journal, "--dry-run")
    assert "2 tags and" in would.stderr
    assert site.digest("1.1") is None
    site.run("cleanup", "--undo", journal)

    assert site.tags() == {"latest", "1.1", "1.2", "1.3", "1.4", "1.5"}
    assert {tag: site.digest(tag) for tag in digests} == digests
    site.run("cleanup", "--verify")


def test_what_a_killed_run_has_left_goes_with_the_next(site: Site, isolated: Isolated) -> None:
    five(site)
    site.run("cleanup", "--keep", "2", "--plan", "plan.json")
    (plan,) = json.loads((site.root / "plan.json").read_text())["repositories"]
    journals = isolated.places.state / "cleanup/journals"
    with Journal.create(journals, site.repository(), datetime.now(UTC), manifests=plan["manifests"]) as journal:
        killed = journal.path
    with Registry(site.served.host) as registry:
        path = f"{site.name}/app"
        for tag in plan["tags"]:
            if registry.delete_tag(path, tag) is Deletion.UNSUPPORTED:
                registry.delete_manifest(path, site.digest(tag) or "")
    left = [one for one in plan["manifests"] if site.digest(one)]
    assert left

    shown = site.cleaned("--keep", "2")
    assert sorted(shown["manifests"]) == sorted(left)
    assert {one["rule"] for one in shown["delete"]} == {"left over"}
    assert site.cleaned("--keep", "2", "--yes")["verified"] is True

    assert [one for one in left if site.digest(one)] == []
    assert not killed.with_suffix(".done").exists()
    assert site.cleaned("--keep", "2")["delete"] == []
    assert killed.with_suffix(".done").exists(), "it is not asked for again"
    site.run("cleanup", "--verify")


@pytest.mark.parametrize("what", ["index", "list of referrers"])
def test_a_plan_is_refused_when_something_new_needs_what_would_go(site: Site, what: str) -> None:
    five(site)
    site.run("cleanup", "--keep", "2", "--plan", "plan.json")
    with Registry(site.served.host) as registry:
        old = registry.manifest(f"{site.name}/app", "1.1")
        assert old
        part = registry.manifest(f"{site.name}/app", old.manifests[0].digest)
        assert part
        new(Stock(Place(registry, f"{site.name}/app")), what, part if what == "index" else old)
    before = site.tags()

    done = site.run("cleanup", "--apply", "plan.json", "--yes", code=1)

    assert "the registry is not as the plan has it" in done.stderr
    assert "is new" in done.stderr
    assert "make a new plan" in done.stderr
    assert site.tags() == before
    site.run("cleanup", "--verify")


def test_a_plan_is_carried_out_anywhere(site: Site) -> None:
    """Where it was made with --repository, there need not be any Dockerfile."""
    for number in range(1, 5):
        site.push(f"1.{number}", days=60 - number, name="gone")
    (site.root / "Dockerfiles/Dockerfile.app").unlink()
    (site.root / "Dockerfiles").rmdir()

    site.run("cleanup", "--keep", "2", "--repository", site.repository("gone"), "--plan", "plan.json")
    site.run("cleanup", "--apply", "plan.json", "--yes")
    assert site.tags("gone") == {"1.3", "1.4"}
    again = site.run("cleanup", "--apply", "plan.json", "--yes")

    assert "deleted 0 tags and 0 manifests\n" in again.stderr, "nothing is said to be freed twice"


def test_a_repository_that_is_not_there(site: Site) -> None:
    said = site.run("cleanup", "--keep", "2", "--repository", site.repository("misspelled")).stderr
    assert "it is empty, or there is no such repository" in said
    said = site.run("cleanup", "--verify", "--repository", site.repository("misspelled")).stderr
    assert "verified" not in said


def test_verify_finds_what_is_missing(site: Site) -> None:
    five(site)
    assert "verified: 6 tags, and everything" in site.run("cleanup", "--verify").stderr
    with Registry(site.served.host) as registry:
        path = f"{site.name}/app"
        index = registry.manifest(path, "1.5")
        assert index
        registry.delete_manifest(path, index.manifests[0].digest)

    done = site.run("cleanup", "--verify", code=1)

    assert index.manifests[0].digest in done.stderr


def test_more_than_half_is_refused(site: Site) -> None:
    for number in range(1, 6):
        site.push(f"1.{number}", days=60 - number)

    done = site.run("cleanup", "--keep", "2", "--yes", code=1)

    assert "refused" in done.stderr
    assert "--max-share" in done.stderr
    assert len(site.tags()) == 5
    site.run("cleanup", "--keep", "2", "--max-share", "1", "--yes")
    assert site.tags() == {"1.4", "1.5"}


def test_what_is_in_use_stays(site: Site) -> None:
    five(site)
    deploy = site.root.parent / "deploy"
    deploy.mkdir()
    (deploy / "app.yaml").write_text(f"spec:\n  image: {site.repository()}:1.3\n")

    found = site.cleaned("--keep", "2", "--in-use", "../deploy", "--yes")

    assert site.tags() == {"1.2", "1.3", "1.4", "1.5", "latest"}
    reason = next(one for one in found["keep"] if one["tag"] == "1.3")
    assert reason["rule"] == "in use"
    assert "../deploy/app.yaml:2" in reason["reason"]


def test_an_untagged_image_in_use_keeps_its_platforms(site: Site) -> None:
    """A digest that lost its tag is in no list of tags, and its platforms are all that the registry shows."""
    index = site.push("1.1", days=60, platforms=2)
    with Registry(site.served.host) as registry:
        path = f"{site.name}/app"
        top = registry.manifest(path, index)
        assert top
        child = registry.manifest(path, top.manifests[0].digest)
        assert child
        registry.push_manifest(path, "amd64-only", child)
    site.push("1.1", days=2)
    site.push("1.2", days=1)
    (site.root / "deploy.yaml").write_text(f"image: {site.repository()}@{index}\n")

    site.run("cleanup", "--keep", "2", "--in-use", "deploy.yaml", "--yes")

    assert site.digest(index) == index
    assert site.digest(child.digest) == child.digest


@pytest.mark.parametrize("text", ["image: other/app:1\n", "image: $IMAGE\n", None])
def test_a_scan_that_fails_deletes_nothing(site: Site, text: str | None) -> None:
    five(site)
    if text is not None:
        (site.root / "deploy.yaml").write_text(text)

    site.run("cleanup", "--keep", "2", "--in-use", "deploy.yaml", "--yes", code=2)

    assert len(site.tags()) == 6


def test_the_policy_of_layers_in_one_repository(site: Site) -> None:
    site.configure(
        "cleanup:\n"
        "  keep: 2\n"
        "  protect: [base-stable]\n"
        "  max_share: 0.7\n"
        "  rules:\n"
        "    bases: {tags: ['base-*'], forever: true}\n"
        "    toolings: {tags: ['tooling-*'], keep: 1}\n"
        "    pull-requests: {tags: ['pr-*'], younger: 7d}\n"
    )
    layers = {"base-1": 300, "base-2": 200, "tooling-1": 90, "tooling-2": 80, "tooling-stable": 100}
    ages = layers | {"pr-1-abc": 30, "pr-2-abc": 3, "main-1": 20, "main-2": 10, "main-3": 5, "latest": 70}
    for tag, days in ages.items():
        site.push(tag, days=days)

    site.run("cleanup", "--yes")

    assert set(ages) - site.tags() == {"tooling-1", "pr-1-abc", "main-1"}


def test_nothing_says_what_to_keep(site: Site) -> None:
    five(site)
    assert "nothing says what to keep" in site.run("cleanup", "--yes", code=2).stderr
    assert len(site.tags()) == 6


def test_any_repository_can_be_cleaned(site: Site) -> None:
    for number in range(1, 5):
        site.push(f"1.{number}", days=60 - number, name="gone")

    site.run("cleanup", "--keep", "2", "--repository", site.repository("gone"), "--yes")

    assert site.tags("gone") == {"1.3", "1.4"}


def push_bases(site: Site) -> dict[str, OciImage]:
    """Four images `base`, from the oldest to the newest, by their tags; an image `app` is built on that."""
    site.dockerfile("base")
    site.dockerfile("app", base=site.repository("base"))
    bases = {f"b{number}": site.image(f"base {number}", 100 - number) for number in range(1, 5)}
    with Registry(site.served.host) as registry:
        for tag, base in bases.items():
            push_image(registry, f"{site.name}/base", tag, [base])
    return bases


def push_child(site: Site, base: OciImage, tag: str, days: int) -> None:
    """An image `app` that is built on `base`: its filesystem layers, and one more."""
    own = site.image(f"app {tag}", days)
    repository = f"{site.name}/app"
    layers = (*base.layers, *own.layers)
    config = Blob.of(json.dumps({**json.loads(_bytes(own.config)), "of": tag}).encode(), OCI_CONFIG)
    described = [{"mediaType": one.media_type, "digest": one.digest, "size": one.size} for one in (config, *layers)]
    parts = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described[0], "layers": described[1:]}
    raw = json.dumps(parts).encode()
    with Registry(site.served.host) as registry:
        for blob in (config, *layers):
            registry.push_blob(repository, blob)
        registry.push_manifest(repository, tag, Manifest(raw=raw, media_type=OCI_MANIFEST, digest=digest_of(raw)))


def _bytes(blob: Blob) -> bytes:
    with blob.open() as content:
        return b"".join(content)


def test_what_a_kept_image_is_built_on_stays(site: Site) -> None:
    bases = push_bases(site)
    push_child(site, bases["b1"], "old", days=50)
    push_child(site, bases["b2"], "new", days=10)

    only_base = site.run("cleanup", "--keep", "1", "--max-share", "1", "--repository", site.repository("base"))
    assert "old, which is built on it" in only_base.stdout, "what is not cleaned keeps what it is built on"
    done = site.run("cleanup", "--keep", "1", "--max-share", "1", "--yes")

    assert site.tags() == {"new"}
    assert site.tags("base") == {"b2", "b4"}
    assert f"{site.repository()}:new, which is built on it" in done.stdout


def test_a_plan_is_refused_when_an_image_is_built_on_what_would_go(site: Site) -> None:
    bases = push_bases(site)
    args = ("--keep", "2", "--repository", site.repository("base"))
    site.run("cleanup", *args, "--plan", "plan.json")
    push_child(site, bases["b1"], "new", days=0)

    done = site.run("cleanup", "--apply", "plan.json", "--yes", code=1)

    assert f"{site.repository()}:new, which is built on it" in done.stderr
    assert site.tags("base") == {"b1", "b2", "b3", "b4"}


def test_sizes(site: Site) -> None:
    five(site)
    shown = site.run("sizes").stdout
    assert shown.split()[:6] == ["REPOSITORY", "TAGS", "IMAGES", "SIZE", "SHARED", "CLEANUP"]
    site.configure("cleanup: {keep: 2}\n")
    (found,) = json.loads(site.run("sizes", "--json").stdout)["repositories"]
    assert found["tags"] == 6
    assert found["images"] == 5
    assert 0 < found["freed"] < found["bytes"]


def test_where_deletion_is_switched_off_it_says_so(site: Site) -> None:
    five(site)
    site.served.kill()
    site.served.deletes = False
    site.served.start()
    try:
        done = site.run("cleanup", "--keep", "2", "--yes", code=1)
        assert "deleting may be switched off" in done.stderr
        assert len(site.tags()) == 6
        site.run("cleanup", "--keep", "2", "--dry-run")
    finally:
        site.served.kill()
        site.served.deletes = True
        site.served.start()


def test_a_registry_that_is_not_there(site: Site) -> None:
    five(site)
    site.served.kill()
    try:
        done = site.run("cleanup", "--keep", "2", "--yes", code=3)
        assert "cannot be reached" in done.stderr
    finally:
        site.served.start()
    assert len(site.tags()) == 6
