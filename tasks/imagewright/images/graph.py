"""The images of a repository and what each is built on, as a graph without cycles."""

from __future__ import annotations

from collections import defaultdict, deque
from itertools import pairwise
from typing import TYPE_CHECKING

from imagewright.errors import ConfigError
from imagewright.images.edges import edges

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imagewright.images.model import Edge, Image

__all__ = ["Graph", "edges"]


class Graph:
    """Parents come before children everywhere: in `order()`, and in what `ancestors` and `descendants` give.

    Every method takes an image's name and raises KeyError for one that is not in the graph.
    """

    def __init__(self, images: Sequence[Image], edges: Sequence[Edge]) -> None:
        """ConfigError where images depend on each other in a cycle: its path, and the line behind each step."""
        self.images: Mapping[str, Image] = {image.name: image for image in images}
        self.edges = tuple(edges)
        self._uses: defaultdict[str, list[Edge]] = defaultdict(list)
        parents: dict[str, set[str]] = {name: set() for name in self.images}
        children: dict[str, set[str]] = {name: set() for name in self.images}
        for edge in self.edges:
            self._uses[edge.child].append(edge)
            parents[edge.child].add(edge.parent)
            children[edge.parent].add(edge.child)
        self._parents = {name: tuple(sorted(some)) for name, some in parents.items()}
        self._children = {name: tuple(sorted(some)) for name, some in children.items()}
        self._levels = self._measure()
        self._order = tuple(sorted(self._levels, key=lambda name: (self._levels[name], name)))

    def parents(self, name: str) -> tuple[str, ...]:
        """What the image is directly built on, by name."""
        return self._parents[name]

    def children(self, name: str) -> tuple[str, ...]:
        """What is directly built on the image, by name."""
        return self._children[name]

    def uses(self, child: str) -> tuple[Edge, ...]:
        """The edges from the image to its parents, one for each different reference."""
        return tuple(self._uses.get(child, ()))

    def references(self, child: str) -> dict[str, tuple[str, ...]]:
        """The parents of the image, each with the references (or names of contexts) that stand for it, by line."""
        found: dict[str, tuple[str, ...]] = dict.fromkeys(self._parents[child], ())
        for edge in self.uses(child):
            found[edge.parent] += (edge.reference,)
        return found

    def ancestors(self, name: str) -> tuple[str, ...]:
        """Everything that has to be there before the image, in build order."""
        return self._reach(name, self._parents)

    def descendants(self, name: str) -> tuple[str, ...]:
        """Everything that follows a change of the image, in build order."""
        return self._reach(name, self._children)

    def level(self, name: str) -> int:
        """The length of the longest way from an image without parents: 0 for those."""
        return self._levels[name]

    def order(self) -> tuple[str, ...]:
        """All images in build order: by level, then by name."""
        return self._order

    def _reach(self, start: str, neighbours: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        reached: set[str] = set()
        ahead = [start]
        while ahead:
            for name in neighbours[ahead.pop()]:
                if name not in reached:
                    reached.add(name)
                    ahead.append(name)
        return tuple(sorted(reached, key=lambda name: (self._levels[name], name)))

    def _measure(self) -> dict[str, int]:
        waiting = {name: len(parents) for name, parents in self._parents.items()}
        levels = {name: 0 for name, count in waiting.items() if not count}
        ready = deque(levels)
        while ready:
            name = ready.popleft()
            for child in self._children[name]:
                waiting[child] -= 1
                if not waiting[child]:  # the parent that comes last is the one on the longest way
                    levels[child] = levels[name] + 1
                    ready.append(child)
        if stuck := sorted(waiting.keys() - levels.keys()):
            raise self._cycle(stuck)
        return levels

    def _cycle(self, stuck: Sequence[str]) -> ConfigError:
        # Each stuck image has a stuck parent, so that walking up from any of them must come around.
        among = set(stuck)
        path: list[str] = [stuck[0]]
        seen = {stuck[0]: 0}
        while True:
            parent = next(parent for parent in self._parents[path[-1]] if parent in among)
            if parent in seen:
                ring = path[seen[parent] :]
                break
            seen[parent] = len(path)
            path.append(parent)
        first = ring.index(min(ring))
        down = [ring[first], *reversed(ring[first + 1 :] + ring[:first]), ring[first]]  # from parent to child
        steps = (next(edge for edge in self._uses[child] if edge.parent == parent) for parent, child in pairwise(down))
        lines = "\n  ".join(f"{self._where(edge)}: {edge.child} uses {edge.parent}" for edge in steps)
        return ConfigError(f"images are built on each other in a cycle: {' -> '.join(down)}", hint=lines)

    def _where(self, edge: Edge) -> str:
        if edge.kind == "context":
            return f"images.{edge.child}.contexts.{edge.reference}"
        return f"{self.images[edge.child].dockerfile}:{edge.line}"
