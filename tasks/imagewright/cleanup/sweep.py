"""Carrying out a plan: one deletion after the other, each after another look, each in the journal first.

First the tags of images, then the manifests that nothing that stays leads to, an index before its children. What speaks
about an image goes after it, with its tags: an image that stays after all keeps its signatures. Whatever ends it early
leaves garbage, never an image with a part missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from imagewright.cleanup.look import Look
from imagewright.cleanup.names import subject_of_tag
from imagewright.cleanup.needs import Needs
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
    last_tag_takes_manifest: bool = False,
    progress: Progress = quiet,
) -> Outcome:
    """Delete what `plan` says, as far as nothing has happened meanwhile that speaks against it.

    Without `deletes_tags` (distribution 2) a tag goes with its manifest, where all tags of that are to go; where the
    `last_tag_takes_manifest` (Amazon), tags go in the order of the manifests.
    RegistryError before anything is done where the plan is refused or the picture has problems; later failures are in
    the result.
    """
    if plan.refused or picture.problems:
        raise RegistryError(
            "nothing is deleted: " + (plan.refused or "the repository could not be read"), where=str(place)
        )
    if picture.repository != str(place) or plan.repository != str(place):
        raise RegistryError("the plan is for another repository", where=str(place))
    run = _Sweep(plan, picture, place, deleter, journal, progress, last_tag_takes_manifest)
    error = None
    try:
        run.prepare()
        beside, late = run.needs.beside() if deletes_tags else (frozenset(), frozenset())
        if deletes_tags:
            run.tags([tag for tag in plan.tags if tag not in beside], then=beside)
        if deletes_manifests:
            run.manifests([digest for digest in plan.manifests if digest not in late])
        if deletes_tags:
            run.tags([tag for tag in plan.tags if tag in beside])
        if deletes_manifests:
            run.manifests([digest for digest in plan.manifests if digest in late])
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
    last_tag_takes_manifest: bool
    deleted_tags: list[str] = field(default_factory=list)
    deleted_manifests: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    approved: dict[str, str] = field(init=False)  # tag: the digest that it had when the plan was made
    look: Look = field(init=False)
    needs: Needs = field(init=False)
    gone: set[str] = field(default_factory=set)
    failures: int = 0
    done: int = 0

    def prepare(self) -> None:
        """Look at all of it before anything is done."""
        # A plan may come from a file: what it names becomes part of addresses.
        if not (all(map(is_tag, self.plan.tags)) and all(map(is_digest, self.plan.manifests))):
            raise RegistryError("the plan names what is no tag and no digest", where=str(self.place))
        doomed = {verdict.tag: verdict.digest for verdict in self.plan.verdicts if verdict.tag and not verdict.keep}
        if not set(self.plan.tags) <= set(doomed):
            raise RegistryError("the plan deletes tags that it does not speak about", where=str(self.place))
        self.approved = {tag: doomed[tag] for tag in self.plan.tags}
        self.look = Look(self.place, self.picture, self.plan.tags, planned=self.plan.manifests)
        self.needs = Needs(self.approved, self.plan.manifests, self.picture.tags, self.look)
        self.look.again()
        # A run that was killed has left manifests that no tag leads to: the picture does not have them, and whoever
        # needs one of them by now needs its parts as well.
        absent = sorted(self.look.learn_of(self.plan.manifests))
        if any(self.place.registry.concurrently(self._is_there, absent)):
            raise RegistryError(
                "the registry says of a manifest that it is there, and that it is not", where=str(self.place)
            )
        self.gone |= set(absent)

    def tags(self, tags: list[str], *, then: frozenset[str] = frozenset()) -> None:
        """Each of these tags, unless it has moved or has come into use; `then` are those to come."""
        if self.last_tag_takes_manifest:
            order = {digest: number for number, digest in enumerate(self.plan.manifests)}
            tags = sorted(tags, key=lambda tag: order.get(self.approved[tag], -1))
        for tag in tags:
            digest = self.approved[tag]
            self._step()
            if reason := self._reason(tag, digest):
                self._skip(tag, digest, reason)
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
        self.needs.waiting = then

    def manifests(self, digests: list[str]) -> None:
        """Each of these manifests, unless anything that stays leads to it."""
        for digest in digests:
            self._step()
            if digest in self.gone:
                continue
            self.look.again()
            self.look.ask_about(digest)
            if digest in self.needs.held():
                self._skip(digest, digest, self.needs.who(digest))
                continue
            pointing = tuple(sorted(tag for tag, target in self.look.tags.items() if target == digest))
            manifest = None
            if not self.journal.has(digest):
                manifest = self.place.registry.manifest(self.place.repository, digest, artifacts=True)
                if manifest is None and self._is_there(digest):
                    self._skip(
                        digest, digest, "the registry says that it is there, and that it is not", is_failure=True
                    )
                    continue
                if manifest is None:
                    continue
            self.journal.will("manifest", digest, manifest or digest, tags=pointing)
            if self._carried_out("manifest", digest, digest, partial(self.deleter.delete_manifest, digest)):
                self.deleted_tags += pointing
                for tag in pointing:
                    self.look.at(tag, None)

    def _reason(self, tag: str, digest: str) -> str | None:
        """Why a tag stays that is where it was."""
        subject = subject_of_tag(tag)
        if subject and subject != digest and subject in self.needs.held():
            return f"{subject} stays, and it speaks about that"
        self.look.ask_about(digest)
        if digest in self.look.news():
            return "something new speaks about it: somebody has just signed it, or the like"
        if self.last_tag_takes_manifest and digest in self.plan.manifests and digest in self.needs.held():
            return self.needs.who(digest)
        return None

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
        if result in (Deletion.UNKNOWN, Deletion.ABSENT):
            # It was there a moment ago: not everything that answers 404 on the way is the registry.
            is_there = self._is_there(reference)
            result = Deletion.UNKNOWN if is_there else Deletion.DONE if result is Deletion.UNKNOWN else result
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
        self.needs.staying.add(digest)

    def _is_there(self, reference: str) -> bool:
        return self.place.registry.resolve(self.place.repository, reference, artifacts=True) is not None

    def _step(self) -> None:
        self.done += 1
        self.progress(self.done, len(self.plan.tags) + len(self.plan.manifests))
