"""Whether the outside images that a published image was built on are still the same, and what to say if not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from imagewright.changes.reason import Reason
from imagewright.images.outside import Outside
from imagewright.references import Reference

_SHOWN = len("sha256:") + 12  # of a digest, for people


class Digests(Protocol):
    """Today's digests (`bases.digests.Digests`)."""

    def digest(self, reference: str) -> str | None:
        """The digest of a full reference; None where it is not to be had."""

    def problem(self, reference: str) -> str:
        """Why it is not."""


def moved(use: Outside, recorded: Mapping[str, str], today: Digests, *, dockerfile: str) -> tuple[Reason, ...]:
    """The reasons to build an image anew because of its outside images; empty where all are known to be the same.

    `recorded` has the digests that the published image was built on, by full reference. What was not recorded, or
    cannot be told today, is a reason of kind "unknown".
    """
    found = [_reason("unknown", why, dockerfile, line) for line, why in use.unclear.items()]
    for reference, line in use.used.items():
        name, before = _familiar(reference), recorded.get(reference)
        if before is None:
            detail = f"the published image does not say which {name} it was built on"
            found.append(_reason("unknown", detail, dockerfile, line))
            continue
        now = today.digest(reference)
        if now is None:
            detail = f"today's digest of {name} is not to be had: {today.problem(reference)}"
            found.append(_reason("unknown", detail, dockerfile, line))
        elif now != before:
            detail = f"{name} is now {_short(now)}, it was built on {_short(before)}"
            found.append(_reason("base", detail, dockerfile, line))
    return tuple(sorted(found, key=lambda reason: (reason.line or 0, reason.detail)))


def _reason(kind: str, detail: str, dockerfile: str, line: int) -> Reason:
    at = f" ({dockerfile}:{line})" if line else ""
    return Reason(kind=kind, detail=f"{detail}{at}", line=line or None)


def _familiar(reference: str) -> str:
    parsed = Reference.parse(reference)
    return f"{parsed.familiar_repository}:{parsed.tag}"


def _short(digest: str) -> str:
    return f"{digest[:_SHOWN]}…"
