"""The graph in Graphviz's language (graphviz.org/doc/info/lang.html)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.images.draw.tiers import arrows, tiers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagewright.images.graph import Graph


def dot(graph: Graph, layers: Sequence[str] = ()) -> str:
    """Each layer is a cluster; a dashed arrow means that the child only copies from the parent."""
    lines = ["digraph images {", "    rankdir=LR;", '    node [shape=box, style=rounded, fontname="monospace"];']
    for number, (layer, names) in enumerate(tiers(graph, layers)):
        if layer is None:
            lines += [f"    {_quoted(name)};" for name in names]
            continue
        lines += [f"    subgraph cluster_{number} {{", f"        label={_quoted(layer)};"]
        lines += [f"        {_quoted(name)};" for name in names]
        lines.append("    }")
    for parent, child, solid in arrows(graph):
        lines.append(f"    {_quoted(parent)} -> {_quoted(child)}{'' if solid else ' [style=dashed]'};")
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
