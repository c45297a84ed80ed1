"""Where the repository of images begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def find_root(start: Path) -> Path:
    """The folder that the commands work on: an absolute path.

    The nearest ancestor of `start` (itself included) with config/images.yml, a folder Dockerfiles or tasks.py; else
    the nearest with .git; else `start`.
    """
    start = start.absolute()
    ancestors = (start, *start.parents)
    for folder in ancestors:
        if (folder / "config/images.yml").is_file() or (folder / "tasks.py").is_file():
            return folder
        if (folder / "Dockerfiles").is_dir():
            return folder
    return next((folder for folder in ancestors if (folder / ".git").exists()), start)
