"""Copying an image by its digest: within a repository, between repositories of a registry, between registries.

Byte for byte, with all platforms, attestations and what refers to them (OCI distribution spec 1.1). Nothing is
visible under a tag before all of it is there.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from imagewright.errors import ImagewrightError, RegistryError
from imagewright.registry.model import Blob, Descriptor, Manifest
from imagewright.registry.reach import Reach, reach
from imagewright.registry.referrers import Referrers, fallback_tag, merged, supersedes

if TYPE_CHECKING:
    from imagewright.registry.client import Registry


@dataclass(frozen=True, slots=True)
class Place:
    """A repository (`me/app`) on a registry. Places on one host share the registry's client."""

    registry: Registry
    repository: str

    def __str__(self) -> str:
        return f"{self.registry.host}/{self.repository}"

    def is_same(self, other: Place) -> bool:
        """Whether both are the same repository."""
        return str(self) == str(other)


Guard = Callable[[Place, str, Descriptor | None], None]
"""Asked right before a tag is put, with what the tag points to at that moment; refuses with an ImagewrightError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagPut:
    """What became of one tag."""

    tag: str
    digest: str
    before: str | None  # what it pointed to; None where it is new, or nobody looked
    status: Literal["put", "same", "refused", "failed"]  # same: it pointed there already
    error: ImagewrightError | None = None

    @property
    def ok(self) -> bool:
        """Whether the tag points to the digest now."""
        return self.error is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was done, counted."""

    digest: str
    tags: tuple[TagPut, ...]
    manifests: int = 0  # put, by digest or under a tag of cosign's
    mounted: int = 0  # blobs that the registry took over from another repository
    streamed: int = 0  # blobs that went through this machine
    present: int = 0  # blobs that were there already
    bytes: int = 0  # of the streamed blobs
    referrers: int = 0  # manifests beyond the image itself
    foreign: int = 0  # filesystem layers left at their own addresses
    requests: int = 0  # sent to both registries; too many where other threads use them, too
    notes: tuple[str, ...] = ()  # for people: what could not be taken along
    verified: bool = False  # looked at afterwards: everything is there, and the tags point to it

    @property
    def ok(self) -> bool:
        """Whether all that was asked for is done."""
        return self.verified and not self.notes and all(tag.ok for tag in self.tags)


@dataclass(slots=True)
class _Tally:
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, what: str, count: int = 1) -> None:
        with self._lock:
            self.counts[what] += count


def copy(
    source: Place,
    reference: str,
    target: Place,
    tags: Sequence[str] = (),
    *,
    referrers: bool = True,
    guard: Guard | None = None,
) -> Copied:
    """Bring `reference`, a tag or a digest, to `target` under `tags`, and look whether it is there.

    Within one repository that is one GET, and a PUT for each tag. Raises RegistryError or EnvironmentMissingError
    where anything fails before the tags: then none was put. A tag that fails or is refused is told in the result.
    """
    before = _requests(source, target)
    top = source.registry.manifest(source.repository, reference, artifacts=True)
    if top is None:
        separator = "@" if ":" in reference else ":"
        raise RegistryError("there is no such image", where=f"{source}{separator}{reference}")
    tally = _Tally()
    whole = None
    if not source.is_same(target):
        whole = reach(source.registry, source.repository, top, referrers=referrers)
        _bring(source, target, whole, tally)
    put = [_put_tag(target, tag, top, guard) for tag in tags]
    missing = _missing(target, whole) if whole else ()
    checked = tuple(_looked_at(target, one) for one in put)
    return Copied(
        digest=top.digest,
        tags=checked,
        notes=(*tally.notes, *(f"{target}@{digest} is not there after all" for digest in missing)),
        verified=not missing and all(one.status != "failed" for one in checked),
        referrers=len(whole.manifests) - len(whole.parts) if whole else 0,
        foreign=len(whole.foreign) if whole else 0,
        requests=_requests(source, target) - before,
        **{key: tally.counts[key] for key in ("manifests", "mounted", "streamed", "present", "bytes")},
    )


def _bring(source: Place, target: Place, whole: Reach, tally: _Tally) -> None:
    """Everything but the tags."""
    transfer = _Transfer(source.registry.host == target.registry.host)
    target.registry.concurrently(
        lambda blob: _bring_blob(source, target, blob, transfer, tally), whole.blobs, stop=transfer.stopped.set
    )
    for wave in whole.waves:
        target.registry.concurrently(lambda one: _put_manifest(target, one.digest, one, tally), wave)
    for tag, manifest in whole.tags.items():
        _put_beside(target, tag, manifest, tally)
    if whole.subjects:
        _maintain_fallbacks(target, whole, tally)


@dataclass(slots=True)
class _Transfer:
    """What the transfers of all blobs share."""

    mounts: bool  # whether it is worth a try: a registry that refuses it once, refuses it
    stopped: threading.Event = field(default_factory=threading.Event)  # one has failed, or somebody said Ctrl-C


def _bring_blob(source: Place, target: Place, blob: Descriptor, transfer: _Transfer, tally: _Tally) -> None:
    if transfer.mounts:
        if target.registry.mount_blob(target.repository, blob.digest, source.repository):
            tally.add("mounted")
            return
        transfer.mounts = False
    if target.registry.has_blob(target.repository, blob.digest):
        tally.add("present")
        return
    target.registry.push_blob(
        target.repository,
        Blob(
            media_type=blob.media_type,
            digest=blob.digest,
            size=blob.size,
            source=lambda: source.registry.download(source.repository, blob, is_stopped=transfer.stopped.is_set),
        ),
        absent=True,
    )
    tally.add("streamed")
    tally.add("bytes", blob.size)


def _put_manifest(target: Place, reference: str, manifest: Manifest, tally: _Tally) -> None:
    target.registry.push_manifest(target.repository, reference, manifest)
    tally.add("manifests")


def _put_beside(target: Place, tag: str, manifest: Manifest, tally: _Tally) -> None:
    """Put a tag of cosign's, unless that would lose signatures that only the target has."""
    there = target.registry.manifest(target.repository, tag, artifacts=True)
    if there is None or (there.digest != manifest.digest and supersedes(manifest, there)):
        _put_manifest(target, tag, manifest, tally)
    elif not supersedes(there, manifest):
        tally.notes.append(f"{target}:{tag} has signatures of its own and was left as it is ({there.digest})")


def _maintain_fallbacks(target: Place, whole: Reach, tally: _Tally) -> None:
    """Where the registry keeps no list of referrers, keep it for it (OCI distribution spec, "Referrers Tag Schema")."""
    asked = Referrers(target.registry, target.repository)
    if asked.are_listed(whole.top.digest):
        return
    for digest, referring in whole.subjects.items():
        there = asked.fallback(digest)
        if there is not None and not there.is_index:
            tally.notes.append(
                f"{target}:{fallback_tag(digest)} has something else than referrers, and was left as it is"
            )
        elif (index := merged(there, referring)) is not None:
            try:
                _put_manifest(target, fallback_tag(digest), index, tally)
            except RegistryError:
                gone = _gone(target, there)
                index = merged(there, referring, gone)
                if not gone or index is None:
                    raise
                _put_manifest(target, fallback_tag(digest), index, tally)


def _gone(target: Place, index: Manifest | None) -> frozenset[str]:
    """The entries of an index for which there are no manifests: with them a registry does not take it again."""
    digests = [entry.digest for entry in index.manifests] if index else []
    return frozenset(one for one in digests if not target.registry.resolve(target.repository, one, artifacts=True))


def _put_tag(target: Place, tag: str, manifest: Manifest, guard: Guard | None) -> TagPut:
    put = TagPut(tag=tag, digest=manifest.digest, before=None, status="put")
    try:
        if guard is not None:
            now = target.registry.resolve(target.repository, tag, artifacts=True)
            put = replace(put, before=now.digest if now else None)
            if put.before == manifest.digest:
                return replace(put, status="same")
            try:
                guard(target, tag, now)
            except ImagewrightError as error:
                return replace(put, status="refused", error=error)
        target.registry.push_manifest(target.repository, tag, manifest)
    except ImagewrightError as error:
        return replace(put, status="failed", error=error)
    return put


def _looked_at(target: Place, put: TagPut) -> TagPut:
    """Once more from the registry: no registry can be told to put a tag only if nobody else does."""
    if not put.ok:
        return put
    try:
        now = target.registry.resolve(target.repository, put.tag, artifacts=True)
    except ImagewrightError as error:
        return replace(put, status="failed", error=error)
    if now is not None and now.digest == put.digest:
        return put
    moved = RegistryError(
        f"it points to {now.digest if now else 'nothing'} now: somebody else moved it at the same time",
        where=f"{target}:{put.tag}",
        hint="find out who, then do this again",
    )
    return replace(put, status="failed", error=moved)


def _missing(target: Place, whole: Reach) -> tuple[str, ...]:
    registry, repository = target.registry, target.repository
    manifests = [one.digest for one in whole.manifests]
    blobs = [blob.digest for blob in whole.blobs]
    found = registry.concurrently(
        lambda digest: registry.resolve(repository, digest, artifacts=True) is not None, manifests
    )
    found += registry.concurrently(lambda digest: registry.has_blob(repository, digest), blobs)
    return tuple(digest for digest, there in zip((*manifests, *blobs), found, strict=True) if not there)


def _requests(*places: Place) -> int:
    return sum(registry.requests for registry in {id(place.registry): place.registry for place in places}.values())
