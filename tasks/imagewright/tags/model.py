"""What an image is called, as values: tags that a build gives, each with the rule that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from imagewright.events.event import Event

Kind = Literal["fixed", "moving", "version", "alias"]
"""fixed: names one state for ever (sha-0123456); moving: follows a branch, a pull request, a day (main, latest, pr-7);
version: names one release (1.2.3); alias: the highest version of a prefix (1.2, 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What a tag depends on beside the image. `event` has been completed: a local one tells branch and git tag."""

    event: Event
    commit: str | None  # a full id
    dirty: bool  # the work tree differs from the commit
    date: str  # of today, UTC: "20261121"

    @property
    def is_default_branch(self) -> bool:
        """Whether this run is about the default branch itself; no where that is not known.

        A fork's pull request may well come from a branch that is called main.
        """
        event = self.event
        about_it = event.branch is not None and event.branch == event.default_branch
        return about_it and event.kind not in ("pull-request", "merge-group", "unreadable") and not self.is_elsewhere

    @property
    def is_elsewhere(self) -> bool:
        """Whether another commit is checked out than the one that the CI names its branch by.

        A run by hand, on a schedule or after another run is the default branch's by its word also where it has checked
        out an old line, or somebody's fork.
        """
        event = self.event
        other = None not in (event.commit, self.commit) and event.commit != self.commit
        return other and event.kind in ("manual", "schedule")

    @property
    def has_git(self) -> bool:
        """Whether there is a git repository at all."""
        return self.commit is not None or self.event.branch is not None

    @property
    def named_commit(self) -> str | None:
        """The commit that tags name: of a pull request its own last one, and not the one that merges it."""
        return (self.event.head or self.commit) if self.event.kind == "pull-request" else self.commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """One tag that a build gives."""

    tag: str
    kind: Kind
    rule: str  # its name in the configuration; "given" for --tag and NAME:TAG
    why: str  # for people: "the default branch, main"
    version: str | None = None  # of a version and of an alias: the version as written


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """A tag that a rule would give, and this run does not."""

    tag: str
    rule: str
    why: str  # for people: "pull request #7 never moves latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """All tags of one image, the one to refer to it by first, and those withheld."""

    tags: tuple[Tag, ...]
    withheld: tuple[Withheld, ...] = ()
