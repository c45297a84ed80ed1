"""Whose cache a run reads, and whose it writes: each branch has its own, and all read the default branch's."""

from __future__ import annotations

import re
from dataclasses import dataclass

from imagewright.events.event import Event
from imagewright.tags.sanitise import sanitise

RELEASES = "releases"  # the scope of git tags
NOWHERE = "local"  # the scope of what is on no branch

_NO_BRANCH = re.compile(rf"{RELEASES}|{NOWHERE}|pr-\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scopes:
    """Scopes by name. Nothing is written where `write` is None, and `why` says the reason."""

    read: tuple[str, ...]  # the nearest first
    write: str | None
    why: str | None = None


def scopes(event: Event, *, write: bool = True) -> Scopes:
    """The scopes of a run about this event; `write` is the configuration's `cache.write`.

    A pull request from a fork reads and never writes, as whoever opens one could put anything there; and so does a run
    of which nothing is known.
    """
    branches = (event.target_branch, event.default_branch, "main" if event.default_branch is None else None)
    read = tuple(dict.fromkeys((_own(event), *(_scope(branch) for branch in branches if branch))))
    why = _why_not(event, write=write)
    return Scopes(read=read, write=None if why else read[0], why=why)


def _own(event: Event) -> str:
    if event.tag is not None:
        return RELEASES
    if event.branch:
        return _scope(event.branch)
    return f"pr-{event.pull_request}" if event.pull_request is not None else NOWHERE


def _scope(branch: str) -> str:
    return sanitise(branch, reserved=lambda name: _NO_BRANCH.fullmatch(name) is not None)


def _why_not(event: Event, *, write: bool) -> str | None:
    if not write:
        return "`cache.write` is false"
    if event.kind == "pull-request" and event.is_fork:
        return "a pull request from a fork writes no cache"
    if event.kind == "unreadable":
        return "a run of which nothing is known writes no cache"
    return None
