"""The stages of a Dockerfile as a graph, for one platform: which are reached from the target, and by what.

BuildKit's dockerfile2llb/convert.go, `buildDispatchStates` to `resolveStages`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imagewright.images.dockerfile.instructions import Copy, Onbuild, Run, trigger
from imagewright.images.dockerfile.lines import refuse
from imagewright.images.dockerfile.variables import ExpansionError, Variables, is_platform, names
from imagewright.images.model import BaseConfig
from imagewright.references import InvalidReferenceError, Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from imagewright.images.dockerfile.instructions import Command, Stage
    from imagewright.images.dockerfile.syntax import Dockerfile
    from imagewright.images.model import UseKind

SCRATCH = "scratch"
_INDEX = re.compile(r"[+-]?\d+")


@dataclass(frozen=True, slots=True)
class Context:
    """A named context that stands for a stage or an image."""

    name: str  # as configured
    value: str  # "docker-image://…", "target:…", "oci-layout://…", an address, or a folder


@dataclass(slots=True)
class Step:
    """A command, with the node of each image or stage that it reads from (None where it reads the context)."""

    command: Command
    sources: list[Node | None] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Node:
    """A stage; or an image that a command reads from, which has no commands of its own."""

    line: int
    raw: str  # the base as written
    reference: str | None  # the base, expanded; None where it is not known
    kind: UseKind
    name: str = ""
    label: str = ""  # the name, or else the stage's index
    platform: str = ""
    base: Node | None = None
    context: Context | None = None  # stands for the base
    replaced: bool = False  # the context stands for the whole stage, whose commands do not run
    steps: list[Step] = field(default_factory=list)
    needs: list[Node] = field(default_factory=list)
    triggers_added: bool = False
    config: BaseConfig | None = None  # of an outside base
    state: Variables = field(init=False)  # ENV and ARG, once it is walked over
    image: Variables = field(init=False)  # ENV alone: what children see
    done: bool = False  # its commands have run: others may read from it
    is_image: bool = False  # no named context stands for it, whatever it is called


class Graph:
    """The nodes in the order in which BuildKit builds them; DockerfileError where it refuses to."""

    def __init__(
        self,
        dockerfile: Dockerfile,
        *,
        globals_: Variables,
        platform: str,
        contexts: Mapping[str, str],
        ask: Callable[[str, str], BaseConfig | None],
    ) -> None:
        """`globals_` are the ARGs before the first FROM, `platform` the one that is built for."""
        self.path = dockerfile.path
        self.escape = dockerfile.escape
        self._globals = globals_
        self._platform = platform
        self._contexts = {_familiar(name): Context(name, value) for name, value in contexts.items()}
        self._ask = ask
        self.nodes: list[Node] = []
        self._by_name: dict[str, Node] = {}
        for index, stage in enumerate(dockerfile.stages):
            self._add_stage(index, stage)
        self._stage_count = len(self.nodes)
        for node, stage in zip(tuple(self.nodes), dockerfile.stages, strict=True):
            node.steps = [self._step(node, command) for command in stage.commands]
        self._refuse_circles()
        for node in self.nodes:
            self._check_reference(node)

    def target(self, name: str | None) -> Node:
        """The stage that is built: by name, in any case; without one, the last."""
        if not name:
            return self.nodes[self._stage_count - 1]
        node = self._by_name.get(name.lower())
        if node is None:
            refuse(f"target stage {name!r} could not be found", self.path, 1, self._near(name))
        return node

    def reached(self, target: Node) -> list[Node]:
        """What the target is built from, itself included, ONBUILD triggers of bases added, in building order."""
        while True:
            reached = _closure(target)
            for node in self.nodes[self._stage_count :]:
                if node not in reached:  # resolveBaseImage is done with it here, and asks for no context then
                    node.is_image, node.context = True, None
            grown = False
            for node in [node for node in self.nodes if node in reached and not node.triggers_added]:
                node.triggers_added = True
                grown = self._add_triggers(node) or grown
            if not grown:
                return [node for node in self.nodes if node in reached]

    def find_context(self, name: str, platform: str) -> Context | None:
        """The named context that goes before an image or a stage of this name."""
        if not self._contexts or name.lower() in (SCRATCH, "context"):
            return None
        familiar = _familiar(name)
        return self._contexts.get(f"{familiar}::{platform}") or self._contexts.get(familiar)

    def _add_stage(self, index: int, stage: Stage) -> None:
        reference = self._expand_global(stage.base, stage.line)
        if reference == "":
            hint = "give the ARG before the first FROM a default, or configure the build arg"
            refuse(f"base name ({stage.base}) should not be blank", self.path, stage.line, hint)
        node = Node(stage.line, stage.base, reference, "from", stage.name, stage.name or str(index))
        node.platform = self._stage_platform(stage) or self._platform
        context = self.find_context(stage.name, node.platform) if stage.name else None
        if context:
            node.context, node.replaced = context, True
        elif reference is None:
            node.needs = list(self.nodes)  # it may be any stage above
        else:
            node.base = self._by_name.get(reference)
        self.nodes.append(node)
        if stage.name:
            self._by_name[stage.name] = node

    def _stage_platform(self, stage: Stage) -> str:
        if not stage.platform:
            return ""
        platform = self._expand_global(stage.platform, stage.line)
        if platform == "":
            refuse(f"empty platform value from expression {stage.platform}", self.path, stage.line)
        if platform is not None and not is_platform(platform):
            refuse(f"{platform!r} is no platform", self.path, stage.line, "os/architecture, for example linux/arm64")
        return platform or ""

    def _expand_global(self, word: str, line: int) -> str | None:
        try:
            return self._globals.expand(word, self.escape)[0]
        except ExpansionError as error:
            refuse(str(error), self.path, line)

    def _step(self, node: Node, command: Command) -> Step:
        step = Step(command)
        if isinstance(command, Copy) and command.origin:
            step.sources = [self._copy_source(command)]
        elif isinstance(command, Run):
            step.sources = [self._mount_source(fields, command.line) for fields in command.mounts]
        for source in step.sources:
            if source:
                node.needs.append(source)
        return step

    def _copy_source(self, command: Copy) -> Node:
        origin = command.origin
        if _INDEX.fullmatch(origin):
            if not 0 <= int(origin) < len(self.nodes):
                refuse(f"invalid stage index {origin}", self.path, command.line)
            return self.nodes[int(origin)]
        return self._by_name.get(origin.lower()) or self._outside(origin, command.line, "copy")

    def _mount_source(self, fields: Sequence[str], line: int) -> Node | None:
        origin = ""
        for one in fields:
            key, _, value = one.partition("=")
            if key.lower() == "from":
                origin = value
        if not origin:
            self._outside(SCRATCH, line, "mount")  # BuildKit counts it among the stages: --from=INDEX can hit it
            return None
        return self._by_name.get(origin.lower()) or self._outside(origin, line, "mount")

    def _outside(self, reference: str, line: int, kind: UseKind) -> Node:
        node = Node(line, reference, reference, kind, platform=self._platform, done=True)
        self.nodes.append(node)
        return node

    def _check_reference(self, node: Node) -> None:
        """BuildKit reads the base of every stage as a reference, reached or not."""
        if node.base or node.reference is None or node.reference == SCRATCH:
            return
        try:
            Reference.parse(node.reference)
        except InvalidReferenceError as error:
            refuse(f"no stage, and no image: {error}", self.path, node.line, self._near(node.reference))
        if not node.context and not node.is_image:
            node.context = self.find_context(node.reference, node.platform)

    def _add_triggers(self, node: Node) -> bool:
        """Put the base's ONBUILD triggers before the node's own commands; whether they read from more nodes."""
        texts: Sequence[str] = ()
        if node.replaced or not node.label:
            pass  # its commands do not run, and it has none
        elif node.base:
            texts = [step.command.trigger for step in node.base.steps if isinstance(step.command, Onbuild)]
        else:
            node.config = self._config_of(node)
            texts = node.config.onbuild if node.config else ()
        steps = []
        for text in texts:
            command = trigger(text, path=self.path, line=node.line)
            if command:
                steps.append(self._step(node, command))
        for other in self.nodes[self._stage_count :]:
            self._check_reference(other)
        node.steps[:0] = steps
        return any(step.sources for step in steps)

    def _config_of(self, node: Node) -> BaseConfig | None:
        """The configuration of a node's outside base; None where nobody knows it."""
        if node.context:
            value = node.context.value
            if value.startswith("docker-image://"):
                reference = value.removeprefix("docker-image://")
                return BaseConfig() if reference == SCRATCH else self._ask(reference, node.platform)
            if value.startswith(("target:", "oci-layout://")):
                return self._ask(value, node.platform)
            return BaseConfig()
        if node.reference == SCRATCH:
            return BaseConfig()
        return self._ask(node.reference, node.platform) if node.reference else None

    def _refuse_circles(self) -> None:
        visited: set[Node] = set()
        path: set[Node] = set()

        def visit(node: Node) -> None:
            visited.add(node)
            path.add(node)
            for source in node.needs:
                if source in path:
                    refuse(f"circular dependency detected on stage: {node.label}", self.path, node.line)
                if source not in visited:
                    visit(source)
            path.discard(node)

        for node in self.nodes:
            if node.needs and node not in visited:
                visit(node)

    def _near(self, name: str) -> str | None:
        from difflib import get_close_matches

        near = get_close_matches(name.lower(), self._by_name, n=1)
        return f"did you mean {near[0]}? (stage names are stored in lower case)" if near else None


def global_variables(
    dockerfile: Dockerfile, predefined: Mapping[str, str], build_args: Mapping[str, str], unknown: Sequence[str]
) -> Variables:
    """The ARGs before the first FROM (`buildMetaArgs`): build args go before defaults."""
    variables = Variables(dict(predefined))
    for arg in dockerfile.args:
        for name, default in arg.pairs:
            if name in unknown:
                variables.put(name, None)
            elif name in build_args:
                variables.put(name, build_args[name])
            elif default is not None:
                try:
                    variables.put(name, variables.expand(default, dockerfile.escape)[0])
                except ExpansionError as error:
                    refuse(str(error), dockerfile.path, arg.line)
    return variables


def not_known(raw: str, missing: Sequence[str]) -> str:
    """Why a source cannot be told, for people."""
    return f"the value of {names(missing)} in {raw!r} is not known here"


def _closure(target: Node) -> set[Node]:
    reached: set[Node] = set()
    waiting = [target]
    while waiting:
        node = waiting.pop()
        if node in reached:
            continue
        reached.add(node)
        if node.base:
            waiting.append(node.base)
        waiting.extend(node.needs)
    return reached


def _familiar(name: str) -> str:
    """A name as BuildKit looks named contexts up (dockerui `NamedContext`): familiar, without `:latest`."""
    name, platform = name.split("::", 1) if "::" in name else (name, "")
    try:
        reference = Reference.parse(name)
    except InvalidReferenceError:
        return f"{name}::{platform}" if platform else name
    tag = f":{reference.tag}" if reference.tag else ""
    digest = f"@{reference.digest}" if reference.digest else ""
    familiar = f"{reference.familiar_repository}{tag}{digest}".removesuffix(":latest")
    return f"{familiar}::{platform}" if platform else familiar
