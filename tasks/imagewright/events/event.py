"""What this run is about: the push, pull request, tag, ... that the CI says it was started for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["push", "tag", "pull-request", "merge-group", "schedule", "manual", "local", "unreadable"]
Host = Literal["github", "gitlab", "local"]

_FULL_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. Commits are full ids; what is not known, or is all zeros, is None.

    "manual" is every event that names no change of the repository: workflow_dispatch, web, api, deletions, ...
    "unreadable" has a `problem` and nothing that could be relied on.
    """

    kind: Kind
    host: Host
    name: str = ""  # as the host calls it, such as pull_request_target or merge_request_event
    commit: str | None = None  # what the host would check out
    branch: str | None = None  # the pushed branch; of a pull request, the one it comes from
    tag: str | None = None
    default_branch: str | None = None
    before: str | None = None  # of a push: the branch's previous commit
    is_forced: bool = False
    pull_request: int | None = None  # its number; a merge request's within its project
    is_fork: bool = False  # the pull request comes from another repository, or from one that is gone
    head: str | None = None  # of a pull request: its last commit
    target_branch: str | None = None  # where a pull request or merge group goes
    target: str | None = None  # a commit of that branch
    base: str | None = None  # the commit to compare with, by the host's own word
    problem: str | None = None
    origins: Mapping[str, str] = field(default_factory=dict)  # a field's name: the variable or key that says it


def is_full_id(text: str) -> bool:
    """Whether `text` is a commit's full id (40 hexadecimal digits, 64 with SHA-256), and not all zeros."""
    return bool(_FULL_ID.fullmatch(text)) and bool(text.strip("0"))


def is_zero_id(text: str) -> bool:
    """Whether `text` is the id that means "no commit"."""
    return bool(_FULL_ID.fullmatch(text)) and not text.strip("0")
