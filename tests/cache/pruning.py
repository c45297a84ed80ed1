"""A prune of a store in memory, as `invoke cache prune` does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.cache import condemned
from imagewright.cache.condemned import read_condemned
from imagewright.cache.lease import Lease
from imagewright.cache.look import look
from imagewright.cache.plan import plan_prune
from imagewright.cache.prune import Done, Prune
from imagewright.cache.retire import LEAST_GRACE, Policy
from tests.cache.memory import DAY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from imagewright.cache.door import Store

POLICY = Policy(unused=30 * DAY, grace=LEAST_GRACE)


def prune(
    store: Store,
    images: Collection[str] = ("app", "base"),
    policy: Policy = POLICY,
    journal: Callable[[str], None] = lambda _key: None,
) -> Done:
    with Lease(store) as lease:
        picture = look(store)
        content = store.get(condemned.KEY)
        plan = plan_prune(picture, policy, images, read_condemned(content.body if content else None), picture.taken)
        return Prune(store, plan, content.etag if content else None, lease, journal=journal).run()
