"""What the command line of `invoke cache` says, checked before anything is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

from imagewright.cache.retire import LEAST_GRACE, Policy
from imagewright.config.durations import check_some_time, parse_duration, spoken
from imagewright.config.problems import listed
from imagewright.config.sizes import check_size, parse_size
from imagewright.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from imagewright.config.build_models import CachePrune

_T = TypeVar("_T")

Action = Literal["status", "prune", "verify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheWishes:
    """One action, and what the command line says over the configuration."""

    action: Action
    act: bool  # delete what is found
    unused: timedelta | None = None
    budget: int | None = None
    grace: timedelta | None = None


def cache_wishes(
    action: str,
    *,
    unused: str | None = None,
    budget: str | None = None,
    grace: str | None = None,
    repair: bool = False,
    deep: bool = False,
    dry_run: bool = False,
    yes: bool = False,
) -> CacheWishes:
    """The options, read; UsageError for what is none, and for those of another action."""
    known = _action(action)
    given = {"--unused": unused, "--budget": budget, "--grace": grace}
    if known != "prune" and (wrong := [name for name, text in given.items() if text is not None]):
        raise UsageError(f"{wrong[0]} is for `invoke cache prune`")
    if known != "verify" and (repair or deep):
        raise UsageError(f"{'--repair' if repair else '--deep'} is for `invoke cache verify`")
    if yes and (known == "status" or (known == "verify" and not repair)):
        raise UsageError(f"`invoke cache {known}` deletes nothing, so --yes has nothing to agree to")
    if yes and dry_run:
        raise UsageError("--yes deletes and --dry-run does not: give one of them")
    wishes = CacheWishes(
        action=known,
        act=yes,
        unused=_read("--unused", _time, unused),
        budget=_read("--budget", _bytes, budget),
        grace=_read("--grace", _time, grace),
    )
    if wishes.grace is not None and wishes.grace < LEAST_GRACE:
        raise UsageError(f"--grace {_TOO_SHORT}")
    return wishes


def policy_of(wishes: CacheWishes, prune: CachePrune) -> Policy:
    """The policy: the command line over the configuration. ConfigError where that gives builds no time."""
    configured = parse_duration(prune.grace)
    if configured < LEAST_GRACE:
        raise ConfigError(f"`cache.prune.grace` {_TOO_SHORT}")
    return Policy(
        unused=wishes.unused or parse_duration(prune.unused),
        grace=wishes.grace or configured,
        budget=wishes.budget or (parse_size(prune.budget) if prune.budget else None),
    )


_TOO_SHORT = f"must be {spoken(LEAST_GRACE)} at least: a build may be about to use the blobs"


def _action(text: str) -> Action:
    for one in get_args(Action):
        if one == text:
            found: Action = one
            return found
    what = f"there is no `invoke cache {text}`" if text else "`invoke cache` takes an action"
    raise UsageError(f"{what}: it takes {listed(get_args(Action))}")


def _read(option: str, read: Callable[[str], _T], text: str | None) -> _T | None:
    if text is None:
        return None
    try:
        return read(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def _time(text: str) -> timedelta:
    return parse_duration(check_some_time(text))


def _bytes(text: str) -> int:
    return parse_size(check_size(text))
