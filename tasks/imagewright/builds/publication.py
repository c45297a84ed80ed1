"""What became of the tags of one image: put on one digest, in each registry that it is published to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagewright.builds.failure import Failure
from imagewright.errors import EnvironmentMissingError, ImagewrightError

if TYPE_CHECKING:
    from imagewright.builds.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpublished:
    """A registry beside the first one that did not take the image, or not all of its tags."""

    registry: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """The full references that point to the digest now, and the registries that it is missing in."""

    tags: tuple[str, ...]
    unpublished: tuple[Unpublished, ...] = ()


Publish = Callable[["Job", str], Publication]
"""Puts the tags of a job on a digest that its repository has. ImagewrightError: its own registry did not take them."""


def failure_of(image: str, error: ImagewrightError) -> Failure:
    """The same error as the end of a build."""
    return Failure(
        kind="unreachable" if isinstance(error, EnvironmentMissingError) else "registry",
        image=image,
        message=f"it is built, and not published: {error.message}",
        detail=str(error),
        where=error.where,
        hint=error.hint,
    )
