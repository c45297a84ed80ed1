"""The graph as one SVG file: no script, no font and no image from elsewhere, readable in light and in dark mode."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from imagewright.images.draw.layout import layout
from imagewright.images.draw.shapes import BOX_HEIGHT, CHARACTER, PADDING, Box, Layout, Line
from imagewright.images.draw.tiers import tiers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagewright.images.graph import Graph

MARGIN = 24.0
LEGEND_HEIGHT = 22.0
CHIP = 12.0
LEGEND_GAP = 20.0
LEAST_WIDTH = 360.0

# (fill, stroke) for light and for dark mode; neighbours differ in hue and in lightness.
_PALETTE = (
    ("#dbeafe", "#1d4ed8", "#172f5f", "#7fb0ff"),
    ("#dcfce7", "#15803d", "#12391f", "#6fdc92"),
    ("#fef3c7", "#b45309", "#47300b", "#f5bd4f"),
    ("#fce7f3", "#be185d", "#4a1530", "#f58fc0"),
    ("#ede9fe", "#6d28d9", "#2f1c5e", "#b79cff"),
    ("#cffafe", "#0e7490", "#0b3a47", "#5fd4ea"),
    ("#ffedd5", "#c2410c", "#4c2210", "#ff9d66"),
    ("#ecfccb", "#4d7c0f", "#2a3d0c", "#b3dc5c"),
)
_HEAD = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
    'markerUnits="userSpaceOnUse" orient="auto"><path class="head" d="M0 0.5 8 4 0 7.5z"/></marker></defs>'
)
_PLAIN = ("#f1f5f9", "#475569", "#273242", "#a9b8cc")


def svg(graph: Graph, layers: Sequence[str] = ()) -> str:
    """Each layer has its colour; a dashed arrow means that the child only copies from the parent."""
    picture = layout(graph)
    grouped = tiers(graph, layers)
    kinds = {name: _kind(number, layer) for number, (layer, names) in enumerate(grouped) for name in names}
    inner = max(picture.width, LEAST_WIDTH)
    legend, top = _legend([layer for layer, _ in grouped], any(not line.solid for line in picture.lines), inner)
    width, height = inner + 2 * MARGIN, picture.height + top + 2 * MARGIN
    size = f'viewBox="0 0 {_n(width)} {_n(height)}" width="{_n(width)}" height="{_n(height)}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title description">',
            '<title id="title">Graph of images</title>',
            f'<desc id="description">{escape(_description(graph))}</desc>',
            _style(len(grouped)),
            _HEAD,
            f'<rect class="page" width="{_n(width)}" height="{_n(height)}"/>',
            f'<g transform="translate({_n(MARGIN)} {_n(MARGIN)})">',
            *legend,
            f'<g transform="translate(0 {_n(top)})">',
            *_body(picture, kinds, graph),
            "</g>",
            "</g>",
            "</svg>",
            "",
        ]
    )


def _body(picture: Layout, kinds: dict[str, str], graph: Graph) -> list[str]:
    return [
        *(
            f'<rect class="frame" x="{_n(frame.x)}" y="{_n(frame.y)}" width="{_n(frame.width)}" '
            f'height="{_n(frame.height)}" rx="10"/>'
            for frame in picture.frames
        ),
        *dict.fromkeys(stub for line in picture.lines if (stub := _stub(line))),  # arrows of one image share it
        *(_line(line) for line in picture.lines),
        *(_box(box, kinds[box.name], graph) for box in picture.boxes),
    ]


def _box(box: Box, kind: str, graph: Graph) -> str:
    image = graph.images[box.name]
    facts = [image.repository, f"layer {image.layer}" if image.layer else "", " ".join(image.platforms)]
    if parents := graph.parents(box.name):
        facts.append(f"built on {', '.join(parents)}")
    tip = "\n".join(fact for fact in facts if fact)
    return (
        f'<g class="{kind}"><title>{escape(tip)}</title><rect x="{_n(box.x)}" y="{_n(box.y)}" '
        f'width="{_n(box.width)}" height="{_n(BOX_HEIGHT)}" rx="6"/><text x="{_n(box.x + PADDING)}" '
        f'y="{_n(box.y + BOX_HEIGHT / 2 + 4)}">{escape(box.name)}</text></g>'
    )


def _stub(line: Line) -> str:
    if line.x == line.bend:
        return ""
    return f'<path class="{_stroke(line)}" d="M{_n(line.x)} {_n(line.y)}H{_n(line.bend)}"/>'


def _line(line: Line) -> str:
    middle = _n((line.bend + line.end_x) / 2)
    head = ' marker-end="url(#head)"' if line.head else ""
    start, end = f"{_n(line.bend)} {_n(line.y)}", f"{_n(line.end_x)} {_n(line.end_y)}"
    curve = f"M{start}C{middle} {_n(line.y)} {middle} {_n(line.end_y)} {end}"
    return f'<path class="{_stroke(line)}" d="{curve}"{head}/>'


def _stroke(line: Line) -> str:
    return "line" if line.solid else "line copy"


def _legend(layers: Sequence[str | None], copies: bool, room: float) -> tuple[list[str], float]:
    """The markup, and the height that it takes; nothing where there is nothing to tell apart."""
    entries = [(_kind(number, layer), layer or "no layer") for number, layer in enumerate(layers)]
    if layers in ([None], []):
        entries = []
    if copies:
        entries.append(("copies", "only copies from"))
    marks: list[str] = []
    x, y = 0.0, 0.0
    for kind, text in entries:
        needed = CHIP + 8 + len(text) * CHARACTER
        if x and x + needed > room:
            x, y = 0.0, y + LEGEND_HEIGHT
        chip = (
            f'<path class="line copy" d="M{_n(x - 6)} {_n(y + 6)}h{_n(CHIP + 8)}"/>'
            if kind == "copies"
            else f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(CHIP)}" height="{_n(CHIP)}" rx="3"/>'
        )
        marks.append(f'<g class="{kind}">{chip}<text x="{_n(x + CHIP + 8)}" y="{_n(y + 10)}">{escape(text)}</text></g>')
        x += needed + LEGEND_GAP
    return marks, y + LEGEND_HEIGHT + 10 if entries else 0.0


def _kind(number: int, layer: str | None) -> str:
    return "plain" if layer is None else f"layer{number % len(_PALETTE)}"


def _description(graph: Graph) -> str:
    """The picture in words, for those who hear it."""
    built = [f"{name} is built on {', '.join(graph.parents(name))}" for name in graph.order() if graph.parents(name)]
    return "; ".join([f"{len(graph.images)} images", *built]) + "."


def _style(layers: int) -> str:
    kinds = [(f".layer{number}", colours) for number, colours in enumerate(_PALETTE[:layers])]
    kinds.append((".plain", _PLAIN))
    light = "".join(f"{kind} rect{{fill:{c[0]};stroke:{c[1]}}}" for kind, c in kinds)
    dark = "".join(f"{kind} rect{{fill:{c[2]};stroke:{c[3]}}}" for kind, c in kinds)
    return (
        "<style>text{font:12px ui-monospace,SFMono-Regular,Menlo,'DejaVu Sans Mono',monospace;fill:#0f172a}"
        ".page{fill:#fff}.line{fill:none;stroke:#64748b;stroke-width:1.3}.copy{stroke-dasharray:5 4}"
        f".head{{fill:#64748b}}.frame{{fill:#f8fafc;stroke:#cbd5e1}}{light}"
        "@media(prefers-color-scheme:dark){text{fill:#e6edf5}.page{fill:#0d1117}.line{stroke:#8b9bb0}"
        f".head{{fill:#8b9bb0}}.frame{{fill:#151b24;stroke:#3a4657}}{dark}}}</style>"
    )


def _n(number: float) -> str:
    """A coordinate with one decimal at most: short, and the same on every machine."""
    return f"{number:.1f}".removesuffix(".0")
