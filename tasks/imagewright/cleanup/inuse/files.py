"""The texts of given files and folders. What cannot be read is an error: nobody would know what it needs."""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from typing import TYPE_CHECKING

from imagewright.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

# A version control's own store, and what package managers unpack: nothing in them is deployed.
_LEFT_OUT = frozenset({".git", ".hg", ".svn", "node_modules", ".venv", "__pycache__"})
_HEAD = 8192  # bytes within which a binary file has a zero, as git decides it
_WIDE = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def texts(path: Path) -> Iterator[tuple[Path, str]]:
    """Every text file of a folder, by path, or the one file itself; ConfigError where one cannot be read.

    Links are followed, each folder once. A link that leads nowhere has no text.
    """
    if not path.exists():
        raise ConfigError("this is not there", where=str(path), hint="--in-use takes files and folders")
    if not path.is_dir():
        text = _text(path)
        if text is None:
            raise ConfigError("this is no text file", where=str(path))
        yield path, text
        return
    seen: set[str] = set()
    for folder, folders, files in os.walk(path, onerror=_fail, followlinks=True):
        true = os.path.realpath(folder)
        if true in seen:
            folders.clear()
            continue
        seen.add(true)
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        for name in sorted(files):
            file = Path(folder, name)
            # A socket or a pipe would be waited for; a dangling link is none of the three, too.
            if file.is_file() and (text := _text(file)) is not None:
                yield file, text


def _text(path: Path) -> str | None:
    try:
        data = path.read_bytes()
    except OSError as error:
        _fail(error)
    for mark, encoding in _WIDE.items():
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    return None if b"\0" in data[:_HEAD] else data.decode("utf-8", errors="replace")


def _fail(error: OSError) -> None:
    raise ConfigError(
        f"cannot be read: {error.strerror}; what it needs is not known", where=str(error.filename)
    ) from error
