"""The blobs that an earlier prune found unneeded: `imagewright/condemned.json`, beside BuildKit's objects. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from imagewright.errors import ImagewrightError

KEY = "imagewright/condemned.json"
_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One blob: since when no manifest needs it, and the time that it had then."""

    since: datetime
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Condemned:
    """The record. `caches` is how many the prune that wrote it has left; None before the first."""

    generation: int = 0
    caches: int | None = None
    blobs: Mapping[str, Entry] = field(default_factory=dict)

    def as_json(self) -> bytes:
        """The object's bytes: blobs by the time since when they are condemned, as seconds since 1970."""
        groups: dict[int, dict[str, int]] = {}
        for digest, entry in self.blobs.items():
            groups.setdefault(_seconds(entry.since), {})[digest] = _seconds(entry.modified)
        document = {
            "schema": _SCHEMA,
            "generation": self.generation,
            "caches": self.caches,
            "condemned": [{"since": since, "blobs": groups[since]} for since in sorted(groups)],
        }
        return json.dumps(document, separators=(",", ":")).encode()


def read_condemned(body: bytes | None, where: str = KEY) -> Condemned:
    """The record; an empty one where there is none. ImagewrightError where it cannot be read."""
    if body is None:
        return Condemned()
    try:
        document = json.loads(body)
        if document["schema"] != _SCHEMA:
            raise ImagewrightError(f"it has the form {document['schema']}, and only {_SCHEMA} is known", where=where)
        blobs = {
            str(digest): Entry(_time(group["since"]), _time(modified))
            for group in document["condemned"]
            for digest, modified in group["blobs"].items()
        }
        left = document["caches"]
        return Condemned(
            generation=int(document["generation"]), caches=None if left is None else int(left), blobs=blobs
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ImagewrightError(
            "this record of an earlier prune is damaged", where=where, hint="delete it: the next prune begins anew"
        ) from error


def _seconds(time: datetime) -> int:
    return int(time.timestamp())


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
