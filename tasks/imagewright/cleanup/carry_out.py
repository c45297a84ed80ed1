"""A cleanup from its first deletion to its proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from imagewright.cleanup.journal import Journal, finish
from imagewright.cleanup.lease import lease
from imagewright.cleanup.read import Progress, quiet
from imagewright.cleanup.sweep import Outcome, Skipped, sweep
from imagewright.cleanup.undo import Restored, undo
from imagewright.cleanup.verify import Breach, verify
from imagewright.errors import ImagewrightError, RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import datetime
    from pathlib import Path

    from imagewright.cleanup.model import Picture, RepositoryPlan
    from imagewright.cleanup.vendors.model import Capabilities
    from imagewright.registry.copy import Place
    from imagewright.registry.model import Deletion


class Door(Protocol):
    """What is asked of a vendor's way to delete."""

    @property
    def can(self) -> Capabilities:
        """What the registry can do."""
        ...

    def approve(self, tags: Mapping[str, str], manifests: Collection[str]) -> None:
        """Say what may be deleted at all."""
        ...

    def delete_tag(self, tag: str) -> Deletion:
        """Delete a tag alone."""
        ...

    def delete_manifest(self, digest: str) -> Deletion:
        """Delete a manifest with all its tags."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a cleanup of one repository did, and the proof."""

    outcome: Outcome
    breaches: tuple[Breach, ...] = ()
    restored: Restored | None = None  # None: nothing kept was lost, so nothing had to be put back
    journal: Path | None = None  # None: there was nothing to delete

    @property
    def verified(self) -> bool:
        """Whether every kept tag and all behind it is there. One that somebody else has moved is no loss."""
        return all(one.problem == "moved" for one in self.breaches)

    @property
    def ok(self) -> bool:
        """Whether it came to its end, and nothing that was to be kept is lost or could not be seen."""
        return self.outcome.ok and self.verified and self.restored is None


def carry_out(
    plan: RepositoryPlan,
    picture: Picture,
    place: Place,
    door: Door,
    *,
    journals: Path,
    leases: Path,
    now: datetime,
    begun: Callable[[Path], object] = lambda _: None,
    progress: Progress = quiet,
) -> Done:
    """Delete what `plan` says, prove that all that it keeps is there, and put back what is not.

    Raises an ImagewrightError before anything is deleted: a refused plan, a picture with problems, another cleanup
    that runs, a registry that cannot delete, a journal that cannot be written. Later failures are in the result.
    `begun` is told the journal before anything is deleted: whoever interrupts it needs that.
    """
    if plan.refused or picture.problems:
        why = plan.refused or "the repository could not be read: " + picture.problems[0]
        raise RegistryError(f"nothing is deleted: {why}", where=plan.repository)
    if not (plan.tags or plan.manifests):
        return Done(outcome=Outcome())
    can = door.can
    if not (can.deletes_tags or can.deletes_manifests):
        raise RegistryError(
            "this registry is not one that we can delete from", where=plan.repository, hint="; ".join(can.notes) or None
        )
    with (
        lease(leases, plan.repository),
        Journal.create(journals, plan.repository, now, manifests=plan.manifests) as journal,
    ):
        begun(journal.path)
        doomed = {verdict.tag: verdict.digest for verdict in plan.verdicts if verdict.tag and not verdict.keep}
        door.approve({tag: doomed[tag] for tag in plan.tags if tag in doomed}, plan.manifests)
        outcome = sweep(
            plan,
            picture,
            place,
            door,
            journal,
            deletes_tags=can.deletes_tags,
            deletes_manifests=can.deletes_manifests,
            last_tag_takes_manifest=can.last_tag_takes_manifest,
            progress=progress,
        )
        breaches = verify(place, plan.roots)
        restored = None
        # What somebody else has deleted meanwhile is not ours to bring back, and no reason to undo what was right.
        if lost := [one for one in breaches if one.lost and journal.has(one.digest)]:
            restored = _put_back(
                journal.path, place, {one.reference: one.digest for one in lost if one.problem == "gone"}
            )
            breaches = verify(place, plan.roots)
        if outcome.ok:
            finish(journal.path)
        return Done(outcome=outcome, breaches=breaches, restored=restored, journal=journal.path)


def _put_back(journal: Path, place: Place, tags: Mapping[str, str]) -> Restored:
    try:
        return undo(journal, place, also=tags)
    except ImagewrightError as error:
        return Restored(left=(Skipped(str(place), error.message),))
