"""`invoke list` and `invoke graph` in a repository of three layers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Invoke = Callable[..., subprocess.CompletedProcess[str]]

CONFIG = """\
registry: ghcr.io/me
platforms: [linux/amd64]
layers:
  base: {images: [base]}
  app: {images: [app]}
"""


@pytest.fixture
def layered(project: Path) -> Path:
    (project / "Dockerfiles").mkdir()
    (project / "config").mkdir()
    (project / "config/images.yml").write_text(CONFIG)
    dockerfile(project, "base", "FROM scratch")
    dockerfile(project, "app", "ARG TAG=1\nFROM ghcr.io/me/base:${TAG}\nCOPY --from=ghcr.io/me/tool / /")
    dockerfile(project, "tool", "FROM scratch")
    return project


def dockerfile(project: Path, name: str, text: str) -> None:
    (project / f"Dockerfiles/Dockerfile.{name}").write_text(f"{text}\n")


def test_list_is_a_table_in_build_order(layered: Path, invoked: Invoke) -> None:
    done = invoked("list")
    assert done.stdout == (
        "NAME  REPOSITORY       LAYER  PARENTS     PLATFORMS    CONTEXT  TAGS\n"
        "base  ghcr.io/me/base  base   -           linux/amd64  .        dev\n"
        "tool  ghcr.io/me/tool  -      -           linux/amd64  .        dev\n"
        "app   ghcr.io/me/app   app    base, tool  linux/amd64  .        dev\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_list_as_json(layered: Path, invoked: Invoke) -> None:
    document = json.loads(invoked("list", "--json").stdout)
    assert document["schema"] == 1
    assert document["images"][2] == {
        "name": "app",
        "repository": "ghcr.io/me/app",
        "layer": "app",
        "level": 1,
        "parents": ["base", "tool"],
        "platforms": ["linux/amd64"],
        "dockerfile": "Dockerfiles/Dockerfile.app",
        "context": ".",
        "tags": ["ghcr.io/me/app:dev"],
    }


def test_a_broken_dockerfile_hides_no_other_image(layered: Path, invoked: Invoke) -> None:
    dockerfile(layered, "tool", "FROM scratch\nCOPI a b")
    done = invoked("list", "--json")
    parents = {image["name"]: image["parents"] for image in json.loads(done.stdout)["images"]}
    assert parents == {"base": [], "tool": None, "app": ["base", "tool"]}
    assert done.stderr.startswith("warning: Dockerfiles/Dockerfile.tool:2: ")
    assert done.returncode == 0


def test_graph_is_mermaid_on_standard_output(layered: Path, invoked: Invoke) -> None:
    done = invoked("graph")
    assert done.stdout == (
        "flowchart LR\n"
        '    subgraph layer0["base"]\n'
        '        i_base["base"]\n'
        "    end\n"
        '    subgraph layer1["app"]\n'
        '        i_app["app"]\n'
        "    end\n"
        '    i_tool["tool"]\n'
        "    i_base --> i_app\n"
        "    i_tool -.-> i_app\n"
    )
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("name", "start"),
    [("a.svg", "<svg "), ("deep/down/a.DOT", "digraph "), ("a.gv", "digraph "), ("a.mmd", "flowchart")],
)
def test_the_suffix_of_the_file_is_the_format(layered: Path, invoked: Invoke, name: str, start: str) -> None:
    done = invoked("graph", "--output", name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (layered / name).read_text().startswith(start)


def test_the_format_wins_over_the_suffix(layered: Path, invoked: Invoke) -> None:
    assert invoked("graph", "--format", "dot", "--output", "a.txt").returncode == 0
    assert (layered / "a.txt").read_text().startswith("digraph ")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--format", "png"], "there is no format 'png'"),
        (["--output", "a.txt"], "the suffix of --output names no format"),
        (["--output", "Dockerfiles/Dockerfile.base/a.svg"], "cannot be written"),
    ],
)
def test_wrong_usage_is_told_in_words(layered: Path, invoked: Invoke, args: list[str], message: str) -> None:
    done = invoked("graph", *args)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 2


def test_a_cycle_is_told_with_its_lines(layered: Path, invoked: Invoke) -> None:
    dockerfile(layered, "base", "FROM ghcr.io/me/app")
    done = invoked("graph")
    assert done.stderr == (
        "error: images are built on each other in a cycle: app -> base -> app\n"
        "  Dockerfiles/Dockerfile.base:1: base uses app\n"
        "  Dockerfiles/Dockerfile.app:2: app uses base\n"
    )
    assert (done.returncode, done.stdout) == (2, "")
