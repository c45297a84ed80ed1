"""Images that would stand on a parent of another platform than their own: told before anything is built.

A parent for one platform alone is one manifest, not an index. BuildKit takes it for any platform when it is given as a
named context, as this package gives it (dockerui/namedcontext.go): the arm64 half of a child would stand on amd64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.errors import DockerfileError
from imagewright.images.edges import DOCKER_IMAGE
from imagewright.platforms import has

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from imagewright.images.graph import Graph
    from imagewright.images.model import BaseConfig, Edge, Image, Reading


def platform_gaps(
    names: Iterable[str],
    *,
    graph: Graph,
    readings: Mapping[str, Reading],
    content: Callable[[str], bytes | None],
) -> Mapping[str, DockerfileError]:
    """Those of `names`, and of what they are built on, that take a parent for a platform that it is not built for.

    `content` gives a Dockerfile's bytes by its path. Only Dockerfiles of images are opened that have a platform which
    a parent has not: mostly none. A parent that is pinned by a digest is not looked at, as what that has is not known.
    """
    doubtful: dict[str, dict[str, None]] = {}  # by image: its platforms that a parent lacks
    for edge in graph.edges:
        child, parent = graph.images[edge.child], graph.images[edge.parent]
        if child.platforms != parent.platforms and not _is_pinned(edge):
            for platform in child.platforms:
                if not has(parent.platforms, platform):
                    doubtful.setdefault(child.name, {})[platform] = None
    if not doubtful:
        return {}
    needed: dict[str, None] = {}
    for name in names:
        needed |= dict.fromkeys((*graph.ancestors(name), name))
    found = {
        name: _gap(graph, name, tuple(doubtful[name]), readings, content(graph.images[name].dockerfile))
        for name in needed
        if name in doubtful
    }
    return {name: error for name, error in found.items() if error}


def _gap(
    graph: Graph, name: str, platforms: Sequence[str], readings: Mapping[str, Reading], data: bytes | None
) -> DockerfileError | None:
    from imagewright.images.dockerfile.takes import takes

    if data is None:
        return None
    image, uses = graph.images[name], [edge for edge in graph.uses(name) if not _is_pinned(edge)]
    parents = {(edge.kind == "context", edge.reference): edge.parent for edge in uses}
    found: dict[tuple[int, str], dict[str, None]] = {}
    for platform in platforms:
        for take in takes(
            data,
            path=image.dockerfile,
            build_args=image.build_args,
            target=image.target,
            platform=platform,
            base=_handed_down(image, uses, readings),
            contexts=image.contexts,
            unknown_args=image.secret_build_args,
        ):
            parent = parents.get((take.is_context, take.reference))
            if parent and not has(graph.images[parent].platforms, take.platform):
                found.setdefault((take.line, parent), {})[take.platform] = None
    if not found:
        return None
    (line, parent), lacking = min(found.items())
    there, wanted = ", ".join(graph.images[parent].platforms), ", ".join(lacking)
    return DockerfileError(
        f"{name} takes {parent} for {wanted} here, and {parent} is built for {there} only",
        where=f"{image.dockerfile}:{line}",
        hint=f"give {parent} the platform in the configuration, or {name} only platforms that {parent} has; a stage "
        "that only makes what others copy can be `FROM --platform=$BUILDPLATFORM`",
    )


def _handed_down(
    image: Image, uses: Iterable[Edge], readings: Mapping[str, Reading]
) -> Callable[[str, str], BaseConfig | None]:
    by_reference = {
        image.contexts[edge.reference].removeprefix(DOCKER_IMAGE) if edge.kind == "context" else edge.reference: edge
        for edge in uses
    }

    def base(reference: str, platform: str) -> BaseConfig | None:
        edge = by_reference.get(reference)
        reading = readings.get(edge.parent) if edge else None
        return reading.given(platform) if reading else None

    return base


def _is_pinned(edge: Edge) -> bool:
    return edge.kind != "context" and "@" in edge.reference
