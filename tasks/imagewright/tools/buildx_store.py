"""What buildx keeps about its builders, read from its files: asking buildx itself takes a tenth of a second.

Format: github.com/docker/buildx, store/store.go and store/nodegroup.go.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

DEFAULT_HOST = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNode:
    """A node as it was created."""

    name: str
    endpoint: str
    platforms: tuple[str, ...] = ()  # that were named for it; empty: whatever it says itself
    options: Mapping[str, str] = field(default_factory=dict)  # the driver's
    files: Mapping[str, bytes] = field(default_factory=dict)  # "buildkitd.toml" and the certificates that it names


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBuilder:
    """A builder that was created with `docker buildx create`; `nodes` are those of its file, in their order."""

    name: str
    driver: str  # "docker-container", "remote", "kubernetes"
    nodes: tuple[StoredNode, ...]
    digest: str = ""  # of all that is said about its nodes

    @property
    def endpoints(self) -> tuple[str, ...]:
        """One for each node."""
        return tuple(node.endpoint for node in self.nodes)


def find(folder: Path, name: str) -> StoredBuilder | None:
    """The builder of that name in buildx's folder; None where there is none, or its file cannot be read."""
    document = _json(folder / "instances" / name.lower())
    found = document.get("Nodes")
    nodes = [node for node in found if isinstance(node, dict)] if isinstance(found, list) else []
    if not nodes:
        return None
    driver = str(document.get("Driver"))
    return StoredBuilder(
        name=str(document.get("Name")),
        driver=driver,
        nodes=tuple(map(_node, nodes)),
        digest=sha256(json.dumps([driver, nodes], sort_keys=True).encode()).hexdigest(),
    )


def _node(node: Mapping[str, Any]) -> StoredNode:
    files: dict[str, bytes] = {}
    for name, content in (node.get("Files") or {}).items():
        try:
            files[name] = b64decode(content)
        except (TypeError, ValueError):
            files[name] = b""
    return StoredNode(
        name=str(node.get("Name")),
        endpoint=str(node.get("Endpoint")),
        platforms=tuple(dict.fromkeys(map(_platform, node.get("Platforms") or ()))),
        options={str(key): str(value) for key, value in (node.get("DriverOpts") or {}).items()},
        files=files,
    )


def current(folder: Path, key: str) -> StoredBuilder | None:
    """The builder that buildx would take by itself; None where that is the engine's own.

    `key` is what buildx remembers the choice by: the docker context's name, or the engine's address in the default one.
    """
    document = _json(folder / "current")
    if document.get("Name") and (document.get("Global") or document.get("Key") == key):
        return find(folder, str(document["Name"]))
    try:
        chosen = (folder / "defaults" / sha256(key.encode()).hexdigest()[:20]).read_text()
    except OSError:
        return None
    return find(folder, chosen)


def folder(config: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Where buildx keeps its files, given docker's configuration folder."""
    return Path(environ.get("BUILDX_CONFIG") or config / "buildx")


def _platform(found: Mapping[str, str]) -> str:
    parts = (found.get("os"), found.get("architecture"), found.get("variant"))
    return "/".join(part for part in parts if part)


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
