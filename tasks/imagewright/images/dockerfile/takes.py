"""Which images the stages of a Dockerfile take, and for which platform each."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from imagewright.errors import DockerfileError
from imagewright.images.dockerfile.stages import SCRATCH, Graph, global_variables
from imagewright.images.dockerfile.syntax import is_foreign, read
from imagewright.images.dockerfile.variables import platform_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from imagewright.images.model import BaseConfig

# Two builders: a stage for the builder's own platform is for another one with each, and what is the same is not.
_BUILDERS = ("linux/amd64", "linux/arm64")


class Take(NamedTuple):
    """An image that a stage stands on (its own platform), or that a command reads (the platform that is built for)."""

    line: int  # 1-based
    reference: str  # expanded; or the name of the context that stands for it, as configured
    is_context: bool
    platform: str


def takes(
    data: bytes,
    *,
    path: str,
    build_args: Mapping[str, str],
    target: str | None,
    platform: str,
    base: Callable[[str, str], BaseConfig | None],
    contexts: Mapping[str, str],
    unknown_args: Sequence[str] = (),
) -> tuple[Take, ...]:
    """What a build for `platform` takes in the stages that it reaches, by line.

    Only what is the same whichever machine builds: a stage for the builder's own platform
    (`FROM --platform=$BUILDPLATFORM`) is left out. So is all that cannot be told: a variable that nobody knows, another
    front end's Dockerfile, one that BuildKit refuses. `base`, `contexts` and `unknown_args` are those of `evaluate`.
    """
    answers: list[tuple[Take, ...]] = []
    with suppress(DockerfileError):
        dockerfile = read(data, path=path, syntax=build_args.get("BUILDKIT_SYNTAX"))
        if is_foreign(dockerfile.syntax) or not dockerfile.stages:
            return ()
        last = target or dockerfile.stages[-1].name
        for builder in _BUILDERS:
            predefined = platform_variables(platform, builder, last, build_args)
            with suppress(DockerfileError):  # a builder of a platform that is refused is not the one that will be asked
                values = global_variables(dockerfile, predefined, build_args, unknown_args)
                graph = Graph(dockerfile, globals_=values, platform=platform, contexts=contexts, ask=base)
                untold = {
                    stage.line
                    for stage in dockerfile.stages
                    if stage.platform and values.expand(stage.platform, dockerfile.escape)[0] is None
                }
                answers.append(tuple(one for one in _taken(graph, target) if one.line not in untold))
    return tuple(sorted(set.intersection(*map(set, answers)))) if answers else ()


def _taken(graph: Graph, target: str | None) -> Iterator[Take]:
    for node in graph.reached(graph.target(target)):
        if node.context:
            yield Take(node.line, node.context.name, True, node.platform)
        elif node.base is None and node.reference not in (None, SCRATCH):
            yield Take(node.line, str(node.reference), False, node.platform)
