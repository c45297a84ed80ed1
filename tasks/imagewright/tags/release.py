"""The names of a release against the tags that the registry has: nothing that people follow goes backwards."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from imagewright.tags.aliases import is_older, settle
from imagewright.tags.model import Withheld
from imagewright.tags.versions import parse

if TYPE_CHECKING:
    from imagewright.tags.model import Naming, Tag
    from imagewright.tags.versions import Strategy


def settle_naming(
    naming: Naming,
    published: Iterable[str],
    *,
    strategy: Strategy,
    suffixes: Sequence[str] = (),
    protected: Sequence[str] = (),
    prefix: str = "",
    allow_downgrade: bool = False,
) -> Naming:
    """The naming without the aliases and, by the globs `protected`, the moving tags that a newer version has.

    `published` are all tags of the repository, and `prefix` what the image puts before its own where it shares that
    repository with others. A tag that was given by hand is left to who gave it.
    """
    if allow_downgrade:
        return naming
    tags = tuple(tag.removeprefix(prefix) for tag in published if tag.startswith(prefix))
    versions = [tag.tag.removeprefix(prefix) for tag in naming.tags if tag.kind == "version"]
    refused = {one.alias: one for one in settle(versions, tags, strategy, suffixes=suffixes).refused}
    newer = _newer(versions, tags, strategy, suffixes)

    def why(tag: Tag) -> str | None:
        bare = tag.tag.removeprefix(prefix)
        if tag.kind == "alias" and bare in refused:
            return f"{refused[bare].theirs} is newer than {refused[bare].ours}"
        follows = tag.kind == "moving" and tag.rule != "given" and _is_one_of((tag.tag, bare), protected)
        return newer if follows else None

    return _without(naming, {tag.tag: reason for tag in naming.tags if (reason := why(tag))})


def held_back(naming: Naming, why: str) -> Naming:
    """The naming without all that follows a branch, because of `why`; what was given by hand is kept."""
    followers = (tag for tag in naming.tags if tag.kind == "moving" and tag.rule not in ("given", "work"))
    return _without(naming, {tag.tag: why for tag in followers})


def _newer(
    versions: Iterable[str], published: Sequence[str], strategy: Strategy, suffixes: Sequence[str]
) -> str | None:
    """Why the registry has something newer than these versions; None where it has not."""
    for text in versions:
        version = parse(text, strategy, suffixes=suffixes)
        if version is None:
            continue
        if version.is_prerelease:
            others = (parse(tag, strategy, suffixes=suffixes) for tag in published)
            if any(other and not other.is_prerelease and not other.is_date for other in others):
                return f"{text} is a pre-release"
        elif higher := is_older(text, published, strategy, suffixes=suffixes):
            return f"{higher} is newer than {text}"
    return None


def _without(naming: Naming, reasons: dict[str, str]) -> Naming:
    if not reasons:
        return naming
    gone = tuple(
        Withheld(tag=tag.tag, rule=tag.rule, why=reasons[tag.tag]) for tag in naming.tags if tag.tag in reasons
    )
    kept = tuple(tag for tag in naming.tags if tag.tag not in reasons)
    return replace(naming, tags=kept, withheld=(*naming.withheld, *gone))


def _is_one_of(names: Collection[str], globs: Collection[str]) -> bool:
    return any(fnmatchcase(name, glob) for name in names for glob in globs)
