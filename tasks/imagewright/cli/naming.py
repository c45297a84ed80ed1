"""What the images of a run are called: by the rules, and once the registry has been asked (`cli.settling`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from imagewright.changes.places import Places
from imagewright.errors import UsageError
from imagewright.tags.policy import clashes, given_naming, name_image, places_to_look

if TYPE_CHECKING:
    from imagewright.builds.plan import Standing
    from imagewright.cli.project import Project
    from imagewright.errors import ImagewrightError
    from imagewright.images.model import Image
    from imagewright.tags.model import Naming


class Contents(Protocol):
    """What names are settled for: a snapshot of the work tree, or what other machines pushed."""

    @property
    def images(self) -> Mapping[str, Image]:
        """The images, by name."""

    def fingerprint(self, name: str) -> str | None:
        """What an image is made from, in one digest; None where that cannot be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The names of the images of a run, as they can be given."""

    namings: Mapping[str, Naming]
    standing: Mapping[str, Standing] = field(default_factory=dict)  # published with this very content, under a version
    refused: Mapping[str, ImagewrightError] = field(default_factory=dict)  # their version is published with another


class Names:
    """The names of images, by the policy or, where some were `given` on the command line, those."""

    def __init__(
        self, project: Project, given: Mapping[str, tuple[str, ...]] | None = None, *, all_given: Sequence[str] = ()
    ) -> None:
        """`given` are tags by the image's name, `all_given` those of every other image."""
        self._project = project
        self._given = given or {}
        self._all = all_given
        self._known: dict[str, Naming] = {}

    def naming(self, image: Image) -> Naming:
        """The tags of an image. UsageError, ConfigError: one that cannot be, or that this run may not move."""
        found = self._known.get(image.name)
        if found is None:
            occasion, settings = self._project.occasion, self._project.known_settings.tags
            tags = self._given.get(image.name) or self._all
            found = given_naming(image, tags, occasion, settings) if tags else name_image(image, occasion, settings)
            self._known[image.name] = found
        return found

    def places(self, image: Image, *, since: str | None = None) -> Places:
        """Where its last build may be, and others of the same content: first that of the git tag `since`."""
        naming, occasion, settings = self.naming(image), self._project.occasion, self._project.known_settings.tags
        tags = places_to_look(image, occasion, settings)
        moved = {tag.tag for tag in naming.tags}
        given = [tag.tag for tag in naming.tags if tag.rule == "given"]
        own = dict.fromkeys((*given, *(tag for tag in tags if tag in moved)))
        earlier: list[str] = []
        if since is not None:
            then = name_image(image, replace(occasion, event=replace(occasion.event, tag=since)), settings)
            earlier = [tag.tag for tag in then.tags if tag.kind == "version"]
        others = [tag for tag in dict.fromkeys((*earlier, *tags)) if tag not in own]
        return Places(
            own=tuple(f"{image.repository}:{tag}" for tag in own),
            others=tuple(f"{image.repository}:{tag}" for tag in others),
        )

    def require(self, images: Iterable[Image]) -> None:
        """UsageError where one gets no tag at all; ConfigError where two get the same reference."""
        named = [(image, self.naming(image)) for image in images]
        for image, naming in named:
            if not naming.tags:
                whys = "; ".join(dict.fromkeys(one.why for one in naming.withheld)) or "no rule applies"
                raise UsageError(
                    f"{image.name} gets no tag: {whys}",
                    hint=f"`invoke tags {image.name}` shows the rules; `--tag NAME` gives one by hand",
                )
        if problem := clashes(named):
            raise problem
