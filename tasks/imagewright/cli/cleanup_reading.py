"""Repositories, read and planned: with everything that needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from imagewright.cleanup.inuse.parents import Built
from imagewright.cleanup.model import Picture
from imagewright.cleanup.plan import plan_repository
from imagewright.cleanup.read import read_picture
from imagewright.cleanup.uses import digests_to_read
from imagewright.errors import ImagewrightError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from imagewright.cleanup.inuse.scan import Scan
    from imagewright.cleanup.model import Policy, RepositoryPlan, Use
    from imagewright.cleanup.read import Progress
    from imagewright.cleanup.vendors.model import Deleter
    from imagewright.registry.copy import Place


_CLOCKS_AGREE = timedelta(minutes=1)


@dataclass(slots=True, kw_only=True)
class Target:
    """One repository, and what became of it so far."""

    place: Place
    deleter: Deleter | None = None  # None: it is only looked at, for what is built on others
    policy: Policy | None = None
    picture: Picture | None = None
    uses: tuple[Use, ...] = ()
    plan: RepositoryPlan | None = None
    error: ImagewrightError | None = None

    @property
    def repository(self) -> str:
        """ "ghcr.io/me/app"."""
        return str(self.place)

    @property
    def plan_only(self) -> str | None:
        """Why nothing can be deleted here whatever the plan says; None where it can."""
        can = self.deleter.can if self.deleter else None
        if can is None or can.deletes_tags or can.deletes_manifests:
            return None
        return "; ".join(can.notes) or "images of this registry cannot be deleted from here"

    @property
    def can_be_done(self) -> bool:
        """Whether there is something to delete, and nothing speaks against it."""
        plan = self.plan
        if plan is None or plan.refused or self.error or self.plan_only or self.picture is None:
            return False
        return bool(plan.tags or plan.manifests)

    def make_plan(self, now: datetime) -> None:
        """Decide about every tag."""
        if self.picture and self.policy and self.deleter:
            can = self.deleter.can
            deletes_tags = can.deletes_tags or not can.deletes_manifests
            self.plan = plan_repository(self.picture, self.policy, self.uses, now=now, deletes_tags=deletes_tags)

    def kept(self) -> dict[str, str]:
        """The digests that stay, each with a name for people."""
        picture, plan = self.picture, self.plan
        if picture is None:
            return {}
        if plan is None or plan.refused:
            found = {digest: f"{self.repository}:{tag}" for tag, digest in picture.tags.items()}
            return {digest: f"{self.repository}@{digest}" for digest in picture.untagged} | found
        goes = set(plan.tags)  # a plan of a file knows nothing of tags that are newer
        found = {digest: f"{self.repository}:{tag}" for tag, digest in picture.tags.items() if tag not in goes}
        loose = [one.digest for one in plan.verdicts if one.keep and one.tag is None]
        return {digest: f"{self.repository}@{digest}" for digest in loose} | found

    def doomed(self) -> tuple[str, ...]:
        """The digests that go."""
        if self.plan is None or self.plan.refused:
            return ()
        return tuple(dict.fromkeys(one.digest for one in self.plan.verdicts if not one.keep))


@dataclass(frozen=True, slots=True, kw_only=True)
class InUse:
    """What needs the repositories' images, beside the registry itself."""

    scan: Scan
    twins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # the same image's in the other registries
    children: Mapping[str, frozenset[str]] = field(default_factory=dict)  # repositories of what is built on it

    def pinned(self, repository: str) -> tuple[Use, ...]:
        """What is in use by digest, before it is known what there is."""
        found = list(self.scan.pinned(repository))
        for twin in self.twins.get(repository, ()):
            uses = self.scan.pinned(twin)
            found += (replace(one, reference=one.reference.replace(twin, repository, 1)) for one in uses)
        return tuple(found)

    def uses(self, picture: Picture) -> tuple[Use, ...]:
        """What is in use of a repository, by whichever of its names."""
        found = [*self.pinned(picture.repository), *self.scan.uses(picture)]
        for twin in self.twins.get(picture.repository, ()):
            found += self.scan.uses_as(picture, twin)
        return tuple({one.reference: one for one in reversed(found)}.values())[::-1]


def read(
    target: Target,
    in_use: InUse,
    *,
    memory: Path,
    now: datetime,
    progress: Progress,
    left: Collection[str] = (),
) -> None:
    """Take the picture of one repository; whatever fails is a problem of the picture.

    `left` are manifests that an earlier cleanup was to delete.
    """
    listing, problems, there = None, tuple[str, ...](), frozenset[str]()
    try:
        listing = target.deleter.listing() if target.deleter else None
        there = _present(target.place, left)
    except ImagewrightError as error:
        problems = (str(error),)
    picture = read_picture(
        target.place,
        memory=memory,
        now=now,
        progress=progress,
        pushed=listing.pushed if listing else {},
        untagged=listing.untagged if listing else (),
        listed=listing.tags if listing else (),
        also={*digests_to_read(in_use.pinned(target.repository), target.repository), *there},
    )
    target.picture = replace(
        picture,
        problems=tuple(dict.fromkeys((*picture.problems, *problems))),
        left=there & picture.manifests.keys(),
        absent=picture.absent | (frozenset(left) - there),
        taken=_time_there(target.place, now),
    )
    target.uses = in_use.uses(target.picture)


def _present(place: Place, digests: Collection[str]) -> frozenset[str]:
    """Those that are there now: what was read within the hour may have been deleted since."""
    registry, listed = place.registry, sorted(digests)
    found = registry.concurrently(lambda one: registry.resolve(place.repository, one, artifacts=True), listed)
    return frozenset(digest for digest, one in zip(listed, found, strict=True) if one)


def _time_there(place: Place, now: datetime) -> datetime:
    """The registry's time where this machine's is ahead of it (RFC 9110, section 6.6.1), else `now`.

    Ages are counted from it: by a clock that is a day fast, images would go a day too soon.
    """
    from email.utils import parsedate_to_datetime

    try:
        told = parsedate_to_datetime(place.registry.ask("GET", "/v2/").headers.get("date") or "")
        return told if now - told > _CLOCKS_AGREE else now
    except (ImagewrightError, TypeError, ValueError):  # a date that is none, or one without its zone
        return now


def plan_all(targets: Sequence[Target], in_use: InUse, *, now: datetime) -> None:
    """Plan every repository, and then keep what is needed by what the others keep, until nothing more is found."""
    for target in targets:
        target.make_plan(now)
    if not in_use.children:
        return
    built = _built(targets, in_use)
    while any([_keep_parents(target, built, in_use, now) for target in targets]):  # noqa: C419 - each of them
        pass


def stop_where_built_on(targets: Sequence[Target], in_use: InUse) -> None:
    """For plans of files: an error where an image that stays was built on what would go, since the plan was made."""
    if not in_use.children:
        return
    built = _built(targets, in_use)
    for target in targets:
        children = in_use.children.get(target.repository, frozenset())
        if (
            target.picture
            and target.error is None
            and (found := built.parents(target.picture, target.doomed(), children))
        ):
            target.error = ImagewrightError(
                f"the registry is not as the plan has it: {found[0].reference} is needed by {found[0].where}",
                where=target.repository,
                hint="nothing was deleted there: make a new plan",
            )


def _built(targets: Sequence[Target], in_use: InUse) -> Built:
    """All that stays, to be asked what it is built on. Where that cannot be known, the plan is refused."""
    _refuse_unknown_children(targets, in_use)
    built = Built()
    for target in targets:
        if target.picture:
            built.add(target.picture, target.kept())
    return built


def _keep_parents(target: Target, built: Built, in_use: InUse, now: datetime) -> bool:
    children = in_use.children.get(target.repository, frozenset())
    if target.picture is None or not children:
        return False
    known = {use.reference for use in target.uses}
    found = built.parents(target.picture, target.doomed(), children)
    news = tuple(use for use in found if use.reference not in known)
    if not news:
        return False
    target.uses += news
    target.make_plan(now)
    built.add(target.picture, target.kept())
    return True


def _refuse_unknown_children(targets: Sequence[Target], in_use: InUse) -> None:
    """What is built on an image is not known where it could not be read: then the image may not go."""
    unknown = {one.repository for one in targets if one.picture is None or one.picture.problems}
    for target in targets:
        lost = sorted(in_use.children.get(target.repository, frozenset()) & unknown - {target.repository})
        if target.plan and lost and not target.plan.refused:
            why = f"{', '.join(lost)} could not be read, and images there are built on images here"
            target.plan = replace(target.plan, refused=why, tags=(), manifests=())
