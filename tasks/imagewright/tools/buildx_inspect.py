"""What `docker buildx inspect` prints, read: buildx has no other form of it.

Format: github.com/docker/buildx, commands/inspect.go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FIELD = re.compile(r"(Name|Driver|Endpoint|Status|Error|BuildKit version|Buildkit|Platforms):\s*(.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedNode:
    """A node, as it says itself."""

    name: str
    endpoint: str
    status: str = ""  # "running", "inactive", "stopped"; a remote one that does not answer is "inactive"
    error: str | None = None
    version: str | None = None  # of its BuildKit
    platforms: tuple[str, ...] = ()  # those that were named when it was created first


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """A builder. `error` stands where buildx could not look at its nodes at all."""

    name: str
    driver: str
    nodes: tuple[InspectedNode, ...] = ()
    error: str | None = None


def read(text: str) -> Inspected:
    """The builder of `docker buildx inspect`'s output; fields that are not known are left out."""
    head, *nodes = _sections(text)
    return Inspected(
        name=head.get("Name", ""),
        driver=head.get("Driver", ""),
        error=head.get("Error"),
        nodes=tuple(
            InspectedNode(
                name=node["Name"],
                endpoint=node.get("Endpoint", ""),
                status=node.get("Status", ""),
                error=node.get("Error"),
                version=node.get("BuildKit version") or node.get("Buildkit"),  # before v0.12
                platforms=tuple(part.strip().rstrip("*") for part in node.get("Platforms", "").split(",") if part),
            )
            for node in nodes
        ),
    )


def _sections(text: str) -> list[dict[str, str]]:
    """The fields of the builder, then those of each node, which begin with its name."""
    found: list[dict[str, str]] = [{}]
    for line in text.splitlines():
        matched = _FIELD.match(line)
        if matched is None:  # labels, rules and files are indented, or of other names
            continue
        if matched[1] == "Name" and "Name" in found[-1]:
            found.append({})
        found[-1].setdefault(matched[1], matched[2].strip())
    return found
