"""Removing what a service keeps: shown first, and never across a mount."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imagewright.errors import EnvironmentMissingError
from imagewright.tools.process import run

if TYPE_CHECKING:
    from collections.abc import Sequence

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Doomed:
    """A folder that a purge removes."""

    path: Path
    size: int  # bytes on disk


def plan(folders: Sequence[Path]) -> tuple[Doomed, ...]:
    """What there is to remove."""
    return tuple(Doomed(folder, size(folder)) for folder in folders if folder.exists())


def size(folder: Path) -> int:
    """Bytes on disk below a folder; hard links count once, other file systems not at all."""
    seen: set[tuple[int, int]] = set()
    total = 0
    try:
        device = folder.stat().st_dev
    except OSError:
        return 0
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if status.st_dev != device or (status.st_dev, status.st_ino) in seen:
                        continue
                    if status.st_nlink > 1:
                        seen.add((status.st_dev, status.st_ino))
                    total += status.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError:
            continue  # it went away while we looked, or is not ours to read
    return total


def remove(folder: Path) -> None:
    """Unmount what is mounted below a folder (overlay snapshots of a killed buildkitd), then remove it.

    EnvironmentMissingError where a mount stays: nothing is removed then.
    """
    for mount in reversed(_mounts(folder)):
        run(["umount", str(mount)])
    if busy := _mounts(folder):
        raise EnvironmentMissingError(
            f"{busy[0]} is mounted and busy, nothing was removed", hint=f"`umount {busy[0]}`, then again"
        )
    shutil.rmtree(folder)


def _mounts(folder: Path) -> list[Path]:
    """Mount points at or below a folder, outer ones first (proc_pid_mountinfo(5); blanks are octal escapes)."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = (Path(_OCTAL.sub(lambda code: chr(int(code[1], 8)), line.split()[4])) for line in lines)
    root = folder.resolve()
    return sorted({point for point in points if point == root or root in point.parents})
