"""The versions of one family, compared: which of its tags has which alias, and which is the latest."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imagewright.tags.versions import Strategy


class FamilyVersions:
    """Answers by one of the strategies of tags/versions.py, which is loaded where there is a family."""

    def aliases(
        self, tags: Collection[str], strategy: Strategy, *, suffixes: Collection[str], explicit: Collection[str]
    ) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Which tag each alias means; and those aliases that are in `tags` or `explicit`, with who does not get them.

        `suffixes` are those of variants.
        """
        from imagewright.tags.aliases import aliases

        found = aliases(tags, strategy, suffixes=suffixes, explicit=explicit)
        return found.targets, {one.alias: one.version for one in found.shadowed}

    def latest(self, tags: Collection[str], strategy: Strategy) -> str | None:
        """The highest release: of those without a suffix where there are any, and a day only among days."""
        from imagewright.tags.versions import parse

        versions = (parse(tag, strategy) for tag in tags)
        releases = [version for version in versions if version is not None and not version.is_prerelease]
        highest = max(
            releases,
            key=lambda one: (not one.suffix, not one.is_date, one.rank, one.edition, one),
            default=None,
        )
        return highest.text if highest else None
