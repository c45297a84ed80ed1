"""Plans in a file: canonical JSON with its own digest, read back only where it says exactly what was written."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from imagewright.cleanup.model import RepositoryPlan, Verdict
from imagewright.errors import ImagewrightError, UsageError
from imagewright.references import InvalidReferenceError, Reference, is_digest, is_tag

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMA = 1
_KIND = "imagewright cleanup plan"
_PLAN = {"repository", "verdicts", "manifests", "tags", "freed", "refused", "unmatched", "roots"}
_VERDICT = {"tag", "digest", "keep", "rule", "reason", "dated", "size"}


def plans_to_json(plans: Sequence[RepositoryPlan]) -> str:
    """The plans with `hash`, the SHA-256 of all the rest: the same plans give the same bytes."""
    body = {"schema": _SCHEMA, "kind": _KIND, "repositories": [_written(plan) for plan in plans]}
    return json.dumps({**body, "hash": _hash(body)}, sort_keys=True, indent=1, ensure_ascii=True) + "\n"


def save(path: Path, plans: Sequence[RepositoryPlan]) -> None:
    """Write them as one file, whole or not at all; ImagewrightError where that fails."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("w", encoding="ascii") as file:
            file.write(plans_to_json(plans))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise ImagewrightError(f"the plan cannot be written: {error.strerror}", where=str(path)) from error


def load(path: Path) -> tuple[RepositoryPlan, ...]:
    """The plans of a file that `save` wrote; UsageError for any other, and for one that was changed since."""
    try:
        text = path.read_text(encoding="ascii")
    except UnicodeDecodeError as error:
        raise _odd(path, "it is no plan") from error
    except OSError as error:
        raise UsageError(f"the plan cannot be read: {error.strerror}", where=str(path)) from error
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _odd(path, "it is no plan, or not all of one") from error
    if not isinstance(document, dict) or document.get("kind") != _KIND:
        raise _odd(path, "it is no plan")
    if document.get("schema") != _SCHEMA:
        raise _odd(path, "another version of this program wrote it")
    if _hash({key: value for key, value in document.items() if key != "hash"}) != document.get("hash"):
        raise _odd(path, "it was changed after it was written")
    try:
        plans = tuple(_read(_exactly(one, _PLAN)) for one in _list(document["repositories"]))
        if len({plan.repository for plan in plans}) != len(plans):
            raise ValueError("a repository stands twice")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _odd(path, f"it says what no plan says: {error}") from error
    # Also catches what a reader lets pass: keys that stand twice, numbers spelt otherwise.
    if plans_to_json(plans) != text:
        raise _odd(path, "it was changed after it was written")
    return plans


def _odd(path: Path, what: str) -> UsageError:
    return UsageError(
        f"this file is not carried out: {what}", where=str(path), hint="make a new one with `--plan FILE`"
    )


def _hash(body: Mapping[str, Any]) -> str:
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def _written(plan: RepositoryPlan) -> dict[str, Any]:
    return {
        "repository": plan.repository,
        "verdicts": [
            {
                "tag": verdict.tag,
                "digest": verdict.digest,
                "keep": verdict.keep,
                "rule": verdict.rule,
                "reason": verdict.reason,
                "dated": verdict.dated.astimezone(UTC).isoformat() if verdict.dated else None,
                "size": verdict.size,
            }
            for verdict in plan.verdicts
        ],
        "manifests": list(plan.manifests),
        "tags": list(plan.tags),
        "freed": plan.freed,
        "refused": plan.refused,
        "unmatched": list(plan.unmatched),
        "roots": dict(plan.roots),
    }


def _read(written: Mapping[str, Any]) -> RepositoryPlan:
    roots = written["roots"]
    if not isinstance(roots, dict):
        raise TypeError("`roots` is no mapping")
    plan = RepositoryPlan(
        repository=_repository(written["repository"]),
        verdicts=tuple(_verdict(_exactly(one, _VERDICT)) for one in _list(written["verdicts"])),
        manifests=tuple(_digest(one) for one in _list(written["manifests"])),
        tags=tuple(_tag(one) for one in _list(written["tags"])),
        freed=_number(written["freed"]),
        refused=None if written["refused"] is None else _text(written["refused"]),
        unmatched=tuple(_text(one) for one in _list(written["unmatched"])),
        roots={_tag(tag): _digest(digest) for tag, digest in roots.items()},
    )
    _check(plan)
    return plan


def _check(plan: RepositoryPlan) -> None:
    """ValueError where the lists do not follow from the verdicts: what is kept is never in a list of deletions."""
    decided = [verdict.tag for verdict in plan.verdicts if verdict.tag is not None]
    goes = {verdict.tag for verdict in plan.verdicts if verdict.tag is not None and not verdict.keep}
    kept = {verdict.digest for verdict in plan.verdicts if verdict.keep}
    roots = {verdict.tag: verdict.digest for verdict in plan.verdicts if verdict.tag is not None and verdict.keep}
    if len(decided) != len(set(decided)) or roots != plan.roots:
        raise ValueError("a tag is decided twice, or not at all")
    if len(set(plan.tags)) != len(plan.tags) or set(plan.tags) != (set() if plan.refused else goes):
        raise ValueError("the tags to delete are not those that it decides to delete")
    if len(set(plan.manifests)) != len(plan.manifests) or (plan.refused and plan.manifests):
        raise ValueError("the manifests to delete are not those that it decides to delete")
    if not kept.isdisjoint(plan.manifests):
        raise ValueError("a manifest that is kept is to be deleted")


def _verdict(written: Mapping[str, Any]) -> Verdict:
    if not isinstance(written["keep"], bool):
        raise TypeError("`keep` is neither true nor false")
    dated = None if written["dated"] is None else datetime.fromisoformat(_text(written["dated"]))
    if dated is not None and dated.tzinfo is None:
        raise ValueError("a date has no zone")
    return Verdict(
        tag=None if written["tag"] is None else _tag(written["tag"]),
        digest=_digest(written["digest"]),
        keep=written["keep"],
        rule=_text(written["rule"]),
        reason=_text(written["reason"]),
        dated=dated,
        size=_number(written["size"]),
    )


def _exactly(value: object, keys: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, dict) or value.keys() != keys:
        raise TypeError("a part of it has other keys")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a part of it is no list")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a part of it is no text")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("a part of it is no number")
    return value


def _tag(value: object) -> str:
    if not is_tag(_text(value)):
        raise ValueError(f"{value!r} is no tag")
    return _text(value)


def _digest(value: object) -> str:
    if not is_digest(_text(value)):
        raise ValueError(f"{value!r} is no digest")
    return _text(value)


def _repository(value: object) -> str:
    try:
        reference = Reference.parse(_text(value))
    except InvalidReferenceError as error:
        raise ValueError(f"{value!r} is no repository") from error
    if reference.tag or reference.digest:
        raise ValueError(f"{value!r} is no repository")
    return _text(value)
