"""The plan: what will be done to which image, in build order, and why. Data only, printable as JSON."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from imagewright.changes.reason import Reason as Reason  # the plan's word, too
from imagewright.errors import DockerfileError
from imagewright.images.model import Image

SCHEMA = 1  # of the JSON; raised when a reader would have to change

Action = Literal["build", "reuse", "skip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What the work tree was compared with."""

    commit: str | None
    source: str
    why: str


NO_BASE = Base(commit=None, source="none", why="nothing is compared: the images are built because they were named")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The state that is built: a commit (40 hexadecimal digits), and whether the work tree differs from it."""

    commit: str | None
    time: int | None  # of the commit, in seconds since 1970
    dirty: bool


NO_HEAD = Head(commit=None, time=None, dirty=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanParent:
    """An image of this repository that another one is built on, and where its content comes from."""

    name: str
    repository: str
    origin: Literal["build", "registry"]
    digest: str | None
    references: tuple[str, ...]  # as the child's Dockerfile uses them, expanded


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """How many files an image depends on, and one digest over all of it; None where it was not asked for."""

    files: int
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanImage:
    """One image of the plan."""

    image: Image
    level: int
    action: Action
    reasons: tuple[Reason, ...]
    parents: tuple[PlanParent, ...]
    platforms: tuple[str, ...]
    tags: tuple[str, ...]  # full references
    inputs: Inputs | None = None
    digest: str | None = None  # of a reused image

    @property
    def name(self) -> str:
        """The image's name."""
        return self.image.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplanned:
    """An image that was wanted and cannot be built: its Dockerfile is broken, or that of one it is built on."""

    image: Image
    error: DockerfileError | None  # of its own Dockerfile
    because: str | None = None  # else: the image that stands in its way
    tags: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Images in build order. What is `unplanned` hides nothing else, and makes the command fail in the end."""

    base: Base
    head: Head
    images: tuple[PlanImage, ...]
    unplanned: tuple[Unplanned, ...] = ()
    removed: tuple[str, ...] = ()  # images that there were in the state compared with, by name

    @property
    def to_build(self) -> tuple[PlanImage, ...]:
        """The images that the plan builds, in order."""
        return tuple(image for image in self.images if image.action == "build")


class ImageGraph(Protocol):
    """What planning needs of the graph of images."""

    def order(self) -> Sequence[str]:
        """All names, parents first."""

    def level(self, name: str) -> int:
        """The length of the longest path from an image without parents."""

    def ancestors(self, name: str) -> Collection[str]:
        """All that `name` is built on, directly or not."""

    def references(self, child: str) -> Mapping[str, tuple[str, ...]]:
        """The direct parents of `child`, each with the references that the child uses."""


def plan_named(
    names: Sequence[str],
    *,
    images: Mapping[str, Image],
    graph: ImageGraph,
    head: Head,
    tags: Mapping[str, tuple[str, ...]],
    platforms: tuple[str, ...] = (),
    inputs: Mapping[str, Inputs] | None = None,
    broken: Mapping[str, DockerfileError] | None = None,
) -> Plan:
    """The plan that builds `names` and everything that they are built on.

    `tags` gives each image's full references; `platforms` overrides the images' own where it is not empty. Images
    whose Dockerfile is `broken`, and those built on them, are left out and said so.
    """
    broken = broken or {}
    lost = {name for name in names if not broken.keys().isdisjoint((name, *graph.ancestors(name)))}
    needed: dict[str, list[str]] = {}
    for name in names:
        for ancestor in graph.ancestors(name):
            # of what cannot be built only the broken ancestors are of interest: they say why
            if name not in lost or not broken.keys().isdisjoint((ancestor, *graph.ancestors(ancestor))):
                needed.setdefault(ancestor, []).append(name)
    built = {
        ancestor: (Reason(kind="needed", detail=f"{', '.join(sorted(users))} is built on it"),)
        for ancestor, users in needed.items()
    } | {name: (Reason(kind="forced", detail="named on the command line"),) for name in names}
    if platforms:
        images = {name: replace(image, platforms=platforms) for name, image in images.items()}
    return plan_changed(
        built, images=images, graph=graph, base=NO_BASE, head=head, tags=tags, inputs=inputs, broken=broken
    )


def plan_changed(
    built: Mapping[str, tuple[Reason, ...]],
    *,
    reused: Mapping[str, str] | None = None,
    skipped: Mapping[str, tuple[Reason, ...]] | None = None,
    images: Mapping[str, Image],
    graph: ImageGraph,
    base: Base,
    head: Head,
    tags: Mapping[str, tuple[str, ...]],
    inputs: Mapping[str, Inputs] | None = None,
    broken: Mapping[str, DockerfileError] | None = None,
    removed: tuple[str, ...] = (),
) -> Plan:
    """The plan that builds exactly `built`, with why.

    `reused` gives the digests of unchanged images that others are built on, `skipped` those that are only to be
    shown. Images whose Dockerfile is `broken`, and those built on them, are left out and said so.
    """
    broken, reused, skipped = broken or {}, reused or {}, skipped or {}
    in_the_way = {
        name: next((one for one in (name, *graph.ancestors(name)) if one in broken), None) if broken else None
        for name in built
    }
    actions: dict[str, tuple[Action, tuple[Reason, ...]]] = {
        **{name: ("skip", reasons) for name, reasons in skipped.items()},
        **{name: ("reuse", (Reason(kind="unchanged", detail="unchanged, and in the registry"),)) for name in reused},
        **{name: ("build", reasons) for name, reasons in built.items() if not in_the_way[name]},
    }
    order = [name for name in graph.order() if name in actions or name in in_the_way]

    def parents(name: str) -> tuple[PlanParent, ...]:
        return tuple(
            PlanParent(
                name=parent,
                repository=images[parent].repository,
                origin="build" if parent in built else "registry",
                digest=reused.get(parent),
                references=references,
            )
            for parent, references in sorted(graph.references(name).items())
        )

    return Plan(
        base=base,
        head=head,
        images=tuple(
            PlanImage(
                image=images[name],
                level=graph.level(name),
                action=actions[name][0],
                reasons=actions[name][1],
                parents=parents(name),
                platforms=images[name].platforms,
                tags=tags[name],
                inputs=(inputs or {}).get(name),
                digest=reused.get(name),
            )
            for name in order
            if name in actions
        ),
        unplanned=tuple(
            Unplanned(
                image=images[name],
                error=broken.get(name),
                because=None if name in broken else in_the_way[name],
                tags=tags[name],
                platforms=images[name].platforms,
            )
            for name in order
            if in_the_way.get(name)
        ),
        removed=removed,
    )


def to_json(plan: Plan) -> dict[str, Any]:
    """The plan as the JSON contract has it: the same plan gives the same text, byte for byte."""
    return {
        "schema": SCHEMA,
        "base": {"commit": plan.base.commit, "source": plan.base.source, "why": plan.base.why},
        "head": {"commit": plan.head.commit, "dirty": plan.head.dirty},
        "images": [
            {
                "name": item.name,
                "repository": item.image.repository,
                "layer": item.image.layer,
                "level": item.level,
                "action": item.action,
                "reasons": [{"kind": r.kind, "path": r.path, "detail": r.detail} for r in item.reasons],
                "parents": [{"name": p.name, "from": p.origin, "digest": p.digest} for p in item.parents],
                "platforms": list(item.platforms),
                "tags": list(item.tags),
                "inputs": item.inputs and {"files": item.inputs.files, "fingerprint": item.inputs.fingerprint},
            }
            for item in plan.images
        ],
        "unplanned": [
            {"name": one.image.name, "error": str(one.error) if one.error else None, "because": one.because}
            for one in plan.unplanned
        ],
        "removed": list(plan.removed),
    }
