"""The nodes of a builder, and which of them builds what: buildx's own choice, made here before buildx makes it.

github.com/docker/buildx, build/resolver/driver.go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imagewright.platforms import normal, runs

_Matcher = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A member of a builder: a BuildKit of its own, with a cache of its own."""

    name: str
    endpoint: str  # "unix:///…", "tcp://…", a docker context, or "kubernetes:///…"
    platforms: tuple[str, ...] = ()  # named when it was created; they go first
    found: tuple[str, ...] | None = None  # those that its BuildKit says it can run; None: nobody asked it

    @property
    def known(self) -> tuple[str, ...]:
        """All platforms that it is known to build for, those first that were named."""
        return (*self.platforms, *(self.found or ()))


def parts(nodes: Sequence[Node], platforms: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The platforms of one image by the node that builds them, in the order given; one part where one node does.

    Each part, built alone, is built by one node. buildx looks at the platforms that were named for the nodes, and only
    where one of the image's is not among them at what the nodes say themselves: so a platform that was named for a
    node is built there, whatever it is built together with here, and the others by the first node that fits best.
    """
    wanted = tuple(dict.fromkeys(platforms))
    if len(nodes) < 2 or len(wanted) < 2:
        return (wanted,)
    named = {platform: node_of(nodes, [platform])[0] for platform in wanted if _is_named(nodes, platform)}
    others = tuple(platform for platform in wanted if platform not in named)
    found: dict[tuple[int, bool], list[str]] = {}
    for platform in wanted:
        is_named = platform in named
        at = named[platform] if is_named else node_of(nodes, others)[others.index(platform)]
        found.setdefault((at, is_named), []).append(platform)
    return _joined(nodes, wanted, {key: tuple(part) for key, part in found.items()})


def node_of(nodes: Sequence[Node], platforms: Sequence[str]) -> tuple[int, ...]:
    """The index of the node that buildx gives each platform of one build to."""
    strict = [_best([node.platforms for node in nodes], platform, _strictly) for platform in platforms]
    if None not in strict:
        return tuple(at for at in strict if at is not None)
    known = [node.known for node in nodes]
    return tuple(_best(known, platform, runs) or 0 for platform in platforms)


def _joined(
    nodes: Sequence[Node], wanted: Sequence[str], found: dict[tuple[int, bool], tuple[str, ...]]
) -> tuple[tuple[str, ...], ...]:
    """The named platforms of a node with its others, where buildx leaves them all there when it builds them at once."""
    result: list[tuple[str, ...]] = []
    for at in dict.fromkeys(at for at, _ in found):
        both = [found[key] for key in ((at, True), (at, False)) if key in found]
        together = tuple(platform for platform in wanted if any(platform in part for part in both))
        result += [together] if set(node_of(nodes, together)) == {at} else both
    return tuple(result)


def _is_named(nodes: Sequence[Node], platform: str) -> bool:
    return _best([node.platforms for node in nodes], platform, _strictly) is not None


def _strictly(platform: str) -> tuple[str, ...]:
    return (normal(platform),)


def _best(known: Sequence[Sequence[str]], platform: str, matcher: _Matcher) -> int | None:
    """`nodeResolver.get`: the first node that fits; a later one only where what it has fits better."""
    wanted = normal(platform)
    best: int | None = None
    best_platform = ""
    for at, platforms in enumerate(known):
        for candidate in platforms:
            order = matcher(candidate)
            if wanted in order and (best is None or _less(order, wanted, normal(best_platform))):
                best, best_platform = at, candidate
    return best


def _less(order: Sequence[str], one: str, other: str) -> bool:
    """Whether `one` stands before `other` (containerd/platforms, `orderedPlatformComparer.Less`)."""
    last = len(order)
    return (order.index(one) if one in order else last) < (order.index(other) if other in order else last)
