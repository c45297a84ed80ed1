"""One walk over the stages of a Dockerfile that are reached, for one platform and one builder's platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.images.dockerfile.instructions import Arg, Copy, Env, Onbuild, Run
from imagewright.images.dockerfile.lines import refuse
from imagewright.images.dockerfile.remotes import is_pinned, remote_kind
from imagewright.images.dockerfile.stages import SCRATCH, Graph, global_variables, not_known
from imagewright.images.dockerfile.variables import ExpansionError, Variables, platform_variables
from imagewright.images.model import BaseConfig, ContextUse, ImageUse, Remote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from imagewright.images.dockerfile.stages import Node, Step
    from imagewright.images.dockerfile.syntax import Dockerfile

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NOT_IN_ENV = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})
_MOUNT_TYPES = frozenset({"bind", "cache", "tmpfs", "secret", "ssh"})
_MOUNT_TRUTHS = frozenset({"readonly", "ro", "readwrite", "rw", "required"})
_MOUNT_KEYS = _MOUNT_TRUTHS | frozenset(
    {
        "type",
        "from",
        "source",
        "src",
        "target",
        "dst",
        "destination",
        "size",
        "id",
        "sharing",
        "mode",
        "uid",
        "gid",
        "env",
    }
)


class Walk:
    """One platform's walk over the reached stages; its lists are what was found."""

    def __init__(
        self,
        dockerfile: Dockerfile,
        build_args: Mapping[str, str],
        unknown_args: tuple[str, ...],
        target: str | None,
        platform: str,
        build: str,
        contexts: Mapping[str, str],
        ask: Callable[[str, str], BaseConfig | None],
    ) -> None:
        self.platform = platform
        self.images: list[ImageUse] = []
        self.context: list[ContextUse] = []
        self.remotes: list[Remote] = []
        self.unknowns: list[tuple[int, str]] = []
        self.unread: list[str] = []
        self._path, self._escape = dockerfile.path, dockerfile.escape
        self._build_args, self._unknown_args = build_args, unknown_args
        last = target or dockerfile.stages[-1].name
        predefined = platform_variables(platform, build, last, build_args)
        self._globals = global_variables(dockerfile, predefined, build_args, unknown_args)
        graph = Graph(dockerfile, globals_=self._globals, platform=platform, contexts=contexts, ask=ask)
        end = graph.target(target)
        reached = graph.reached(end)
        self.stages = [(node.line, node.label) for node in reached if node.label]
        for node in reached:
            self._use_base(node)
            node.done = True  # before its commands: an ONBUILD trigger may name the very stage that it runs in
            if node.label and not node.replaced:
                self._run(node)
        if end.replaced:
            self._use_context(end, end.line, "from", None)
        own = tuple(step.command.trigger for step in end.steps if isinstance(step.command, Onbuild))
        image = end.image
        self.gives = BaseConfig(
            env=image.values,
            unknown=tuple(sorted(image.unknown)),
            complete=image.complete,
            onbuild=() if end.replaced else own,
        )

    def _use_base(self, node: Node) -> None:
        """Note what a node stands on, and begin with its variables."""
        if node.base:
            node.state, node.image = node.base.state.copy(), node.base.image.copy()
            node.state.lay_over(node.image)  # ENV comes first again, also before a later ARG of the stage below
            if node.base.replaced:
                self._use_context(node.base, node.line, "from", None)
            return
        if node.context:
            if node.label and not node.replaced:
                self._use_context(node, node.line, "from", None)
        elif node.reference != SCRATCH:
            self.images.append(ImageUse(reference=node.reference, raw=node.raw, line=node.line, kind=node.kind))
            if node.reference is None:
                why = f"the value of a variable in FROM {node.raw} is not known here"
                self.unknowns.append((node.line, why))
        if not node.label:
            return
        config = node.config
        if config is None:
            self.unread.append(node.reference or node.raw)
            config = BaseConfig(complete=False)
        node.image = Variables(dict(config.env), set(config.unknown), config.complete)
        if config.complete and "PATH" not in config.env and "PATH" not in config.unknown:
            node.image.put("PATH", _DEFAULT_PATH)
        node.state = node.image.copy()

    def _run(self, node: Node) -> None:
        for step in node.steps:
            command = step.command
            try:
                if isinstance(command, Copy):
                    self._copy(node, step, command)
                elif isinstance(command, Run):
                    for fields, source in zip(command.mounts, step.sources, strict=True):
                        self._mount(node, fields, source, command.line)
                elif isinstance(command, Env):
                    self._env(node, command)
                elif isinstance(command, Arg):
                    self._arg(node, command)
            except ExpansionError as error:
                refuse(str(error), self._path, command.line)

    def _env(self, node: Node, command: Env) -> None:
        expand = node.state.expand
        pairs = [(expand(name, self._escape)[0], expand(value, self._escape)[0]) for name, value in command.pairs]
        for name, value in pairs:
            if name is None:
                node.state.complete = node.image.complete = False  # it may have set any variable
                continue
            node.state.put(name, value)
            node.image.put(name, value)

    def _arg(self, node: Node, command: Arg) -> None:
        for name, default in command.pairs:
            if name in _NOT_IN_ENV:
                continue
            if name in self._unknown_args:
                node.state.put(name, None)
            elif name in self._build_args:
                node.state.put(name, self._build_args[name])
            elif default is not None:
                node.state.put(name, node.state.expand(default, self._escape)[0])
            elif name in self._globals.unknown:
                node.state.put(name, None)
            elif name in self._globals.values:
                node.state.put(name, self._globals.values[name])

    def _copy(self, node: Node, step: Step, command: Copy) -> None:
        source = step.sources[0] if step.sources else None
        self._must_be_done(source, command.origin, node, command.line)
        expanded: list[str] = []
        why: str | None = None
        for raw in command.sources:
            text, missing = node.state.expand(raw, self._escape)
            if text is None:
                why = not_known(raw, missing)
                continue
            kind = remote_kind(text)
            if kind is None:
                expanded.append(text)
            elif not command.add:
                refuse(f"source can't be a git ref or a URL for COPY: {text}", self._path, command.line, "use ADD")
            else:
                checksum = node.state.expand(command.checksum, self._escape)[0] or ""
                self.remotes.append(Remote(address=text, line=command.line, pinned=is_pinned(text, checksum)))
        if not expanded and why is None:
            return
        sources = None if why else tuple(expanded)
        if source is None:
            if why:
                self.unknowns.append((command.line, why))
            self.context.append(
                ContextUse(
                    line=command.line,
                    kind="add" if command.add else "copy",
                    sources=sources,
                    excludes=command.excludes,
                    parents=command.parents,
                    why_whole=why,
                )
            )
        else:
            self._use_context(source, command.line, "copy", sources, command.excludes, command.parents, why)

    def _mount(self, node: Node, fields: Sequence[str], source: Node | None, line: int) -> None:
        kind, path = "bind", ""
        why: str | None = None
        origin = ""
        for one in fields:
            written, equals, raw = one.partition("=")
            key = written.lower()
            if key not in _MOUNT_KEYS:
                from difflib import get_close_matches

                near = get_close_matches(key, _MOUNT_KEYS, n=1)
                hint = f"did you mean {near[0]}?" if near else None
                refuse(f"unexpected key {written!r} in --mount={','.join(fields)}", self._path, line, hint)
            if not equals and key not in _MOUNT_TRUTHS:
                refuse(f"{one!r} in --mount={','.join(fields)} must be a key=value pair", self._path, line)
            origin = raw if key == "from" else origin
            if key not in ("type", "source", "src"):
                continue
            value, missing = node.state.expand(raw, self._escape)
            if value is None:
                why = not_known(raw, missing)
            elif key == "type":
                kind = value.lower()
                if kind not in _MOUNT_TYPES:
                    refuse(f"unsupported mount type {value!r}", self._path, line, ", ".join(sorted(_MOUNT_TYPES)))
            else:
                path = value
        self._must_be_done(source, origin, node, line)
        if kind in ("secret", "ssh", "tmpfs"):
            return
        sources = (path,) if path and not why else None
        whole = why or (None if path else "the mount names no source")
        if source is not None:
            self._use_context(source, line, "bind", sources, (), False, whole)
        elif kind == "bind":
            if why:
                self.unknowns.append((line, why))
            self.context.append(ContextUse(line=line, kind="bind", sources=sources, why_whole=whole))

    def _use_context(
        self,
        node: Node,
        line: int,
        kind: str,
        sources: tuple[str, ...] | None,
        excludes: tuple[str, ...] = (),
        parents: bool = False,
        why: str | None = None,
    ) -> None:
        """Note what is read of the named context that stands for `node`; nothing where none does."""
        if node.context is None or (node.label and not node.replaced and kind != "from"):
            return
        value = node.context.value
        if value.startswith(("docker-image://", "target:")):
            return
        if value.startswith("oci-layout://"):
            self.remotes.append(Remote(address=value, line=line, pinned="@sha256:" in value))
        elif remote_kind(value):
            self.remotes.append(Remote(address=value, line=line, pinned=is_pinned(value)))
        else:
            if sources is None and why is None:
                why = "a stage stands on it"
            self.context.append(
                ContextUse(
                    line=line,
                    kind=kind,  # type: ignore[arg-type]
                    sources=sources,
                    context=node.context.name,
                    excludes=excludes,
                    parents=parents,
                    why_whole=why,
                )
            )

    def _must_be_done(self, source: Node | None, origin: str, node: Node, line: int) -> None:
        if source is not None and not source.done:
            message = f"cannot read from stage {origin!r}: it needs to be defined before stage {node.label!r}"
            refuse(message, self._path, line, "move its FROM further up")
