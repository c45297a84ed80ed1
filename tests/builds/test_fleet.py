from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imagewright.builds.fleet import Described, decide, describe, differences
from imagewright.config.build_models import Builder
from imagewright.errors import ConfigError
from imagewright.tools.buildx_store import StoredBuilder, StoredNode
from imagewright.tools.docker import NewNode

HOST = "unix:///var/run/docker.sock"


def described(root: Path, *nodes: Mapping[str, Any], driver: str = "remote") -> Described:
    return describe(Builder.model_validate({"name": "fleet", "driver": driver, "nodes": nodes}), root)


def as_stored(wanted: Described) -> StoredBuilder:
    """What buildx keeps of it."""
    nodes = []
    for node in wanted.nodes:
        endpoint = node.endpoint or f"kubernetes:///fleet?deployment={node.name}&kubeconfig={node.kubeconfig or ''}"
        files = {"buildkitd.toml": node.config.read_bytes()} if node.config else {}
        nodes.append(
            StoredNode(
                name=node.name or "", endpoint=endpoint, platforms=node.platforms, options=node.options, files=files
            )
        )
    return StoredBuilder(name=wanted.name, driver=wanted.driver, nodes=tuple(nodes))


def told(wanted: Described, stored: StoredBuilder) -> list[str]:
    return [str(one) for one in differences(wanted, stored, docker_host=HOST)]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("ca.pem", "cert.pem", "key.pem", "kube"):
        (tmp_path / name).write_text(name)
    (tmp_path / "buildkitd.toml").write_text('debug = true\n[registry."r:1"]\nhttp = true\nca = ["CA"]\n')
    return tmp_path


def test_nodes_get_names_and_absolute_paths(files: Path) -> None:
    tls = {"ca": "ca.pem", "cert": "cert.pem", "key": str(files / "key.pem"), "server_name": "arm"}
    made = described(
        files,
        {"endpoint": "unix:///a.sock", "platforms": ["linux/amd64", "linux/arm64/v8"]},
        {"endpoint": "tcp://b:1", "name": "arm", "tls": tls},
    )
    assert made.nodes == (
        NewNode(endpoint="unix:///a.sock", name="fleet0", platforms=("linux/amd64", "linux/arm64")),
        NewNode(
            endpoint="tcp://b:1",
            name="arm",
            options={
                "cacert": str(files / "ca.pem"),
                "cert": str(files / "cert.pem"),
                "key": str(files / "key.pem"),
                "servername": "arm",
            },
        ),
    )


def test_the_endpoint_of_kubernetes_is_a_kubeconfig(files: Path) -> None:
    (node,) = described(files, {"endpoint": "kube", "options": {"namespace": "ci"}}, driver="kubernetes").nodes
    assert (node.endpoint, node.kubeconfig, node.options) == (None, files / "kube", {"namespace": "ci"})


@pytest.mark.parametrize(
    ("driver", "nodes", "message"),
    [
        ("remote", [{"endpoint": "tcp://a:1", "tls": {"ca": "no.pem"}}], r"builder.nodes\[0\].tls.ca: .*no\.pem"),
        (
            "remote",
            [{"endpoint": "tcp://a:1", "tls": {"server_name": "x"}}],
            r"builder.nodes\[0\].tls: must have a `ca`",
        ),
        ("docker-container", [{"config": "no.toml"}], r"builder.nodes\[0\].config: .*no\.toml"),
        ("kubernetes", [{"endpoint": "no"}], r"builder.nodes\[0\].endpoint: there is no file no"),
        ("remote", [{"endpoint": "tcp://a:1"}, {"endpoint": "tcp://a:1"}], r"builder.nodes\[1\].endpoint: tcp://a:1"),
        ("docker-container", [{}, {}], r"builder.nodes\[1\].endpoint: of docker's current context"),
        (
            "remote",
            [{"endpoint": "tcp://a:1", "name": "fleet1"}, {"endpoint": "tcp://b:1"}],
            r"builder.nodes\[1\].name: fleet1",
        ),
        (
            "remote",
            [
                {"endpoint": "tcp://a:1", "platforms": ["linux/arm64"]},
                {"endpoint": "tcp://b:1", "platforms": ["linux/arm64/v8"]},
            ],
            r"builder.nodes\[1\].platforms: linux/arm64 is that of nodes\[0\]",
        ),
    ],
)
def test_what_cannot_be_made_is_told_with_its_key(
    files: Path, driver: str, nodes: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        described(files, *nodes, driver=driver)


def test_what_stands_as_described_does_not_differ(files: Path) -> None:
    tls = {"ca": "ca.pem"}
    fleets = [
        described(
            files,
            {"endpoint": "unix:///a.sock", "platforms": ["linux/arm"]},
            {"endpoint": "tcp://b:1", "name": "arm", "tls": tls},
        ),
        described(files, {"options": {"network": "host"}}, driver="docker-container"),
        described(files, {"endpoint": "kube"}, {"options": {"replicas": "2"}}, driver="kubernetes"),
    ]
    for fleet in fleets:
        assert told(fleet, as_stored(fleet)) == []


def test_every_difference_is_told(files: Path) -> None:
    fleet = described(
        files, {"endpoint": "unix:///a.sock", "platforms": ["linux/amd64"]}, {"endpoint": "tcp://b:1", "name": "arm"}
    )
    stored = as_stored(fleet)
    first, arm = stored.nodes
    assert told(fleet, replace(stored, driver="kubernetes")) == ["driver: kubernetes -> remote"]
    changed = (
        replace(first, endpoint="unix:///old.sock", platforms=(), options={"cacert": "/x"}),
        replace(arm, name="old"),
    )
    assert told(fleet, replace(stored, nodes=changed)) == [
        "fleet0: endpoint: unix:///old.sock -> unix:///a.sock",
        "fleet0: platforms: none -> linux/amd64",
        "fleet0: options: cacert=/x -> none",
        "arm: node: none -> tcp://b:1",
        "old: node: tcp://b:1 -> none",
    ]
    assert told(fleet, replace(stored, nodes=(arm, first))) == ["order of nodes: arm, fleet0 -> fleet0, arm"]


@pytest.mark.parametrize(
    ("option", "is_shown"),
    [
        *(
            (option, True)
            for option in ("network", "image", "servername", "nodeselector", "requests.cpu", "tolerations")
        ),
        *((option, True) for option in ("key", "cacert", "cert")),  # paths
        *((option, False) for option in ("env.AWS_SECRET_ACCESS_KEY", "env.HTTPS_PROXY", "env.x")),
        *((option, False) for option in ("token", "Registry-Password", "access_key", "client.secret", "credentials")),
    ],
)
def test_values_that_may_be_secret_are_compared_and_not_shown(tmp_path: Path, option: str, is_shown: bool) -> None:
    fleet = described(tmp_path, {"options": {option: "s3cr3t", "memory": "8g"}}, driver="docker-container")
    stored = as_stored(fleet)

    def said_of(options: Mapping[str, str]) -> str:
        (said,) = told(fleet, replace(stored, nodes=(replace(stored.nodes[0], options=options),)))
        return said

    assert ("s3cr3t" in said_of({})) is is_shown
    assert option in said_of({})
    assert "memory=8g" in said_of({})
    other = said_of({option: "0ther", "memory": "8g"})
    assert ("0ther" in other) is is_shown
    assert (f"{option} (another value)" in other) is not is_shown


def test_the_default_context_is_its_engine(files: Path) -> None:
    fleet = described(files, {"endpoint": "default"}, driver="docker-container")
    node = StoredNode(name="fleet0", endpoint=HOST)
    assert told(fleet, StoredBuilder(name="fleet", driver="docker-container", nodes=(node,))) == []
    elsewhere = replace(node, endpoint="tcp://far:1")
    assert told(fleet, StoredBuilder(name="fleet", driver="docker-container", nodes=(elsewhere,))) != []


def test_another_kubeconfig_is_another_cluster(files: Path) -> None:
    fleet = described(files, {"endpoint": "kube"}, driver="kubernetes")
    node = StoredNode(name="fleet0", endpoint="kubernetes:///fleet?deployment=fleet0&kubeconfig=%2Fother")
    (said,) = told(fleet, StoredBuilder(name="fleet", driver="kubernetes", nodes=(node,)))
    assert said == f"fleet0: kubeconfig: /other -> {files}/kube"


def test_a_configuration_is_the_same_where_it_means_the_same_with_the_same_certificates(files: Path) -> None:
    (files / "CA").write_text("authority")
    (files / "buildkitd.toml").write_text(f'debug = true\n[registry."r:1"]\nhttp = true\nca = ["{files}/CA"]\n')
    fleet = described(files, {"config": "buildkitd.toml"}, driver="docker-container")
    stored = as_stored(fleet)
    # as buildx writes it anew, with the path in the container
    written = b"debug = true\n\n[registry]\n[registry.'r:1']\nca = ['/etc/buildkit/certs/r_1/CA']\nhttp = true\n"
    kept = {"buildkitd.toml": written, "certs/r_1/CA": b"authority"}

    def of(**files_: bytes) -> StoredBuilder:
        return replace(stored, nodes=(replace(stored.nodes[0], files={**kept, **files_}),))

    assert told(fleet, of()) == []
    assert told(fleet, of(**{"certs/r_1/CA": b"another"})) != []
    assert told(fleet, of(**{"buildkitd.toml": written.replace(b"debug = true", b"debug = false")})) != []
    assert told(fleet, replace(stored, nodes=(replace(stored.nodes[0], files={}),))) != []
    without = described(files, {}, driver="docker-container")
    assert told(without, of()) == [f"fleet0: config: a buildkitd.toml of {len(written)} bytes -> none"]


@pytest.mark.parametrize("is_ours", [True, False])
@pytest.mark.parametrize("may_replace", [True, False])
def test_only_what_was_made_here_is_made_anew_unasked(is_ours: bool, may_replace: bool, tmp_path: Path) -> None:
    fleet = described(tmp_path, {"endpoint": "unix:///a.sock"})
    stored = as_stored(fleet)
    found = differences(fleet, replace(stored, driver="kubernetes"), docker_host=HOST)
    assert decide(None, (), is_ours=is_ours, replace=may_replace) == "create"
    assert decide(stored, (), is_ours=is_ours, replace=may_replace) == "none"
    expected = "replace" if is_ours or may_replace else "refused"
    assert decide(stored, found, is_ours=is_ours, replace=may_replace) == expected
