"""One pushed digest, put under tags in several registries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagewright.errors import ImagewrightError
from imagewright.registry.copy import Copied, Guard, Place, copy

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where an image is to be, and under which tags."""

    place: Place
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What became of one target: a copy, or the error that prevented it."""

    target: Target
    copied: Copied | None
    error: ImagewrightError | None = None

    @property
    def ok(self) -> bool:
        """Whether the image is there under all of the target's tags."""
        return self.copied is not None and self.copied.ok


def publish(
    source: Place, digest: str, targets: Sequence[Target], *, guard: Guard | None = None, referrers: bool = True
) -> tuple[Published, ...]:
    """Give `digest`, which `source` has, its tags in each target, in the order given; `source` may be one of them.

    `guard` is asked right before each tag is put. A target that fails is told in its place, and stops no other.
    """
    return tuple(_published(source, digest, target, guard, referrers) for target in targets)


def _published(source: Place, digest: str, target: Target, guard: Guard | None, referrers: bool) -> Published:
    try:
        copied = copy(source, digest, target.place, target.tags, referrers=referrers, guard=guard)
    except ImagewrightError as error:
        return Published(target=target, copied=None, error=error)
    return Published(target=target, copied=copied)
