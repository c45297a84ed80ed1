"""Families kept between runs, with what was made for them: without it pydantic and Jinja2 are loaded, for 0.15 s.

One JSON file. It is only ever a shortcut: broken, or not writable, it is as if it were not there. What is kept counts
while every file that was read for it has the same content, and every file that was looked for is still not there.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass, fields
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from imagewright.images.families.model import Family, Generated, Member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

_KEPT = 20  # repositories, or settings of one


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The families of a repository, and the files of their members by path."""

    families: tuple[Family, ...]
    files: Mapping[str, Generated]


class FamilyMemory:
    """What was made, by the question: all that it depends on beside the files that were read for it."""

    def __init__(self, path: Path, rules: Iterable[Path]) -> None:
        """`path` is the memory's file; `rules` are folders of modules, of which a change makes all of it void."""
        self._path = path
        self._rules = tuple(rules)

    def recall(self, question: Any, content: Callable[[str], bytes | None]) -> Made | None:
        """What was made when the same was asked of the same files; None where that is not known."""
        with suppress(AttributeError, KeyError, TypeError, ValueError):  # somebody has written into the file
            kept = self._load()[self._key(question)]
            if all(_digest(content(path)) == digest for path, digest in kept["read"].items()):
                families = tuple(map(_family, kept["families"]))
                files = {path: Generated(content=text.encode(), sources=(*of,)) for path, text, of in kept["files"]}
                return Made(families=families, files=files)
        return None

    def keep(self, question: Any, read: Mapping[str, bytes | None], made: Made) -> None:
        """Write it down; a folder that cannot be written is no error. `read` are all files that were asked for."""
        entry = {
            "read": {path: _digest(data) for path, data in read.items()},
            "families": [_plain(family, members=[_plain(one) for one in family.members]) for family in made.families],
            "files": [[path, file.content.decode(), file.sources] for path, file in made.files.items()],
        }
        key = self._key(question)
        others = {other: kept for other, kept in self._load().items() if other != key}
        document = json.dumps({**dict(list(others.items())[1 - _KEPT :]), key: entry}, default=_section)
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = self._path.with_name(f"{self._path.name}.{os.getpid()}")
            unfinished.write_text(document, encoding="utf-8")
            unfinished.replace(self._path)

    def _key(self, question: Any) -> str:
        files = sorted(file for folder in self._rules for file in folder.glob("*.py"))
        states = ((str(file), file.stat()) for file in files)
        versions = [[name, state.st_size, state.st_mtime_ns] for name, state in states]
        return hashlib.sha256(json.dumps([versions, question]).encode()).hexdigest()

    def _load(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _digest(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()


def _plain(value: Family | Member, **others: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)} | others


def _section(value: Any) -> Any:
    """A section of `image.yml` (a build secret) as a mapping; other values are JSON's own, and tuples lists."""
    return value.model_dump()


def _family(kept: dict[str, Any]) -> Family:
    members = tuple(Member(**{**one, "build": _settings(one["build"])}) for one in kept["members"])
    return Family(**{**kept, "members": members, "suffixes": (*kept["suffixes"],), "notices": (*kept["notices"],)})


def _settings(kept: Mapping[str, Any]) -> dict[str, Any]:
    """The build settings of a member, which has tuples, and sections in them."""
    return {key: _items(value) if isinstance(value, list) else value for key, value in kept.items()}


def _items(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(SimpleNamespace(**value) if isinstance(value, dict) else value for value in values)
