"""Instructions with their meaning: stages, and the commands in them that read files, images or variables.

BuildKit's frontend/dockerfile/instructions. Commands that say nothing about inputs (LABEL, CMD, USER ...) are checked
for what BuildKit refuses, and dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from imagewright.images.dockerfile.lines import (
    blank_separated,
    instructions,
    is_heredoc,
    json_array,
    parse_line,
    refuse,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from imagewright.images.dockerfile.lines import Instruction

# per instruction: the flags, and whether one takes a boolean ("bool"), one value ("one") or several ("many")
_FLAGS: dict[str, dict[str, str]] = {
    "ADD": {
        "chown": "one",
        "chmod": "one",
        "link": "bool",
        "keep-git-dir": "bool",
        "checksum": "one",
        "unpack": "bool",
        "exclude": "many",
    },
    "COPY": {
        "chown": "one",
        "from": "one",
        "chmod": "one",
        "link": "bool",
        "exclude": "many",
        "parents": "bool",
    },
    "FROM": {"platform": "one"},
    "HEALTHCHECK": dict.fromkeys(("interval", "timeout", "start-period", "start-interval", "retries"), "one"),
    "RUN": {"mount": "many", "network": "one", "security": "one", "device": "many"},
}
_EXACTLY_ONE = frozenset({"MAINTAINER", "STOPSIGNAL", "USER", "WORKDIR"})
_AT_LEAST_ONE = frozenset({"ARG", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "SHELL", "VOLUME"})
_ANY = frozenset({"ADD", "CMD", "COPY", "ENTRYPOINT", "FROM", "RUN"})
_KNOWN = _EXACTLY_ONE | _AT_LEAST_ONE | _ANY
_EXEC_OR_SHELL = frozenset({"CMD", "ENTRYPOINT", "RUN"})
_STAGE_NAME = re.compile(r"[a-z][a-z0-9\-_.]*")


@dataclass(frozen=True, slots=True)
class Arg:
    """ARG: names, with a default or None."""

    line: int
    pairs: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Env:
    """ENV: names and values, not expanded."""

    line: int
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY or ADD: the sources are not expanded; heredocs are left out of them."""

    line: int
    add: bool
    sources: tuple[str, ...]
    origin: str = ""  # --from
    excludes: tuple[str, ...] = ()
    parents: bool = False
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """RUN: the fields of each --mount, variables not expanded."""

    line: int
    mounts: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Onbuild:
    """ONBUILD: the trigger as text, heredocs included."""

    line: int
    trigger: str


Command = Arg | Env | Copy | Run | Onbuild

# By their escape character and text: instructions that were read before. Many images have the same ones.
_READ: dict[tuple[str, str], Command | None] = {}


class Stage(NamedTuple):
    """FROM and what follows it."""

    line: int
    name: str  # lower case; "" without AS
    base: str  # not expanded
    platform: str  # --platform, not expanded; "" without
    commands: tuple[Command, ...]


def stages(text: str, *, path: str) -> tuple[str, tuple[Arg, ...], tuple[Stage, ...]]:
    """The escape character, the ARGs before the first FROM, and the stages; DockerfileError as BuildKit's."""
    escape, found = instructions(text, path=path)
    before: list[Arg] = []
    heads: list[tuple[Instruction, list[Command]]] = []
    for line in found:
        key = (escape, line.text)
        if heads and key in _READ:
            if known := _READ[key]:
                heads[-1][1].append(known if known.line == line.number else replace(known, line=line.number))
            continue
        instruction = parse_line(line.text, escape, line.number, line.heredocs)
        if instruction.name == "FROM":
            heads.append((instruction, []))
            continue
        command = _command(instruction, escape, path)
        if not heads:
            if not isinstance(command, Arg):
                refuse(f"{instruction.name} stands before the first FROM", path, line.number, "only ARG may")
            before.append(command)
            continue
        if command:
            heads[-1][1].append(command)
        if not line.heredocs:
            _READ[key] = command
    if not heads:
        refuse("there is no FROM: no stage to build", path, found[-1].number, "a Dockerfile begins with FROM")
    return escape, tuple(before), tuple(_stage(head, commands, path) for head, commands in heads)


def trigger(text: str, *, path: str, line: int) -> Command | None:
    """The command of an ONBUILD trigger of a base image, placed at the FROM line that brings it in."""
    escape, found = instructions(text, path=path)
    name = parse_line(found[0].text, escape, line).name
    if len(found) != 1 or name in ("FROM", "MAINTAINER", "ONBUILD"):
        refuse(f"the base image has an ONBUILD trigger that cannot be: {text!r}", path, line)
    return _command(parse_line(found[0].text, escape, line), escape, path)


def _command(instruction: Instruction, escape: str, path: str) -> Command | None:
    name, line, rest = instruction.name, instruction.line, instruction.rest
    if name not in _KNOWN:
        near = _near(name, _KNOWN)
        refuse(f"unknown instruction: {instruction.keyword}", path, line, f"did you mean {near[0]}?" if near else None)
    flags = _flags(instruction, path) if instruction.flags else {}
    if name in _EXACTLY_ONE and not rest:
        refuse(f"{name} requires exactly one argument", path, line)
    if name in _AT_LEAST_ONE and not rest:
        refuse(f"{name} requires at least one argument", path, line)
    if name in ("COPY", "ADD"):
        return _copy(instruction, flags, path)
    if name == "RUN":
        json_array(rest, path=path, line=line)
        if not flags:
            return None
        mounts = tuple(_mount(value, path, line) for value in flags.get("mount", ()))
        if flags.get("network", ("default",))[0] not in ("default", "none", "host"):
            refuse(f"invalid network mode {flags['network'][0]!r}", path, line, "default, none or host")
        return Run(line, mounts) if mounts else None
    if name in ("ENV", "LABEL"):
        pairs = _pairs(name, rest, escape, path, line)
        return Env(line, pairs) if name == "ENV" else None
    if name == "ARG":
        return _arg(rest, escape, path, line)
    if name == "ONBUILD":
        return _onbuild(instruction, escape, path)
    if name in _EXEC_OR_SHELL or name in ("SHELL", "VOLUME"):
        array = json_array(rest, path=path, line=line)
        if name == "SHELL" and not array:
            refuse("SHELL requires the arguments to be in JSON form", path, line)
    return None


def _stage(head: Instruction, commands: list[Command], path: str) -> Stage:
    args = blank_separated(head.rest)
    name = ""
    if len(args) == 3 and args[1].lower() == "as":
        name = args[2].lower()
        if not _STAGE_NAME.fullmatch(name):
            hint = "it begins with a letter; letters, digits, - _ and . follow"
            refuse(f"invalid name for a build stage: {args[2]!r}", path, head.line, hint)
    elif len(args) != 1:
        refuse("FROM requires either one or three arguments", path, head.line, "FROM image, or FROM image AS name")
    flags = _flags(head, path)
    return Stage(head.line, name, args[0], flags.get("platform", ("",))[0], tuple(commands))


def _flags(instruction: Instruction, path: str) -> dict[str, tuple[str, ...]]:
    known: Mapping[str, str] = _FLAGS.get(instruction.name, {})
    found: dict[str, tuple[str, ...]] = {}
    for flag in instruction.flags:
        key, equals, value = flag.partition("=")
        name, line = key[2:], instruction.line
        kind = known.get(name)
        if kind is None:
            near = _near(name, known)
            hint = f"did you mean --{near[0]}?" if near else None
            refuse(f"unknown flag of {instruction.name}: {key}", path, line, hint)
        if name in found and kind != "many":
            refuse(f"duplicate flag: {key}", path, line)
        if kind == "bool":
            if (equals and not value) or value.lower() not in ("", "true", "false"):
                refuse(f"{key} takes true or false", path, line)
            value = "false" if value.lower() == "false" else "true"
        elif not equals:
            refuse(f"missing a value on flag: {key}", path, line)
        found[name] = (*found.get(name, ()), value)
    return found


def _copy(instruction: Instruction, flags: Mapping[str, tuple[str, ...]], path: str) -> Copy:
    name, line = instruction.name, instruction.line
    array = json_array(instruction.rest, path=path, line=line)
    args = blank_separated(instruction.rest) if array is None else list(array)
    if len(args) < 2:
        refuse(f"{name} requires at least two arguments: sources and a destination", path, line)
    sources = args[:-1]
    if "<<" in instruction.rest:
        if is_heredoc(args[-1]):
            refuse(f"{name} cannot accept a heredoc as a destination", path, line)
        sources = [arg for arg in sources if not is_heredoc(arg)]
    origin = flags.get("from", ("",))[0]
    if origin and any(mark in origin for mark in ("$", "'", '"', "\\")):
        hint = "define a stage with FROM, and an ARG before the first FROM, and copy from that stage"
        refuse(f"variable expansion is not supported for --from: {origin}", path, line, hint)
    return Copy(
        line,
        name == "ADD",
        tuple(sources),
        origin,
        flags.get("exclude", ()),
        flags.get("parents") == ("true",),
        flags.get("checksum", ("",))[0],
    )


def _mount(value: str, path: str, line: int) -> tuple[str, ...]:
    fields = _quoted_fields(value, path, line) if '"' in value else value.split(",")
    for field in fields:
        key, _, text = field.partition("=")
        if key.lower() == "from" and "$" in text[:-1]:
            hint = "define a stage with FROM, and mount from that stage"
            refuse(f"variable expansion is not supported for 'from': {text}", path, line, hint)
    return tuple(fields)


def _quoted_fields(value: str, path: str, line: int) -> list[str]:
    import csv

    try:
        return next(csv.reader([value], strict=True), [])
    except csv.Error as error:
        refuse(f"--mount={value}: {error}", path, line)


def _pairs(name: str, rest: str, escape: str, path: str, line: int) -> tuple[tuple[str, str], ...]:
    found = words(rest, escape)
    if not found:
        refuse(f"{name} requires at least one argument", path, line)
    if "=" not in found[0]:
        old = rest.split(None, 1)  # ENV name the whole rest
        if len(old) < 2:
            refuse(f"{name} must have two arguments", path, line, f"{name} name=value")
        return ((old[0], old[1]),)
    pairs: list[tuple[str, str]] = []
    for word in found:
        key, equals, value = word.partition("=")
        if not equals:
            refuse(f"can't find = in {word!r}. Must be of the form: name=value", path, line)
        if not key:
            refuse(f"{name} names can not be blank", path, line)
        pairs.append((key, value))
    return tuple(pairs)


def _arg(rest: str, escape: str, path: str, line: int) -> Arg:
    pairs: list[tuple[str, str | None]] = []
    for word in words(rest, escape):
        key, equals, value = word.partition("=")
        if equals and not key:
            refuse("ARG names can not be blank", path, line)
        pairs.append((key, value if equals else None))
    return Arg(line, tuple(pairs))


def _onbuild(instruction: Instruction, escape: str, path: str) -> Onbuild:
    line = instruction.line
    inner = parse_line(instruction.rest, escape, line)
    if inner.name == "ONBUILD":
        refuse("ONBUILD ONBUILD isn't allowed", path, line)
    if inner.name in ("MAINTAINER", "FROM"):
        refuse(f"{inner.name} isn't allowed as an ONBUILD trigger", path, line)
    if instruction.flags:
        refuse(f"unknown flag of ONBUILD: {instruction.flags[0]}", path, line)
    text = re.sub(r"^\s*ONBUILD\s*", "", instruction.text, count=1, flags=re.IGNORECASE)
    return Onbuild(line, text + "".join(f"\n{body}{name}" for name, body in instruction.heredocs))


def _near(word: str, known: Iterable[str]) -> list[str]:
    from difflib import get_close_matches

    return get_close_matches(word, known, n=1)
