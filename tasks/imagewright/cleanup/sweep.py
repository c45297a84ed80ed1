"""Carrying out a plan: one deletion after the other, each after another look, each in the journal first.

First the tags, in the plan's order, then the manifests that nothing that stays leads to: an index before its children,
what speaks about an image last. Whatever ends it early leaves garbage, never an image with a part missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from imagewright.cleanup.look import Look, held
from imagewright.cleanup.names import subject_of_tag
from imagewright.cleanup.read import Progress, quiet
from imagewright.cleanup.vendors.model import KeptError
from imagewright.errors import ImagewrightError, RegistryError
from imagewright.references import is_digest, is_tag
from imagewright.registry.model import Deletion

if TYPE_CHECKING:
    from collections.abc import Callable

    from imagewright.cleanup.journal import Journal, What
    from imagewright.cleanup.model import Picture, RepositoryPlan
    from imagewright.registry.copy import Place
    from imagewright.registry.model import Manifest

_MOST_FAILURES = 3  # in a row


class Deleter(Protocol):
    """How a registry deletes; raises KeptError for what stays, any other ImagewrightError where it is of no use."""

    def delete_tag(self, tag: str) -> Deletion:
        """Ask for a tag to go and its manifest to stay."""
        ...

    def delete_manifest(self, digest: str) -> Deletion:
        """Ask for a manifest to go, with every tag that points to it."""
        ...


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that stays although the plan has it, and why."""

    reference: str  # a tag, or a digest
    reason: str
    is_failure: bool = False  # the registry's, and not a reason to keep it


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was done. What was gone already is in none of the lists."""

    deleted_tags: tuple[str, ...] = ()
    deleted_manifests: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    error: ImagewrightError | None = None  # what ended it before its end

    @property
    def ok(self) -> bool:
        """Whether it came to its end, and whatever was skipped has a good reason to stay."""
        return self.error is None and not any(one.is_failure for one in self.skipped)


def sweep(
    plan: RepositoryPlan,
    picture: Picture,
    place: Place,
    deleter: Deleter,
    journal: Journal,
    *,
    deletes_tags: bool,
    deletes_manifests: bool = True,
    progress: Progress = quiet,
) -> Outcome:
    """Delete what `plan` says, as far as nothing has happened meanwhile that speaks against it.

    Without `deletes_tags` (distribution 2) a tag goes with its manifest, where all tags of that are to go.
    RegistryError before anything is done where the plan is refused or the picture has problems; later failures are in
    the result.
    """
    if plan.refused or picture.problems:
        raise RegistryError(
            "nothing is deleted: " + (plan.refused or "the repository could not be read"), where=str(place)
        )
    if picture.repository != str(place) or plan.repository != str(place):
        raise RegistryError("the plan is for another repository", where=str(place))
    run = _Sweep(plan, picture, place, deleter, journal, progress)
    error = None
    try:
        run.prepare()
        if deletes_tags:
            run.tags()
        if deletes_manifests:
            run.manifests()
    except ImagewrightError as caught:
        error = caught
    return Outcome(
        deleted_tags=tuple(run.deleted_tags),
        deleted_manifests=tuple(run.deleted_manifests),
        skipped=tuple(run.skipped),
        error=error,
    )


@dataclass(slots=True)
class _Sweep:
    plan: RepositoryPlan
    picture: Picture
    place: Place
    deleter: Deleter
    journal: Journal
    progress: Progress
    deleted_tags: list[str] = field(default_factory=list)
    deleted_manifests: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    look: Look = field(init=False)
    approved: dict[str, str] = field(init=False)  # tag: the digest that it had when the plan was made
    staying: set[str] = field(default_factory=set)  # digests of the plan that stay after all
    gone: set[str] = field(default_factory=set)
    tags_done: bool = False
    known_held: tuple[object, frozenset[str]] | None = None
    failures: int = 0
    done: int = 0

    def prepare(self) -> None:
        """Look at all of it before anything is done."""
        # A plan may come from a file: what it names becomes part of addresses.
        if not (all(map(is_tag, self.plan.tags)) and all(map(is_digest, self.plan.manifests))):
            raise RegistryError("the plan names what is no tag and no digest", where=str(self.place))
        self.look = Look(self.place, self.picture, self.plan.tags)
        doomed = {verdict.tag: verdict.digest for verdict in self.plan.verdicts if verdict.tag and not verdict.keep}
        if not set(self.plan.tags) <= set(doomed):
            raise RegistryError("the plan deletes tags that it does not speak about", where=str(self.place))
        self.approved = {tag: doomed[tag] for tag in self.plan.tags}
        self.look.again()
        # A run that was killed has left manifests that no tag leads to: the picture does not have them.
        self.gone |= self.look.learn_of(self.plan.manifests)

    def tags(self) -> None:
        """Each tag, unless it has moved."""
        for tag, digest in self.approved.items():
            self._step()
            subject = subject_of_tag(tag)
            if subject and subject in self._held():
                self._skip(tag, digest, f"{subject} stays, and it speaks about that")
                continue
            manifest, current = self._now(tag, digest)
            self.look.at(tag, current)
            if current is None:
                continue
            if current != digest:
                self._skip(tag, digest, f"it has been moved to {current}")
                continue
            self.journal.will("tag", tag, manifest or digest)
            if self._carried_out("tag", tag, digest, partial(self.deleter.delete_tag, tag)):
                self.look.at(tag, None)
        self.tags_done = True

    def manifests(self) -> None:
        """Each manifest, unless anything that stays leads to it."""
        for digest in self.plan.manifests:
            self._step()
            if digest in self.gone:
                continue
            self.look.again()
            if digest in self._held():
                self._skip(digest, digest, self._who(digest))
                continue
            pointing = tuple(sorted(tag for tag, target in self.look.tags.items() if target == digest))
            manifest = None
            if not self.journal.has(digest):
                manifest = self.place.registry.manifest(self.place.repository, digest, artifacts=True)
                if manifest is None:
                    continue
            self.journal.will("manifest", digest, manifest or digest, tags=pointing)
            if self._carried_out("manifest", digest, digest, partial(self.deleter.delete_manifest, digest)):
                self.deleted_tags += pointing
                for tag in pointing:
                    self.look.at(tag, None)

    def _held(self) -> frozenset[str]:
        """All that something leads to that is not of the plan, or of the plan and still there."""
        look = self.look
        state = (look.version, len(self.staying), self.tags_done)
        if self.known_held and self.known_held[0] == state:
            return self.known_held[1]
        doomed = set(self.plan.manifests) - self.staying
        roots = {digest for digest in look.manifests if digest not in doomed} | look.news() | self.staying
        for tag, digest in look.tags.items():
            # Where tags can be deleted, those that are there afterwards are there to stay.
            if self.approved.get(tag) != digest or self.tags_done:
                roots.add(digest)
        found = held(look.manifests, {**self.picture.tags, **look.tags}, roots)
        self.known_held = (state, found)
        return found

    def _now(self, tag: str, digest: str) -> tuple[Manifest | None, str | None]:
        """What a tag points to; with its bytes where the journal does not have them."""
        registry, repository = self.place.registry, self.place.repository
        if self.journal.has(digest):
            found = registry.resolve(repository, tag, artifacts=True)
            return None, found.digest if found else None
        manifest = registry.manifest(repository, tag, artifacts=True)
        return manifest, manifest.digest if manifest else None

    def _carried_out(self, what: What, reference: str, digest: str, delete: Callable[[], Deletion]) -> bool:
        """Whether it is gone now."""
        try:
            result = delete()
        except KeptError as error:
            self.journal.did(what, reference, "KEPT")
            self._skip(reference, digest, error.message)
            return False
        except ImagewrightError:
            self.journal.did(what, reference, "FAILED")
            raise
        if result is Deletion.UNKNOWN:
            found = self.place.registry.resolve(self.place.repository, reference, artifacts=True)
            result = Deletion.UNKNOWN if found else Deletion.DONE
        self.journal.did(what, reference, result.name)
        if result is Deletion.UNSUPPORTED:
            raise RegistryError(
                f"the registry does not delete {what}s",
                where=str(self.place),
                hint="deleting may be switched off: see its settings",
            )
        if result is Deletion.UNKNOWN:
            self._skip(reference, digest, "the registry failed, and it is still there", is_failure=True)
            self.failures += 1
            if self.failures >= _MOST_FAILURES:
                raise RegistryError(f"the registry failed {self.failures} times in a row", where=str(self.place))
            return False
        self.failures = 0
        if result is Deletion.DONE:
            (self.deleted_tags if what == "tag" else self.deleted_manifests).append(reference)
        return True

    def _skip(self, reference: str, digest: str, reason: str, *, is_failure: bool = False) -> None:
        self.skipped.append(Skipped(reference, reason, is_failure))
        self.staying.add(digest)

    def _step(self) -> None:
        self.done += 1
        self.progress(self.done, len(self.plan.tags) + len(self.plan.manifests))

    def _who(self, digest: str) -> str:
        """Why a manifest stays."""
        tags = sorted(tag for tag, target in self.look.tags.items() if target == digest)
        if tags:
            return f"the tag {tags[0]} points to it now"
        over = [one.digest for one in self.look.manifests.values() if digest in one.children]
        return f"{over[0]} names it, and stays" if over else "it speaks about something that stays"
