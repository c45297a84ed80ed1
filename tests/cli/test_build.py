"""`invoke build` and `invoke plan` as far as they go without a builder."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Invoke = Callable[..., subprocess.CompletedProcess[str]]

CONFIG = """\
registry: ghcr.io/me
platforms: [linux/amd64, linux/arm64]
images:
  app: {secret_build_args: [TOKEN], build_args: {MODE: "a ${b}"}}
"""


@pytest.fixture
def images(project: Path) -> Path:
    """base <- tooling <- app, and snapcast and snapclient that stand alone."""
    (project / "Dockerfiles").mkdir()
    (project / "config").mkdir()
    (project / "config/images.yml").write_text(CONFIG)
    dockerfile(project, "base", "FROM scratch")
    dockerfile(project, "tooling", "FROM ghcr.io/me/base\nARG SOURCE_DATE_EPOCH")
    dockerfile(project, "app", "FROM ghcr.io/me/tooling\nARG TOKEN")
    dockerfile(project, "snapcast", "FROM scratch")
    dockerfile(project, "snapclient", "FROM scratch")
    return project


def dockerfile(project: Path, name: str, text: str) -> None:
    (project / f"Dockerfiles/Dockerfile.{name}").write_text(f"{text}\n")


def git(project: Path, *args: str) -> str:
    command = ["git", "-c", "user.name=T", "-c", "user.email=t@example.org", *args]
    return subprocess.run(command, cwd=project, check=True, capture_output=True, text=True).stdout.strip()


def commit(project: Path) -> str:
    git(project, "add", "--all")
    git(project, "commit", "-q", "--message", "state")
    return git(project, "rev-parse", "HEAD")


def planned(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)["images"]}


def test_the_plan_for_people(images: Path, invoked: Invoke) -> None:
    (images / "config/images.yml").write_text("registry: ghcr.io/me\nplatforms: [linux/amd64]\n")
    done = invoked("plan", "tooling:2")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "ACTION  IMAGE    REFERENCE             PLATFORMS    PARENTS       BECAUSE\n"
        "build   base     ghcr.io/me/base:dev   linux/amd64  -             tooling is built on it\n"
        "build   tooling  ghcr.io/me/tooling:2  linux/amd64  base (build)  named on the command line\n"
    )


def test_the_plan_as_json(images: Path, invoked: Invoke) -> None:
    head = commit(images)
    document = json.loads(invoked("plan", "app", "--json").stdout)
    assert document["schema"] == 1
    assert document["base"]["commit"] is None
    assert document["head"] == {"commit": head, "dirty": False}
    assert [one["name"] for one in document["images"]] == ["base", "tooling", "app"]
    inputs = document["images"][2].pop("inputs")
    assert inputs == {"files": 1, "fingerprint": inputs["fingerprint"]}
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", inputs["fingerprint"])
    assert document["images"][2] == {
        "name": "app",
        "repository": "ghcr.io/me/app",
        "layer": None,
        "level": 2,
        "action": "build",
        "reasons": [{"kind": "forced", "path": None, "detail": "named on the command line"}],
        "parents": [{"name": "tooling", "from": "build", "digest": None}],
        "platforms": ["linux/amd64", "linux/arm64"],
        "tags": [f"ghcr.io/me/app:{tag}" for tag in ("dev", f"sha-{head[:7]}", "master", "latest")],
        "withheld": [],
    }
    (images / "new").write_text("")
    assert json.loads(invoked("plan", "app", "--json").stdout)["head"] == {"commit": head, "dirty": True}


def test_the_same_input_gives_the_same_plan_byte_for_byte(images: Path, invoked: Invoke) -> None:
    assert invoked("plan", "all", "--json").stdout == invoked("plan", "all", "--json").stdout != ""


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ("base", ["base"]),
        ("base,snapcast", ["base", "snapcast"]),
        ("snap*", ["snapcast", "snapclient"]),
        ("tooling", ["base", "tooling"]),
        ("all", ["base", "snapcast", "snapclient", "tooling", "app"]),
    ],
)
def test_which_images_are_meant(images: Path, invoked: Invoke, names: str, chosen: list[str]) -> None:
    assert list(planned(invoked("build", names, "--dry-run", "--json"))) == chosen


def test_which_tags_they_get(images: Path, invoked: Invoke) -> None:
    found = planned(invoked("build", "base:1,base:2,snap*", "--tag", "x,y", "--dry-run", "--json"))
    assert found["base"]["tags"] == ["ghcr.io/me/base:1", "ghcr.io/me/base:2"]
    assert found["snapcast"]["tags"] == ["ghcr.io/me/snapcast:x", "ghcr.io/me/snapcast:y"]
    found = planned(invoked("plan", "tooling", "--tag", "1.2", "--json"))
    assert found["tooling"]["tags"] == ["ghcr.io/me/tooling:1.2"]
    assert found["base"]["tags"] == ["ghcr.io/me/base:dev"], "another image's 1.2 is not moved"


def test_platforms_of_the_command_line_are_for_all(images: Path, invoked: Invoke) -> None:
    found = planned(invoked("plan", "tooling", "--platform", "linux/arm/v7", "--json"))
    assert [one["platforms"] for one in found.values()] == [["linux/arm/v7"]] * 2


def test_the_bake_file(images: Path, invoked: Invoke) -> None:
    commit(images)
    git(images, "remote", "add", "origin", "https://user:pass@example.org/me/images.git")
    document = json.loads(invoked("plan", "app", "--bake").stdout)
    assert document["group"]["default"]["targets"] == ["base", "tooling", "app"]
    app = document["target"]["app"]
    assert app["contexts"] == {"ghcr.io/me/tooling": "target:tooling"}
    assert app["args"] == {"MODE": "a $${b}", "TOKEN": "${TOKEN}"}
    assert document["variable"] == {"TOKEN": {}}
    assert (app["context"], app["dockerfile"]) == (".", "Dockerfiles/Dockerfile.app")
    assert app["labels"]["org.opencontainers.image.source"] == "https://example.org/me/images"
    assert "args" not in document["target"]["base"]
    assert set(document["target"]["tooling"]["args"]) == {"SOURCE_DATE_EPOCH"}


def test_one_broken_dockerfile_does_not_hide_the_plan_of_the_others(images: Path, invoked: Invoke) -> None:
    dockerfile(images, "tooling", "FROM scratch\nCOPPY a /")
    done = invoked("plan", "all", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert [one["name"] for one in document["images"]] == ["base", "snapcast", "snapclient"]
    assert {one["name"]: one["because"] for one in document["unplanned"]} == {"tooling": None, "app": "tooling"}
    assert "error: Dockerfiles/Dockerfile.tooling:2: " in done.stderr
    assert invoked("plan", "base").returncode == 0
    child = invoked("plan", "app")
    assert (child.returncode, child.stdout) == (1, "")
    assert "error: Dockerfiles/Dockerfile.tooling:2: " in child.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--load", "--output", "tar"), "--load and --output"),
        (("--load", "--platform", "linux/amd64,linux/arm64"), "--load takes one platform"),
        (("--no-push", "--load", "--output", "oci"), "--load and --output"),
        (("--output", "zip"), "zip"),
        (("--platform", "amd64"), "amd64"),
        (("--tag", "not/legal"), "no legal tag"),
        (("--build-arg", "=x"), "--build-arg"),
        (("--build-arg", "1A=x"), "1A"),
        (("--progress", "loud"), "loud"),
        (("--jobs", "0"), "--jobs '0' is no number of images"),
        (("--jobs", "many"), "--jobs 'many' is no number of images"),
    ],
)
def test_options_that_contradict_or_mean_nothing(
    images: Path, invoked: Invoke, args: tuple[str, ...], words: str
) -> None:
    done = invoked("build", "base", *args)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    changed = invoked("build-changed", *args)
    assert (changed.returncode, changed.stdout, changed.stderr) == (2, "", done.stderr)


def test_a_load_of_several_configured_platforms(images: Path, invoked: Invoke) -> None:
    done = invoked("build", "base", "--load")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--load takes one platform, and base has linux/amd64, linux/arm64" in done.stderr


def test_a_secret_build_argument_without_a_value(images: Path, invoked: Invoke) -> None:
    done = invoked("build", "base", "--build-arg", "TOKEN_OF_MINE", "--no-push")
    assert done.returncode == 2
    assert "TOKEN_OF_MINE" in done.stderr


@pytest.mark.parametrize(
    "args", [("--help",), ("-h",), ("app", "--help"), ("--no-push", "--help"), ("--json", "app", "-h")]
)
def test_help(images: Path, invoked: Invoke, args: tuple[str, ...]) -> None:
    done = invoked("build", *args)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Build images and what they are built on" in done.stdout
    for option in ("push", "--load", "--output", "--platform", "--tag", "--no-cache", "--build-arg", "--builder"):
        assert option in done.stdout
    for option in ("--dry-run", "--json", "--jobs", "--progress", "'snap*'"):
        assert option in done.stdout


def test_a_name_is_needed(images: Path, invoked: Invoke) -> None:
    done = invoked("build")
    assert done.returncode != 0
    assert "names" in done.stderr
    assert invoked("build", ",").returncode == 2
