"""The graph as a Mermaid flowchart, which GitHub and GitLab show in Markdown (mermaid.js.org/syntax/flowchart)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagewright.images.draw.tiers import arrows, tiers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagewright.images.graph import Graph


def mermaid(graph: Graph, layers: Sequence[str] = ()) -> str:
    """Each layer is a subgraph; a dotted arrow means that the child only copies from the parent."""
    ids = _ids(graph.order())
    lines = ["flowchart LR"]
    for number, (layer, names) in enumerate(tiers(graph, layers)):
        indent = "    " if layer is None else "        "
        if layer is not None:
            lines.append(f"    subgraph layer{number}[{_quoted(layer)}]")
        lines += [f"{indent}{ids[name]}[{_quoted(name)}]" for name in names]
        if layer is not None:
            lines.append("    end")
    lines += [f"    {ids[parent]} {'-->' if solid else '-.->'} {ids[child]}" for parent, child, solid in arrows(graph)]
    return "\n".join(lines) + "\n"


def _ids(names: Sequence[str]) -> dict[str, str]:
    """Ids made of letters: `end` and some others are words of the language, `x--o` is an arrow."""
    ids: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        plain = "i_" + re.sub(r"[^a-z0-9]", "_", name)
        unique, count = plain, 2
        while unique in taken:
            unique, count = f"{plain}_{count}", count + 1
        taken.add(unique)
        ids[name] = unique
    return ids


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "#quot;") + '"'
