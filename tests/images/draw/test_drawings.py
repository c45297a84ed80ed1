"""The three drawings: golden texts for a small graph, and properties of the picture for any graph."""

from __future__ import annotations

import random
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagewright.images.draw.dot import dot
from imagewright.images.draw.layout import layout
from imagewright.images.draw.mermaid import mermaid
from imagewright.images.draw.shapes import BOX_HEIGHT, CHARACTER, Layout
from imagewright.images.draw.svg import svg
from imagewright.images.graph import Graph
from imagewright.images.model import Edge, Image, UseKind

SVG = "{http://www.w3.org/2000/svg}"


def picture_of(name: str, layer: str | None = None) -> Image:
    return Image(
        name=name,
        repository=f"localhost:5050/{name}",
        dockerfile=f"Dockerfiles/Dockerfile.{name}",
        context=".",
        layer=layer,
        platforms=("linux/amd64",),
    )


def built_on(child: str, parent: str, kind: UseKind = "from") -> Edge:
    return Edge(child=child, parent=parent, reference=f"localhost:5050/{parent}", line=1, kind=kind)


SMALL = Graph(
    [
        picture_of("tool-box", "tooling"),
        picture_of("base", "base"),
        picture_of("end", "app"),
        picture_of("snapcast"),
        picture_of("tool_box", "app"),
    ],
    [built_on("tool-box", "base"), built_on("end", "tool-box"), built_on("end", "base", "copy")],
)
LAYERS = ("base", "tooling", "app")


def test_mermaid() -> None:
    assert mermaid(SMALL, LAYERS) == (
        "flowchart LR\n"
        '    subgraph layer0["base"]\n'
        '        i_base["base"]\n'
        "    end\n"
        '    subgraph layer1["tooling"]\n'
        '        i_tool_box_2["tool-box"]\n'
        "    end\n"
        '    subgraph layer2["app"]\n'
        '        i_tool_box["tool_box"]\n'
        '        i_end["end"]\n'
        "    end\n"
        '    i_snapcast["snapcast"]\n'
        "    i_base --> i_tool_box_2\n"
        "    i_base -.-> i_end\n"
        "    i_tool_box_2 --> i_end\n"
    )


def test_dot() -> None:
    assert dot(SMALL, LAYERS) == (
        "digraph images {\n"
        "    rankdir=LR;\n"
        '    node [shape=box, style=rounded, fontname="monospace"];\n'
        "    subgraph cluster_0 {\n"
        '        label="base";\n'
        '        "base";\n'
        "    }\n"
        "    subgraph cluster_1 {\n"
        '        label="tooling";\n'
        '        "tool-box";\n'
        "    }\n"
        "    subgraph cluster_2 {\n"
        '        label="app";\n'
        '        "tool_box";\n'
        '        "end";\n'
        "    }\n"
        '    "snapcast";\n'
        '    "base" -> "tool-box";\n'
        '    "base" -> "end" [style=dashed];\n'
        '    "tool-box" -> "end";\n'
        "}\n"
    )


def test_the_svg_is_one_accessible_file_for_both_modes() -> None:
    text = svg(SMALL, LAYERS)
    root = ET.fromstring(text)  # noqa: S314
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "title description"
    assert root.findtext(f"{SVG}title") == "Graph of images"
    assert root.findtext(f"{SVG}desc") == "5 images; tool-box is built on base; end is built on base, tool-box."
    assert "prefers-color-scheme:dark" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")  # it loads nothing
    shown = [element.text for element in root.iter(f"{SVG}text")]
    assert shown[:5] == ["base", "tooling", "app", "no layer", "only copies from"]  # the legend
    assert sorted(text or "" for text in shown[5:]) == sorted(SMALL.images)


def test_the_svg_escapes_what_markup_would_misread() -> None:
    odd = Graph([picture_of("x<y", "<a & b>")], [])
    shown = ET.fromstring(svg(odd, ["<a & b>"])).iter(f"{SVG}text")  # noqa: S314
    assert [element.text for element in shown] == ["<a & b>", "x<y"]
    assert 'subgraph layer0["x#quot;y"]' in mermaid(Graph([picture_of("app", 'x"y')], []), ['x"y'])


@pytest.mark.parametrize("draw", [mermaid, dot, svg])
def test_nothing_to_draw_is_drawn(draw: object) -> None:
    assert callable(draw)
    assert draw(Graph([], []))


def test_images_of_the_same_parents_share_one_block_with_one_arrow() -> None:
    names = [f"service-{number}" for number in range(40)]
    placed = layout(Graph([picture_of(n) for n in ["base", *names]], [built_on(n, "base") for n in names]))
    assert len(placed.lines) == len(placed.frames) == 1
    assert placed.width < 3 * placed.height < 9 * placed.width  # neither a ribbon nor a tower


def test_a_long_arrow_runs_around_the_images_between() -> None:
    graph = Graph([picture_of(n) for n in "abc"], [built_on("b", "a"), built_on("c", "b"), built_on("c", "a", "copy")])
    placed = layout(graph)
    (between,) = (box for box in placed.boxes if box.name == "b")
    (passing,) = (line for line in placed.lines if not line.head)
    assert not between.y <= passing.end_y <= between.y + BOX_HEIGHT


def test_arrows_that_need_not_cross_do_not() -> None:
    names = ["a", "b", "c", "x", "y", "z"]
    pairs = [("x", "c"), ("y", "b"), ("z", "a")]
    placed = layout(Graph([picture_of(n) for n in names], [built_on(*pair) for pair in pairs]))
    by_start = sorted(placed.lines, key=lambda line: line.y)
    assert by_start == sorted(placed.lines, key=lambda line: line.end_y)


def random_graph(seed: int, count: int) -> Graph:
    chance = random.Random(seed)  # noqa: S311
    names = ["-".join(["image", str(number), "x" * chance.choice([0, 3, 30])]).rstrip("-") for number in range(count)]
    kinds: list[UseKind] = ["from", "copy"]
    drawn = [
        built_on(names[child], names[chance.randrange(child)], chance.choice(kinds))
        for child in range(1, count)
        for _ in range(chance.choice([0, 1, 1, 2]))
    ]
    return Graph([picture_of(name, chance.choice([*LAYERS, None])) for name in names], drawn)


def assert_nothing_overlaps(placed: Layout) -> None:
    boxes = sorted(placed.boxes, key=lambda box: (box.x, box.y))
    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            if other.x >= one.x + one.width:
                break
            assert abs(one.y - other.y) >= BOX_HEIGHT, (one, other)
    for box in boxes:
        assert box.width >= len(box.name) * CHARACTER
        assert 0 <= box.x <= box.x + box.width <= placed.width + 0.1
        assert 0 <= box.y <= box.y + BOX_HEIGHT <= placed.height + 0.1


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 60))
def test_no_image_covers_another_and_every_arrow_points_right(seed: int, count: int) -> None:
    graph = random_graph(seed, count)
    placed = layout(graph)
    assert sorted(box.name for box in placed.boxes) == sorted(graph.images)
    assert_nothing_overlaps(placed)
    assert all(line.x <= line.bend < line.end_x for line in placed.lines)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 40), st.randoms(use_true_random=False))
def test_the_same_graph_is_the_same_text(seed: int, count: int, shuffler: random.Random) -> None:
    graph = random_graph(seed, count)
    images, drawn = list(graph.images.values()), list(graph.edges)
    shuffler.shuffle(images)
    shuffler.shuffle(drawn)
    again = Graph(images, drawn)
    for draw in (mermaid, dot, svg):
        assert draw(graph, LAYERS) == draw(again, LAYERS)


def test_a_thousand_images_are_drawn() -> None:
    graph = random_graph(7, 1000)
    assert_nothing_overlaps(layout(graph))
    assert len(re.findall("<text", svg(graph))) >= 1000
