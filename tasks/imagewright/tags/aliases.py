"""Aliases: a version is called by its prefixes, too, and the highest version of a prefix has the name.

8.0.300 is 8.0 and 8 as well; 3.13.7-semantic is 3.13-semantic and 3-semantic. A pre-release takes none. Versions with
another suffix, or with and without a leading v, never share an alias, because its text differs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from imagewright.tags.versions import Strategy, Version, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadowed:
    """An alias that a version does not get, because there is an image of exactly this tag."""

    alias: str  # "9": the alias, and the tag that wins
    version: str  # "9.0.1": the version that would have had it


@dataclass(frozen=True, slots=True, kw_only=True)
class Aliases:
    """Which version each alias names, in the order of the versions, the longest alias first."""

    targets: Mapping[str, str]
    shadowed: tuple[Shadowed, ...] = ()

    def of(self, version: str) -> tuple[str, ...]:
        """The aliases of one version; a look at all of them."""
        return tuple(alias for alias, target in self.targets.items() if target == version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backwards:
    """An alias that would move from a higher version to a lower one."""

    alias: str
    ours: str  # the version that is being published
    theirs: str  # the higher one that the registry has


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Which aliases the new versions take, and which they would take from a higher one."""

    taken: Mapping[str, str]  # alias: version
    refused: tuple[Backwards, ...] = ()
    downgraded: tuple[Backwards, ...] = ()  # taken all the same, because that was allowed
    shadowed: tuple[Shadowed, ...] = ()


def prefixes(version: Version) -> tuple[str, ...]:
    """The texts that a version is called by as well, the longest first; a pre-release has none."""
    if version.pre:
        return ()
    mark, parts, suffix = version.mark, version.parts, version.suffix
    return tuple(f"{mark}{'.'.join(parts[:count])}{suffix}" for count in range(len(parts) - 1, 0, -1))


def aliases(
    versions: Iterable[str], strategy: Strategy, *, suffixes: Collection[str] = (), explicit: Collection[str] = ()
) -> Aliases:
    """The aliases of versions that are published together, whatever the order in which they are given.

    What is no version is left out. A text of `versions` or `explicit` is the tag of an image, and never an alias.
    """
    texts = frozenset(versions)
    targets, shadowed = _apart(_highest(_parsed(texts, strategy, suffixes)), texts.union(explicit))
    return Aliases(targets={alias: version.text for alias, version in targets.items()}, shadowed=shadowed)


def settle(
    new: Collection[str],
    published: Iterable[str],
    strategy: Strategy,
    *,
    suffixes: Collection[str] = (),
    explicit: Collection[str] = (),
    allow_downgrade: bool = False,
) -> Settled:
    """Which aliases the versions `new` take, now that a registry has the tags `published` (all of them: also aliases).

    With 1.2 there, 1.1.5 does not take 1, even where no 1.2.x is left: each tag tells that its version was there. A
    version that is numerically equal is not higher, so that publishing one again takes its aliases. Who knows more
    than the tags (the version in the label of what an alias names) adds it to `published`.
    """
    ours, shadowed = _apart(_highest(_parsed(new, strategy, suffixes)), frozenset(new).union(explicit))
    theirs: dict[str, Version] = {}
    for version in _parsed(published, strategy, suffixes, partial=True):
        for alias in prefixes(version):
            if alias in ours and (alias not in theirs or theirs[alias] < version):
                theirs[alias] = version
    backwards = {
        alias: Backwards(alias=alias, ours=version.text, theirs=theirs[alias].text)
        for alias, version in ours.items()
        if alias in theirs and theirs[alias].rank > version.rank
    }
    return Settled(
        taken={alias: one.text for alias, one in ours.items() if allow_downgrade or alias not in backwards},
        refused=() if allow_downgrade else tuple(backwards.values()),
        downgraded=tuple(backwards.values()) if allow_downgrade else (),
        shadowed=shadowed,
    )


def is_older(new: str, published: Iterable[str], strategy: Strategy, *, suffixes: Collection[str] = ()) -> str | None:
    """The highest published release above `new`, from which it must not take `latest` or `stable`; None without one.

    Compared are releases of one flavour: 3.13.7 with 3.14.0 and v3.14.0, 17.6-pgvector0.8.1 with 17.6-pgvector0.8.2
    (the suffix decides where the versions are equal), but not 3.13.7 with 3.14.0-semantic, nor 9 with 20251121. None
    where `new` is no version: nothing can be said then. Whether a pre-release may have them is another question
    (`Version.is_prerelease`): 2.0.0-rc1 is not older than 1.9.0.
    """
    version = parse(new, strategy, suffixes=suffixes, partial=True)
    if version is None:
        return None
    alike = (
        other
        for other in _parsed(published, strategy, suffixes, partial=True)
        if not other.pre and other.flavour == version.flavour and other.is_date == version.is_date
    )
    highest = max(alike, key=lambda one: (one.rank, one.edition, one), default=None)
    if highest is None or (highest.rank, highest.edition) <= (version.rank, version.edition):
        return None
    return highest.text


def _parsed(
    texts: Iterable[str], strategy: Strategy, suffixes: Collection[str], *, partial: bool = False
) -> Iterable[Version]:
    for text in texts:
        version = parse(text, strategy, suffixes=suffixes, partial=partial)
        if version is not None:
            yield version


def _highest(versions: Iterable[Version]) -> Mapping[str, Version]:
    """The highest version of each prefix; in the order of the versions, so that the same input prints the same."""
    highest: dict[str, Version] = {}
    for version in versions:
        for alias in prefixes(version):
            if alias not in highest or highest[alias] < version:
                highest[alias] = version
    return dict(sorted(highest.items(), key=lambda item: (item[1], -len(item[0]))))


def _apart(
    highest: Mapping[str, Version], explicit: Collection[str]
) -> tuple[Mapping[str, Version], tuple[Shadowed, ...]]:
    """The aliases that are free, and those that are tags of their own."""
    free = {alias: version for alias, version in highest.items() if alias not in explicit}
    shadowed = (Shadowed(alias=a, version=version.text) for a, version in highest.items() if a in explicit)
    return free, tuple(shadowed)
