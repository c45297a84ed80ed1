"""How long it will take to carry out a plan: told before anybody agrees to it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imagewright.cleanup.model import RepositoryPlan
    from imagewright.cleanup.vendors.model import Kind

# Seconds, each with the looks before it and its line in the journal; measured on distribution 2.8.3 and 3.1 (bench/).
_TAG = 0.005
_MANIFEST = 0.01
_MANIFEST_BY_TAG = 30e-6  # for each tag that the repository has: distribution reads all of them to delete one digest
# Two or three requests over a network; GitHub lets 150 deletions a minute through.
_HOSTED = 0.4


def duration(plan: RepositoryPlan, kind: Kind) -> timedelta:
    """A rough guess, for a registry of this kind: right within a factor of two or three."""
    if kind not in ("distribution", "zot"):
        return timedelta(seconds=_HOSTED * (len(plan.tags) + len(plan.manifests)))
    tags = sum(one.tag is not None for one in plan.verdicts)
    each = _MANIFEST + _MANIFEST_BY_TAG * tags
    return timedelta(seconds=_TAG * len(plan.tags) + each * len(plan.manifests))


def roughly(length: timedelta) -> str | None:
    """`about 3 min`, `about 2 h`; None for less than a minute, which nobody needs to be told."""
    minutes = length.total_seconds() / 60
    if minutes < 1:
        return None
    return f"about {round(minutes)} min" if minutes < 90 else f"about {round(minutes / 60)} h"
