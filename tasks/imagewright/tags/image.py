"""What tags depend on of an image: the part of `images.model.Image` that this package reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from imagewright.tags.versions import Strategy


class Named(Protocol):
    """An image. The last five are about a member of a family, whose name is `python:3.13.7`."""

    @property
    def name(self) -> str:
        """Its name in this repository."""

    @property
    def repository(self) -> str:
        """Where it goes, without a tag."""

    @property
    def layer(self) -> str | None:
        """Its tier."""

    @property
    def version(self) -> str | None:
        """What the configuration says."""

    @property
    def alias_strategy(self) -> Strategy | None:
        """How its versions are read; None is the configuration's `tags.aliases`."""

    @property
    def publishes(self) -> tuple[str, ...]:
        """Globs of its tags, where it shares its repository."""

    @property
    def own_tag(self) -> str | None:
        """The member's own tag."""

    @property
    def variant_suffixes(self) -> tuple[str, ...]:
        """Those of the whole family."""

    @property
    def aliases(self) -> tuple[str, ...]:
        """What the member is called as well, among its family."""

    @property
    def is_latest(self) -> bool:
        """Whether the member is what `latest` means."""
