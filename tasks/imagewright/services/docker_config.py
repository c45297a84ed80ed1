"""The docker client's configuration folder: the user's own, or one beside it that also knows buildx."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from imagewright.services.docker_folders import buildx_plugin, docker_folder
from imagewright.tools.buildx_plugin import PLUGIN, PLUGINS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from imagewright.services.places import Places


def docker_config(places: Places, *, environ: Mapping[str, str], say: Callable[[str], None]) -> Path | None:
    """The folder to give to docker as DOCKER_CONFIG so that it finds buildx; None where the user's own is fine.

    Ours links to everything in the user's, config.json above all, so that contexts are seen and a login goes to the
    user's file; only the plugin and buildx's own state are in ours. buildx is found or built on the first call;
    EnvironmentMissingError where it cannot be.
    """
    if buildx_plugin(environ) is not None:
        return None
    theirs = docker_folder(environ).absolute()
    ours = places.state / f"docker-{sha256(os.fsencode(theirs)).hexdigest()[:12]}"
    if not os.access(ours / PLUGINS / PLUGIN, os.X_OK):
        from imagewright.services import programs

        program = programs.provide("buildx", tools=places.tools, environ=environ, say=say)
        (ours / PLUGINS).mkdir(parents=True, exist_ok=True, mode=0o700)
        _link(ours / PLUGINS / PLUGIN, program.path)
    if not (theirs / "config.json").exists():
        # Docker writes it at the first login; it would replace a link to nothing by a file in our folder.
        from imagewright.services.credentials import write_private

        theirs.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(theirs / "config.json", "{}\n")
    _mirror(theirs, ours)
    _mirror(theirs / PLUGINS, ours / PLUGINS)
    return ours


def _mirror(theirs: Path, ours: Path) -> None:
    """Link what `theirs` has and `ours` has not."""
    if theirs.is_dir():
        for entry in os.scandir(theirs):
            if entry.name != PLUGINS and not os.path.lexists(ours / entry.name):
                _link(ours / entry.name, Path(entry.path))


def _link(link: Path, target: Path) -> None:
    fresh = link.with_name(f".{link.name}-{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)
