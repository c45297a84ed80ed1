"""What runs of a CI publish: releases, patches, pull requests and runs out of order, against the real registry."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.repository import Outcome, Repository

if TYPE_CHECKING:
    from tests.e2e.conftest import Inv, LocalEngine
    from tests.e2e.registries import Served

pytestmark = pytest.mark.e2e


class Ci:
    """GitHub Actions' environment for one repository of images."""

    def __init__(self, repository: Repository, folder: Path) -> None:
        self.repository = repository
        self._folder = folder

    def env(self, name: str, ref: str, **payload: Any) -> Mapping[str, str]:
        event = self._folder / f"{name}.json"
        event.write_text(json.dumps({"repository": {"default_branch": "main", "full_name": "me/images"}, **payload}))
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": name,
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_REF": ref,
            "GITHUB_SHA": self.repository.git("rev-parse", "HEAD"),
        }

    def push(self, branch: str = "main", before: str = "0" * 40) -> Mapping[str, str]:
        return self.env("push", f"refs/heads/{branch}", before=before, forced=False)

    def tag(self, tag: str) -> Mapping[str, str]:
        return self.env("push", f"refs/tags/{tag}", before="0" * 40, forced=False)

    def pull_request(self, number: int, branch: str, source: str = "me/images") -> Mapping[str, str]:
        head = self.repository.git("rev-parse", "HEAD")
        return self.env(
            "pull_request",
            f"refs/pull/{number}/merge",
            pull_request={
                "number": number,
                "head": {"ref": branch, "sha": head, "repo": {"full_name": source}},
                "base": {
                    "ref": "main",
                    "sha": self.repository.git("rev-parse", "main"),
                    "repo": {"full_name": "me/images"},
                },
            },
        )

    def build(self, *args: str, env: Mapping[str, str], code: int = 0) -> Outcome:
        return self.repository.build(*args, env=env, code=code)

    def build_changed(self, *args: str, env: Mapping[str, str], code: int = 0) -> Outcome:
        done = self.repository.invoke("build-changed", *args, "--json", env=env)
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return Outcome(code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def tags(self, name: str = "app") -> dict[str, str | None]:
        """All tags of an image in the registry, with their digests."""
        r = self.repository
        listed = r.tags(name)
        return {tag: r.digest(r.reference(name, tag)) for tag in listed}


@pytest.fixture
def ci(engine: LocalEngine, inv: Inv, tmp_path: Path) -> Ci:
    (tmp_path / "project").mkdir()
    repository = Repository(tmp_path / "project", engine, inv)
    repository.git("init", "-q", "-b", "main")
    repository.dockerfile("app", "FROM scratch", "COPY app.txt /")
    repository.write("app.txt", "1\n")
    repository.commit()
    return Ci(repository, tmp_path)


def change(ci: Ci, text: str) -> str:
    ci.repository.write("app.txt", text)
    return ci.repository.commit()


def test_all_tags_of_a_push_stand_on_one_digest(ci: Ci) -> None:
    built = ci.build("app", env=ci.push())
    commit = ci.repository.git("rev-parse", "HEAD")
    assert ci.tags() == dict.fromkeys([f"sha-{commit[:7]}", "main", "latest"], built["app"]["digest"])
    assert sorted(built["app"]["tags"]) == sorted(ci.repository.reference("app", tag) for tag in ci.tags())


def test_a_release_then_a_patch_to_an_old_line(ci: Ci) -> None:
    first = ci.build("app", env=ci.tag("v1.1.0"))["app"]["digest"]
    assert {tag for tag, digest in ci.tags().items() if digest == first} >= {"1.1.0", "1.1", "1"}
    change(ci, "2\n")
    second = ci.build("app", env=ci.tag("v1.10.0"))["app"]["digest"]
    assert {tag for tag, digest in ci.tags().items() if digest == second} >= {"1.10.0", "1.10", "1"}
    change(ci, "3\n")
    patch = ci.build("app", env=ci.tag("v1.1.1"))
    found = ci.tags()
    assert found["1.1.1"] == found["1.1"] == patch["app"]["digest"]
    assert found["1"] == found["1.10"] == second
    assert found["1.1.0"] == first
    assert "1 stays where it is: 1.10.0 is newer than 1.1.1" in patch.stderr
    change(ci, "4\n")
    down = ci.build("app", "--allow-downgrade", env=ci.tag("v1.0.9"))
    assert ci.tags()["1"] == ci.tags()["1.0"] == down["app"]["digest"]


def test_an_alias_of_a_version_whose_own_tag_is_gone_still_counts(ci: Ci) -> None:
    newer = ci.build("app", env=ci.tag("v1.2.3"))["app"]["digest"]
    ci.repository.delete_tag("app", "1.2.3")
    change(ci, "2\n")
    older = ci.build("app", env=ci.tag("v1.2.2"))
    found = ci.tags()
    assert found["1.2"] == found["1"] == newer
    assert found["1.2.2"] == older["app"]["digest"]
    assert "1.2 stays where it is: 1.2.3 is newer than 1.2.2" in older.stderr


def test_a_version_is_published_once(ci: Ci) -> None:
    first = ci.build("app", env=ci.tag("v1.0.0"))["app"]["digest"]
    again = ci.build("app", env=ci.tag("v1.0.0"))
    assert (again["app"]["status"], again["app"]["digest"]) == ("reused", first)
    before = ci.tags()
    change(ci, "2\n")
    refused = ci.build("app", env=ci.tag("v1.0.0"), code=1)
    assert "1.0.0 is published already" in refused.stderr
    assert ci.tags() == before, "nothing was pushed"
    ci.repository.configure("tags: {immutable: false}")
    ci.repository.commit()
    moved = ci.build("app", env=ci.tag("v1.0.0"))["app"]["digest"]
    assert ci.tags()["1.0.0"] == moved != first


def test_a_refused_version_stops_what_is_built_on_it_and_nothing_else(ci: Ci) -> None:
    r = ci.repository
    r.dockerfile("child", "FROM PREFIX/app", "COPY tasks.py /")
    r.dockerfile("other", "FROM scratch", "COPY tasks.py /")
    r.configure("images: {app: {version: '2.0'}}")
    r.commit()
    ci.build("all", env=ci.push())
    change(ci, "2\n")
    outcome = ci.build("all", env=ci.push(), code=1)
    assert {name: outcome[name]["status"] for name in ("app", "child", "other")} == {
        "app": "failed",
        "child": "skipped",
        "other": "built",
    }


def test_the_version_of_the_file_is_published_by_the_default_branch_alone(ci: Ci) -> None:
    r = ci.repository
    r.configure("images: {app: {version: 2025.10}}")
    r.commit()
    r.git("checkout", "-q", "-b", "feature")
    change(ci, "feature\n")
    ci.build("app", env=ci.push("feature"))
    assert not {"2025.10", "2025", "latest", "main"} & ci.tags().keys()
    r.git("checkout", "-q", "main")
    built = ci.build("app", env=ci.push())["app"]["digest"]
    assert {tag for tag, digest in ci.tags().items() if digest == built} >= {"2025.10", "2025", "latest", "main"}


@pytest.mark.parametrize("source", ["me/images", "somebody/images"])
def test_a_pull_request_cannot_take_latest(ci: Ci, source: str) -> None:
    r = ci.repository
    ci.build("app", env=ci.push())
    before = ci.tags()
    r.git("checkout", "-q", "-b", "evil")
    r.configure("tags: {rules: {mine: {tags: [latest, main, '1.0']}}}")
    commit = change(ci, "evil\n")
    env = ci.pull_request(7, "main", source)
    built = ci.build("app", env=env)["app"]["digest"]
    now = ci.tags()
    assert {tag: now[tag] for tag in before} == before
    assert {tag for tag in now if tag not in before} == {"pr-7", f"pr-7-{commit[:7]}"}
    assert now["pr-7"] == built
    for tag in ("latest", "main", "1.0", "app-stable"):
        refused = r.invoke("build", "app", "--tag", tag, env=env)
        assert refused.returncode == 2, refused.stderr
        assert tag in refused.stderr
    for options in (["--event", "push"], ["--branch", "main"], ["--event", "tag", "--git-tag", "v3.0.0"]):
        r.invoke("build", "app", *options, env=env)
    assert {tag: digest for tag, digest in ci.tags().items() if tag in before} == before
    assert "3.0.0" not in ci.tags()


def test_a_late_run_of_an_older_commit_leaves_latest_where_it_is(ci: Ci) -> None:
    r = ci.repository
    old = r.git("rev-parse", "HEAD")
    change(ci, "2\n")
    new = ci.build("app", env=ci.push())["app"]["digest"]
    r.git("checkout", "-q", old)
    late = ci.build("app", env=ci.push())
    found = ci.tags()
    assert found["latest"] == found["main"] == new
    assert found[f"sha-{old[:7]}"] == late["app"]["digest"] != new
    assert "latest stays where it is" in late.stderr
    back = ci.build("app", "--allow-downgrade", env=ci.push())["app"]["digest"]
    assert ci.tags()["latest"] == back


def test_a_git_tag_names_unchanged_images_as_they_are(ci: Ci) -> None:
    r = ci.repository
    r.dockerfile("other", "FROM scratch", "COPY other.txt /")
    r.write("other.txt", "1\n")
    r.commit()
    r.git("tag", "v1.0.0")
    first = ci.build_changed(env=ci.tag("v1.0.0"))
    assert {one["name"]: one["status"] for one in first.document["images"]} == {"app": "built", "other": "built"}
    change(ci, "2\n")
    r.git("tag", "v1.1.0")
    second = ci.build_changed(env=ci.tag("v1.1.0"))
    assert {one["name"]: one["status"] for one in second.document["images"]} == {"app": "built", "other": "reused"}
    assert ci.tags("other")["1.1.0"] == ci.tags("other")["1.0.0"] == ci.tags("other")["1"]
    assert ci.tags("app")["1.1.0"] == ci.tags("app")["1"] != ci.tags("app")["1.0.0"]


def test_latest_of_a_child_waits_for_its_base(ci: Ci) -> None:
    r = ci.repository
    r.dockerfile("child", "FROM PREFIX/app", "COPY tasks.py /")
    r.commit()
    ci.build("all", env=ci.push())
    before = ci.tags("child")
    r.write("tasks.py", "from imagewright import ns\n\n")
    r.dockerfile("app", "FROM scratch", "COPY app.txt /", "COPY missing.txt /")
    r.commit()
    outcome = ci.build("all", env=ci.push(), code=1)
    assert (outcome["app"]["status"], outcome["child"]["status"]) == ("failed", "skipped")
    assert ci.tags("child") == before


def test_every_registry_of_the_list_gets_the_same_digest(ci: Ci, serve: Callable[[int], Served]) -> None:
    r, second = ci.repository, serve(2).host
    env = {**ci.push(), "IMAGEWRIGHT_REGISTRY": f"{r.engine.registry},{second}"}
    outcome = ci.build("app", env=env)
    path = r.reference("app", "latest").partition("/")[2]
    assert r.digest(f"{r.engine.registry}/{path}") == r.digest(f"{second}/{path}") == outcome["app"]["digest"]
    assert f"{second}/{path}" in outcome["app"]["tags"]


def test_a_registry_that_fails_is_named_and_the_others_keep_what_they_have(ci: Ci) -> None:
    r = ci.repository
    env = {**ci.push(), "IMAGEWRIGHT_REGISTRY": f"{r.engine.registry},localhost:1"}
    outcome = ci.build("app", env=env, code=1)
    assert outcome["app"]["status"] == "built"
    assert outcome["app"]["unpublished"][0]["registry"] == "localhost:1"
    assert "app is not in localhost:1" in outcome.stderr
    assert ci.tags()["latest"] == outcome["app"]["digest"]


def test_a_version_that_another_registry_has_otherwise_stays_there(ci: Ci, serve: Callable[[int], Served]) -> None:
    r, second = ci.repository, serve(3).host
    both = {"IMAGEWRIGHT_REGISTRY": f"{r.engine.registry},{second}"}
    there = ci.build("app", env={**ci.tag("v1.0.0"), **both})["app"]["digest"]
    r.delete_tag("app", "1.0.0")
    change(ci, "2\n")
    outcome = ci.build("app", env={**ci.tag("v1.0.0"), **both}, code=1)
    path = r.reference("app", "1.0.0").partition("/")[2]
    assert r.digest(f"{r.engine.registry}/{path}") == outcome["app"]["digest"] != there
    assert r.digest(f"{second}/{path}") == there
    assert f"{second}/{path}" in outcome.stderr


def test_two_images_never_push_the_same_reference(ci: Ci) -> None:
    r = ci.repository
    r.dockerfile("web", "FROM scratch", "COPY tasks.py /")
    r.configure("images: {web: {repository: '{registry}/one'}, app: {repository: '{registry}/one'}}")
    r.commit()
    done = r.invoke("build", "all", env=ci.push())
    assert done.returncode == 2
    assert "app" in done.stderr
    assert "web" in done.stderr
    assert "/one:" in done.stderr
