"""A repository of a registry as a picture: all tags, all that they lead to, and what speaks about that.

One request a page of the list, one a tag, one more for each distinct configuration and child; where the registry
keeps a list of referrers, one more for each image. What was read within the hour is not fetched again.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from imagewright.cleanup.contents import Contents
from imagewright.cleanup.model import Picture
from imagewright.cleanup.stored import kind_of, settled, stored
from imagewright.errors import ImagewrightError, RegistryError
from imagewright.references import is_digest, is_tag
from imagewright.registry.model import Manifest

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from imagewright.cleanup.model import Stored
    from imagewright.registry.copy import Place

Progress = Callable[[int, int], None]
"""Told how much of how much is done; the second number may grow."""

_MOST_PROBLEMS = 20  # then the rest is not asked for: a registry that fails has its own troubles
_DEEPEST = 32  # indexes within indexes, and referrers of referrers
_NO_DATES: Mapping[str, datetime] = MappingProxyType({})


def quiet(_done: int, _total: int) -> None:
    """Progress that nobody wants to see."""


def read_picture(
    place: Place,
    *,
    memory: Path,
    now: datetime,
    progress: Progress = quiet,
    pushed: Mapping[str, datetime] = _NO_DATES,
    untagged: Iterable[str] = (),
    listed: Collection[str] = (),
    also: Iterable[str] = (),
) -> Picture:
    """Read a repository. Never raises for what the registry does: that is in the picture's `problems`.

    `memory` is a folder for what never changes. `pushed` and `untagged` are the vendor's own word, by digest: when
    something was pushed, and what is there without a tag; the tags that the same list has (`listed`) have to be in the
    registry's own, or one of the two is not whole. `also` are digests that somebody uses: where the registry
    does not have them, they are in `absent`.
    """
    contents = Contents(memory / _file_name(place), now)
    reader = _Reader(place, contents, progress, pushed)
    reader.read(frozenset(untagged), frozenset(also), frozenset(listed))
    manifests = settled(reader.manifests, reader.tags)
    reached = _reached(manifests, reader.tags.values())
    kept = frozenset(manifests) | frozenset(reader.configs)
    contents.close(reader.tags, None if reader.problems else kept)
    return Picture(
        repository=str(place),
        taken=now,
        tags=dict(sorted(reader.tags.items())),
        manifests=dict(sorted(manifests.items())),
        untagged=frozenset(manifests) - reached,
        problems=tuple(sorted(reader.problems)),
        absent=frozenset(reader.absent),
    )


class _Reader:
    """One reading. Its methods run on several threads; the lock is around all that they share."""

    def __init__(self, place: Place, contents: Contents, progress: Progress, pushed: Mapping[str, datetime]) -> None:
        self._registry = place.registry
        self._repository = place.repository
        self._place = place
        self._contents = contents
        self._progress = progress
        self._pushed = pushed
        self._guesses = contents.tags()
        self._lock = threading.Lock()
        self._claimed: set[str] = set()
        self._done = self._total = 0
        self.tags: dict[str, str] = {}
        self.manifests: dict[str, Stored] = {}
        self.configs: set[str] = set()
        self.problems: set[str] = set()
        self.absent: set[str] = set()

    def read(self, untagged: frozenset[str], also: frozenset[str], listed: frozenset[str]) -> None:
        """Everything, as far as the registry lets us."""
        tags = self._guarded(lambda: self._registry.tags(self._repository))
        if (tags is None and untagged) or listed - set(tags or ()):
            self._fail(
                RegistryError("the vendor lists what the registry's list of tags has not", where=str(self._place))
            )
        tags = tags or ()
        self._each(self._read_tag, tags)
        self._each(self._read_digest, untagged - self._claimed)
        self._follow_children()
        # Last, so that what an index names and is not there is a problem nevertheless.
        self._each(self._read_used, also - self._claimed)
        self._follow_children()
        self._follow_referrers()

    def _follow_children(self) -> None:
        for _ in range(_DEEPEST):
            named = {child for one in self.manifests.values() for child in one.children} - self._claimed
            if not named:
                return
            self._each(self._read_digest, named)
        self._fail(RegistryError(f"indexes within indexes, more than {_DEEPEST} deep", where=str(self._place)))

    def _follow_referrers(self) -> None:
        asked: set[str] = set()
        for _ in range(_DEEPEST):
            subjects = sorted(set(self.manifests) - asked)
            if not subjects or self.problems:
                return
            if not asked and not self._lists_referrers(subjects[0]):  # most registries keep no such list
                return
            asked.update(subjects)
            self._each(self._read_referrers, subjects)
            self._follow_children()
        self._fail(RegistryError("the referrers refer to each other without end", where=str(self._place)))

    def _lists_referrers(self, subject: str) -> bool:
        return self._guarded(lambda: self._registry.referrers(self._repository, subject)) is not None

    def _read_referrers(self, subject: str) -> None:
        listed = self._registry.referrers(self._repository, subject)
        if listed is None:
            raise RegistryError("the registry has no list of referrers any more", where=f"{self._place}@{subject}")
        for one in listed:
            self._read_digest(_checked(one.digest, self._place))

    def _read_tag(self, tag: str) -> None:
        if not is_tag(tag):
            raise RegistryError(f"the registry lists a tag that is none: {tag[:80]!r}", where=str(self._place))
        guess = self._guesses.get(tag)
        if guess and self._contents.get(guess):
            found = self._registry.resolve(self._repository, tag, artifacts=True)
            digest = _checked(found.digest, self._place) if found else None
            manifest = None if digest is None else self._manifest(digest, is_there=True)
        else:
            manifest = self._fetched(tag)
        if manifest is None:
            raise RegistryError("the registry lists this tag and has nothing under it", where=f"{self._place}:{tag}")
        with self._lock:
            self.tags[tag] = manifest.digest
        if self._claims(manifest.digest):
            self._take(manifest)

    def _read_digest(self, digest: str) -> None:
        if not self._claims(digest):
            return
        manifest = self._manifest(_checked(digest, self._place))
        if manifest is None:
            raise RegistryError(
                "this manifest is named and not there",
                where=f"{self._place}@{digest}",
                hint="build and push the image again, or delete its tag by hand",
            )
        self._take(manifest)

    def _read_used(self, digest: str) -> None:
        manifest = self._manifest(_checked(digest, self._place))
        if manifest is None:
            with self._lock:
                self.absent.add(digest)
        elif self._claims(digest):
            self._take(manifest)

    def _manifest(self, digest: str, *, is_there: bool = False) -> Manifest | None:
        """By digest: from memory where the registry has said now, or within the hour, that it is there."""
        known = self._contents.get(digest)
        if known is None:
            return self._fetched(digest)
        if not (is_there or known.is_fresh):
            is_there = self._registry.resolve(self._repository, digest, artifacts=True) is not None
            if not is_there:
                return None
        if is_there:
            self._contents.saw(digest)
        return Manifest(raw=known.raw, media_type=known.media_type, digest=digest)

    def _fetched(self, reference: str) -> Manifest | None:
        manifest = self._registry.manifest(self._repository, reference, artifacts=True)
        if manifest is not None:
            self._contents.put(manifest.digest, manifest.media_type, manifest.raw)
        return manifest

    def _take(self, manifest: Manifest) -> None:
        for named in (*manifest.manifests, *manifest.blobs, *((manifest.subject,) if manifest.subject else ())):
            _checked(named.digest, self._place)
        config = None
        if kind_of(manifest) == "image" and manifest.config:
            config = self._config(manifest.config.digest)
        one = stored(manifest, config, pushed=self._pushed.get(manifest.digest))
        with self._lock:
            self.manifests[one.digest] = one

    def _config(self, digest: str) -> dict[str, Any]:
        with self._lock:
            self.configs.add(digest)
        known = self._contents.get(digest)
        raw = known.raw if known else self._registry.blob(self._repository, digest)
        if raw is None:
            raise RegistryError("the image's configuration is not there", where=f"{self._place}@{digest}")
        try:
            document = json.loads(raw)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise RegistryError("the image's configuration is no JSON object", where=f"{self._place}@{digest}")
        if known is None:
            self._contents.put(digest, "", raw)
        return document

    def _claims(self, digest: str) -> bool:
        with self._lock:
            if digest in self._claimed:
                return False
            self._claimed.add(digest)
            return True

    def _each(self, call: Callable[[str], None], items: Iterable[str]) -> None:
        listed = list(items)
        with self._lock:
            self._total += len(listed)

        def one(item: str) -> None:
            if len(self.problems) < _MOST_PROBLEMS:
                self._guarded(lambda: call(item))
            with self._lock:
                self._done += 1
                self._progress(self._done, self._total)

        self._registry.concurrently(one, listed)

    def _guarded(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except ImagewrightError as error:
            self._fail(error)
            return None

    def _fail(self, error: ImagewrightError) -> None:
        with self._lock:
            self.problems.add(str(error))


def _reached(manifests: Mapping[str, Stored], roots: Iterable[str]) -> frozenset[str]:
    """What tags, indexes and subjects lead to."""
    leads: dict[str, list[str]] = {digest: list(one.children) for digest, one in manifests.items()}
    for one in manifests.values():
        if one.subject in leads:
            leads[one.subject].append(one.digest)
    found: set[str] = set()
    level = set(roots)
    while level:
        found |= level
        level = {other for digest in level for other in leads.get(digest, ())} - found
    return frozenset(found)


def _checked(digest: str, place: Place) -> str:
    """A registry's word is somebody else's text: what it names becomes part of addresses."""
    if not is_digest(digest):
        raise RegistryError(f"{digest[:80]!r} is named, which is no sha256 or sha512 digest", where=str(place))
    return digest


def _file_name(place: Place) -> str:
    return f"{hashlib.sha256(str(place).encode()).hexdigest()[:32]}.sqlite"
