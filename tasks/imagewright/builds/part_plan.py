"""A plan of which this machine builds some platforms, and others the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imagewright.builds.plan import NO_NAMING, Plan, PlanImage, Reason


def narrowed(plan: Plan, platforms: Sequence[str]) -> Plan:
    """The plan with these platforms alone; what the images are, and their fingerprints, stay those of the whole.

    An image that is not for any of them is skipped, unless one is built on it here: that takes it as it is. No image
    gets a tag, as none is whole.
    """
    needed: set[str] = set()
    images: list[PlanImage] = []
    for item in reversed(plan.images):
        if item.action != "build":
            images.append(replace(item, tags=(), naming=NO_NAMING))
            continue
        own = tuple(platform for platform in item.platforms if platform in platforms)
        if own or item.name in needed:
            needed |= {parent.name for parent in item.parents}
            images.append(replace(item, platforms=own or item.platforms))
        else:
            detail = f"it is built for {', '.join(item.platforms)}, and not for {', '.join(platforms)}"
            reason = Reason(kind="platform", detail=detail)
            images.append(replace(item, action="skip", reasons=(reason,), tags=(), naming=NO_NAMING))
    return replace(plan, images=tuple(reversed(images)))
