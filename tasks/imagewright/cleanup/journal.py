"""What a cleanup does, written down and on the disk before it is done: enough to put it back.

A file of JSON lines. The first names the repository; each deletion has a line before it (`will`, with the manifest's
bytes where no earlier line has them) and one after it (`did`). Beside it lies an empty file, `.done`, when nothing is
left to do: else what it was to delete may still be there, with no tag that leads to it.
"""

from __future__ import annotations

import base64
import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from imagewright.errors import EnvironmentMissingError, UsageError
from imagewright.references import is_digest
from imagewright.registry.model import Manifest, digest_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

_SCHEMA = 1
_DONE = ".done"

What = Literal["tag", "manifest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One deletion that was to be done, and what is known of it."""

    what: What
    reference: str  # the tag, or the digest
    digest: str
    tags: tuple[str, ...] = ()  # tags that go with a manifest
    result: str | None = None  # a Deletion's name; None: the run ended before that was known


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A journal, read."""

    repository: str
    plan: str  # the plan's hash
    entries: tuple[Entry, ...]  # in the order in which they were done
    manifests: Mapping[str, Manifest] = field(default_factory=dict)  # by digest
    planned: frozenset[str] = frozenset()  # digests of all manifests that were to be deleted


class Journal:
    """A journal being written. Use it with `with`; EnvironmentMissingError where the disk does not take it."""

    def __init__(self, path: Path, repository: str, *, plan: str = "", manifests: Collection[str] = ()) -> None:
        self.path = path
        self._has: set[str] = set()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Only ours to read: annotations of private images are nobody's business.
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                head = {"journal": _SCHEMA, "repository": repository, "plan": plan, "manifests": list(manifests)}
                self._write(head)
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._unwritable(error) from error

    @classmethod
    def create(
        cls, folder: Path, repository: str, now: datetime, *, plan: str = "", manifests: Collection[str] = ()
    ) -> Journal:
        """A new file in `folder`, named after the repository and the time. `manifests` are all that are to go."""
        stem = f"{_name(repository)}-{now:%Y%m%dT%H%M%S}"
        number = 0
        while (path := folder / f"{stem}{f'-{number}' if number else ''}.jsonl").exists():
            number += 1
        return cls(path, repository, plan=plan, manifests=manifests)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._file)

    def has(self, digest: str) -> bool:
        """Whether the manifest's bytes are in it already."""
        return digest in self._has

    def will(self, what: What, reference: str, manifest: Manifest | str, *, tags: tuple[str, ...] = ()) -> None:
        """Say what is going to be deleted. When this returns, it is on the disk. A digest alone if `has` knows it."""
        digest = manifest if isinstance(manifest, str) else manifest.digest
        line: dict[str, Any] = {"will": what, "reference": reference, "digest": digest, "tags": list(tags)}
        if isinstance(manifest, Manifest) and digest not in self._has:
            line |= {"type": manifest.media_type, "raw": base64.b64encode(manifest.raw).decode()}
        self._append(line)
        self._has.add(digest)

    def did(self, what: What, reference: str, result: str) -> None:
        """Say what came of it."""
        self._append({"did": what, "reference": reference, "result": result}, sync=False)

    def _append(self, line: Mapping[str, Any], *, sync: bool = True) -> None:
        try:
            self._write(line, sync=sync)
        except OSError as error:
            raise self._unwritable(error) from error

    def _write(self, line: Mapping[str, Any], *, sync: bool = True) -> None:
        data = json.dumps(line, sort_keys=True, separators=(",", ":")).encode() + b"\n"
        while data:
            data = data[os.write(self._file, data) :]
        if sync:
            os.fsync(self._file)

    def _unwritable(self, error: OSError) -> EnvironmentMissingError:
        return EnvironmentMissingError(
            f"the journal cannot be written: {error.strerror}",
            where=str(self.path),
            hint="nothing is deleted that is not in the journal first",
        )


def unfinished(folder: Path, repository: str) -> dict[Path, frozenset[str]]:
    """The journals of a repository that are not `done`, each with what it was to delete; damaged ones are left out."""
    found: dict[Path, frozenset[str]] = {}
    for path in sorted(folder.glob(f"{_name(repository)}-*.jsonl")):
        with suppress(UsageError, OSError):
            if not path.with_suffix(_DONE).exists():
                record = read_journal(path)
                if record.repository == repository and record.planned:
                    found[path] = record.planned
    return found


def finish(path: Path) -> None:
    """Say of a journal that nothing is left of what it was to delete. Where that cannot be written, it stays open."""
    with suppress(OSError):
        path.with_suffix(_DONE).touch()


def _name(repository: str) -> str:
    return repository.replace("/", "__").replace(":", "_")


def read_journal(path: Path) -> Record:
    """A journal from its file; UsageError where it is none. Of a run that was killed, the last line may be half."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(f"the journal cannot be read: {error.strerror}", where=str(path)) from error
    entries: dict[tuple[str, str], Entry] = {}
    manifests: dict[str, Manifest] = {}
    try:
        head = json.loads(lines[0])
        repository, plan, schema = str(head["repository"]), str(head["plan"]), head["journal"]
        planned = frozenset(one for one in head.get("manifests", ()) if is_digest(one))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError("this is no journal of a cleanup", where=str(path)) from error
    if schema != _SCHEMA:
        raise UsageError(f"this journal has the form {schema}, and only {_SCHEMA} is known", where=str(path))
    for number, line in enumerate(lines[1:-1], 2):  # what stands behind the last line break is half a line
        try:
            _take(json.loads(line), entries, manifests)
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError("the journal is damaged here", where=f"{path}:{number}") from error
    return Record(
        repository=repository, plan=plan, entries=tuple(entries.values()), manifests=manifests, planned=planned
    )


def _take(line: Any, entries: dict[tuple[str, str], Entry], manifests: dict[str, Manifest]) -> None:
    if "did" in line:
        key = (line["did"], line["reference"])
        before = entries[key]
        entries[key] = Entry(
            what=before.what, reference=before.reference, digest=before.digest, tags=before.tags, result=line["result"]
        )
        return
    what: What = "tag" if line["will"] == "tag" else "manifest"
    entries[what, line["reference"]] = Entry(
        what=what, reference=line["reference"], digest=line["digest"], tags=tuple(line["tags"])
    )
    if "raw" in line:
        raw = base64.b64decode(line["raw"], validate=True)
        digest = str(line["digest"])
        if digest_of(raw, digest.partition(":")[0]) != digest:
            raise ValueError(digest)
        manifests[digest] = Manifest(raw=raw, media_type=line["type"], digest=digest)
