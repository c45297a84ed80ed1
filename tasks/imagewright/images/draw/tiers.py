"""The images of a drawing grouped by layer (tier), and the one arrow between two images."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagewright.images.graph import Graph


def tiers(graph: Graph, layers: Sequence[str]) -> tuple[tuple[str | None, tuple[str, ...]], ...]:
    """(layer, names of its images in build order): in the order of `layers`, then the images without a layer.

    Layers that no image has are left out.
    """
    grouped: dict[str | None, list[str]] = {layer: [] for layer in layers}
    grouped[None] = grouped.pop(None, [])
    for name in graph.order():
        layer = graph.images[name].layer
        grouped[layer if layer in grouped else None].append(name)
    return tuple((layer, tuple(names)) for layer, names in grouped.items() if names)


def arrows(graph: Graph) -> tuple[tuple[str, str, bool], ...]:
    """(parent, child, whether the child is FROM the parent rather than only copying from it), in build order."""
    return tuple(
        (parent, child, any(edge.parent == parent and edge.kind in {"from", "context"} for edge in graph.uses(child)))
        for child in graph.order()
        for parent in graph.parents(child)
    )
