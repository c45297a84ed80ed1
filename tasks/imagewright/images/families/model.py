"""A family as values: its members, each with everything resolved that `image.yml` says."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

from imagewright.tools.git import FILE, Entry, blob_id

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


LATEST = "latest"
Strategy = Literal["parts", "semver", "none"]


class VersionRules(Protocol):
    """How versions are compared: for the package of tags to know, and handed in."""

    def aliases(
        self, tags: Collection[str], strategy: Strategy, *, suffixes: Collection[str], explicit: Collection[str]
    ) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Which tag each alias means; and those aliases that are in `tags` or `explicit`, with who does not get them.

        `suffixes` are those of variants.
        """

    def latest(self, tags: Collection[str], strategy: Strategy) -> str | None:
        """The highest version that is no pre-release; None where there is none, and where nothing is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One tag of a family, or one variant of it. Paths are relative to the repository root."""

    family: str
    tag: str  # "3.13.7-semantic"
    version: str  # "3.13.7"
    variant: str | None
    suffix: str
    where: str  # "images/python/image.yml:7"
    versions: Mapping[str, Any]
    variables: Mapping[str, Any]
    template: str | None
    test_template: str | None
    template_where: str  # who names these templates
    extends: str | None
    extends_where: str
    description: str | None
    licenses: str | None
    build: Mapping[str, Any]  # of the build settings those that are given, as `ImageSettings` names them

    @property
    def name(self) -> str:
        """The image's name: `python:3.13.7-semantic`."""
        return f"{self.family}:{self.tag}"

    @property
    def folder(self) -> str:
        """Where its files are generated."""
        return f"dist/{self.family}/{self.tag}"


@dataclass(frozen=True, kw_only=True)
class Family:
    """All members, in the order of the file, each tag before its variants."""

    name: str
    file: str  # images/python/image.yml
    folder: str  # "" is the repository root
    members: tuple[Member, ...]
    suffixes: tuple[str, ...] = ()
    strategy: Strategy = "parts"
    aliases: Mapping[str, str] = field(default_factory=dict)  # alias: the tag that has it
    latest: str | None = None
    notices: tuple[str, ...] = ()  # for people: what the file says, and what follows from it

    @cached_property
    def by_tag(self) -> Mapping[str, Member]:
        """The members, to look one up."""
        return {member.tag: member for member in self.members}

    def find(self, tag: str | None) -> Member | None:
        """The member that a tag or an alias means; without a tag the latest one."""
        known = self.by_tag
        if tag is None or (tag == LATEST and tag not in known):
            tag = self.latest
        return known.get(self.aliases.get(tag, tag)) if tag else None


@dataclass(frozen=True, kw_only=True)
class Generated:
    """A file that is made from templates, and is on no disk before it is needed."""

    content: bytes
    sources: tuple[str, ...]  # templates, and image.yml

    @cached_property
    def entry(self) -> Entry:
        """What git would say of it."""
        return Entry(FILE, blob_id(self.content))

    @property
    def origin(self) -> str:
        """For people: what it is made from."""
        *others, last = self.sources
        return f"{', '.join(others)} and {last}" if others else last
