"""What a person and a program see of a cleanup: the plan before, the outcome after."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from shlex import quote
from typing import TYPE_CHECKING, Any, Self

from imagewright.builds.report.text import short
from imagewright.cleanup.estimate import duration, roughly
from imagewright.cli.table import plain_table, show_table
from imagewright.config.sizes import size
from imagewright.errors import EnvironmentMissingError, ImagewrightError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from imagewright.cleanup.carry_out import Done
    from imagewright.cleanup.model import Policy, RepositoryPlan, Verdict
    from imagewright.cli.cleanup_reading import Target

SCHEMA = 1  # of the JSON; raised when a reader would have to change
_MANY_ROWS = 500  # rich takes seconds for thousands
_EVERY_SECONDS = 0.2
_EVERY_SECONDS_PLAIN = 10.0


class Counter:
    """Progress: one line that changes on a terminal, a line now and then elsewhere. Use it with `with`."""

    def __init__(self, what: str, say: Callable[[str], None]) -> None:
        self._what = what
        self._say = say
        self._live = sys.stderr.isatty()
        self._next = time.monotonic() + (_EVERY_SECONDS if self._live else _EVERY_SECONDS_PLAIN)
        self._shown = False

    def __call__(self, done: int, total: int | None = None) -> None:
        """So many (of so many) are done. Called by several threads: a line too many is no harm."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (_EVERY_SECONDS if self._live else _EVERY_SECONDS_PLAIN)
        text = f"{self._what}: {done}" if total is None else f"{self._what}: {done} of {total}"
        if self._live:
            self._shown = True
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
        else:
            self._say(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def show_plans(plans: Sequence[RepositoryPlan], now: datetime) -> None:
    """A line for each tag, with the rule that decides about it."""
    rows = [(plan.repository, *_row(one, now)) for plan in plans for one in plan.verdicts]
    styles = ["" if one.keep else "red" for plan in plans for one in plan.verdicts]
    if rows:
        first = int(len(plans) == 1)
        heads = ("repository", "tag", "digest", "age", "size", "plan", "rule", "why")
        cells = [row[first:] for row in rows]
        if len(rows) > _MANY_ROWS:
            print(plain_table(heads[first:], cells))  # noqa: T201
        else:
            show_table(heads[first:], cells, styles)
    sys.stdout.flush()  # to be read before it is done, also where a program reads it


def told(target: Target) -> str:
    """A line about the plan of one repository, which is not refused."""
    plan = target.plan
    if plan is None:
        return f"{target.repository}: it was not read"
    tags = number(sum(one.tag is not None for one in plan.verdicts), "tag")
    if not plan.verdicts:
        return f"{plan.repository}: it is empty, or there is no such repository"
    if not (plan.tags or plan.manifests):
        return f"{plan.repository}: nothing to delete, {tags} stay"
    manifests = number(len(plan.manifests), "manifest")
    text = f"{plan.repository}: {len(plan.tags)} of {tags} and {manifests} to delete, {size(plan.freed)}"
    if target.plan_only:
        return f"{text}; but nothing can be deleted here: {target.plan_only}"
    time = taking(target)
    return f"{text}; it takes {time}" if time else text


def taking(*targets: Target) -> str | None:
    """`about 20 min`: how long it takes to delete what the plans say, one repository after the other."""
    times = [duration(one.plan, one.deleter.can.kind) for one in targets if one.plan and one.deleter]
    return roughly(sum(times, timedelta()))


def counted(*plans: RepositoryPlan) -> str:
    """`12 tags and 14 manifests`."""
    tags, manifests = sum(len(plan.tags) for plan in plans), sum(len(plan.manifests) for plan in plans)
    return f"{number(tags, 'tag')} and {number(manifests, 'manifest')}"


def tell_unmatched(say: Callable[[str], None], targets: Sequence[Target]) -> None:
    """The patterns that fit nothing in any repository which they are for: a misspelled one protects nothing."""
    having: dict[str, list[str]] = {}
    unmatched: dict[str, list[str]] = {}
    for target in targets:
        if target.policy and target.plan and target.plan.verdicts:
            for pattern in _patterns(target.policy):
                having.setdefault(pattern, []).append(target.repository)
            for pattern in target.plan.unmatched:
                unmatched.setdefault(pattern, []).append(target.repository)
    for pattern, repositories in unmatched.items():
        if repositories == having.get(pattern):
            where = repositories[0] if len(repositories) == 1 else f"any of {len(repositories)} repositories"
            say(f"the pattern `{pattern}` fits nothing in {where}")


def _patterns(policy: Policy) -> tuple[str, ...]:
    """As `RepositoryPlan.unmatched` writes them."""
    rules = (f"{rule.name}: {glob}" for rule in policy.rules for glob in rule.tags)
    return tuple(
        dict.fromkeys((*(f"protect {one}" for one in policy.protect), *(f"only {one}" for one in policy.only), *rules))
    )


def tell_done(say: Callable[[str], None], plan: RepositoryPlan, done: Done) -> None:
    """What was deleted, what was not, and what is proven."""
    outcome = done.outcome
    for one in outcome.skipped:
        say(f"{plan.repository}: skipped {one.reference}: {one.reason}")
    for breach in done.breaches:
        say(f"{plan.repository}: {breach.reference} is {breach.problem}: {breach.detail}")
    if done.restored:
        put = (*done.restored.tags, *done.restored.manifests)
        say(f"{plan.repository}: something that was to be kept was lost; {len(put)} tags and manifests were put back")
        for left in done.restored.left:
            say(f"{plan.repository}: not put back: {left.reference}: {left.reason}")
    tags, manifests = number(len(outcome.deleted_tags), "tag"), number(len(outcome.deleted_manifests), "manifest")
    whole = done.ok and set(plan.manifests) <= set(outcome.deleted_manifests)  # else nobody knows how much of it
    freed = f", {size(plan.freed)} for the registry to collect" if whole and plan.freed else ""
    say(f"{plan.repository}: deleted {tags} and {manifests}{freed}")
    if done.verified:
        say(f"{plan.repository}: verified: {number(len(plan.roots), 'kept tag')}, and everything that they lead to")
    if done.journal and (outcome.deleted_tags or outcome.deleted_manifests):
        say(f"  to put it back: invoke cleanup --undo {quote(str(done.journal))}")


def tell_interrupted(say: Callable[[str], None], repository: str, journal: Path) -> None:
    """What can be done when somebody has ended it."""
    say(f"{repository}: not finished; all that stays is whole. The same command again goes on")
    say(f"  to put back what was deleted so far: invoke cleanup --undo {quote(str(journal))}")


def document(targets: Sequence[Target], done: dict[str, Done], *, dry_run: bool) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "schema": SCHEMA,
        "ok": not failures(targets, done, dry_run=dry_run),
        "dry_run": dry_run,
        "repositories": [_repository(one, done.get(one.repository)) for one in targets],
    }


def failures(
    targets: Sequence[Target], done: dict[str, Done], *, dry_run: bool
) -> list[tuple[str, ImagewrightError | str]]:
    """What went wrong, by repository."""
    found: list[tuple[str, ImagewrightError | str]] = []
    for target in targets:
        outcome = done.get(target.repository)
        if target.error:
            found.append((target.repository, target.error))
        elif target.plan and target.plan.refused:
            found.append((target.repository, f"refused: {target.plan.refused}"))
        elif outcome and outcome.outcome.error:
            found.append((target.repository, outcome.outcome.error))
        elif outcome and not outcome.ok:
            found.append((target.repository, "something that was to be kept is not there, or could not be seen"))
        elif target.plan_only and not dry_run and target.plan and (target.plan.tags or target.plan.manifests):
            found.append((target.repository, target.plan_only))
    return found


def raise_for(found: Sequence[tuple[str, ImagewrightError | str]]) -> None:
    """An error with all that went wrong; the environment's exit code where it was nothing else."""
    if not found:
        return
    kind = ImagewrightError
    if all(isinstance(error, EnvironmentMissingError) for _, error in found):
        kind = EnvironmentMissingError
    lines = [_line(repository, error) for repository, error in found]
    raise kind(lines[0] if len(lines) == 1 else "\n  ".join([f"{len(lines)} repositories:", *lines]))


def _line(repository: str, error: ImagewrightError | str) -> str:
    text = str(error)
    return text if repository in text else f"{repository}: {text}"


def _row(one: Verdict, now: datetime) -> tuple[str, ...]:
    plan = "keep" if one.keep else "delete"
    return (one.tag or "", short(one.digest), age_of(one.dated, now), size(one.size), plan, one.rule, one.reason)


def age_of(dated: datetime | None, now: datetime) -> str:
    """`12min`, `30h`, `14d`; empty where no date is known."""
    if dated is None:
        return ""
    minutes = max(0, int((now - dated).total_seconds() // 60))
    if minutes >= 2 * 1440:
        return f"{minutes // 1440}d"
    return f"{minutes // 60}h" if minutes >= 120 else f"{minutes}min"


def number(count: int, word: str) -> str:
    """`1 tag`, `2 tags`."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def _repository(target: Target, done: Done | None) -> dict[str, Any]:
    plan = target.plan
    digests = {one.tag: one.digest for one in plan.verdicts} if plan else {}
    outcome = done.outcome if done else None
    error = target.error or (outcome.error if outcome else None)
    return {
        "repository": target.repository,
        "keep": [_verdict(one) for one in plan.verdicts if one.keep] if plan else [],
        "delete": [_verdict(one) for one in plan.verdicts if not one.keep] if plan else [],
        "manifests": list(plan.manifests) if plan else [],
        "freed": plan.freed if plan else None,
        "refused": plan.refused if plan and plan.refused else target.plan_only,
        "unmatched": list(plan.unmatched) if plan else [],
        "deleted": [
            *({"tag": tag, "digest": digests.get(tag)} for tag in (outcome.deleted_tags if outcome else ())),
            *({"tag": None, "digest": digest} for digest in (outcome.deleted_manifests if outcome else ())),
        ],
        "skipped": [{"reference": one.reference, "reason": one.reason} for one in outcome.skipped] if outcome else [],
        "verified": done.verified if done else None,
        "journal": str(done.journal) if done and done.journal else None,
        "error": str(error) if error else None,
    }


def _verdict(one: Verdict) -> dict[str, Any]:
    return {
        "tag": one.tag,
        "digest": one.digest,
        "rule": one.rule,
        "reason": one.reason,
        "dated": one.dated.isoformat() if one.dated else None,
        "size": one.size,
    }
