"""`invoke changed`, `why`, `inputs` and the dry run of `build-changed`, in real git repositories without a registry."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke

NOWHERE = "localhost:9"  # the discard port: nothing listens there


def git(project: Path, *args: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    done = subprocess.run(["git", *identity, *args], cwd=project, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def write(project: Path, path: str, text: str) -> None:
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    (project / path).write_text(text)


def commit(project: Path) -> str:
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "state")
    return git(project, "rev-parse", "HEAD")


@pytest.fixture
def layered(project: Path) -> Path:
    """base -> tooling -> app, and other; committed."""
    layers = "layers:\n  base: {images: [base]}\n  tooling: {images: [tooling]}\n  app: {images: [app]}\n"
    write(project, "config/images.yml", f"registry: {NOWHERE}\n{layers}")
    for name, parent in (("base", "scratch"), ("tooling", f"{NOWHERE}/base"), ("app", f"{NOWHERE}/tooling")):
        write(project, f"{name}.txt", "1\n")
        write(project, f"Dockerfiles/Dockerfile.{name}", f"FROM {parent}\nCOPY {name}.txt /\n")
    write(project, "Dockerfiles/Dockerfile.other", "FROM scratch\nCOPY shared /\n")
    write(project, "shared/a", "1\n")
    commit(project)
    return project


def document(invoked: Invoke, *args: str, code: int = 0) -> Any:
    done = invoked(*args, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def names(found: Any) -> list[str]:
    return [one["name"] for one in found["images"]]


def test_nothing_changed_is_a_success_with_an_empty_list(layered: Path, invoked: Invoke) -> None:
    found = document(invoked, "changed", "--since", "HEAD")
    assert found["images"] == found["removed"] == []
    done = invoked("changed", "--since", "HEAD")
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing has changed" in done.stderr


def test_the_affected_images_as_the_plan_has_them(layered: Path, invoked: Invoke) -> None:
    first = git(layered, "rev-parse", "HEAD")
    write(layered, "tooling.txt", "2\n")
    second = commit(layered)
    found = document(invoked, "changed", "--since", "HEAD~1")
    assert found["base"] == {"commit": first, "source": "argument", "why": found["base"]["why"]}
    assert found["head"] == {"commit": second, "dirty": False}
    tooling, app = found["images"]
    assert (tooling["name"], tooling["action"], tooling["layer"], tooling["level"]) == (
        "tooling",
        "build",
        "tooling",
        1,
    )
    assert tooling["reasons"] == [
        {
            "kind": "file",
            "path": "tooling.txt",
            "detail": "modified; COPY tooling.txt (Dockerfiles/Dockerfile.tooling:2)",
        }
    ]
    assert tooling["parents"] == [{"name": "base", "from": "registry", "digest": None}]
    assert app["parents"] == [{"name": "tooling", "from": "build", "digest": None}]
    expected = ("dev", f"sha-{second[:7]}", "master", "latest", f"tooling-{second[:7]}", "tooling-stable")
    assert tooling["tags"] == [f"{NOWHERE}/tooling:{tag}" for tag in expected]
    assert tooling["inputs"]["files"] == 2
    assert tooling["inputs"]["fingerprint"].startswith("sha256:")
    assert document(invoked, "changed", "--since", "HEAD~1") == found


def test_the_work_tree_counts_staged_unstaged_and_untracked(layered: Path, invoked: Invoke) -> None:
    write(layered, ".gitignore", "*.ignored\n")
    commit(layered)
    write(layered, "base.txt", "2\n")
    git(layered, "add", "base.txt")
    write(layered, "shared/new", "1\n")
    write(layered, "shared/x.ignored", "1\n")
    found = document(invoked, "changed", "--since", "HEAD")
    assert found["head"]["dirty"] is True
    assert names(found) == ["base", "other", "tooling", "app"]
    assert [reason["path"] for reason in found["images"][1]["reasons"]] == ["shared/new"]
    assert "which differs from commit" in invoked("changed", "--since", "HEAD").stderr
    assert names(document(invoked, "changed", "--since", "HEAD~1", "--head", "HEAD")) == []


def test_the_same_fingerprint_before_and_after_the_commit(layered: Path, invoked: Invoke) -> None:
    write(layered, "app.txt", "2\n")
    dirty = document(invoked, "changed", "--since", "HEAD")["images"][0]["inputs"]
    commit(layered)
    assert document(invoked, "changed", "--since", "HEAD~1")["images"][0]["inputs"] == dirty
    (planned,) = [one for one in document(invoked, "plan", "app")["images"] if one["name"] == "app"]
    assert planned["inputs"] == dirty


def test_an_earlier_commit_as_head(layered: Path, invoked: Invoke) -> None:
    write(layered, "app.txt", "2\n")
    middle = commit(layered)
    write(layered, "shared/a", "2\n")
    commit(layered)
    found = document(invoked, "changed", "--since", "HEAD~2", "--head", "HEAD~1")
    assert (names(found), found["head"]["commit"]) == (["app"], middle)
    refused = invoked("build-changed", "--since", "HEAD~2", "--head", "HEAD~1")
    assert refused.returncode == 2
    assert "another one is checked out" in refused.stderr


def test_removed_and_renamed_images_are_told(layered: Path, invoked: Invoke) -> None:
    git(layered, "mv", "Dockerfiles/Dockerfile.other", "Dockerfiles/Dockerfile.renamed")
    found = document(invoked, "changed", "--since", "HEAD")
    assert found["removed"] == ["other"]
    assert names(found) == ["renamed"]
    assert found["images"][0]["reasons"][0]["kind"] == "added"
    assert "removed: other" in invoked("changed", "--since", "HEAD").stderr


def test_a_broken_dockerfile_is_reported_and_hides_nothing(layered: Path, invoked: Invoke) -> None:
    write(layered, "Dockerfiles/Dockerfile.tooling", "FROM scratch\nCOPPY x /\n")
    write(layered, "shared/a", "2\n")
    found = document(invoked, "changed", "--since", "HEAD", code=1)
    assert names(found) == ["other"]
    assert [(one["name"], one["because"]) for one in found["unplanned"]] == [("tooling", None), ("app", "tooling")]
    assert "Dockerfiles/Dockerfile.tooling:2" in invoked("changed", "--since", "HEAD").stderr


def test_a_base_that_cannot_be_understood_means_everything(layered: Path, invoked: Invoke) -> None:
    good = (layered / "config/images.yml").read_text()
    write(layered, "config/images.yml", "nonsense: 1\n")
    commit(layered)
    write(layered, "config/images.yml", good)
    found = document(invoked, "changed", "--since", "HEAD")
    assert len(found["images"]) == 4
    assert all(one["reasons"][0]["kind"] == "unknown" for one in found["images"])
    assert "nonsense" in found["images"][0]["reasons"][0]["detail"]


def test_a_layer_with_what_stands_on_it(layered: Path, invoked: Invoke) -> None:
    assert names(document(invoked, "changed", "--since", "HEAD", "--layer", "tooling")) == ["tooling", "app"]
    wrong = invoked("changed", "--since", "HEAD", "--layer", "toolin")
    assert wrong.returncode == 2
    assert "`tooling`" in wrong.stderr


def test_no_such_revision(layered: Path, invoked: Invoke) -> None:
    assert invoked("changed", "--since", "nope").returncode == 2
    assert invoked("changed", "--head", "nope").returncode == 2


def test_without_git_everything_is_affected(tmp_path: Path, project: Path, invoked: Invoke) -> None:
    subprocess.run(["rm", "-rf", str(project / ".git")], check=True)
    write(project, "Dockerfiles/Dockerfile.app", "FROM scratch\n")
    found = document(invoked, "changed")
    assert names(found) == ["app"]
    assert "no git repository" in found["base"]["why"]


def test_a_registry_that_cannot_be_reached(layered: Path, invoked: Invoke) -> None:
    assert invoked("changed", "--since", "registry").returncode == 3
    write(layered, "app.txt", "2\n")
    found = document(invoked, "build-changed", "--since", "HEAD", "--dry-run")
    assert names(found) == ["base", "tooling", "app"]
    assert [one["reasons"][0]["kind"] for one in found["images"]] == ["missing", "missing", "file"]


def test_why_tells_the_chain_down_to_the_first_cause(layered: Path, invoked: Invoke) -> None:
    write(layered, "base.txt", "2\n")
    done = invoked("why", "app", "--since", "HEAD")
    assert done.stdout.splitlines() == [
        "app is built",
        "  tooling has changed (Dockerfiles/Dockerfile.app:1)",
        "    tooling: base has changed (Dockerfiles/Dockerfile.tooling:1)",
        "      base: base.txt: modified; COPY base.txt (Dockerfiles/Dockerfile.base:2)",
    ]
    assert "compared with" in done.stderr
    found = document(invoked, "why", "app", "--since", "HEAD")
    assert found["action"] == "build"
    assert [(one["name"], one["reason"]["kind"]) for one in found["chain"]] == [
        ("app", "parent"),
        ("tooling", "parent"),
        ("base", "file"),
    ]
    assert found["chain"][-1]["reason"] == {
        "kind": "file",
        "path": "base.txt",
        "line": 2,
        "detail": "modified; COPY base.txt (Dockerfiles/Dockerfile.base:2)",
        "parent": None,
    }
    assert document(invoked, "why", "other", "--since", "HEAD")["action"] == "skip"


def test_why_a_file(layered: Path, invoked: Invoke) -> None:
    found = document(invoked, "why", "--file", "base.txt")
    assert [(one["name"], one["line"], one["parent"]) for one in found["images"]] == [
        ("base", 2, None),
        ("tooling", None, "base"),
        ("app", None, "tooling"),
    ]
    assert names(document(invoked, "why", "--file", "config/images.yml")) == []
    assert invoked("why", "--file", "nope").returncode == 2
    assert invoked("why").returncode == 2


def test_inputs_with_the_line_that_says_so_and_what_is_not_seen(layered: Path, invoked: Invoke) -> None:
    write(layered, ".gitignore", "*.log\n")
    write(layered, "shared/noise.log", "1\n")
    write(layered, "Dockerfiles/Dockerfile.other", "FROM busybox\nCOPY shared /\nCOPY $WHERE /x\n")
    found = document(invoked, "inputs", "other")
    assert {"path": "shared/a", "kind": "file", "line": 2, "detail": "COPY shared"} in found["files"]
    assert {"unknown", "base"} <= {note["kind"] for note in found["notes"]}
    assert found["unseen"] == ["shared/noise.log"]
    assert invoked("inputs", "other").returncode == 0
    write(layered, "Dockerfiles/Dockerfile.other", "COPPY\n")
    assert invoked("inputs", "other").returncode == 1


def test_named_images_since(layered: Path, invoked: Invoke) -> None:
    write(layered, "app.txt", "2\n")
    found = document(invoked, "plan", "other,app", "--since", "HEAD")
    assert {one["name"]: one["action"] for one in found["images"]} == {
        "base": "build",
        "tooling": "build",
        "app": "build",
        "other": "skip",
    }
    assert names(document(invoked, "plan", "--since", "HEAD")) == ["base", "tooling", "app"]
