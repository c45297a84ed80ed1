"""For which platforms a build executes programs: there the builder's machine must be able to run them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from imagewright.errors import DockerfileError
from imagewright.images.dockerfile.instructions import Onbuild
from imagewright.images.dockerfile.lines import decode, instructions
from imagewright.images.dockerfile.stages import Graph, global_variables
from imagewright.images.dockerfile.syntax import is_foreign, read
from imagewright.images.dockerfile.variables import platform_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from imagewright.images.dockerfile.stages import Node
    from imagewright.images.model import BaseConfig

# Two builders: a stage for the builder's own platform is for another one with each, and what is the same is not.
_BUILDERS = ("linux/amd64", "linux/arm64")


def platforms_run(
    data: bytes,
    *,
    path: str,
    build_args: Mapping[str, str],
    target: str | None,
    platform: str,
    base: Callable[[str, str], BaseConfig | None],
    contexts: Mapping[str, str] | None = None,
) -> frozenset[str]:
    """The platforms of the stages that have a RUN, and that an image for `platform` is really made from.

    A RUN in a stage for the builder's own platform (`FROM --platform=$BUILDPLATFORM`) does not count: it can be run
    anywhere. Triggers (ONBUILD) count; `base(reference, platform)` tells those of a base image, or None where nobody
    knows them. Whatever cannot be told is left out: another front end's Dockerfile, one that BuildKit refuses.
    """
    with suppress(DockerfileError):
        dockerfile = read(data, path=path, syntax=build_args.get("BUILDKIT_SYNTAX"))
        if is_foreign(dockerfile.syntax) or not dockerfile.stages:
            return frozenset()
        _, found = instructions(decode(data), path=path)
        lines = [(one.number, one.text.split(None, 1)[0].upper()) for one in found]
        froms = [line for line, name in lines if name == "FROM"]
        running = {max(start for start in froms if start <= line) for line, name in lines if name == "RUN"}
        answers = []
        for builder in _BUILDERS:
            last = target or dockerfile.stages[-1].name
            predefined = platform_variables(platform, builder, last, build_args)
            values = global_variables(dockerfile, predefined, build_args, ())
            graph = Graph(dockerfile, globals_=values, platform=platform, contexts=contexts or {}, ask=base)
            reached = [node for node in graph.reached(graph.target(target)) if node.label and not node.replaced]
            answers.append({node.platform for node in reached if node.line in running or _is_triggered(node)})
        return frozenset(set.intersection(*answers))
    return frozenset()


def _is_triggered(node: Node) -> bool:
    """Whether the base's ONBUILD makes it run something."""
    texts: list[str] = []
    if node.base:
        texts = [step.command.trigger for step in node.base.steps if isinstance(step.command, Onbuild)]
    elif node.config:
        texts = [*node.config.onbuild]
    return any(text.split(None, 1)[0].upper() == "RUN" for text in texts if text.strip())
