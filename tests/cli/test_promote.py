from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import httpx
import pytest

from imagewright.cli.addresses import Addresses, outside
from imagewright.cli.project import Project
from imagewright.cli.promoting import Promotion, within
from imagewright.errors import EnvironmentMissingError, RegistryError, UsageError
from imagewright.events.local import ByHand
from imagewright.registry.client import Registry
from tests.registry.memory import Memory, described, put_blob, put_image, put_index, put_manifest, put_signature

if TYPE_CHECKING:
    from pathlib import Path

    from imagewright.registry.model import Manifest
    from tests.cli.conftest import Invoke

HOST, BACKUP, OUTSIDE = "r.example", "backup.example", "docker.io"
SAYS_NOTHING = ByHand()
CONFIG = f"registry: [{HOST}/me, {BACKUP}/kept]\n"


@pytest.fixture
def memories() -> dict[str, Memory]:
    return {host: Memory(host=host) for host in (HOST, BACKUP, OUTSIDE)}


class Run(Protocol):
    def __call__(self, purpose: str, *args: str, event: ByHand = ..., **options: Any) -> dict[str, Any]: ...


@pytest.fixture
def run(project: Path, memories: dict[str, Memory], capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("promote", "app:1", "stable")`: the JSON that it prints; the plan's table is for `text`."""
    (project / "config").mkdir()
    (project / "config/images.yml").write_text(CONFIG)
    (project / "Dockerfiles").mkdir()
    (project / "Dockerfiles/Dockerfile.app").write_text("FROM scratch\n")

    def call(purpose: str, *args: str, event: ByHand = SAYS_NOTHING, **options: Any) -> dict[str, Any]:
        capsys.readouterr()
        out, _ = text(project, memories, capsys, purpose, *args, event=event, as_json=True, **options)
        document: dict[str, Any] = json.loads(out)
        return document

    return call


def text(
    project: Path,
    memories: dict[str, Memory],
    capsys: pytest.CaptureFixture[str],
    purpose: Any,
    *args: str,
    event: ByHand = SAYS_NOTHING,
    as_json: bool = False,
    dry_run: bool = False,
    **options: Any,
) -> tuple[str, str]:
    opened = Project(project, {})
    opened.by_hand = event

    def connect(host: str) -> Registry:
        return memories[host].client()

    with Promotion(opened, purpose, connect=connect, **options) as promotion:
        act = promotion.mirror if purpose == "mirror" else promotion.run
        source, to = (*args, "")[:2]
        act(source, to, referrers=True, dry_run=dry_run, as_json=as_json)
    done = capsys.readouterr()
    return done.out, done.err


def versions(memory: Memory, *names: str, repository: str = "me/app") -> dict[str, Manifest]:
    return {name: put_image(memory, repository, name, name) for name in names}


def actions(document: dict[str, Any]) -> dict[str, str]:
    return {one["reference"]: one["action"] for one in document["targets"]}


class TestPromote:
    def test_in_every_registry_of_the_list(self, run: Run, memories: dict[str, Memory]) -> None:
        image = versions(memories[HOST], "1.2.3")["1.2.3"]

        document = run("promote", "app:1.2.3", "stable,1.2")

        assert document["ok"]
        assert document["digest"] == image.digest
        assert actions(document) == dict.fromkeys(
            [f"{place}:{tag}" for tag in ("stable", "1.2") for place in (f"{HOST}/me/app", f"{BACKUP}/kept/app")], "new"
        )
        assert all(one["verified"] for one in document["targets"])
        for host, repository in ((HOST, "me/app"), (BACKUP, "kept/app")):
            assert memories[host].tags[repository, "stable"] == image.digest
        assert document["targets"][0]["copied"]["streamed"] == 0
        assert document["targets"][1]["copied"]["streamed"] == 2

    def test_the_plan_comes_first_and_a_dry_run_ends_there(
        self, run: Run, project: Path, memories: dict[str, Memory], capsys: pytest.CaptureFixture[str]
    ) -> None:
        new, old = versions(memories[HOST], "main", "stable").values()
        memories[HOST].log.clear()

        out, err = text(project, memories, capsys, "promote", "app:main", "stable,edge", dry_run=True)

        assert {method for memory in memories.values() for method, _ in memory.log} <= {"GET", "HEAD"}
        heads, *rows = out.splitlines()
        assert heads.split() == ["FROM", "DIGEST", "TO", "NOW"]
        assert rows[0].split() == [
            f"{HOST}/me/app:main",
            new.digest,
            f"{HOST}/me/app:stable",
            "moves",
            "from",
            old.digest,
        ]
        assert rows[2].split()[-2:] == [f"{HOST}/me/app:edge", "new"]
        assert "verified" not in err

    def test_what_is_verified_is_said(
        self, run: Run, project: Path, memories: dict[str, Memory], capsys: pytest.CaptureFixture[str]
    ) -> None:
        image = versions(memories[HOST], "main")["main"]
        _, err = text(project, memories, capsys, "promote", "app:main", "edge")
        assert f"{HOST}/me/app: no blob was touched" in err
        assert f"verified: {image.digest} {HOST}/me/app:edge" in err
        assert f"verified: {image.digest} {BACKUP}/kept/app:edge" in err

    @pytest.mark.parametrize(
        ("source", "to", "told"),
        [
            ("app:1.2.3", "1.2", "1.2 would go back from 1.2.4 to 1.2.3"),
            ("app:1.2.3", "latest", "latest would go back from 1.2.4 to 1.2.3"),
            ("app:2.0.0", "1.2", "1.2 is an alias of 1.2.4, and the image is version 2.0.0"),
            ("app:main", "1.2", "1.2 is an alias of 1.2.4, and the image is of no known version"),
            ("app:main", "1.2.3", "version 1.2.3 is published as sha256:"),
            ("app:main", "sha-0123456", "sha-0123456 names one commit"),
        ],
    )
    def test_what_is_refused_moves_nothing(
        self,
        run: Run,
        project: Path,
        memories: dict[str, Memory],
        capsys: pytest.CaptureFixture[str],
        source: str,
        to: str,
        told: str,
    ) -> None:
        memory = memories[HOST]
        digest = versions(memory, "1.2.3", "1.2.4", "2.0.0", "main", "sha-0123456")["1.2.4"].digest
        memory.tags["me/app", "1.2"] = memory.tags["me/app", "latest"] = digest
        before = dict(memory.tags)

        with pytest.raises(RegistryError, match="so nothing was done"):
            text(project, memories, capsys, "promote", source, f"fresh,{to}")

        done = capsys.readouterr()
        assert told in done.out
        assert told in done.err
        assert memory.tags == before

    def test_both_digests_of_a_version_are_named(
        self, run: Run, project: Path, memories: dict[str, Memory], capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = versions(memories[HOST], "1.2.3", "main")
        with pytest.raises(RegistryError):
            text(project, memories, capsys, "promote", "app:main", "1.2.3")
        err = capsys.readouterr().err
        assert found["1.2.3"].digest in err
        assert found["main"].digest in err
        assert "--move-versions" in err

    def test_the_options_overrule(self, run: Run, memories: dict[str, Memory]) -> None:
        memory = memories[HOST]
        found = versions(memory, "1.2.3", "1.2.4", "main")
        memory.tags["me/app", "latest"] = memory.tags["me/app", "1.2"] = found["1.2.4"].digest

        assert run("promote", "app:1.2.3", "1.2,latest", allow_downgrade=True)["ok"]
        assert memory.tags["me/app", "latest"] == memory.tags["me/app", "1.2"] == found["1.2.3"].digest
        assert run("promote", "app:main", "1.2.4", move=True)["ok"]
        assert memory.tags["me/app", "1.2.4"] == found["main"].digest

    def test_forward_is_never_refused(self, run: Run, memories: dict[str, Memory]) -> None:
        """Although there is a 2.0.0: what counts is what the tag has now."""
        memory = memories[HOST]
        found = versions(memory, "1.2.3", "1.2.4", "2.0.0")
        memory.tags["me/app", "stable"] = memory.tags["me/app", "1.2"] = found["1.2.3"].digest
        assert run("promote", "app:1.2.4", "1.2,1,stable")["ok"]
        assert memory.tags["me/app", "stable"] == found["1.2.4"].digest

    def test_the_version_behind_an_alias_or_a_label_counts(self, run: Run, memories: dict[str, Memory]) -> None:
        memory = memories[HOST]
        found = versions(memory, "1.2.4", "1.2.6")
        memory.tags["me/app", "1.2"] = found["1.2.6"].digest
        memory.tags["me/app", "stable"] = found["1.2.4"].digest
        assert run("promote", "app:1.2", "stable")["ok"]

        labels = {"config": {"Labels": {"org.opencontainers.image.version": "1.2.5"}}}
        config = put_blob(memory, "me/app", json.dumps(labels).encode())
        labelled = put_manifest(memory, "me/app", {"config": config, "layers": []})
        put_index(memory, "me/app", [described(labelled, platform={"os": "linux", "architecture": "amd64"})], "dev")
        with pytest.raises(RegistryError, match="refused"):
            run("promote", "app:dev", "stable")
        assert memory.tags["me/app", "stable"] == found["1.2.6"].digest

    @pytest.mark.parametrize("tag", ["latest", "stable", "1.2.3", "next-stable"])
    def test_a_feature_branch_never_moves_what_users_pull(
        self, run: Run, memories: dict[str, Memory], capsys: pytest.CaptureFixture[str], project: Path, tag: str
    ) -> None:
        versions(memories[HOST], "main")
        # The branch that is checked out has no commit yet, so what is said by hand is all that is known.
        subprocess.run(["git", "symbolic-ref", "HEAD", "refs/heads/main"], cwd=project, check=True)
        git = ["git", "-c", "user.name=me", "-c", "user.email=me@example.org"]
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], cwd=project, check=True)
        with pytest.raises(RegistryError, match="refused"):
            run("promote", "app:main", tag, event=ByHand(branch="feature"))
        assert "feature" in capsys.readouterr().err
        assert ("me/app", tag) not in memories[HOST].tags
        assert run("promote", "app:main", tag, event=ByHand(branch="main"))["ok"]

    def test_a_registry_that_fails_is_named_and_undoes_nothing(
        self, run: Run, project: Path, memories: dict[str, Memory], capsys: pytest.CaptureFixture[str]
    ) -> None:
        image = versions(memories[HOST], "main")["main"]
        memories[BACKUP] = Dead(host=BACKUP)

        with pytest.raises(RegistryError, match=f"not done: {BACKUP}/kept/app:edge") as raised:
            text(project, memories, capsys, "promote", "app:main", "edge")

        assert raised.value.exit_code == 1
        assert memories[HOST].tags["me/app", "edge"] == image.digest
        done = capsys.readouterr()
        assert "not known: its registry fails" in done.out
        assert f"verified: {image.digest} {HOST}/me/app:edge" in done.err

    def test_without_the_first_registrys_tags_nothing_is_decided(self, run: Run, memories: dict[str, Memory]) -> None:
        """It is the one that knows the versions: a copy may have taken only some of them."""
        versions(memories[HOST], "1.2.3")
        memories[HOST] = Listless(**vars(memories[HOST]))
        with pytest.raises(RegistryError, match="HTTP 400"):
            run("promote", "app:1.2.3", "1.2")
        assert not memories[BACKUP].tags

    def test_a_tag_that_moves_after_the_plan_is_left(
        self, run: Run, project: Path, memories: dict[str, Memory], capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = versions(memories[HOST], "main", "edge", "other")
        memories[HOST] = Moving(**vars(memories[HOST]), to=found["other"].digest)
        with pytest.raises(RegistryError, match=f"not done: {HOST}/me/app:edge"):
            text(project, memories, capsys, "promote", "app:main", "edge")
        assert memories[HOST].tags["me/app", "edge"] == found["other"].digest
        err = capsys.readouterr().err
        assert f"it moved from {found['edge'].digest} to {found['other'].digest}" in err
        assert memories[BACKUP].tags["kept/app", "edge"] == found["main"].digest

    def test_the_first_registry_must_be_there(self, run: Run, memories: dict[str, Memory]) -> None:
        memories[HOST] = Dead(host=HOST)
        with pytest.raises(EnvironmentMissingError):
            run("promote", "app:main", "edge")

    def test_again_only_brings_what_is_new(self, run: Run, memories: dict[str, Memory]) -> None:
        image = versions(memories[HOST], "main")["main"]
        run("promote", "app:main", "edge")
        memories[HOST].lists_referrers = True
        signature = put_signature(memories[HOST], "me/app", image, "signed later")
        for memory in memories.values():
            memory.log.clear()

        document = run("promote", "app:main", "edge")

        assert document["ok"]
        assert set(actions(document).values()) == {"same"}
        assert memories[HOST].methods()["PUT"] == 0
        assert ("kept/app", signature.digest) in memories[BACKUP].manifests

    @pytest.mark.parametrize(
        ("source", "told"),
        [
            ("app:1.2.4", "did you mean `1.2.3`"),
            ("app:nowhere", "it has `1.2.3`"),
            (f"{HOST}/other/app:1", "no such repository"),
        ],
    )
    def test_what_is_not_there(self, run: Run, memories: dict[str, Memory], source: str, told: str) -> None:
        versions(memories[HOST], "1.2.3")
        if "/" in source:
            memories[HOST].lists_tags = False
        with pytest.raises(RegistryError) as raised:
            run("promote", source, "stable")
        assert told in str(raised.value)


class Dead(Memory):
    def answer(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")


class Listless(Memory):
    def answer(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(400) if request.url.path.endswith("/tags/list") else super().answer(request)


@dataclass
class Moving(Memory):
    """Somebody moves `edge` as soon as it was looked at."""

    to: str = ""

    def answer(self, request: httpx.Request) -> httpx.Response:
        answer = super().answer(request)
        if request.url.path.endswith("/manifests/edge"):
            self.tags["me/app", "edge"] = self.to
        return answer


class TestRetag:
    def test_new_names_for_what_a_tag_has(self, run: Run, memories: dict[str, Memory]) -> None:
        image = versions(memories[HOST], "dev")["dev"]
        assert run("retag", within("app", "dev"), "old,older")["ok"]
        assert memories[HOST].tags["me/app", "older"] == memories[BACKUP].tags["kept/app", "old"] == image.digest
        assert memories[HOST].tags["me/app", "dev"] == image.digest

    def test_no_name_is_taken_without_a_word(self, run: Run, memories: dict[str, Memory]) -> None:
        found = versions(memories[HOST], "dev", "edge")
        with pytest.raises(RegistryError, match="nothing was done"):
            run("retag", within("app", "dev"), "fresh,edge")
        assert memories[HOST].tags["me/app", "edge"] == found["edge"].digest
        assert ("me/app", "fresh") not in memories[HOST].tags
        assert run("retag", within("app", found["dev"].digest), "fresh,edge", move=True)["ok"]

    def test_it_stays_in_the_repository(self, run: Run) -> None:
        with pytest.raises(UsageError, match="one repository"):
            run("retag", within("app", "dev"), "other/app:dev")


class TestMirror:
    def test_all_of_it_goes_where_the_builder_looks(self, run: Run, memories: dict[str, Memory]) -> None:
        memory = memories[OUTSIDE]
        children = [described(put_image(memory, "library/debian", name)) for name in ("amd64", "arm64")]
        index = put_index(memory, "library/debian", children, "trixie-slim")

        document = run("mirror", "debian:trixie-slim")

        assert set(actions(document)) == {
            f"{HOST}/me/docker.io/library/debian:trixie-slim",
            f"{BACKUP}/kept/docker.io/library/debian:trixie-slim",
        }
        assert memories[HOST].tags["me/docker.io/library/debian", "trixie-slim"] == index.digest
        assert len(memories[HOST].manifests) == 3

        memory.log.clear()
        assert set(actions(run("mirror", "debian:trixie-slim")).values()) == {"same"}
        assert memory.log == [("HEAD", "/v2/library/debian/manifests/trixie-slim")]  # free of Docker Hub's limit

    def test_it_follows_what_it_mirrors(self, run: Run, memories: dict[str, Memory]) -> None:
        for name in ("12.5", "12.5 rebuilt"):
            image = put_image(memories[OUTSIDE], "library/debian", name, "12.5")
            assert run("mirror", "debian:12.5", "base")["ok"]
            assert memories[HOST].tags["me/base", "12.5"] == image.digest

    def test_a_digest_needs_a_tag(self, run: Run, memories: dict[str, Memory]) -> None:
        image = put_image(memories[OUTSIDE], "library/debian", "some", "some")
        with pytest.raises(UsageError, match="no tag that its copy could have"):
            run("mirror", f"debian@{image.digest}")
        assert run("mirror", f"debian@{image.digest}", "debian:pinned")["ok"]
        assert memories[HOST].tags["me/debian", "pinned"] == image.digest


class TestAddresses:
    known = Addresses((), ("ghcr.io/me", "nas:5000"))

    @pytest.mark.parametrize(
        ("reference", "to", "where"),
        [
            ("debian", "", "ghcr.io/me/docker.io/library/debian:latest nas:5000/docker.io/library/debian:latest"),
            ("ghcr.io/x/y:1", "", "ghcr.io/me/ghcr.io/x/y:1 nas:5000/ghcr.io/x/y:1"),
            ("nas:5000/x:1", "", "ghcr.io/me/nas_5000/x:1 nas:5000/nas_5000/x:1"),
            ("debian:13", "debian", "ghcr.io/me/debian:13 nas:5000/debian:13"),
            ("debian:13", "base/debian:mine", "ghcr.io/me/base/debian:mine nas:5000/base/debian:mine"),
            ("debian:13", "quay.io/me/debian", "quay.io/me/debian:13"),
        ],
    )
    def test_where_a_copy_goes(self, reference: str, to: str, where: str) -> None:
        found = self.known.mirrored(outside(reference), to)
        assert " ".join(f"{repository}:{tag}" for repository, tag in found) == where

    @pytest.mark.parametrize(
        ("source", "to"),
        [
            ("nothing:1", "x"),
            ("ghcr.io/x/y", "x"),
            ("ghcr.io/x/Y:1", "x"),
            ("ghcr.io/x/y@sha256:0", "x"),
            ("ghcr.io/x/y:1", ""),
            ("ghcr.io/x/y:1", ","),
            ("ghcr.io/x/y:1", "-x"),
            ("ghcr.io/x/y:1", "ghcr.io/x/y"),
            ("ghcr.io/x/y:1", "Z:1"),
            ("ghcr.io/x/y:1", "a b"),
            ("ghcr.io/x/y:1", f"y@sha256:{'0' * 64}"),
        ],
    )
    def test_what_is_no_address_is_said(self, source: str, to: str) -> None:
        with pytest.raises(UsageError):
            self.known.targets(to, self.known.source(source))

    def test_a_path_is_below_each_registry_of_the_list(self) -> None:
        source = self.known.source("quay.io/x/y:1")
        assert [place for place, _, _ in self.known.targets("released/y:1,quay.io/x/z:2,3", source)] == [
            "ghcr.io/me/released/y",
            "nas:5000/released/y",
            "quay.io/x/z",
            "quay.io/x/y",
        ]


def test_the_command_line(project: Path, invoked: Invoke) -> None:
    for args in (["promote", "app:1"], ["promote", "app:1", "--to", "x"], ["retag", "app", "old", "new"]):
        done = invoked(*args)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
    for name in ("promote", "retag", "mirror"):
        assert "--dry-run" in invoked("--help", name).stdout
