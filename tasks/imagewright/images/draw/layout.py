"""Where everything stands in the picture: a layered layout from left to right, made for graphs of images.

After Sugiyama, Tagawa and Toda (1981): one column for each level, long arrows split at every column they cross,
crossings reduced by barycentres. Graphs of images are shallow and wide, so two things are added: images that stand
on the same parents and carry nothing themselves share one framed block, with one arrow to it, and images that have
neither parents nor children stand below the rest.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from statistics import fmean
from typing import TYPE_CHECKING

from imagewright.images.draw.shapes import GAP, Block, Box, Frame, Layout, Line
from imagewright.images.draw.tiers import arrows

if TYPE_CHECKING:
    from collections.abc import Callable

    from imagewright.images.graph import Graph

COLUMN_GAP = 76.0
SHARED_BLOCK = 5  # as many images of the same parents are drawn as one block
ROUNDS = 12


def layout(graph: Graph) -> Layout:
    """Place all images of the graph; the same graph gives the same picture."""
    alone = tuple(name for name in graph.order() if not graph.parents(name) and not graph.children(name))
    net = _Net(graph, set(alone))
    net.sort()
    net.place()
    boxes, frames = net.boxes()
    width, height = net.width, net.height
    if alone:
        block = Block(alone, framed=len(alone) > 1, room=width)
        top = height + 3 * GAP if height else 0.0
        some, frame = block.at(0.0, top)
        boxes, frames = boxes + some, frames + frame
        width, height = max(width, block.width), top + block.height
    return Layout(tuple(boxes), tuple(frames), tuple(net.lines()), width, height)


class _Net:
    """Blocks and the bends of long arrows, each in its column, linked to those of the next column only."""

    def __init__(self, graph: Graph, without: set[str]) -> None:
        self.blocks: dict[int, Block] = {}
        self.columns: list[list[int]] = []
        self.column_of: list[int] = []
        self.left: list[list[int]] = []
        self.right: list[list[int]] = []
        self.links: dict[tuple[int, int], bool] = {}  # to whether it is solid, in drawing order
        parents_of: dict[str, tuple[tuple[str, bool], ...]] = dict.fromkeys(graph.order(), ())
        for parent, child, solid in arrows(graph):
            parents_of[child] += ((parent, solid),)
        blocks = _shared(graph, parents_of, without)
        home: dict[str, int] = {}
        for names in blocks:
            home.update(dict.fromkeys(names, self._add(graph.level(names[0]))))
            self.blocks[home[names[0]]] = Block(names, framed=len(names) > 1)
        trunks: dict[tuple[int, bool, int], int] = {}
        for names in blocks:
            for parent, solid in parents_of[names[0]]:
                at = home[parent]
                # The long arrows that leave one image run together until each turns off.
                for column in range(self.column_of[at] + 1, graph.level(names[0])):
                    key = (home[parent], solid, column)
                    if key not in trunks:
                        trunks[key] = self._add(column)
                        self._link(at, trunks[key], solid)
                    at = trunks[key]
                self._link(at, home[names[0]], solid)

    def _add(self, column: int) -> int:
        while len(self.columns) <= column:
            self.columns.append([])
        item = len(self.column_of)
        self.columns[column].append(item)
        self.column_of.append(column)
        self.left.append([])
        self.right.append([])
        return item

    def _link(self, one: int, other: int, solid: bool) -> None:
        self.links[one, other] = solid
        self.right[one].append(other)
        self.left[other].append(one)

    def sort(self) -> None:
        """Order each column so that few arrows cross."""
        best, fewest = [list(column) for column in self.columns], self._crossings()
        for turn in range(ROUNDS):
            if not fewest:
                break
            leftwards = turn % 2 == 1
            neighbours = self.right if leftwards else self.left
            place = [0] * len(self.column_of)
            for column in reversed(self.columns) if leftwards else self.columns:
                for number, item in enumerate(column):
                    place[item] = number
                column.sort(key=_barycentre(neighbours, place))
                for number, item in enumerate(column):
                    place[item] = number
            if (crossings := self._crossings()) < fewest:
                best, fewest = [list(column) for column in self.columns], crossings
        self.columns = best

    def _crossings(self) -> int:
        place = {item: number for column in self.columns for number, item in enumerate(column)}
        count = 0
        for column in self.columns:
            ends: list[int] = []
            for item in column:
                targets = sorted(place[other] for other in self.right[item])
                count += sum(len(ends) - bisect_right(ends, target) for target in targets)
                for target in targets:
                    insort(ends, target)
        return count

    def place(self) -> None:
        """Give every item the height of its middle, as near to its neighbours as the order and the sizes allow."""
        self.middle = [0.0] * len(self.column_of)
        for column in self.columns:
            self._settle(column, [0.0] * len(column))
        for turn in range(ROUNDS):
            sides = [self.left] if turn % 2 == 0 else [self.right]
            if turn >= ROUNDS - 2:
                sides = [self.left, self.right]
            for column in self.columns if turn % 2 == 0 else reversed(self.columns):
                wishes = []
                for item in column:
                    near = [self.middle[other] for side in sides for other in side[item]]
                    wishes.append(fmean(near) if near else self.middle[item])
                self._settle(column, wishes)
        top = min((self.middle[item] - self._height(item) / 2 for item in range(len(self.middle))), default=0.0)
        self.middle = [float(round(middle - top)) for middle in self.middle]
        self.height = max((self.middle[item] + self._height(item) / 2 for item in range(len(self.middle))), default=0.0)
        gap = COLUMN_GAP + min(self.height / 20, 2 * COLUMN_GAP)  # the taller, the steeper the arrows would be
        self.x: list[float] = []
        self.widths: list[float] = []
        x = 0.0
        for column in self.columns:
            self.x.append(x)
            self.widths.append(max(self.blocks[item].width for item in column if item in self.blocks))
            x += self.widths[-1] + gap
        self.width = max(0.0, x - gap)

    def _height(self, item: int) -> float:
        return self.blocks[item].height if item in self.blocks else 0.0

    def _settle(self, column: list[int], wishes: list[float]) -> None:
        """The least squares from the wishes that keep order and distance: pool adjacent violators."""
        offsets: list[float] = []
        for number, item in enumerate(column):
            above = offsets[-1] + self._height(column[number - 1]) / 2 + GAP if number else 0.0
            offsets.append(above + self._height(item) / 2)
        pools: list[tuple[float, int]] = []  # (mean, how many)
        for wish, offset in zip(wishes, offsets, strict=True):
            mean, count = wish - offset, 1
            while pools and pools[-1][0] > mean:
                before, size = pools.pop()
                mean, count = (before * size + mean * count) / (size + count), size + count
            pools.append((mean, count))
        settled = [mean for mean, count in pools for _ in range(count)]
        for item, start, offset in zip(column, settled, offsets, strict=True):
            self.middle[item] = start + offset

    def boxes(self) -> tuple[list[Box], list[Frame]]:
        boxes: list[Box] = []
        frames: list[Frame] = []
        for item, block in self.blocks.items():
            some, frame = block.at(self.x[self.column_of[item]], self.middle[item] - block.height / 2)
            boxes += some
            frames += frame
        return boxes, frames

    def lines(self) -> list[Line]:
        lines = []
        for (one, other), solid in self.links.items():
            column = self.column_of[one]
            start = self.x[column] + (self.blocks[one].width if one in self.blocks else 0.0)
            lines.append(
                Line(
                    start,
                    self.middle[one],
                    self.x[column] + self.widths[column],
                    self.x[column + 1],
                    self.middle[other],
                    head=other in self.blocks,
                    solid=solid,
                )
            )
        return lines


def _shared(
    graph: Graph, parents_of: dict[str, tuple[tuple[str, bool], ...]], without: set[str]
) -> list[tuple[str, ...]]:
    """The images of each block, in build order of their first."""
    siblings: defaultdict[tuple[tuple[str, bool], ...], list[str]] = defaultdict(list)
    for name in graph.order():
        if parents_of[name] and not graph.children(name):
            siblings[parents_of[name]].append(name)
    grouped = {names[0]: tuple(names) for names in siblings.values() if len(names) >= SHARED_BLOCK}
    hidden = without.union(*(names[1:] for names in grouped.values()))
    return [grouped.get(name, (name,)) for name in graph.order() if name not in hidden]


def _barycentre(neighbours: list[list[int]], place: list[int]) -> Callable[[int], float]:
    def key(item: int) -> float:
        near = neighbours[item]
        return fmean(place[other] for other in near) if near else float(place[item])

    return key
