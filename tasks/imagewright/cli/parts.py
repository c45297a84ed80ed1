"""The parts of images that wait in the registry under tags: found, and in the end the tags taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.builds.digests import PushedPart, part_prefix
from imagewright.changes.published import Published
from imagewright.errors import ImagewrightError, RegistryError
from imagewright.references import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imagewright.builds.plan import PlanImage
    from imagewright.cli.cleanup_doors import Doors
    from imagewright.cli.project import Project
    from imagewright.images.model import Image
    from imagewright.registry.copy import Place
    from imagewright.registry.model import Manifest


class PartTags:
    """The tags on parts of the state that is checked out."""

    def __init__(self, project: Project, doors: Doors) -> None:
        self._project = project
        self._doors = doors
        self._found: dict[str, dict[str, str]] = {}  # by image: tag and digest

    def find(self, images: Sequence[Image]) -> tuple[tuple[PushedPart, ...], Mapping[str, RegistryError]]:
        """The parts of these images, and the images whose parts the registry does not show.

        One list of tags a repository, and one look at each part. EnvironmentMissingError: a registry is not reached.
        """
        commit = self._project.head.revision
        prefixes = {image.name: self._prefix(image, commit) for image in images}
        tags = self._project.published_tags(sorted({image.repository for image in images}))
        repositories = {
            (image.name, tag): image.repository
            for image in images
            for tag in tags[image.repository]
            if tag.startswith(prefixes[image.name])
        }
        parts: list[PushedPart] = []
        problems: dict[str, RegistryError] = {}
        wanted = {key: f"{repository}:{key[1]}" for key, repository in repositories.items()}
        for (name, tag), answer in self._project.published(wanted).items() if wanted else ():
            if isinstance(answer, Published):
                self._found.setdefault(name, {})[tag] = answer.digest
                parts.append(
                    PushedPart(
                        image=name,
                        repository=repositories[name, tag],
                        platforms=answer.platforms,
                        digest=answer.digest,
                        commit=commit,
                        fingerprint=answer.fingerprint,
                    )
                )
            elif answer is not None:
                problems[name] = answer
        return tuple(parts), problems

    def take_away(self, merged: Sequence[PlanImage]) -> None:
        """Delete the tags on the parts of images that are published now, where a tag can be deleted alone.

        What cannot be deleted is said: it does no harm.
        """
        for item in merged:
            tags = self._found.get(item.name)
            if tags:
                place = self._doors.place(item.image.repository)
                try:
                    left = self._take_away(place, tags) if _is_published(place, item) else "the image is not published"
                except ImagewrightError as error:
                    left = str(error)
                if left:
                    self._project.say(f"{place}: {', '.join(sorted(tags))}: left there: {left}")

    def _prefix(self, image: Image, commit: str | None) -> str:
        if commit and not commit.endswith("-dirty"):
            return part_prefix(image.name, commit, None)
        return part_prefix(image.name, commit, self._project.snapshot().fingerprint(image.name))

    def _take_away(self, place: Place, tags: Mapping[str, str]) -> str | None:
        deleter = self._doors.deleter(place)
        if not deleter.can.deletes_tags or deleter.can.last_tag_takes_manifest:
            return "this registry deletes no tag without its manifest, and the image needs that"
        parts = {tag: found for tag in tags if (found := _unmoved(place, tag, tags[tag]))}
        deleter.approve({tag: part.digest for tag, part in parts.items()}, ())
        for tag, part in parts.items():
            outcome = deleter.delete_tag(tag)
            # No registry promises it, and without its parts the image would be broken.
            if place.registry.resolve(place.repository, part.digest) is None:
                place.registry.push_manifest(place.repository, tag, part)
                return "the registry deleted a manifest with its tag; it was put back"
            if place.registry.resolve(place.repository, tag) is not None:
                return f"{tag}: {outcome.value}"
        return None


def _is_published(place: Place, item: PlanImage) -> bool:
    """Whether all of its tags in its own repository point to the image."""
    own = [found.tag for tag in item.tags if (found := Reference.parse(tag)).repository == str(place) and found.tag]
    now = place.registry.concurrently(lambda tag: place.registry.resolve(place.repository, tag), own)
    return bool(own) and all(one is not None and one.digest == item.digest for one in now)


def _unmoved(place: Place, tag: str, digest: str) -> Manifest | None:
    """What is under the tag, if that is what was joined: another build of the same state may have come meanwhile."""
    found = place.registry.manifest(place.repository, tag)
    return found if found is not None and found.digest == digest else None
