"""Where Dockerfiles are looked for: in a folder of this machine, or in a snapshot of the repository."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple, Protocol

from imagewright.errors import ConfigError
from imagewright.images.tree import LINK, SUBMODULE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from imagewright.images.tree import Tree

_HINT = "a link to nothing?"


class Item(Protocol):
    """What stands in a folder: `os.DirEntry`, as far as it is asked here."""

    @property
    def name(self) -> str:
        """The last part of its path."""

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a folder; OSError for a link in a circle."""


class Folders(Protocol):
    """A place with files. Paths are relative to it; a folder's is empty or ends in `/`."""

    def items(self, folder: str) -> Iterable[Item]:
        """What stands in a folder; nothing where there is none."""

    def is_there(self, path: str) -> bool:
        """Whether there is something that is no folder, be it a link to nothing."""

    def problem(self, path: str) -> ConfigError | None:
        """Why what stands there is no file that can be read."""


class Disk:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._plain: set[str] = set()  # files that were listed, and are no links

    def items(self, folder: str) -> Iterable[Item]:
        """As `Folders` has it; ConfigError for a folder that cannot be read."""
        try:
            with os.scandir(f"{self._root}/{folder}") as entries:
                found = list(entries)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise ConfigError(f"cannot be read: {error.strerror}", where=folder or ".") from error
        self._plain.update(folder + entry.name for entry in found if entry.is_file(follow_symlinks=False))
        return found

    def is_there(self, path: str) -> bool:
        """As `Folders` has it."""
        full = f"{self._root}/{path}"  # a Path for each of a thousand is slow
        return os.path.lexists(full) and not os.path.isdir(full)  # noqa: PTH112

    def problem(self, path: str) -> ConfigError | None:
        """As `Folders` has it."""
        if path in self._plain:
            return None
        try:
            mode = os.stat(f"{self._root}/{path}").st_mode  # noqa: PTH116
        except OSError as error:
            return ConfigError(f"cannot be read: {error.strerror}", where=path, hint=_HINT)
        return None if stat.S_ISREG(mode) else ConfigError("this is no file", where=path)


class _Entry(NamedTuple):
    name: str
    is_folder: bool
    leads_to_folder: bool

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return self.leads_to_folder if follow_symlinks else self.is_folder


class Snapshot:
    """A tree of git's, in which no link leads outside."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def items(self, folder: str) -> Iterable[Item]:
        """As `Folders` has it."""
        path, _ = self._tree.follow(folder.rstrip("/"))
        if path is None:
            return ()
        start = f"{path}/" if path else ""
        found: list[Item] = []
        for name, entry in self._tree.children(path).items():
            is_folder = entry is None or entry.mode == SUBMODULE
            linked = entry is not None and entry.mode == LINK
            found.append(_Entry(name, is_folder, self._is_folder(start + name) if linked else is_folder))
        return found

    def is_there(self, path: str) -> bool:
        """As `Folders` has it."""
        folder, _, name = path.rpartition("/")
        return any(item.name == name and not item.is_dir() for item in self.items(folder))

    def problem(self, path: str) -> ConfigError | None:
        """As `Folders` has it."""
        return None if self._tree.is_file(path) else ConfigError("cannot be read", where=path, hint=_HINT)

    def _is_folder(self, path: str) -> bool:
        end, _ = self._tree.follow(path)
        if end is None:
            return False
        entry = self._tree.get(end)
        return entry.mode == SUBMODULE if entry else self._tree.is_folder(end)
