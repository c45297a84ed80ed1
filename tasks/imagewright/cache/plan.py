"""What a prune does with a store: the caches that go, and the blobs that may be deleted now or later. Pure.

Mark and sweep in two phases. A blob that no manifest needs, and that has been as it is for the grace period, is
condemned; a later run deletes it, at least `Policy.wait` after that, if it still is so. docs/cache.md says why that is
enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagewright.cache.condemned import Condemned, Entry
from imagewright.cache.retire import judge, needed
from imagewright.errors import ImagewrightError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from imagewright.cache.door import Head
    from imagewright.cache.model import Cache, Picture
    from imagewright.cache.retire import Policy, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was seen, and what follows from it."""

    picture: Picture
    policy: Policy
    verdicts: tuple[Verdict, ...]
    condemned: Condemned  # as the last prune left it
    due: tuple[str, ...]  # blobs to delete now, by digest

    @property
    def retired(self) -> tuple[Cache, ...]:
        """The caches that go."""
        return tuple(one.cache for one in self.verdicts if one.retire)

    @property
    def kept(self) -> tuple[Cache, ...]:
        """The caches that stay."""
        return tuple(one.cache for one in self.verdicts if not one.retire)


def plan_prune(
    picture: Picture,
    policy: Policy,
    images: Collection[str],
    condemned: Condemned,
    now: datetime,
    *,
    to_look: bool = False,
) -> Plan:
    """The plan; ImagewrightError where what is needed cannot be told, unless the plan is made `to_look` at alone."""
    if not to_look:
        _refuse(picture, condemned)
    alive = needed(picture.caches)  # the retired ones, too: what only they need has yet to be condemned
    due = tuple(
        digest
        for digest, entry in sorted(condemned.blobs.items())
        if not picture.unreadable
        and digest not in alive
        and digest in picture.blobs
        and picture.blobs[digest].modified == entry.modified
        and entry.since + policy.wait <= now
        and entry.modified + policy.grace < entry.since
    )
    return Plan(
        picture=picture,
        policy=policy,
        verdicts=judge(picture, policy, images, now),
        condemned=condemned,
        due=due,
    )


def _refuse(picture: Picture, condemned: Condemned) -> None:
    if picture.unreadable:
        one = picture.unreadable[0]
        raise ImagewrightError(
            f"nobody can tell what this cache needs: {one.reason}; nothing is deleted",
            where=f"manifests/{one.name}",
            hint="`invoke cache verify --repair --yes` removes it"
            if one.kind == "damaged"
            else "a newer version of BuildKit may have written it, which needs a newer imagewright",
        )
    if picture.blobs and not picture.caches and condemned.caches != 0:
        raise ImagewrightError(
            f"there are {len(picture.blobs)} blobs, and no manifest that needs one: nothing is deleted",
            hint="are `cache.prefix` and the bucket the right ones? Where nobody uses the blobs, delete them by hand",
        )


def condemn(
    plan: Plan, caches: Iterable[Cache], now: datetime, *, again: Collection[str] = (), gone: Collection[str] = ()
) -> Condemned:
    """The record that the next prune finds. `caches` are there by now, `gone` is not; `again` begins to wait anew."""
    caches = tuple(caches)
    needs, grace = needed(caches), plan.policy.grace
    anew = needed(plan.picture.caches) | set(again)
    blobs: dict[str, Entry] = {}
    for digest, blob in plan.picture.blobs.items():
        if digest in needs or digest in gone or blob.modified + grace >= now:
            continue
        earlier = None if digest in anew else plan.condemned.blobs.get(digest)
        same = earlier is not None and earlier.modified == blob.modified and earlier.modified + grace < earlier.since
        blobs[digest] = earlier if earlier is not None and same else Entry(now, blob.modified)
    return Condemned(generation=plan.condemned.generation + 1, caches=len(caches), blobs=blobs)


def may_go(entry: Entry, head: Head, policy: Policy) -> bool:
    """Whether a condemned blob still is as it was condemned: no exporter has said since, or shortly before, that it is
    needed. What an exporter said within the grace period before it was condemned may be in a manifest after it."""
    return head.modified == entry.modified and head.used is not None and head.used + policy.grace < entry.since
