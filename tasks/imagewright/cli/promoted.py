"""What a person and a program see of a promotion: the plan before, the outcome after."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from imagewright.cli.table import show_table
from imagewright.errors import ImagewrightError, RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from imagewright.registry.copy import Copied
    from imagewright.registry.publish import Published
    from imagewright.tags.promotion import Step

SCHEMA = 1  # of the JSON; raised when a reader would have to change


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One target: what is planned, and then what became of it."""

    reference: str
    step: Step | None = None  # None: its registry could not be asked
    copied: Copied | None = None
    error: ImagewrightError | None = None

    @property
    def status(self) -> str:
        """`planned`, `done` or `failed`."""
        if self.error:
            return "failed"
        return "done" if self.verified else "planned"

    @property
    def verified(self) -> bool:
        """Whether it was seen that the tag points to the image, and that all of it is there."""
        return not self.error and bool(self.copied or (self.step and self.step.action == "same"))


def outcome_of(planned: Outcome, published: Mapping[str, Published]) -> Outcome:
    """A target, with what was published to its repository."""
    if planned.step is None or planned.step.wish.repository not in published:
        return planned
    done = published[planned.step.wish.repository]
    if done.copied is None:
        return replace(planned, error=done.error)
    put = next(one for one in done.copied.tags if one.tag == planned.step.wish.tag)
    error = put.error
    if error is None and done.copied.notes:
        error = RegistryError("; ".join(done.copied.notes), where=planned.reference)
    return replace(planned, copied=done.copied, error=error)


def show_plan(source: str, digest: str, outcomes: Sequence[Outcome]) -> None:
    """A line for each target: what it points to now, and what becomes of that."""
    rows = [(source, digest, one.reference, _now(one)) for one in outcomes]
    styles = ["red" if one.error or (one.step and one.step.action == "refused") else "" for one in outcomes]
    show_table(("from", "digest", "to", "now"), rows, styles)
    sys.stdout.flush()  # to be read before it is done, also where a program reads it


def tell(say: Callable[[str], None], outcomes: Sequence[Outcome]) -> None:
    """What was moved, and what is proven to be there."""
    from imagewright.config.sizes import size

    seen: list[Copied] = []
    for one in outcomes:
        if one.copied and not any(one.copied is other for other in seen):
            seen.append(one.copied)
            repository = one.reference.rpartition(":")[0]
            say(f"{repository}: {_moved(one.copied, size)}")
    for one in outcomes:
        if one.step and one.verified:
            say(f"verified: {one.copied.digest if one.copied else one.step.wish.now} {one.reference}")


def to_json(source: str, digest: str, outcomes: Sequence[Outcome], *, dry_run: bool) -> dict[str, Any]:
    """The document of `--json`."""
    return {
        "schema": SCHEMA,
        "ok": not any(one.error or (one.step and one.step.action == "refused") for one in outcomes),
        "dry_run": dry_run,
        "source": source,
        "digest": digest,
        "targets": [
            {
                "reference": one.reference,
                "action": one.step.action if one.step else None,
                "now": one.step.wish.now if one.step else None,
                "why": one.step.refusal.why if one.step and one.step.refusal else None,
                "status": one.status,
                "verified": one.verified,
                "error": str(one.error) if one.error else None,
                "copied": _counts(one.copied) if one.copied else None,
            }
            for one in outcomes
        ],
    }


def _counts(copied: Copied) -> dict[str, int]:
    names = ("manifests", "mounted", "streamed", "present", "bytes", "referrers", "foreign", "requests")
    return {name: getattr(copied, name) for name in names}


def _now(one: Outcome) -> str:
    if one.step is None:
        return "not known: its registry fails"
    match one.step.action:
        case "refused":
            return f"refused: {one.step.refusal.why}" if one.step.refusal else "refused"
        case "moves":
            return f"moves from {one.step.wish.now}"
        case action:
            return action


def _moved(copied: Copied, size: Callable[[int], str]) -> str:
    blobs = [
        f"{copied.mounted} mounted" if copied.mounted else "",
        f"{copied.streamed} copied ({size(copied.bytes)})" if copied.streamed else "",
        f"{copied.present} there already" if copied.present else "",
        f"{copied.foreign} left at their own addresses" if copied.foreign else "",
    ]
    told = f"blobs: {', '.join(filter(None, blobs))}" if any(blobs) else "no blob was touched"
    return f"{told}; {copied.referrers} signatures and the like" if copied.referrers else told
