"""`invoke builder`, with a docker that writes down how it was called. Real builders: tests/e2e/test_fleet.py."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke

DOCKER = r"""#!/bin/sh
printf 'KUBECONFIG=%s %s\n' "$KUBECONFIG" "$*" >> "$RECORD"
case "$*" in
  *"buildx inspect"*) printf 'Name: pods\nDriver: kubernetes\n\nNodes:\nName: amd\nStatus: inactive\n' ;;
  *"--node bad"*) echo 'ERROR: no such option' >&2; exit 1 ;;
esac
"""

PODS = """\
builder:
  name: pods
  driver: kubernetes
  nodes:
    - name: amd
      endpoint: config/kube
      platforms: [linux/amd64]
      options: {namespace: ci, replicas: "2", nodeselector: "kubernetes.io/arch=amd64,size=large"}
    - platforms: [linux/arm64]
      config: config/buildkitd.toml
"""


@pytest.fixture
def more(project: Path, tmp_path: Path) -> dict[str, str]:
    """The variables of an environment with such a docker, which has a buildx."""
    for name in ("bin/docker", "docker/cli-plugins/docker-buildx"):
        program = tmp_path / name
        program.parent.mkdir(parents=True)
        program.write_text(DOCKER)
        program.chmod(0o755)
    (project / "config").mkdir()
    for name in ("kube", "buildkitd.toml"):
        (project / "config" / name).touch()
    return {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "RECORD": str(tmp_path / "calls"), "KUBECONFIG": "mine"}


def calls(more: dict[str, str]) -> list[tuple[str, str]]:
    """What KUBECONFIG was, and the command of buildx."""
    record = Path(more["RECORD"])
    lines = record.read_text().splitlines() if record.exists() else []
    return [(line.split()[0].partition("=")[2], line.partition(" buildx ")[2]) for line in lines]


def test_the_options_of_kubernetes_are_handed_to_buildx(invoked: Invoke, project: Path, more: dict[str, str]) -> None:
    (project / "config/images.yml").write_text(PODS)
    dry = invoked("builder", "--dry-run", "--json", more=more)
    assert json.loads(dry.stdout) == {
        "schema": 1,
        "name": "pods",
        "driver": None,
        "action": "create",
        "done": False,
        "differences": [],
        "nodes": [],
    }
    assert calls(more) == []
    done = invoked("builder", more=more)
    assert done.returncode == 0, done.stderr
    assert "builder pods was created" in done.stderr
    assert "amd is not running, and the next build starts it" in done.stderr
    selector = '--driver-opt "nodeselector=kubernetes.io/arch=amd64,size=large"'
    options = f"--driver-opt namespace=ci --driver-opt replicas=2 {selector}"
    first = f"create --name pods --driver kubernetes --node amd --platform linux/amd64 {options}"
    config = f"--buildkitd-config {project}/config/buildkitd.toml"
    second = f"create --append --name pods --driver kubernetes --node pods1 --platform linux/arm64 {config}"
    assert calls(more) == [
        (f"{project}/config/kube", first),
        ("mine", second),
        ("mine", "inspect pods"),
    ]


def test_half_a_builder_does_not_stay(invoked: Invoke, project: Path, more: dict[str, str]) -> None:
    nodes = "[{endpoint: 'tcp://a:1'}, {endpoint: 'tcp://b:1', name: bad}]"
    (project / "config/images.yml").write_text(f"builder:\n  name: two\n  driver: remote\n  nodes: {nodes}\n")
    done = invoked("builder", more=more)
    assert done.returncode == 3
    assert "docker buildx: no such option" in done.stderr
    assert [command.split()[:2] for _, command in calls(more)] == [
        ["create", "--name"],
        ["create", "--append"],
        ["rm", "two"],
    ]


def test_a_missing_certificate_is_an_error_of_the_configuration(
    invoked: Invoke, project: Path, more: dict[str, str]
) -> None:
    (project / "config/images.yml").write_text(
        "builder:\n  name: two\n  driver: remote\n  nodes: [{endpoint: 'tcp://a:1', tls: {ca: certs/ca.pem}}]\n"
    )
    done = invoked("builder", more=more)
    assert done.returncode == 2
    assert "builder.nodes[0].tls.ca: there is no file certs/ca.pem" in done.stderr
    assert calls(more) == []


def test_without_a_description_it_shows_what_builds(invoked: Invoke, project: Path, more: dict[str, str]) -> None:
    done = invoked("builder", more=more)
    assert done.returncode == 0, done.stderr
    assert "a buildkitd on this machine, which the next one starts" in done.stderr
    assert calls(more) == []
    (project / "config/images.yml").write_text("builder: {name: pods}\n")
    shown = json.loads(invoked("builder", "--json", more=more).stdout)
    assert (shown["name"], shown["driver"], shown["action"]) == ("pods", "kubernetes", "none")
    assert [(node["name"], node["answers"]) for node in shown["nodes"]] == [("amd", False)]
    for option in ("--replace", "--remove"):
        refused = invoked("builder", option, more=more)
        assert refused.returncode == 2
        assert "describes no builder" in refused.stderr
