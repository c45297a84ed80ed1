"""The outside images of a run: what their digests are today, to be recorded with what is built, or compared."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from imagewright.bases.digests import Digests
from imagewright.bases.nearby import Nearby
from imagewright.builds.builder import would_be_local
from imagewright.cli.recording import adjusted
from imagewright.images.outside import Outside, outside

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from imagewright.bases.digests import Source
    from imagewright.builds.builder import Builder
    from imagewright.builds.plan import Plan
    from imagewright.builds.request import Request
    from imagewright.builds.result import ImageResult
    from imagewright.changes.snapshot import Snapshot
    from imagewright.cli.project import Project
    from imagewright.registry.client import Registry

_SECONDS = 5.0  # a build need not wait longer to know what it is built on: then it is not recorded
_PATIENT_SECONDS = 20.0  # of a comparison: what is not known is built


class BasesOfRun:
    """The digests of the outside images that the images of a plan are built on, asked for while builds are prepared.

    They are asked for before the builds: a tag that moves in between is recorded with its older digest, so that the
    next scheduled run builds once too often, not once too seldom. Nothing is asked where nothing is pushed. The
    engine's own builder uses the images that the engine has, however old they are: then nothing is recorded.
    """

    def __init__(self, project: Project, plan: Plan, asked: Request, builder: Builder) -> None:
        self._say = project.say
        self._uses: Mapping[str, Outside] = {}
        if plan.to_build and asked.output == "push" and builder.driver != "docker":
            snapshot = project.snapshot(lambda image: adjusted(image, asked))
            self._uses = outside_of(snapshot, [item.name for item in plan.to_build])
        mirror = project.places.registry if builder.is_local else None
        self._digests = _digests(project, self._uses, mirror, _SECONDS)
        self._unknown: dict[str, list[str]] = {}  # by reference: the images that use it

    def of(self, name: str) -> Mapping[str, str]:
        """Those of one image, as far as they are known: waits for them, a few seconds at most."""
        found = {}
        for reference in self._uses[name].used if name in self._uses else ():
            digest = self._digests.digest(reference)
            if digest:
                found[reference] = digest
            else:
                self._unknown.setdefault(reference, []).append(name)
        return found

    def say_unknown(self, results: Sequence[ImageResult]) -> None:
        """What was not recorded of images that were built, and why: each reference once, after the builds."""
        built = {result.name for result in results if result.status == "built"}
        for reference, names in sorted(self._unknown.items()):
            if not built.isdisjoint(names):
                why = self._digests.problem(reference)
                self._say(f"the digest of {reference} is not recorded ({why}): a scheduled run builds what uses it")


def todays_digests(project: Project, asked: Request, uses: Mapping[str, Outside]) -> Digests:
    """What the builder would take today; nothing is started for it."""
    settings, places = project.known_settings, project.places
    if not would_be_local(asked.builder or settings.builder.name, environ=project.environ):
        return _digests(project, uses, None, _PATIENT_SECONDS)
    from imagewright.bases.ensure import docker_hub_answers, to_withdraw

    withdrawn = to_withdraw(
        _references(uses),
        settings.bases,
        connect=lambda: _connect(places.registry),
        state=places.service("registry"),
        reachable=docker_hub_answers,
    )
    return _digests(project, uses, places.registry, _PATIENT_SECONDS, withdrawn)


def outside_of(snapshot: Snapshot, names: Sequence[str]) -> dict[str, Outside]:
    """What these images use of other people's; what cannot be read uses nothing that is known."""
    readings = snapshot.readings.by_name
    return {name: outside(name, snapshot.graph, readings[name]) for name in names if name in readings}


def _digests(
    project: Project, uses: Mapping[str, Outside], mirror: str | None, seconds: float, withdrawn: Collection[str] = ()
) -> Digests:
    def connect(host: str) -> AbstractContextManager[Source]:
        return Nearby(project.places, _connect) if host == project.places.registry else _connect(host)

    return Digests(_references(uses), connect, mirror=mirror, not_in_mirror=withdrawn, seconds=seconds)


def _references(uses: Mapping[str, Outside]) -> frozenset[str]:
    return frozenset(reference for use in uses.values() for reference in use.used)


def _connect(host: str) -> Registry:
    from imagewright.registry.client import Registry

    return Registry(host)
