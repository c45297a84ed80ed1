"""Finds, checks and joins what `invoke merge` is about, and hands it on to be published as a build is."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from imagewright.builds.digests import REGISTRY, Wanted, Whole, complete, read
from imagewright.builds.plan import NO_BASE, Plan, Reason, Standing, plan_changed
from imagewright.cli.joining import Joining
from imagewright.cli.naming import Names
from imagewright.cli.parts import PartTags
from imagewright.cli.planning import bake_options, names_of_run, show_plan
from imagewright.config.problems import near
from imagewright.errors import ImagewrightError, RegistryError, UsageError
from imagewright.images.selection import select

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from imagewright.builds.digests import PushedPart
    from imagewright.builds.request import Request
    from imagewright.cli.cleanup_doors import Doors
    from imagewright.cli.project import Project
    from imagewright.images.model import Image

_AT_ONCE = 8  # images that are joined; a few small requests each


@dataclass(frozen=True, slots=True)
class _Pushed:
    """What settling the names asks of a snapshot, told by the parts: they may have been built with a --build-arg."""

    images: Mapping[str, Image]
    fingerprints: Mapping[str, str | None]

    def fingerprint(self, name: str) -> str | None:
        return self.fingerprints.get(name)


class Merging:
    """One call."""

    def __init__(self, project: Project, asked: Request, doors: Doors, digests: str, *, dry_run: bool) -> None:
        """`digests` is a folder, as seen from the repository's root, or the word `registry`."""
        self._project = project
        self._asked = asked
        self._doors = doors
        self._dry_run = dry_run
        self._folder = None if digests == REGISTRY else project.root / digests
        self._tags = PartTags(project, doors)
        self._joining = Joining(project, doors, dry_run=dry_run)

    def run(self, names: str, *, as_json: bool) -> None:
        """Plan, join, publish and say what came of it; with `dry_run` only show. Exit: not all of it was done."""
        plan = self.plan(names)
        if self._dry_run:
            show_plan(self._project, plan, as_json=as_json)
            return
        from imagewright.cli.apply import apply_and_report

        if not plan.images and not plan.unplanned:
            self._project.say("nothing to merge: no part was pushed")
        options = bake_options(self._project, self._asked)
        try:
            apply_and_report(self._project, plan, self._asked, options, as_json=as_json)
        except Exit:  # of one image; the others are published
            self._tags.take_away(plan.to_retag)
            raise
        self._tags.take_away(plan.to_retag)

    def plan(self, names: str) -> Plan:
        """What is whole gets the names of a build; what is not, or does not fit together, is unplanned with the reason.

        Unless it is a dry run, the indexes are in the registry afterwards, without a tag.
        """
        project, asked = self._project, self._asked
        given = self._given(names)
        parts, problems = self._parts(given)
        chosen = given or dict.fromkeys([*(part.image for part in parts), *problems], ())
        self._require_known(chosen)
        images = {name: self._image(name) for name in project.graph.order() if name in chosen}
        called = Names(project, {name: tags or asked.tags for name, tags in chosen.items()})
        commit = project.head.revision
        found = complete(
            parts,
            {
                name: Wanted(repository=image.repository, platforms=image.platforms, commit=commit)
                for name, image in images.items()
            },
        )
        found |= problems
        by_image: dict[str, list[PushedPart]] = {name: [] for name in images}
        for part in parts:
            by_image.get(part.image, []).append(part)
        namings = {name: called.naming(image) for name, image in images.items()}
        for image in images.values():
            self._doors.place(image.repository)  # opened here, and then shared by the threads
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            outcomes = pool.map(
                lambda name: self._joining.join(found[name], images[name], namings[name], by_image[name]), images
            )
            joined = dict(zip(images, outcomes, strict=True))
        fingerprints = {name: one.fingerprint for name, one in found.items() if isinstance(one, Whole)}
        absent = [name for name in images if not by_image[name] and not isinstance(joined[name], Standing)]
        if absent:  # a build would not have pushed what is published under its version with this very content
            snapshot = project.snapshot()
            fingerprints |= {name: snapshot.fingerprint(name) for name in absent}
        return self._named(images, called, joined, fingerprints, absent)

    def _given(self, names: str) -> Mapping[str, tuple[str, ...]]:
        """The images of the command line, with the tags that it gives them."""
        given: dict[str, tuple[str, ...]] = {}
        for chosen in select(names, self._project.images) if names else ():
            given[chosen.name] = (*given.get(chosen.name, ()), *([chosen.tag] if chosen.tag else ()))
        return given

    def _parts(self, given: Mapping[str, object]) -> tuple[Sequence[PushedPart], Mapping[str, RegistryError]]:
        project = self._project
        images = [project.by_name[name] for name in given] or project.images
        if self._folder is not None:
            _overlook(project, self._folder)
            parts = read(self._folder)
            images = [project.by_name[part.image] for part in parts if part.image in project.by_name]
        if not self._dry_run:
            from imagewright.cli.preparing import ensure_registry

            ensure_registry(project, images)
        return (parts, {}) if self._folder is not None else self._tags.find(images)

    def _require_known(self, names: Mapping[str, object]) -> None:
        for name in names:
            if name not in self._project.by_name:
                raise UsageError(
                    f"there are parts of `{name}`, and no image is called that",
                    hint=near(name, self._project.by_name) or "check out the commit that they were built from",
                )

    def _image(self, name: str) -> Image:
        image = self._project.by_name[name]
        return replace(image, platforms=self._asked.platforms) if self._asked.platforms else image

    def _named(
        self,
        images: Mapping[str, Image],
        called: Names,
        outcomes: Mapping[str, Standing | RegistryError],
        fingerprints: Mapping[str, str | None],
        absent: Sequence[str],
    ) -> Plan:
        project, joining = self._project, self._joining
        joined = {name: one for name, one in outcomes.items() if isinstance(one, Standing)}
        refused: dict[str, ImagewrightError] = {
            name: one for name, one in outcomes.items() if isinstance(one, RegistryError)
        }
        called.require(images[name] for name in joined)
        settled = names_of_run(
            project,
            called,
            _Pushed(images, fingerprints),
            [*joined, *absent],
            self._asked,
            "asked" if self._dry_run else "started",
        )
        # A version that is published with this very content stays as it is, as in a build.
        standing = {name: one for name, one in settled.standing.items() if joining.covers(images[name], one)}
        refused |= {
            name: error
            for name, error in settled.refused.items()
            if name in joined and not joining.is_published(images[name], settled.namings[name], joined[name])
        }
        refused = {name: error for name, error in refused.items() if name not in standing}
        reused = {name: one for name, one in {**joined, **standing}.items() if name not in refused}
        return plan_changed(
            {name: (Reason(kind="merged", detail="not all of it is there"),) for name in refused},
            reused=reused,
            retagged=reused,
            images={**project.by_name, **images},
            graph=project.graph,
            base=NO_BASE,
            head=project.head,
            namings={**{name: called.naming(image) for name, image in images.items()}, **settled.namings},
            broken=refused,
        )


def _overlook(project: Project, folder: Path) -> None:
    """Digest files that were brought here are no change of the work tree: names and inputs are as without them."""
    if folder.is_relative_to(project.root):
        inside = f"{folder.relative_to(project.root)}/"
        project.changes = tuple(change for change in project.changes if not change.path.startswith(inside))
