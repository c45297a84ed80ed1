"""Order, levels, reach and cycles of the graph of images."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.errors import ConfigError
from imagewright.images.graph import Graph
from imagewright.images.model import Edge, Image
from tests.counting import calls_each


def node(name: str) -> Image:
    return Image(
        name=name,
        repository=f"localhost:5050/{name}",
        dockerfile=f"Dockerfiles/Dockerfile.{name}",
        context=".",
        layer=None,
        platforms=(),
    )


def use(child: str, parent: str, line: int = 1, tag: str = "") -> Edge:
    return Edge(child=child, parent=parent, reference=f"localhost:5050/{parent}{tag}", line=line, kind="from")


def graph(*pairs: tuple[str, str], alone: str = "") -> Graph:
    """Each pair is a child and its parent."""
    names = {name for pair in pairs for name in pair} | set(alone.split())
    return Graph([node(name) for name in names], [use(child, parent) for child, parent in pairs])


DIAMOND = (("left", "base"), ("right", "base"), ("app", "left"), ("app", "right"), ("app", "base"))


def test_order_is_by_level_then_by_name() -> None:
    made = graph(*DIAMOND, alone="zebra ant")
    assert made.order() == ("ant", "base", "zebra", "left", "right", "app")


def test_the_level_is_the_longest_way_down() -> None:
    made = graph(("tooling", "base"), ("app", "tooling"), ("app", "base"))
    assert [made.level(name) for name in ("base", "tooling", "app")] == [0, 1, 2]


def test_neighbours_and_reach() -> None:
    made = graph(*DIAMOND)
    assert made.parents("app") == ("base", "left", "right")
    assert made.children("base") == ("app", "left", "right")
    assert made.ancestors("app") == ("base", "left", "right")
    assert made.descendants("base") == ("left", "right", "app")
    assert made.ancestors("base") == made.descendants("app") == ()


def test_references_of_each_parent() -> None:
    made = Graph([node("a"), node("b")], [use("b", "a", 1, ":1"), use("b", "a", 4, ":2")])
    assert made.references("b") == {"a": ("localhost:5050/a:1", "localhost:5050/a:2")}
    assert made.references("a") == {}


def test_a_cycle_is_told_with_its_path_and_lines() -> None:
    images = [node(name) for name in "abcdx"]
    ring = [use("b", "a", 3), use("c", "b", 5), use("a", "c", 7), use("d", "a"), use("b", "x")]
    ring[1] = Edge(child="c", parent="b", reference="lib", line=0, kind="context")
    with pytest.raises(ConfigError) as caught:
        Graph(images, ring)
    assert str(caught.value) == (
        "images are built on each other in a cycle: a -> b -> c -> a\n"
        "  Dockerfiles/Dockerfile.b:3: b uses a\n"
        "  images.c.contexts.lib: c uses b\n"
        "  Dockerfiles/Dockerfile.a:7: a uses c"
    )


def test_an_image_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        graph(*DIAMOND).ancestors("nobody")


pairs_below = st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)).filter(lambda pair: pair[0] != pair[1]))


@given(pairs_below, st.randoms(use_true_random=False))
def test_every_graph_without_a_cycle_has_one_order_whatever_the_input_order(
    pairs: list[tuple[int, int]], shuffler: random.Random
) -> None:
    named = [(f"i{max(pair):02}", f"i{min(pair):02}") for pair in pairs]  # a child's number is the higher one
    made = graph(*named)
    for child, parent in named:
        assert made.order().index(parent) < made.order().index(child)
        assert made.level(parent) < made.level(child)
        assert parent in made.ancestors(child)
        assert child in made.descendants(parent)
    shuffler.shuffle(named)
    assert graph(*named).order() == made.order()


@given(pairs_below)
def test_a_reported_cycle_is_one_and_a_graph_with_one_is_never_accepted(pairs: list[tuple[int, int]]) -> None:
    named = [(f"i{child:02}", f"i{parent:02}") for child, parent in pairs]
    try:
        made = graph(*named)
    except ConfigError as error:
        ring = error.message.partition(": ")[2].split(" -> ")
        assert ring[0] == ring[-1]
        assert len(ring) > 2
        assert len(set(ring)) == len(ring) - 1
        assert all((child, parent) in named for parent, child in pairwise(ring))
    else:
        assert all(made.level(parent) < made.level(child) for child, parent in named)


def chain(length: int) -> tuple[Graph, list[str]]:
    names = [f"i{number:04}" for number in range(length)]
    return graph(*zip(names[1:], names, strict=False)), names


def test_thousands_of_images_in_one_chain_need_no_recursion() -> None:
    made, names = chain(5000)
    assert made.order() == tuple(names)
    assert len(made.ancestors(names[-1])) == 4999


def test_a_chain_is_walked_once() -> None:
    def walking(length: int) -> Callable[[], object]:
        def walk() -> None:
            made, names = chain(1 + length)
            made.order()
            made.ancestors(names[-1])

        return walk

    assert calls_each(walking) < 24  # 18
