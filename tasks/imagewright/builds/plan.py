"""The plan: what will be done to which image, in build order, and why. Data only, printable as JSON."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from imagewright.changes.reason import Reason as Reason  # the plan's word, too
from imagewright.errors import ImagewrightError
from imagewright.images.model import Image
from imagewright.tags.model import Naming

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

    @property
    def revision(self) -> str | None:
        """As the label org.opencontainers.image.revision has it: `<commit>`, `<commit>-dirty`; None without git."""
        return self.commit and f"{self.commit}{'-dirty' if self.dirty else ''}"


UNCHANGED = Reason(kind="unchanged", detail="unchanged, and in the registry")

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


NO_NAMING = Naming(tags=())


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanImage:
    """One image of the plan."""

    image: Image
    level: int
    action: Action
    reasons: tuple[Reason, ...]
    parents: tuple[PlanParent, ...]
    platforms: tuple[str, ...]
    tags: tuple[str, ...]  # full references that it gets; none where it is left as it is
    naming: Naming = NO_NAMING  # the same, with the rules that say so
    inputs: Inputs | None = None
    digest: str | None = None  # of a reused image

    @property
    def name(self) -> str:
        """The image's name."""
        return self.image.name

    @property
    def reference(self) -> str:
        """What to call it in one word: its first tag, or its digest where it gets none."""
        if self.tags:
            return self.tags[0]
        return f"{self.image.repository}@{self.digest}" if self.digest else self.image.repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplanned:
    """An image that was wanted and cannot be built: its Dockerfile is broken, its tags are taken, or a parent's are."""

    image: Image
    error: ImagewrightError | None  # of its own
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

    @property
    def to_retag(self) -> tuple[PlanImage, ...]:
        """The images that get tags as they are: what is published of them is what a build would give."""
        return tuple(image for image in self.images if image.action == "reuse" and image.tags)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An image that is in the registry as a build would make it, and why that is known."""

    digest: str
    reason: Reason = UNCHANGED


def references(image: Image, naming: Naming) -> tuple[str, ...]:
    """The tags as full references, in every registry that the image is published to, its own first."""
    repositories = (image.repository, *image.copies)
    return tuple(f"{repository}:{tag.tag}" for repository in repositories for tag in naming.tags)


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
    standing: Mapping[str, Standing] | None = None,
    images: Mapping[str, Image],
    graph: ImageGraph,
    head: Head,
    namings: Mapping[str, Naming],
    platforms: tuple[str, ...] = (),
    inputs: Mapping[str, Inputs] | None = None,
    broken: Mapping[str, ImagewrightError] | None = None,
) -> Plan:
    """The plan that builds `names` and everything that they are built on.

    What is `standing` is not built: it is published as it would be, under a name that is given once. `namings` are the
    tags of each image; `platforms` overrides the images' own where it is not empty. Images that are `broken`,
    and those built on them, are left out and said so.
    """
    broken, standing = broken or {}, standing or {}
    lost = {name for name in names if not broken.keys().isdisjoint((name, *graph.ancestors(name)))}
    needed: dict[str, list[str]] = {}
    for name in names:
        for ancestor in _built_on(name, graph, standing):
            # of what cannot be built only the broken ancestors are of interest: they say why
            if name not in lost or not broken.keys().isdisjoint((ancestor, *graph.ancestors(ancestor))):
                needed.setdefault(ancestor, []).append(name)
    wanted = {
        ancestor: (Reason(kind="needed", detail=f"{', '.join(sorted(users))} is built on it"),)
        for ancestor, users in needed.items()
    } | {name: (Reason(kind="forced", detail="named on the command line"),) for name in names}
    if platforms:
        images = {name: replace(image, platforms=platforms) for name, image in images.items()}
    return plan_changed(
        {name: reasons for name, reasons in wanted.items() if name not in standing},
        reused={name: found for name, found in standing.items() if name in wanted},
        retagged={name for name in names if name in standing},
        images=images,
        graph=graph,
        base=NO_BASE,
        head=head,
        namings=namings,
        inputs=inputs,
        broken=broken,
    )


def _built_on(name: str, graph: ImageGraph, standing: Collection[str]) -> Collection[str]:
    """The ancestors that a build of `name` needs: what stands already needs none of its own."""
    found: dict[str, None] = {}
    ahead = [name]
    while ahead:
        one = ahead.pop()
        for parent in graph.references(one) if one not in standing else ():
            if parent not in found:
                found[parent] = None
                ahead.append(parent)
    return found


def plan_changed(
    built: Mapping[str, tuple[Reason, ...]],
    *,
    reused: Mapping[str, Standing] | None = None,
    retagged: Collection[str] = (),
    skipped: Mapping[str, tuple[Reason, ...]] | None = None,
    images: Mapping[str, Image],
    graph: ImageGraph,
    base: Base,
    head: Head,
    namings: Mapping[str, Naming],
    inputs: Mapping[str, Inputs] | None = None,
    broken: Mapping[str, ImagewrightError] | None = None,
    removed: tuple[str, ...] = (),
) -> Plan:
    """The plan that builds exactly `built`, with why.

    `reused` are the images that are taken as the registry has them, because others are built on them or because they
    are `retagged`: those get their tags, all others keep what they have. `skipped` are only shown. Images that are
    `broken`, and those built on them, are left out and said so.
    """
    broken, reused, skipped = broken or {}, reused or {}, skipped or {}
    in_the_way = {
        name: next((one for one in (name, *graph.ancestors(name)) if one in broken), None) if broken else None
        for name in built
    }
    actions: dict[str, tuple[Action, tuple[Reason, ...]]] = {
        **{name: ("skip", reasons) for name, reasons in skipped.items()},
        **{name: ("reuse", (found.reason,)) for name, found in reused.items()},
        **{name: ("build", reasons) for name, reasons in built.items() if not in_the_way[name]},
    }
    order = [name for name in graph.order() if name in actions or name in in_the_way]

    def is_named(name: str) -> bool:
        return actions[name][0] == "build" or name in retagged

    def parents(name: str) -> tuple[PlanParent, ...]:
        return tuple(
            PlanParent(
                name=parent,
                repository=images[parent].repository,
                origin="build" if parent in built else "registry",
                digest=reused[parent].digest if parent in reused else None,
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
                tags=references(images[name], namings[name]) if is_named(name) else (),
                naming=namings[name] if is_named(name) else NO_NAMING,
                inputs=(inputs or {}).get(name),
                digest=reused[name].digest if name in reused else None,
            )
            for name in order
            if name in actions
        ),
        unplanned=tuple(
            Unplanned(
                image=images[name],
                error=broken.get(name),
                because=None if name in broken else in_the_way[name],
                tags=references(images[name], namings[name]),
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
                "withheld": [{"tag": one.tag, "why": one.why} for one in item.naming.withheld],
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
