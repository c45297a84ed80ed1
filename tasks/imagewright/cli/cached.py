"""What a person and a program see of the layer cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imagewright.cli.cleaned import age_of
from imagewright.cli.table import show_table
from imagewright.config.sizes import size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imagewright.cache.model import Cache
    from imagewright.cache.plan import Plan
    from imagewright.cache.prune import Done
    from imagewright.cache.sizes import CacheSize, Totals
    from imagewright.cache.verify import Finding

SCHEMA = 1  # of the JSON; raised when a reader would have to change


def show_caches(say: Callable[[str], None], plan: Plan, found: Sequence[CacheSize], totals: Totals) -> None:
    """A line for each cache; and what the store holds in all."""
    now = plan.picture.taken
    rows = [
        (*_names(one.cache), str(one.blobs), size(one.bytes), size(one.own), age_of(one.cache.modified, now))
        for one in found
    ]
    if rows:
        show_table(("image", "scope", "platform", "blobs", "size", "own", "age"), rows)
    for one in found:
        if one.missing:
            say(f"{one.cache.name}: {one.missing} of its blobs are not there: `invoke cache verify` tells more")
    say(f"{size(totals.bytes)} in {_number(totals.blobs, 'blob')}, {_number(len(found), 'cache')}")
    waiting = totals.unneeded_bytes - totals.due_bytes
    say(f"no cache needs {size(totals.unneeded_bytes)}: a prune deletes {size(totals.due_bytes)} now")
    if waiting or totals.retired_bytes:
        later = size(waiting + totals.retired_bytes)
        say(f"later prunes delete {later} more ({_number(len(plan.retired), 'cache')} would be retired now)")
    _tell_strange(say, plan)


def show_verdicts(plan: Plan) -> None:
    """A line for each cache, with the rule that decides about it."""
    rows = [
        (
            *_names(one.cache),
            age_of(one.cache.modified, plan.picture.taken),
            "retire" if one.retire else "keep",
            one.rule,
            one.reason,
        )
        for one in plan.verdicts
    ]
    styles = ["red" if one.retire else "" for one in plan.verdicts]
    if rows:
        show_table(("image", "scope", "platform", "age", "plan", "rule", "why"), rows, styles)


def tell_plan(say: Callable[[str], None], plan: Plan) -> None:
    """What the plan deletes."""
    due = sum(plan.picture.blobs[digest].size for digest in plan.due)
    retired = f"{len(plan.retired)} of {_number(len(plan.verdicts), 'cache')}"
    say(f"to retire: {retired}; to delete now: {_number(len(plan.due), 'blob')}, {size(due)}")
    _tell_strange(say, plan)


def tell_pruned(say: Callable[[str], None], done: Done) -> None:
    """What was deleted, what was not, and what waits."""
    for key, why in done.skipped.items():
        say(f"kept {key}: {why}")
    blobs = f"{_number(len(done.blobs), 'blob')}, {size(sum(done.blobs.values()))}"
    say(f"retired {_number(len(done.caches), 'cache')}, deleted {blobs}")
    if done.waiting:
        waiting = f"{_number(done.waiting, 'blob')}, {size(done.waiting_bytes)}"
        say(f"condemned: {waiting}; a prune after a day or more deletes what is still not needed then")


def show_findings(found: Sequence[Finding]) -> None:
    """A line for each cache that cannot be used."""
    if found:
        show_table(("cache", "problem"), [(one.name, one.reason) for one in found])


def status_document(plan: Plan, found: Sequence[CacheSize], totals: Totals) -> dict[str, Any]:
    """What `status --json` prints."""
    return {
        "schema": SCHEMA,
        "type": "s3",
        "caches": [
            {
                **_cache(one.cache),
                "blobs": one.blobs,
                "missing": one.missing,
                "bytes": one.bytes,
                "own": one.own,
                "shared": one.shared,
            }
            for one in found
        ],
        "unreadable": [{"name": one.name, "reason": one.reason} for one in plan.picture.unreadable],
        "total": {"blobs": totals.blobs, "bytes": totals.bytes},
        "unneeded": {"blobs": totals.unneeded_blobs, "bytes": totals.unneeded_bytes},
        "prune": {
            "retire": [one.name for one in plan.retired],
            "blobs": totals.due_blobs,
            "bytes": totals.due_bytes,
            "later": totals.unneeded_bytes - totals.due_bytes + totals.retired_bytes,
        },
    }


def prune_document(plan: Plan, done: Done | None) -> dict[str, Any]:
    """What `prune --json` prints; without an outcome it was a dry run."""
    blobs = plan.picture.blobs
    return {
        "schema": SCHEMA,
        "type": "s3",
        "dry_run": done is None,
        "caches": [
            {**_cache(one.cache), "plan": "retire" if one.retire else "keep", "rule": one.rule, "reason": one.reason}
            for one in plan.verdicts
        ],
        "due": [{"digest": digest, "bytes": blobs[digest].size} for digest in plan.due],
        "retired": done.caches if done else [],
        "deleted": [{"digest": digest, "bytes": count} for digest, count in done.blobs.items()] if done else [],
        "skipped": [{"key": key, "reason": why} for key, why in done.skipped.items()] if done else [],
        "condemned": {"blobs": done.waiting, "bytes": done.waiting_bytes} if done else None,
    }


def finding_document(one: Finding, gone: Sequence[str]) -> dict[str, Any]:
    """One cache that cannot be used, and the keys that were deleted."""
    return {
        "name": one.name,
        "kind": one.kind,
        "reason": one.reason,
        "blobs": [{"digest": digest, "fault": fault} for digest, fault in one.blobs.items()],
        "deleted": list(gone),
    }


def _cache(cache: Cache) -> dict[str, Any]:
    known = cache.known
    return {
        "name": cache.name,
        "image": known.image if known else None,
        "scope": known.scope if known else None,
        "platform": known.platform if known else None,
        "written": cache.modified.isoformat(),
    }


def _names(cache: Cache) -> tuple[str, str, str]:
    known = cache.known
    return (known.image, known.scope, known.platform or "") if known else (cache.name, "", "")


def _tell_strange(say: Callable[[str], None], plan: Plan) -> None:
    if strange := plan.picture.strange:
        say(f"{_number(len(strange), 'key')} among the blobs is no blob's, and stays: {strange[0]}")


def _number(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
