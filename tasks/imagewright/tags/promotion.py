"""What giving an image further names would do to each of them, decided before anything is done."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from imagewright.tags.aliases import prefixes, settle
from imagewright.tags.versions import Strategy, Version, parse

Action = Literal["new", "same", "moves", "refused"]
Purpose = Literal["promote", "retag", "mirror"]

_COMMIT = re.compile(r"sha-[0-9a-f]{7,64}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a tag is not given, and what to do about it; both for people."""

    why: str
    hint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What holds for one call."""

    purpose: Purpose = "promote"
    strategy: Strategy = "parts"
    suffixes: tuple[str, ...] = ()  # of declared variants
    immutable: bool = True  # version tags keep their content
    monotonic: tuple[str, ...] = (
        "latest",
        "stable",
        "*-stable",
    )  # globs of tags that never go back to an older version
    move: bool = False  # --move-versions, --move
    allow_downgrade: bool = False
    withheld: Callable[[str], Refusal | None] = lambda _: None  # whether this run may not give a tag

    def version(self, text: str) -> Version | None:
        """The tag as a version or the alias of one."""
        return parse(text, self.strategy, suffixes=self.suffixes, partial=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A tag that the image is to have, and what its repository knows about that."""

    repository: str  # "ghcr.io/me/app"
    tag: str
    now: str | None  # the digest that it has now
    published: tuple[str, ...] = ()  # all tags of the repository
    digests: Mapping[str, str] = field(default_factory=dict)  # of those that `to_look_up` asks for

    @property
    def reference(self) -> str:
        """The full reference."""
        return f"{self.repository}:{self.tag}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What becomes of one tag."""

    wish: Wish
    action: Action
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The image that gets the names."""

    digest: str
    version: str | None  # None: not known, or it has none


def needs_version(tag: str, rules: Rules) -> bool:
    """Whether what becomes of a tag depends on the version of the image that it is to name."""
    return rules.purpose == "promote" and (rules.version(tag) is not None or _is_monotonic(tag, rules))


def beneath(tag: str, published: Collection[str], rules: Rules) -> tuple[str, ...]:
    """The published versions that `tag` is an alias of, the highest first: 1.2.3 and 1.2.2 for 1.2."""
    return tuple(one.text for one in _sorted(published, rules) if tag in prefixes(one))


def to_look_up(source_version: str | None, wish: Wish, rules: Rules) -> tuple[str, ...]:
    """The published versions above the source's: a tag that has the digest of one of them would go back."""
    ours = rules.version(source_version) if source_version else None
    if ours is None or wish.now is None or not needs_version(wish.tag, rules) or not _is_monotonic(wish.tag, rules):
        return ()
    return tuple(
        one.text
        for one in _sorted(wish.published, rules)
        if one.rank > ours.rank and one.flavour == ours.flavour and one.is_date == ours.is_date and not one.pre
    )


def decide(source: Source, wish: Wish, rules: Rules) -> Step:
    """What becomes of a tag; a refusal names what stands against it."""
    if wish.now == source.digest:
        return Step(wish=wish, action="same")
    refusal = None
    if rules.purpose != "mirror" or wish.now:  # a copy that is not there yet takes nothing from anybody
        refusal = rules.withheld(wish.tag)
    if refusal is None and rules.purpose == "promote":
        refusal = _promoted(source, wish, rules)
    if refusal is None and rules.purpose == "retag" and wish.now and not rules.move:
        refusal = Refusal(f"{wish.tag} has {wish.now}, and the image has {source.digest}", "`--move` moves it")
    if refusal:
        return Step(wish=wish, action="refused", refusal=refusal)
    return Step(wish=wish, action="new" if wish.now is None else "moves")


def _promoted(source: Source, wish: Wish, rules: Rules) -> Refusal | None:
    ours = rules.version(source.version) if source.version else None
    if ours and source.version and wish.tag in prefixes(ours):
        settled = settle([source.version], wish.published, rules.strategy, suffixes=rules.suffixes)
        higher = next((one.theirs for one in settled.refused if one.alias == wish.tag), None)
    elif wish.now is not None and (rules.version(wish.tag) or _COMMIT.fullmatch(wish.tag)):
        return _moved_version(source, wish, rules)
    else:
        higher = next((one for one, digest in wish.digests.items() if digest == wish.now), None)
    if higher is None or rules.allow_downgrade:
        return None
    return Refusal(f"{wish.tag} would go back from {higher} to {source.version}", "`--allow-downgrade` lets it")


def _moved_version(source: Source, wish: Wish, rules: Rules) -> Refusal | None:
    members = beneath(wish.tag, wish.published, rules)
    if rules.move or not (members or rules.immutable):
        return None
    if members:
        what = f"version {source.version}" if source.version else "of no known version"
        why = f"{wish.tag} is an alias of {members[0]}, and the image is {what}"
    elif _COMMIT.fullmatch(wish.tag):
        why = f"{wish.tag} names one commit, and has {wish.now}; the image has {source.digest}"
    else:
        why = f"version {wish.tag} is published as {wish.now}, and the image has {source.digest}"
    return Refusal(why, "`--move-versions` moves it")


def _is_monotonic(tag: str, rules: Rules) -> bool:
    return any(fnmatchcase(tag, glob) for glob in rules.monotonic)


def _sorted(texts: Collection[str], rules: Rules) -> list[Version]:
    return sorted(filter(None, map(rules.version, texts)), reverse=True)
