"""What buildx keeps about its builders, read from its files: asking buildx itself takes a tenth of a second.

Format: github.com/docker/buildx, store/store.go and store/nodegroup.go.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

DEFAULT_HOST = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBuilder:
    """A builder that was created with `docker buildx create`."""

    name: str
    driver: str  # "docker-container", "remote", "kubernetes"
    endpoints: tuple[str, ...]  # one a node
    platforms: tuple[str, ...] = ()  # that were named when it was created; empty: whatever the nodes say


def find(folder: Path, name: str) -> StoredBuilder | None:
    """The builder of that name in buildx's folder; None where there is none, or its file cannot be read."""
    document = _json(folder / "instances" / name.lower())
    nodes = [node for node in document.get("Nodes") or () if isinstance(node, dict)]
    if not nodes:
        return None
    return StoredBuilder(
        name=str(document.get("Name")),
        driver=str(document.get("Driver")),
        endpoints=tuple(str(node.get("Endpoint")) for node in nodes),
        platforms=tuple(dict.fromkeys(_platform(found) for node in nodes for found in node.get("Platforms") or ())),
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
