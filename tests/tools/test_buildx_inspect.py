from __future__ import annotations

from imagewright.tools.buildx_inspect import Inspected, InspectedNode, read

FLEET = """\
Name:          fleet
Driver:        remote
Last Activity: 2026-11-21 16:49:28 +0000 UTC

Nodes:
Name:             fleet0
Endpoint:         unix:///run/a.sock
Driver Options:   cacert="/x: y"
Status:           running
BuildKit version: v0.33.0
Platforms:        linux/amd64*, linux/amd64/v2, linux/386
Labels:
 org.mobyproject.buildkit.worker.executor: oci
GC Policy rule#0:
 All:            false
File#buildkitd.toml:
 > Name: no

Name:      arm
Endpoint:  tcp://127.0.0.1:1
Error:     failed to get status: no
Platforms: linux/arm64*
"""


def test_a_builder_with_its_nodes() -> None:
    assert read(FLEET) == Inspected(
        name="fleet",
        driver="remote",
        nodes=(
            InspectedNode(
                name="fleet0",
                endpoint="unix:///run/a.sock",
                status="running",
                version="v0.33.0",
                platforms=("linux/amd64", "linux/amd64/v2", "linux/386"),
            ),
            InspectedNode(
                name="arm",
                endpoint="tcp://127.0.0.1:1",
                error="failed to get status: no",
                platforms=("linux/arm64",),
            ),
        ),
    )


def test_a_builder_that_cannot_be_looked_at() -> None:
    found = read("Name:   x\nDriver: kubernetes\nError:  no such context\n")
    assert found == Inspected(name="x", driver="kubernetes", error="no such context")
    assert read("") == Inspected(name="", driver="")
