"""The questions about history that choosing a base of comparison asks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol


class UnknownHistoryError(Exception):
    """Git cannot tell, here and with what could be fetched; the text says why."""


@dataclass(frozen=True, slots=True)
class Named:
    """A branch or tag (its short name) and the commit that it stands for."""

    name: str
    commit: str


class History(Protocol):
    """The questions that choosing a base of comparison asks. Commits are full ids.

    Each method fetches what it lacks, and raises UnknownHistoryError where that fails and the answer depends on it.
    """

    @property
    def remote(self) -> str | None:
        """The remote that is asked; None where there is none."""

    @property
    def is_cut_off(self) -> bool:
        """Whether the remote was asked and could not be reached: what is missing then may be there all the same."""

    def resolve(self, revision: str) -> str | None:
        """The commit that a user's word means; None where it means none."""

    def fetch(self, commits: Iterable[str]) -> Mapping[str, str]:
        """Have these commits here; those that cannot be had, each with why."""

    def parents(self, commit: str) -> tuple[str, ...]:
        """The parents that a commit names, whether they are here or not."""

    def merge_base(self, one: str, other: str) -> str | None:
        """The best common ancestor; None where the histories are unrelated."""

    def ancestors(self, commits: Collection[str], of: str) -> frozenset[str]:
        """Those of `commits` (which are here) that are known to be `of` or ancestors of it. Never fetches."""

    def branch(self, name: str) -> Named | None:
        """The remote's branch; None where it has none of that name."""

    def default_branch(self, said: str | None) -> Named | None:
        """The default branch: `said` (the CI's word), else the remote's; None where nothing tells."""

    def previous_tag(self, commit: str) -> Named | None:
        """The nearest tag that `commit` descends from, not counting its own; None where there is none."""
