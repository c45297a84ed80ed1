"""What runs on this machine."""

from __future__ import annotations

from pathlib import Path


def processes(words: str) -> list[int]:
    """The processes of this machine, those in containers too, whose command line has `words`."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if words in line.replace(b"\0", b" ").decode(errors="replace"):
                found.append(int(folder.name))
    return found
