"""What the command line of `invoke cleanup` says, checked before anything is read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from imagewright.cleanup.model import Sort
from imagewright.cleanup.policy import Given
from imagewright.config.durations import parse_duration
from imagewright.config.problems import listed
from imagewright.config.tag_patterns import check_protection, check_tag_pattern
from imagewright.errors import UsageError
from imagewright.references import InvalidReferenceError, Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

Mode = Literal["clean", "save", "apply", "undo", "verify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is to be cleaned, and how."""

    given: Given = field(default_factory=Given)
    in_use: tuple[str, ...] = ()  # paths, relative to the current folder
    repositories: tuple[str, ...] = ()  # "ghcr.io/me/app"; none: the project's
    policy: str | None = None

    @property
    def makes_no_plan(self) -> bool:
        """Whether nothing was said about what to keep, but for who needs it."""
        return not self.policy and self.given == Given()


def wishes(
    *,
    keep: str | None = None,
    keep_younger: str | None = None,
    sort: str | None = None,
    protect: Sequence[str] = (),
    only: Sequence[str] = (),
    max_delete: str | None = None,
    max_share: str | None = None,
    allow_empty: bool = False,
    allow_keep_zero: bool = False,
    in_use: Sequence[str] = (),
    repositories: Sequence[str] = (),
    policy: str | None = None,
) -> Wishes:
    """The options, read; UsageError for what is none."""
    number = None if keep is None else _count("--keep", keep)
    if number == 0 and not allow_keep_zero:
        raise UsageError(
            "--keep 0 keeps nothing but what is protected or in use", hint="if that is meant: --allow-keep-zero"
        )
    given = Given(
        keep=number,
        younger=None if keep_younger is None else _younger(keep_younger),
        sort=None if sort is None else _sort(sort),
        protect=tuple(_checked("--protect", check_protection, one) for one in protect),
        only=tuple(_checked("--only", check_tag_pattern, one) for one in only),
        max_delete=None if max_delete is None else _count("--max-delete", max_delete),
        max_share=None if max_share is None else _share(max_share),
        allow_empty=allow_empty,
        allow_keep_zero=allow_keep_zero,
    )
    for path in (*in_use, *([] if policy is None else [policy])):
        if not path:
            raise UsageError("--in-use and --policy take a path, not an empty text")
    return Wishes(
        given=given,
        in_use=tuple(in_use),
        repositories=tuple(dict.fromkeys(map(_repository, repositories))),
        policy=policy,
    )


def mode_of(
    wanted: Wishes,
    *,
    apply: str | None,
    undo: str | None,
    verify: bool,
    plan: str | None,
    dry_run: bool,
    yes: bool,
) -> Mode:
    """What is to be done; UsageError for options that contradict each other."""
    if "" in (apply, undo, plan):
        raise UsageError("--plan, --apply and --undo take a file, not an empty text")
    if apply and undo:
        raise UsageError("--apply and --undo are two different things: give one of them")
    if plan and (apply or undo or verify):
        raise UsageError("--plan saves a new plan: it goes with none of --apply, --undo and --verify")
    if plan and yes:
        raise UsageError("--plan deletes nothing, so --yes has nothing to agree to")
    if undo and verify:
        raise UsageError("--undo and --verify are two different things: give one of them")
    if (apply or undo or verify) and (not wanted.makes_no_plan or (wanted.in_use and (undo or verify))):
        name = "--apply" if apply else "--undo" if undo else "--verify"
        raise UsageError(f"{name} makes no plan: leave out the options that say what to keep")
    if (apply or undo) and wanted.repositories:
        raise UsageError("the file says which repositories it is about: leave out --repository")
    if verify and (dry_run or yes):
        raise UsageError("--verify changes nothing: leave out --dry-run and --yes")
    return "verify" if verify else "apply" if apply else "undo" if undo else "save" if plan else "clean"


def _count(option: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise UsageError(f"{option} takes a whole number, not `{text}`")
    return int(text)


def _younger(text: str) -> timedelta:
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--keep-younger: {error}") from error
    if not found:
        raise UsageError("--keep-younger: no time at all protects nothing: leave it out")
    return found


def _sort(text: str) -> Sort:
    for one in get_args(Sort):
        if one == text:
            found: Sort = one
            return found
    raise UsageError(f"--sort takes {listed(get_args(Sort))}, not `{text}`")


def _share(text: str) -> float:
    found = re.fullmatch(r"(?P<share>[01](?:\.[0-9]{1,6})?)|(?P<percent>[0-9]{1,3})%", text)
    share = float(found["share"]) if found and found["share"] else int(found["percent"]) / 100 if found else 2.0
    if not 0 <= share <= 1:
        raise UsageError(f"--max-share takes a number from 0 to 1, or a percentage, not `{text}`")
    return share


def _checked(option: str, check: Callable[[str], str], text: str) -> str:
    try:
        return check(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def _repository(text: str) -> str:
    try:
        reference = Reference.parse(text)
    except InvalidReferenceError as error:
        raise UsageError(f"--repository: {error}", hint="for example ghcr.io/me/app") from error
    if reference.tag or reference.digest:
        raise UsageError(f"--repository takes no tag and no digest: `{text}`", hint=f"`{reference.repository}`")
    return reference.repository
