"""Proof afterwards: every kept tag is where it was, and everything that it leads to is there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from imagewright.cleanup.read import Progress, quiet
from imagewright.errors import ImagewrightError
from imagewright.references import is_digest
from imagewright.registry.model import Manifest, is_manifest_type
from imagewright.registry.reach import is_foreign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from imagewright.registry.copy import Place

_DEEPEST = 32
_MOST_UNREAD = 20  # nothing is proven then anyway


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """Something that is not as it was, or could not be looked at."""

    reference: str  # the tag, or the digest
    digest: str  # what it pointed to; for a digest, that
    problem: Literal["gone", "moved", "missing", "unread"]
    detail: str

    @property
    def lost(self) -> bool:
        """Whether it is certain that something is not there. A tag that has moved was put elsewhere by somebody."""
        return self.problem in ("gone", "missing")


def verify(
    place: Place, roots: Mapping[str, str], *, blobs: bool = True, progress: Progress = quiet
) -> tuple[Breach, ...]:
    """Resolve each tag of `roots` (tag: digest), and look for all manifests and blobs behind it. Empty: all is well.

    Manifests are read and checked against their digests, blobs asked for, each once. What a tag leads to is taken
    from what is there now, so of one that has moved, too.
    """
    looking = _Looking(place, progress)
    tops = looking.each(lambda tag: _tag(looking, tag, roots[tag]), sorted(roots))
    looking.manifests({digest for digest in tops if digest})
    if blobs:
        looking.each(looking.blob, sorted(looking.blobs))
    return tuple(sorted(looking.breaches, key=lambda one: (one.reference, one.digest)))


class _Looking:
    def __init__(self, place: Place, progress: Progress) -> None:
        self.place = place
        self.breaches: list[Breach] = []
        self.blobs: dict[str, str] = {}  # digest: the manifest that names it
        self._progress = progress
        self._done = self._total = self._unread = 0

    def each(self, call: Callable[[str], str | None], items: Iterable[str]) -> list[str | None]:
        """`call` for each, several at once; one that fails is a breach, and the others go on."""
        listed = list(items)
        self._total += len(listed)

        def one(item: str) -> str | None:
            try:
                return None if self._unread >= _MOST_UNREAD else call(item)
            except ImagewrightError as error:
                self._unread += 1
                self.breaches.append(Breach(reference=item, digest=item, problem="unread", detail=str(error)))
                return None
            finally:
                self._done += 1
                self._progress(self._done, self._total)

        return self.place.registry.concurrently(one, listed)

    def manifests(self, tops: set[str]) -> None:
        """All manifests from these down."""
        over = dict.fromkeys(tops, "")
        known: set[str] = set()
        for _ in range(_DEEPEST):
            level = set(over) - known
            if not level:
                return
            known |= level
            # One dictionary, many threads: each only adds to it, and that is one step of the interpreter.
            named: dict[str, str] = {}
            self.each(partial(self._manifest, over=over, named=named), sorted(level))
            over |= {child: parent for child, parent in named.items() if child not in over}
        raise AssertionError("hashes cannot go in a circle")

    def blob(self, digest: str) -> None:
        """A blob has to be there."""
        if not self.place.registry.has_blob(self.place.repository, digest, pushes=False):
            self._missing(digest, self.blobs[digest])

    def _manifest(self, digest: str, *, over: Mapping[str, str], named: dict[str, str]) -> None:
        found = self.place.registry.manifest(self.place.repository, digest, artifacts=True)
        if found is None:
            self._missing(digest, over[digest])
            return
        self._follow(found, named)

    def _follow(self, manifest: Manifest, named: dict[str, str]) -> None:
        for one in (*manifest.manifests, *manifest.blobs):
            if not is_digest(one.digest):
                self._missing(one.digest[:80], manifest.digest)
            elif is_manifest_type(one.media_type) and one in manifest.manifests:
                named[one.digest] = manifest.digest
            elif not is_foreign(one):
                self.blobs[one.digest] = manifest.digest

    def _missing(self, digest: str, parent: str) -> None:
        detail = f"{parent} names it, and it is not there" if parent else "it is not there"
        self.breaches.append(Breach(reference=digest, digest=digest, problem="missing", detail=detail))


def _tag(looking: _Looking, tag: str, digest: str) -> str | None:
    found = looking.place.registry.resolve(looking.place.repository, tag, artifacts=True)
    if found is None:
        looking.breaches.append(
            Breach(reference=tag, digest=digest, problem="gone", detail=f"it pointed to {digest}, and is not there")
        )
        return None
    if found.digest != digest:
        detail = f"it pointed to {digest}, and points to {found.digest} now"
        looking.breaches.append(Breach(reference=tag, digest=digest, problem="moved", detail=detail))
    return found.digest
