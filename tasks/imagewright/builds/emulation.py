"""Whether a builder can execute what images run for their platforms: asked before a build starts, not in its middle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from imagewright.builds.nodes import Node, node_of
from imagewright.errors import EnvironmentMissingError
from imagewright.platforms import normal, runs

Kind = Literal["local", "docker", "docker-container", "remote", "kubernetes"]

_MEND: Mapping[Kind, str] = {
    "local": "`apt-get install qemu-user-static binfmt-support` on this machine",
    "docker": "`docker run --privileged --rm tonistiigi/binfmt --install {architecture}`",
    "docker-container": "`docker run --privileged --rm tonistiigi/binfmt --install {architecture}` on the engine's "
    "machine, or a node for {platform} (`builder.nodes`)",
    "remote": "give the builder a node for {platform} (`builder.nodes`), or install qemu-user-static and "
    "binfmt-support on the machine of its BuildKit",
    "kubernetes": "give the builder a node for {platform} (`builder.nodes`), or its pods an emulator (the option "
    "`qemu.install=true`)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An image, and for each platform that it is built for those that it executes something for."""

    name: str
    runs: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A platform that no node is known to run, where it is needed, and the images that need it."""

    platform: str
    images: tuple[str, ...]


def is_able(nodes: Sequence[Node], platform: str) -> bool:
    """Whether the node that builds for a platform says, or was said, to run it."""
    return bool(nodes) and _says(nodes[node_of(nodes, [platform])[0]], platform)


def missing(wanted: Iterable[Wanted], nodes: Sequence[Node]) -> tuple[Missing, ...]:
    """What images execute on nodes that do not say that they can, by platform.

    The node is the one that buildx gives the image's platform to. A node that nobody asked can run what was named
    for it.
    """
    found: dict[str, dict[str, None]] = {}
    for image in wanted:
        for platform, executed in image.runs.items():
            at = node_of(nodes, [platform])[0] if nodes else None
            for one in sorted(executed):
                if at is None or not _says(nodes[at], one):
                    found.setdefault(normal(one), {})[image.name] = None
    return tuple(Missing(platform=platform, images=tuple(images)) for platform, images in found.items())


def require_emulators(lacking: Sequence[Missing], *, kind: Kind, executes: Callable[[str], bool | None]) -> None:
    """EnvironmentMissingError, with what mends it, for a platform that the builder really cannot execute.

    `executes` tries a program of a platform on the builder: one whose BuildKit has emulators of its own does not say
    so, and BuildKit's own images and archives have (docs/multi-platform.md of BuildKit). What cannot be told (None)
    is no error.
    """
    really = [one for one in lacking if executes(one.platform) is False]
    if not really:
        return
    told = "; ".join(f"{_counted(one.images)} for {one.platform}" for one in really)
    first = really[0].platform
    raise EnvironmentMissingError(
        f"the builder has no emulator for what it would run: {told}",
        hint=_MEND[kind].format(platform=first, architecture=",".join(one.platform.split("/")[1] for one in really)),
    )


def _says(node: Node, platform: str) -> bool:
    return any(normal(platform) in runs(known) for known in node.known)


def _counted(names: Sequence[str], shown: int = 5) -> str:
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")
