"""Dockerfiles that no `discover` pattern finds: an image that is never built is easily forgotten."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

# Dockerfile, Dockerfile.app, app.Dockerfile, Containerfile
_DOCKERFILE = re.compile(r"(?:.+\.)?(?:Dockerfile|Containerfile)(?:\..+)?")
_OTHER = (".dockerignore", ".containerignore", ".j2", ".jinja", ".jinja2", ".tmpl", ".md", ".bak", ".orig")
_SKIPPED = {"node_modules", "venv", "vendor", "dist", "build"}


def overlooked(files: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """Those of `files` that are named like a Dockerfile and are not among `known`; paths with `/`, sorted."""
    names = ((file, file.rpartition("/")[2]) for file in files)
    found = (file for file, name in names if _DOCKERFILE.fullmatch(name) and not name.endswith(_OTHER))
    return tuple(sorted(file for file in found if file not in known))


def files_below(root: Path) -> Iterator[str]:
    """All files where there is no git to ask; hidden folders and those that tools fill are left out."""
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _SKIPPED]
        for file in files:
            yield os.path.relpath(os.path.join(folder, file), root).replace(os.sep, "/")  # noqa: PTH118
