"""Generated files on disk, in `dist/`: written where they differ, and taken away where nothing stands for them.

A file of its own, `dist/.generated.json`, says what was written: whatever is not in it, or has been changed since, is
the user's, and is never deleted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from imagewright.errors import EnvironmentMissingError

if TYPE_CHECKING:
    from imagewright.images.families.model import Generated

DIST = "dist"
RECORD = f"{DIST}/.generated.json"
EDITED = ".edited"
"""What is appended to the name of a generated file that somebody has changed by hand, before it is written anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Generated files compared with the disk. Paths are relative to the repository root, and sorted."""

    missing: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()  # those of `differing` that are not what was written, or were never written
    unchanged: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()  # written for an image that is gone, and still the same
    kept: tuple[str, ...] = ()  # written for an image that is gone, and changed by hand since

    @property
    def is_current(self) -> bool:
        """Whether there is nothing to write and nothing to take away."""
        return not (self.missing or self.differing or self.stale)


def compare(root: Path, wanted: Mapping[str, Generated], *, may_be_stale: Callable[[str], bool]) -> State:
    """How the disk differs from what is `wanted`; nothing is changed.

    `may_be_stale` says of a file that was written and is not wanted whether it is of no image any more.
    EnvironmentMissingError: a file cannot be read.
    """
    record = _record(root)
    lists: dict[str, list[str]] = {key: [] for key in ("missing", "differing", "edited", "unchanged", "stale", "kept")}
    for path, made in sorted(wanted.items()):
        there = _read(root, path)
        if there is None:
            lists["missing"].append(path)
        elif there == made.content:
            lists["unchanged"].append(path)
        else:
            lists["differing"].append(path)
            if record.get(path) != _digest(there):
                lists["edited"].append(path)
    for path in filter(may_be_stale, sorted(record.keys() - wanted.keys())):
        there = _read(root, path)
        if there is not None:
            lists["stale" if _digest(there) == record[path] else "kept"].append(path)
    return State(**{key: tuple(paths) for key, paths in lists.items()})


def write(root: Path, wanted: Mapping[str, Generated], state: State) -> None:
    """Make the disk what `compare` found it not to be; EnvironmentMissingError where that cannot be.

    A file that was changed by hand is kept beside the new one, with `.edited` (and a number) behind its name.
    """
    record = _record(root)
    try:
        if state.missing or state.differing:
            make_dist(root / DIST)
        for path in state.edited:
            (root / path).replace(_free(root / f"{path}{EDITED}"))
        for path in (*state.missing, *state.differing):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            _replace(root / path, wanted[path].content)
        for path in state.stale:
            (root / path).unlink(missing_ok=True)
            _remove_empty(root, Path(path).parent)
        after = {path: digest for path, digest in record.items() if path not in state.stale}
        after |= {path: _digest(made.content) for path, made in wanted.items()}
        if after != record:
            text = json.dumps({"schema": 1, "files": dict(sorted(after.items()))}, indent=2)
            _replace(root / RECORD, f"{text}\n".encode())
    except OSError as error:
        raise EnvironmentMissingError(
            f"generated files cannot be written: {error.strerror}", where=str(error.filename or root / DIST)
        ) from error


def make_dist(folder: Path) -> None:
    """A folder that git ignores by itself: what is written there would make the work tree dirty. OSError."""
    ignore = folder / ".gitignore"
    folder.mkdir(parents=True, exist_ok=True)
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")


def _record(root: Path) -> dict[str, str]:
    """What was written, by path, with its digest; nothing where the file is not there or makes no sense."""
    try:
        files = json.loads((root / RECORD).read_bytes())["files"]
        return {str(path): str(digest) for path, digest in files.items() if _is_ours(str(path))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _is_ours(path: str) -> bool:
    parts = path.split("/")
    return parts[0] == DIST and len(parts) > 2 and not {"", ".", ".."} & set(parts)


def _read(root: Path, path: str) -> bytes | None:
    try:
        return (root / path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise EnvironmentMissingError(f"cannot be read: {error.strerror}", where=path) from error


def _replace(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _free(path: Path) -> Path:
    """The path, or where something is there the first with a number behind it that is free."""
    names = (path.with_name(f"{path.name}.{number}") for number in count(1))
    return next(one for one in chain([path], names) if not one.exists())


def _remove_empty(root: Path, folder: Path) -> None:
    """Take away the folder, and those above it, as far as they are empty; `dist` itself stays."""
    with suppress(OSError):
        while folder != Path(DIST):
            (root / folder).rmdir()
            folder = folder.parent


def _digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"
