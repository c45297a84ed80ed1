"""`invoke tags` in a repository of images, as a user calls it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from imagewright.cli.project import Project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Invoke

CONFIG = """\
registry: ghcr.io/me
layers:
  base: {images: [base]}
images:
  app: {version: 1.2.3}
"""


def git(folder: Path, *args: str) -> str:
    identity = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    return subprocess.run(["git", *identity, *args], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def images(project: Path) -> Path:
    for name in ("app", "base"):
        (project / "Dockerfiles").mkdir(exist_ok=True)
        (project / f"Dockerfiles/Dockerfile.{name}").write_text("FROM scratch\n")
    (project / "config").mkdir()
    (project / "config/images.yml").write_text(CONFIG)
    git(project, "symbolic-ref", "HEAD", "refs/heads/main")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "x")
    return project


def head(folder: Path) -> str:
    return git(folder, "rev-parse", "HEAD").strip()


def rows(done: subprocess.CompletedProcess[str]) -> dict[str, list[str]]:
    """The table by tag: kind, rule, why."""
    lines = [line.split(maxsplit=3) for line in done.stdout.splitlines()[1:]]
    return {line[0]: line[1:] for line in lines}


def test_the_tags_of_a_commit_with_why(images: Path, invoked: Invoke) -> None:
    done = invoked("tags", "app")
    short = head(images)[:7]
    assert (done.returncode, done.stderr) == (0, f"event local, the branch main (the default one), commit {short}\n")
    assert done.stdout.splitlines()[0].split() == ["TAG", "KIND", "RULE", "WHY"]
    found = rows(done)
    assert list(found) == ["dev", "1.2.3", "1.2", "1", f"sha-{short}", "main", "latest"]
    assert found["dev"] == ["moving", "work", "work on this machine"]
    assert found["1"] == ["alias", "version", "alias of 1.2.3"]
    assert found["latest"] == ["moving", "latest", "the default branch, main"]


def test_what_is_withheld_is_shown_with_why(images: Path, invoked: Invoke) -> None:
    (images / "new").touch()
    done = invoked("tags", "app")
    assert done.stderr.endswith(", and the work tree differs from it\n")
    assert rows(done)["latest"] == ["withheld", "latest", "the work tree differs from its commit"]
    assert next(iter(rows(done))) == "dev"


def test_as_json(images: Path, invoked: Invoke) -> None:
    document = json.loads(invoked("tags", "app,base", "--event", "pull-request", "--branch", "work", "--json").stdout)
    assert document["schema"] == 1
    assert document["occasion"] == {
        "event": "pull-request",
        "host": "local",
        "branch": "work",
        "default_branch": "main",
        "git_tag": None,
        "pull_request": None,
        "fork": False,
        "commit": head(images),
        "dirty": False,
        "date": document["occasion"]["date"],
    }
    app, base = document["images"]
    assert (app["name"], app["repository"], app["tags"]) == ("app", "ghcr.io/me/app", [])
    assert {one["tag"]: one["why"] for one in app["withheld"]} == {
        "1.2.3": "a pull request never gives a version",
        "1.2": "a pull request never gives a version",
        "1": "a pull request never gives a version",
        "latest": "a pull request never moves latest",
    }
    assert {one["tag"] for one in base["withheld"]} == {"latest", "base-stable"}


@pytest.mark.parametrize("option", ["--tag", "--git-tag"])
def test_a_git_tag_by_hand(images: Path, invoked: Invoke, option: str) -> None:
    found = rows(invoked("tags", "base", option, "v2.0.1"))
    assert list(found)[:3] == ["2.0.1", "2.0", "2"]
    assert found["2.0.1"] == ["version", "release", "the git tag v2.0.1"]


def test_the_ci_says_what_the_run_is_about(images: Path, invoked: Invoke, tmp_path: Path) -> None:
    repository = {"default_branch": "main", "full_name": "me/images"}
    source = {"ref": "main", "sha": "a" * 40, "repo": {"full_name": "them/images"}}
    pull_request = {"number": 7, "head": source, "base": {"ref": "main", "sha": "b" * 40, "repo": repository}}
    (tmp_path / "event.json").write_text(json.dumps({"repository": repository, "pull_request": pull_request}))
    more = github(images, tmp_path)
    done = invoked("tags", "app", more=more)
    assert done.stderr == "event pull-request, #7 of a fork, the branch main, commit aaaaaaa\n"
    assert list(rows(done)) == ["pr-7-aaaaaaa", "pr-7", "1.2.3", "1.2", "1", "latest"]
    assert rows(done)["latest"] == ["withheld", "latest", "pull request #7 of a fork never moves latest"]

    refused = invoked("tags", "app", "--event", "push", "--branch", "main", more=more)
    assert refused.returncode == 2
    assert "GitHub says that this is pull request #7 of a fork: the command line cannot say otherwise" in refused.stderr
    by_hand = invoked("tags", "app:latest", more=more)
    assert by_hand.returncode == 2
    assert "the tag latest is protected: pull request #7 of a fork never moves latest" in by_hand.stderr


def github(images: Path, folder: Path) -> dict[str, str]:
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "GITHUB_REF": "refs/pull/7/merge",
        "GITHUB_SHA": head(images),
    }


def test_a_tag_behind_the_name_is_looked_at_as_a_build_would(images: Path, invoked: Invoke) -> None:
    assert rows(invoked("tags", "app:1.2")) == {"1.2": ["version", "given", "the command line"]}
    git(images, "switch", "--quiet", "--create", "work")
    refused = invoked("tags", "app:1.2")
    assert refused.returncode == 2
    assert "the tag 1.2 is protected: the branch work (the default one is main) never gives a version" in refused.stderr
    assert "`--branch main` says by hand" in refused.stderr
    assert invoked("tags", "app:1.2", "--branch", "main").returncode == 0


def test_two_images_of_the_same_name_end_with_an_error(images: Path, invoked: Invoke) -> None:
    (images / "config/images.yml").write_text('repository: "{registry}/all"\n')
    done = invoked("tags", "all")
    assert done.returncode == 2
    assert "the images `app` and `base` would both be localhost:5050/all:dev, by the rule `work`" in done.stderr
    assert done.stdout.splitlines()[0].split() == ["IMAGE", "TAG", "KIND", "RULE", "WHY"], "shown all the same"


def test_a_rule_that_is_wrong_is_named_with_its_line(images: Path, invoked: Invoke) -> None:
    (images / "config/images.yml").write_text("tags:\n  rules:\n    x:\n      tags:\n      - '{brunch}'\n")
    done = invoked("tags", "app")
    assert done.returncode == 2
    assert "config/images.yml:5: `tags.rules.x.tags[0]`: `{brunch}` in `{brunch}` means nothing" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tags", "ap"), "no image is called `ap`: did you mean `app`?"),
        (("tags", "app", "--event", "tag"), "--event tag: no tag is checked out"),
        (("tags", "app", "--tag", "a", "--git-tag", "b"), "say the same here"),
        (("tags", "app", "--published", "--branch", "x"), "it has no use for"),
        (("tags", "app", "--tag", "v1.2+x"), "'+' is not allowed"),
    ],
)
def test_wrong_usage(images: Path, invoked: Invoke, arguments: tuple[str, ...], message: str) -> None:
    done = invoked(*arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_the_occasion_of_a_project(images: Path) -> None:
    occasion: Any = Project(images, {}).occasion
    assert (occasion.event.kind, occasion.event.branch, occasion.commit) == ("local", "main", head(images))
    assert (occasion.dirty, occasion.is_default_branch, len(occasion.date)) == (False, True, 8)
    unread = Project(images, {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push"}).occasion
    assert unread.event.kind == "unreadable"
