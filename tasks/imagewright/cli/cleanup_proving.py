"""`invoke cleanup --verify` and `--undo`: whether everything is there, and putting back what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagewright.cleanup.journal import finish, read_journal
from imagewright.cleanup.lease import lease
from imagewright.cleanup.planfile import load
from imagewright.cleanup.undo import undo
from imagewright.cleanup.verify import verify
from imagewright.cli.cleaned import SCHEMA, Counter, number, raise_for
from imagewright.errors import ImagewrightError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from imagewright.cli.cleanup_doors import Doors
    from imagewright.cli.cleanup_selection import Selection

    Say = Callable[[str], None]


def put_back(doors: Doors, file: str, say: Say, *, leases: Path, dry_run: bool, as_json: bool) -> None:
    """Put back what a journal has; ImagewrightError where some of it cannot be, or a cleanup is running there."""
    place = doors.place(read_journal(Path(file)).repository)
    with lease(leases, str(place)), Counter(f"putting back in {place}", say) as counter:
        done = undo(Path(file), place, dry_run=dry_run, progress=counter)
    if not dry_run:
        finish(Path(file))  # what is there again is wanted: no later cleanup has to go on with it
    if as_json:
        left = [{"reference": one.reference, "reason": one.reason} for one in done.left]
        found = {"repository": str(place), "tags": list(done.tags), "manifests": list(done.manifests), "left": left}
        _print({"schema": SCHEMA, "ok": done.ok, "dry_run": dry_run, **found})
    for one in done.left:
        say(f"{place}: not put back: {one.reference}: {one.reason}")
    verb = "would be put back" if dry_run else "were put back"
    put = f"{number(len(done.tags), 'tag')} and {number(len(done.manifests), 'manifest')}"
    say(f"{place}: {put} {verb}, {done.present} were there")
    if not done.ok:
        raise ImagewrightError(f"{len(done.left)} tags and manifests could not be put back", where=str(place))


def prove(doors: Doors, selection: Selection, file: str | None, say: Say, *, as_json: bool) -> None:
    """Follow every tag, or those that the plan of a file keeps, down to the last blob.

    ImagewrightError where something is not there, or cannot be looked at.
    """
    roots: dict[str, Mapping[str, str] | None] = dict.fromkeys(() if file else selection.repositories())
    roots |= {plan.repository: plan.roots for plan in (load(Path(file)) if file else ())}
    failed: list[tuple[str, ImagewrightError | str]] = []
    documents: list[dict[str, Any]] = []
    for repository, kept in roots.items():
        error, breaches = None, list[dict[str, str]]()
        try:
            breaches = _breaches(doors, repository, kept, say)
        except ImagewrightError as caught:
            error = caught
            failed.append((repository, caught))
        if breaches:
            failed.append((repository, "; ".join(f"{one['reference']}: {one['detail']}" for one in breaches)))
        found = {"verified": not (breaches or error), "breaches": breaches, "error": str(error) if error else None}
        documents.append({"repository": repository, **found})
    if as_json:
        _print({"schema": SCHEMA, "ok": not failed, "repositories": documents})
    raise_for(failed)


def _breaches(doors: Doors, repository: str, kept: Mapping[str, str] | None, say: Say) -> list[dict[str, str]]:
    place = doors.place(repository)
    registry, path = place.registry, place.repository
    if kept is None:
        tags = registry.tags(path) or ()
        found = registry.concurrently(lambda tag: registry.resolve(path, tag, artifacts=True), tags)
        kept = {tag: one.digest if one else "" for tag, one in zip(tags, found, strict=True)}
    with Counter(f"verifying {place}", say) as counter:
        breaches = verify(place, kept, progress=counter)
    if not kept:
        say(f"{place}: nothing to verify: it is empty, or there is no such repository")
    elif not breaches:
        say(f"{place}: verified: {number(len(kept), 'tag')}, and everything that they lead to")
    return [{"reference": one.reference, "problem": one.problem, "detail": one.detail} for one in breaches]


def _print(found: Mapping[str, Any]) -> None:
    print(json.dumps(found, indent=2))  # noqa: T201
