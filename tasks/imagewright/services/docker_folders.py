"""Where the docker client keeps its configuration, and finds its plugins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from imagewright.tools import buildx_plugin as plugin


def docker_folder(environ: Mapping[str, str]) -> Path:
    """The docker client's configuration folder."""
    return Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or Path.home()) / ".docker")


def buildx_plugin(environ: Mapping[str, str]) -> Path | None:
    """The buildx that the docker client finds by itself; None where it finds none."""
    return plugin.find(docker_folder(environ))
