"""The outside images that an image is built on: what its Dockerfile and its named contexts use, less what is ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imagewright.images.dockerfile.frontend import is_foreign
from imagewright.images.edges import DOCKER_IMAGE
from imagewright.references import InvalidReferenceError, Reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from imagewright.images.graph import Graph
    from imagewright.images.model import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What an image uses of other people's images. References with a digest are left out: they never change.

    `used` has the full references, always with a tag (`docker.io/library/debian:latest`), each with the first line of
    the Dockerfile that uses it; 0 for a named context of the configuration. `unclear` says what cannot be told, by
    line.
    """

    used: Mapping[str, int] = field(default_factory=dict)
    unclear: Mapping[int, str] = field(default_factory=dict)


def outside(name: str, graph: Graph, reading: Reading) -> Outside:
    """The outside images of one image of `graph`.

    A `# syntax=` image is none of them where it is BuildKit's own front end: like BuildKit itself, it is a tool, and
    its releases leave what is built as it is. What any other front end uses cannot be told.
    """
    ours = {edge.reference for edge in graph.uses(name)}
    used: dict[str, int] = {}
    unclear: dict[int, str] = {}
    if is_foreign(reading.syntax):
        unclear[1] = f"the front end {reading.syntax} may use any image"
    for text, raw, line in _references(name, graph, reading):
        if text is None:
            unclear.setdefault(line, f"{raw} has a variable whose value is not known")
        elif text not in ours:
            try:
                reference = Reference.parse(text)
            except InvalidReferenceError as error:
                unclear.setdefault(line, str(error))
                continue
            if not reference.digest:
                used.setdefault(full(reference), line)
    return Outside(used=used, unclear=unclear)


def full(reference: Reference) -> str:
    """The reference with its registry and its tag: `docker.io/library/debian:latest`."""
    return f"{reference.repository}:{reference.tag or 'latest'}"


def _references(name: str, graph: Graph, reading: Reading) -> Iterator[tuple[str | None, str, int]]:
    """Each with what is written, and its line."""
    for use in sorted(reading.images, key=lambda use: use.line):
        yield use.reference, use.raw, use.line
    own = {edge.reference for edge in graph.uses(name) if edge.kind == "context"}
    for key, value in sorted(graph.images[name].contexts.items()):
        if value.startswith(DOCKER_IMAGE) and key not in own:
            text = value.removeprefix(DOCKER_IMAGE)
            yield text, text, 0
