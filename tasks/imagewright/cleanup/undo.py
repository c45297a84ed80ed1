"""Putting back what a cleanup has deleted, as long as the registry's garbage collector has not taken its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from imagewright.cleanup.journal import Entry, read_journal
from imagewright.cleanup.read import Progress, quiet
from imagewright.cleanup.sweep import Skipped
from imagewright.errors import ImagewrightError, RegistryError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from imagewright.registry.copy import Place
    from imagewright.registry.model import Manifest

_NO_TAGS: Mapping[str, str] = MappingProxyType({})
_NOT_OURS = ("ABSENT", "KEPT", "UNSUPPORTED")  # results after which nothing of it was deleted by that run


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was put back."""

    manifests: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    present: int = 0  # what was there anyway
    left: tuple[Skipped, ...] = ()  # what was not put back, and why

    @property
    def ok(self) -> bool:
        """Whether everything is as it was."""
        return not self.left


@dataclass(slots=True)
class _Undoing:
    place: Place
    dry_run: bool
    manifests: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    present: int = 0
    left: list[Skipped] = field(default_factory=list)

    def put(self, reference: str, manifest: Manifest) -> bool:
        if self.dry_run:
            return True
        try:
            self.place.registry.push_manifest(self.place.repository, reference, manifest)
        except RegistryError as error:
            self.left.append(Skipped(reference, f"{error.message} (the garbage collector may have taken its parts)"))
            return False
        return True


def undo(
    path: Path,
    place: Place,
    *,
    also: Mapping[str, str] = _NO_TAGS,
    dry_run: bool = False,
    progress: Progress = quiet,
) -> Restored:
    """Put back everything that the journal at `path` has and the registry has no longer.

    A tag that points to something else now is left alone. Children come before their index, and tags last: distribution
    takes an index only when it has all that it names. `also` are tags (tag: digest) that went without being asked for,
    together with a manifest of the journal. UsageError for a journal that is none, or of another repository;
    what the registry's client raises where it cannot be asked.
    """
    record = read_journal(path)
    if record.repository != str(place):
        raise UsageError(f"the journal is of {record.repository}, not of {place}", where=str(path))
    entries = [one for one in record.entries if one.result not in _NOT_OURS]
    tags = {**_tags(entries), **also}
    digests = [one.digest for one in reversed(entries) if one.what == "manifest"]
    state = _Undoing(place, dry_run)
    total = len(digests) + len(tags)
    for done, digest in enumerate(digests, 1):
        progress(done, total)
        if digest not in record.manifests:
            state.left.append(Skipped(digest, "the journal does not have its bytes"))
        elif place.registry.resolve(place.repository, digest, artifacts=True) is not None:
            state.present += 1
        elif state.put(digest, record.manifests[digest]):
            state.manifests.append(digest)
    for done, (tag, digest) in enumerate(tags.items(), len(digests) + 1):
        progress(done, total)
        if digest in record.manifests:
            _put_tag(state, tag, record.manifests[digest])
        else:
            state.left.append(Skipped(tag, f"the journal does not have the bytes of {digest}"))
    return Restored(
        manifests=tuple(state.manifests), tags=tuple(state.tags), present=state.present, left=tuple(state.left)
    )


def _tags(entries: list[Entry]) -> dict[str, str]:
    """Tags that are to be there again, with what they pointed to."""
    found: dict[str, str] = {}
    for one in entries:
        for tag in (one.reference,) if one.what == "tag" else one.tags:
            found[tag] = one.digest
    return found


def _put_tag(state: _Undoing, tag: str, manifest: Manifest) -> None:
    try:
        now = state.place.registry.resolve(state.place.repository, tag, artifacts=True)
    except ImagewrightError as error:
        state.left.append(Skipped(tag, error.message))
        return
    if now is None:
        if state.put(tag, manifest):
            state.tags.append(tag)
    elif now.digest == manifest.digest:
        state.present += 1
    else:
        state.left.append(Skipped(tag, f"it points to {now.digest} now: somebody has put it there since"))
