"""One image of a merge against its registry: joined there, or found to stand there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.builds.digests import MissingPartError, Whole
from imagewright.builds.plan import Reason, Standing
from imagewright.changes.published import Published
from imagewright.errors import EnvironmentMissingError, RegistryError
from imagewright.platforms import normal
from imagewright.registry.index import assemble, images_at, join

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagewright.builds.digests import PushedPart
    from imagewright.cli.cleanup_doors import Doors
    from imagewright.cli.project import Project
    from imagewright.images.model import Image
    from imagewright.tags.model import Naming


class Joining:
    """What the images of one call share; safe to be used by several threads once `doors` has opened the places."""

    def __init__(self, project: Project, doors: Doors, *, dry_run: bool) -> None:
        self._project = project
        self._doors = doors
        self._dry_run = dry_run

    def join(
        self, found: Whole | RegistryError, image: Image, naming: Naming, parts: Sequence[PushedPart]
    ) -> Standing | RegistryError:
        """The image that is to be published, or why there is none. `parts` are all that there are of it."""
        try:
            if isinstance(found, Whole):
                return self._joined(found)
            before = self._joined_before(image, naming, parts) if isinstance(found, MissingPartError) else None
            return before or found
        except RegistryError as error:
            return RegistryError(f"{error.where}: {error.message}", where=image.name, hint=error.hint)

    def covers(self, image: Image, standing: Standing) -> bool:
        """Whether what stands in the registry has all platforms that are wanted."""
        there = images_at(self._doors.place(image.repository), standing.digest)
        return {normal(platform) for platform in image.platforms} <= set(there)

    def is_published(self, image: Image, naming: Naming, joined: Standing) -> bool:
        """Whether its versions are what was joined: then nobody has to know what they were made from."""
        place = self._doors.place(image.repository)
        now = [place.registry.resolve(place.repository, tag.tag) for tag in naming.tags if tag.kind == "version"]
        return all(one is None or one.digest == joined.digest for one in now)

    def _joined(self, whole: Whole) -> Standing:
        if whole.left_out:
            self._project.say(f"{whole.image}: {', '.join(whole.left_out)} was pushed and is not wanted: left out")
        place = self._doors.place(whole.repository)
        digest = assemble(place, whole.digests).digest if self._dry_run else join(place, whole.digests)
        return Standing(digest=digest, reason=Reason(kind="merged", detail=f"joined from {', '.join(whole.digests)}"))

    def _joined_before(self, image: Image, naming: Naming, parts: Sequence[PushedPart]) -> Standing | None:
        """The image as an earlier run published it from this commit, of which nothing or only a rest is left to join.

        None, too, where the registry cannot be asked: that something is missing is known without it.
        """
        commit = self._project.head.revision
        if commit is None:
            return None
        references = {f"{image.repository}:{tag.tag}" for tag in naming.tags}
        try:
            published = self._project.published({reference: reference for reference in sorted(references)})
        except EnvironmentMissingError:
            return None
        place = self._doors.place(image.repository)
        for reference, answer in published.items():
            if not isinstance(answer, Published) or answer.revision != commit:
                continue
            inside = set(images_at(place, answer.digest).values())
            ours = {digest for part in parts for digest in images_at(place, part.digest).values() or [part.digest]}
            if answer.covers(image.platforms) and ours <= inside:
                return Standing(
                    digest=answer.digest, reason=Reason(kind="unchanged", detail=f"{reference} is joined already")
                )
        return None
