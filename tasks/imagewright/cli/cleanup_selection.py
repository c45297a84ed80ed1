"""What a cleanup is about: which repositories, under which policy, and who needs their images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from imagewright.cleanup.inuse.scan import scan
from imagewright.cleanup.policy import policy_file, policy_for
from imagewright.cli.cleanup_reading import InUse
from imagewright.images.discover import NoImagesError
from imagewright.references import Reference
from imagewright.tags.protection import default_tags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from imagewright.cleanup.model import Policy
    from imagewright.cleanup.vendors.model import Kind
    from imagewright.cli.cleanup_options import Wishes
    from imagewright.cli.project import Project
    from imagewright.config.cleanup_models import Cleanup


class Selection:
    """The words of one command line, for one project."""

    def __init__(self, project: Project, wishes: Wishes) -> None:
        self._project = project
        self._wishes = wishes
        self._file: Cleanup | None = policy_file(Path(wishes.policy)) if wishes.policy else None

    def kinds(self) -> Mapping[str, Kind]:
        """The kinds of registries whose hosts do not tell, by host."""
        return {**self._project.known_settings.cleanup.kinds, **(self._file.kinds if self._file else {})}

    def repositories(self) -> tuple[str, ...]:
        """Those of the command line, else all of the project's, in every registry; ConfigError where there are none."""
        named = self._wishes.repositories
        if named:
            return named
        try:
            return tuple(dict.fromkeys(one for each in self._named().values() for one in each))
        except NoImagesError as error:
            hint = "`--repository HOST/NAME` cleans any repository"
            raise NoImagesError(error.message, where=error.where, hint=hint) from error

    def policies(self, repositories: Sequence[str]) -> dict[str, Policy]:
        """The policy of each; one that lets nothing go, neither by a rule nor without a tag, has none."""
        settings = self._project.known_settings
        tags = default_tags(self._project.occasion)
        found = {
            one: policy_for(settings, one, given=self._wishes.given, default_tags=tags, cleanup=self._file)
            for one in repositories
        }
        return {one: policy for one, policy in found.items() if policy.rules or policy.untagged is not None}

    def in_use(self, repositories: Sequence[str]) -> InUse:
        """Who needs images of these; ConfigError where a scan fails."""
        settings = self._file or self._project.known_settings.cleanup
        paths = [*map(Path, self._wishes.in_use)]
        paths += (Path(os.path.relpath(self._project.root / one)) for one in settings.in_use)
        by_image = self._by_image()
        ours = {one for each in by_image.values() for one in each}
        twins: dict[str, set[str]] = {}
        for each in by_image.values():
            for one in each:
                twins.setdefault(one, set()).update(set(each) - {one})
        return InUse(
            scan=scan(paths, {*repositories, *ours}),
            twins={one: tuple(sorted(others)) for one, others in twins.items()},
            children=self._children(by_image, ours & set(repositories)),
        )

    def _by_image(self) -> dict[str, tuple[str, ...]]:
        try:
            return self._named()
        except NoImagesError:
            return {}  # any repository can be cleaned from anywhere, and so can a plan be carried out

    def _named(self) -> dict[str, tuple[str, ...]]:
        return {
            image.name: tuple(Reference.parse(one).repository for one in (image.repository, *image.copies))
            for image in self._project.images
        }

    def _children(self, by_image: Mapping[str, Sequence[str]], repositories: Set[str]) -> dict[str, frozenset[str]]:
        """For each of the project's repositories in question, those of the images that are built on its own."""
        if not repositories:
            return {}
        pairs = [(edge.parent, edge.child) for edge in self._project.graph.edges]
        # What a Dockerfile that cannot be read is built on is not known.
        pairs += ((parent, child) for child in self._project.broken for parent in by_image)
        found: dict[str, set[str]] = {}
        for parent, child in pairs:
            for one in repositories & set(by_image[parent]):
                found.setdefault(one, set()).update(by_image[child])
        return {one: frozenset(children) for one, children in found.items()}
