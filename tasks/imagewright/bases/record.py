"""What was found out a moment ago, so that the next call need not ask the network again."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HOLDS_SECONDS = 600


class Record:
    """A small JSON file. One that cannot be read is as good as none; answers from the future are not believed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            content = json.loads(path.read_text())
        except (OSError, ValueError):
            content = None
        self._content: dict[str, Any] = content if isinstance(content, dict) else {}

    def find(self, *key: str) -> Any:
        """What was remembered under the key less than ten minutes ago; None otherwise."""
        match self._content.get(" ".join(key)):
            case {"at": int() | float() as at, "value": value} if 0 <= time.time() - at < _HOLDS_SECONDS:
                return value
        return None

    def remember(self, key: tuple[str, ...], value: Any) -> None:
        """Write it down; processes that do so at the same time lose at most each other's entry."""
        self._content[" ".join(key)] = {"at": time.time(), "value": value}
        self._write(self._content)

    def forget(self) -> None:
        """Begin anew."""
        self._content = {}
        self._path.unlink(missing_ok=True)

    def _write(self, content: Mapping[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        fresh.write_text(json.dumps(content))
        fresh.replace(self._path)
