"""Which caches go: those of images that are no more, those that no build writes, and the oldest beyond a budget. Pure.

Only a cache goes whose name this package would have written: what others keep in the same place is not ours to judge.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from imagewright.config.durations import spoken
from imagewright.config.sizes import size

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from imagewright.cache.model import Blob, Cache, Picture

LEAST_GRACE = timedelta(hours=48)
"""BuildKit's S3 exporter refreshes a blob that is older than 24 hours (`touch_refresh`), and takes a younger one as it
is; it may need as long again until its manifest is written."""

WAIT = timedelta(hours=24)
"""So long a blob is condemned before it is deleted: a build that has read the manifest which named it may still run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is left; `config/build_models.py` says what the figures mean."""

    unused: timedelta
    grace: timedelta
    budget: int | None = None  # bytes
    wait: timedelta = WAIT


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of one cache, and by which rule."""

    cache: Cache
    retire: bool
    rule: str
    reason: str


def judge(picture: Picture, policy: Policy, images: Collection[str], now: datetime) -> tuple[Verdict, ...]:
    """A verdict for each cache, by name. `images` are those that there are."""
    verdicts = {one.name: _alone(one, policy, images, now) for one in picture.caches}
    if policy.budget is not None:
        left = [one.cache for one in verdicts.values() if not one.retire]
        for cache, reason in _beyond(left, picture.blobs, policy.budget):
            verdicts[cache.name] = Verdict(cache, retire=True, rule="budget", reason=reason)
    return tuple(verdicts[name] for name in sorted(verdicts))


def needed(caches: Iterable[Cache]) -> set[str]:
    """The blobs that these caches need."""
    return {digest for one in caches for digest in one.layers}


def _alone(cache: Cache, policy: Policy, images: Collection[str], now: datetime) -> Verdict:
    name, age = cache.known, now - cache.modified
    if name is None:
        return Verdict(cache, retire=False, rule="unknown name", reason="it is not of this package's builds")
    if age > policy.unused:
        reason = f"no build has written it for more than {spoken(policy.unused)}"
        return Verdict(cache, retire=True, rule=f"unused {spoken(policy.unused)}", reason=reason)
    # An image of a branch that is not checked out here is built now and then: time enough for that.
    if name.image not in images and age > policy.grace:
        return Verdict(cache, retire=True, rule="no image", reason=f"there is no image {name.image}")
    return Verdict(cache, retire=False, rule="in use", reason=f"written within {spoken(policy.unused)}")


def _beyond(caches: list[Cache], blobs: Mapping[str, Blob], budget: int) -> Iterable[tuple[Cache, str]]:
    """The oldest, until what the others need is no larger than the budget; what several need counts once."""
    users = Counter(digest for one in caches for digest in one.layers)
    total = sum(blobs[digest].size for digest in users if digest in blobs)
    for cache in sorted((one for one in caches if one.known), key=lambda one: (one.modified, one.name)):
        if total <= budget:
            return
        yield cache, f"the caches together are {size(total - budget)} beyond the budget"
        for digest in cache.layers:
            users[digest] -= 1
            if not users[digest] and digest in blobs:
                total -= blobs[digest].size
