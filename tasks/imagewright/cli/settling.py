"""The names of a run against what the registry has: what stands already, what is taken, and what would go backwards."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from imagewright.builds.plan import Standing
from imagewright.changes.published import Published
from imagewright.changes.reason import Reason
from imagewright.cli.naming import Settled
from imagewright.errors import EnvironmentMissingError, ImagewrightError, RegistryError
from imagewright.events.event import is_full_id
from imagewright.tags.drafts import shared_prefix
from imagewright.tags.release import held_back, settle_naming

if TYPE_CHECKING:
    from imagewright.changes.published import Answer
    from imagewright.cli.naming import Contents, Names
    from imagewright.cli.project import Project
    from imagewright.images.model import Image
    from imagewright.tags.model import Naming


def settle(
    project: Project, names: Names, contents: Contents, wanted: Collection[str], *, allow_downgrade: bool
) -> Settled:
    """Ask the registry about the images that give versions, or move what only goes forward; nothing about others.

    One list of tags a repository, one look at each version, and one at a tag that moves. Where the registry cannot be
    reached this is said, and the names are as the rules give them.
    """
    images = {name: contents.images[name] for name in wanted}
    namings = {name: names.naming(image) for name, image in images.items()}
    try:
        return _Settling(project, contents, images, namings, allow_downgrade=allow_downgrade).settled()
    except EnvironmentMissingError as error:
        project.say(f"the registry cannot be asked which versions it has: {error.message}")
        return Settled(namings=namings)


class _Settling:
    def __init__(
        self,
        project: Project,
        contents: Contents,
        images: Mapping[str, Image],
        namings: Mapping[str, Naming],
        *,
        allow_downgrade: bool,
    ) -> None:
        self._project = project
        self._contents = contents
        self._images = images
        self._namings = namings
        self._allow_downgrade = allow_downgrade

    def settled(self) -> Settled:
        namings = dict(self._namings)
        settings = self._project.known_settings.tags
        if not self._allow_downgrade:
            self._hold_back_older(namings)
        self._settle_aliases(namings)
        standing: dict[str, Standing] = {}
        refused: dict[str, ImagewrightError] = {}
        if settings.immutable:
            for (name, reference), answer in self._published_versions().items():
                own = self._contents.fingerprint(name)
                if answer is None:
                    continue
                if isinstance(answer, RegistryError):
                    refused[name] = answer
                elif answer.fingerprint is not None and answer.fingerprint == own:
                    detail = f"{reference} is published with this very content"
                    standing[name] = Standing(digest=answer.digest, reason=Reason(kind="unchanged", detail=detail))
                else:
                    refused[name] = _taken(name, reference, answer)
        return Settled(
            namings=namings,
            standing={name: found for name, found in standing.items() if name not in refused},
            refused=refused,
        )

    def _published_versions(self) -> Mapping[tuple[str, str], Answer]:
        wanted = {
            (name, reference): reference
            for name, naming in self._namings.items()
            for tag in naming.tags
            if tag.kind == "version"
            for reference in (f"{self._images[name].repository}:{tag.tag}",)
        }
        return self._project.published(wanted) if wanted else {}

    def _settle_aliases(self, namings: dict[str, Naming]) -> None:
        """Give no alias, and neither latest nor stable, to a version that is older than one the registry has."""
        versioned = [name for name, naming in namings.items() if any(tag.version for tag in naming.tags)]
        if not versioned or self._allow_downgrade:
            return
        published = self._project.published_tags(sorted({self._images[name].repository for name in versioned}))
        named = self._named_by_aliases(namings, versioned, published)
        for name in versioned:
            image = self._images[name]
            namings[name] = settle_naming(
                namings[name],
                (*published[image.repository], *named[name]),
                strategy=image.alias_strategy or self._project.known_settings.tags.aliases,
                suffixes=image.variant_suffixes,
                protected=self._project.known_settings.tags.protected,
                prefix="" if image.own_tag else shared_prefix(image.publishes),
            )

    def _named_by_aliases(
        self, namings: Mapping[str, Naming], versioned: Collection[str], published: Mapping[str, Collection[str]]
    ) -> Mapping[str, list[str]]:
        """The versions that aliases of the registry stand for, by their label: their own tags may be deleted."""
        wanted = {
            (name, tag.tag): f"{repository}:{tag.tag}"
            for name in versioned
            for repository in (self._images[name].repository,)
            for tag in namings[name].tags
            if tag.kind == "alias" and tag.tag in published[repository]
        }
        found: dict[str, list[str]] = {name: [] for name in versioned}
        for (name, _), answer in self._project.published(wanted).items() if wanted else ():
            if isinstance(answer, Published) and answer.version:
                found[name].append(answer.version)
        return found

    def _hold_back_older(self, namings: dict[str, Naming]) -> None:
        """Leave what the default branch moves where it is, if it is there of a newer commit."""
        head, repository = self._project.head, self._project.repository
        if head.commit is None or repository is None or not self._project.occasion.is_default_branch:
            return
        moved = {
            name: f"{self._images[name].repository}:{tag.tag}"
            for name, naming in namings.items()
            for tag in reversed(naming.tags)
            if tag.kind == "moving" and tag.rule != "work"
        }
        if not moved:
            return
        for name, answer in self._project.published(moved).items():
            if isinstance(answer, Published) and (newer := self._newer(answer)):
                namings[name] = held_back(namings[name], f"{moved[name]} is of a newer commit, {newer}")

    def _newer(self, published: Published) -> str | None:
        """The commit that it was published from, where that comes after the one that is built now."""
        head, repository = self._project.head, self._project.repository
        revision = (published.revision or "").removesuffix("-dirty")
        if repository is None or head.commit is None or not is_full_id(revision) or revision == head.commit:
            return None
        code = repository.run("merge-base", "--is-ancestor", head.commit, revision).code
        if code in (0, 1):
            return revision[:7] if code == 0 else None
        # It is not in this clone, as in a shallow one of a run that is started again: its time has to do.
        created = _seconds(published.created)
        return revision[:7] if created is not None and head.time is not None and created > head.time else None


def _seconds(text: str | None) -> int | None:
    try:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) if text else None
    except ValueError:
        return None


def _taken(name: str, reference: str, answer: Published) -> RegistryError:
    revision = (answer.revision or "")[:7]
    of = f" from {revision}" if revision else ""
    return RegistryError(
        f"{reference} is published already{of}, with other content ({answer.digest[:19]})",
        where=name,
        hint="give it a new version; or let versions be moved: `tags: {immutable: false}` in config/images.yml",
    )


def say_held_back(project: Project, before: Mapping[str, Naming], after: Mapping[str, Naming]) -> None:
    """Which tags stay where they are because the registry has something newer there."""
    for name, naming in after.items():
        for one in naming.withheld:
            if one not in before[name].withheld:
                project.say(f"{name}: {one.tag} stays where it is: {one.why}")
