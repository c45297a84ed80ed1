"""What is in use, of one repository: by tag, and by digest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imagewright.errors import UsageError
from imagewright.references import InvalidReferenceError, Reference, is_digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imagewright.cleanup.model import Use


@dataclass(slots=True)
class Used:
    """Who uses what: each with the place that says so, the first by name of several."""

    tags: dict[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    pinned: dict[str, str] = field(default_factory=dict)  # those of the digests that are this repository's for sure


def used(uses: Iterable[Use], repository: str) -> Used:
    """What is used of `repository`. A digest counts whatever repository it is named with: content is copied about.

    UsageError for a text that is no reference: what it means could be anything.
    """
    here = _parsed(repository, "the repository").repository
    found = Used()
    for use in sorted(uses, key=lambda use: (use.where, use.reference)):
        if is_digest(use.reference):
            found.digests.setdefault(use.reference, use.where)
            continue
        reference = _parsed(use.reference, use.where)
        if reference.digest:
            found.digests.setdefault(reference.digest, use.where)
        if reference.repository != here:
            continue
        if reference.digest:
            found.pinned.setdefault(reference.digest, use.where)
        if reference.tag or not reference.digest:
            found.tags.setdefault(reference.tag or "latest", use.where)
    return found


def digests_to_read(uses: Iterable[Use], repository: str) -> frozenset[str]:
    """The digests that must be read beside the tags: an image in use may have lost its tag."""
    return frozenset(used(uses, repository).pinned)


def _parsed(text: str, where: str) -> Reference:
    try:
        return Reference.parse(text)
    except InvalidReferenceError as error:
        raise UsageError(f"this is no image: {error}", where=where) from error
