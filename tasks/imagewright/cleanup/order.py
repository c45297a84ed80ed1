"""In which order manifests are deleted: at no time does one that is still there lack a part."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from imagewright.cleanup.model import Picture, Stored


def in_order(digests: Collection[str], picture: Picture) -> tuple[str, ...]:
    """An index before what it names; among those that are free, what speaks about others last. By digest else."""
    above = dict.fromkeys(digests, 0)
    for digest in digests:
        for child in set(picture.manifests[digest].children):
            if child in above:
                above[child] += 1
    free = [(_last(picture.manifests[digest]), digest) for digest, number in above.items() if not number]
    heapq.heapify(free)
    done: list[str] = []
    while free:
        _, digest = heapq.heappop(free)
        done.append(digest)
        for child in set(picture.manifests[digest].children):
            if child in above:
                above[child] -= 1
                if not above[child]:
                    heapq.heappush(free, (_last(picture.manifests[child]), child))
    return tuple(done)


def _last(one: Stored) -> bool:
    return one.kind == "referrer" or one.subject is not None
