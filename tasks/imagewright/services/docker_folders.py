"""Where the docker client keeps its configuration, and finds its plugins."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

PLUGIN = "docker-buildx"
PLUGINS = "cli-plugins"
# Where it looks besides its own folder (docker/cli, cli-plugins/manager/manager_unix.go).
_SYSTEM = tuple(
    Path(folder, "docker", PLUGINS) for folder in ("/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec")
)


def docker_folder(environ: Mapping[str, str]) -> Path:
    """The docker client's configuration folder."""
    return Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or Path.home()) / ".docker")


def buildx_plugin(environ: Mapping[str, str]) -> Path | None:
    """The buildx that the docker client finds by itself; None where it finds none."""
    plugins = (folder / PLUGIN for folder in (docker_folder(environ) / PLUGINS, *_SYSTEM))
    return next((plugin for plugin in plugins if os.access(plugin, os.X_OK)), None)
