"""A YAML text as plain values, every scalar exactly as written, with the line of every key.

YAML 1.1 reads `2025.10` as a number and `yes` as a truth value. Here they stay text: the models say what is a number.
The document is built from libyaml's events, which is twice as fast as its nodes and never overflows the stack.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from imagewright.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_DEPTH = 64
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_CORE_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map"))
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # YAML 1.1, 5.1

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """Values: str, None, list and dict with str keys. `lines` has the 1-based line of every key and list item.

    `problems` are keys that stand twice in one mapping: the rest of the document is still worth checking.
    """

    value: Any = None
    lines: Mapping[Path, int] = field(default_factory=dict)
    problems: tuple[ConfigError, ...] = ()

    def line(self, path: Path) -> int:
        """The line of the key, or of the nearest one above it that the text really has."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def parse(text: str, name: str) -> Document:
    """Read one YAML document; ConfigError with `name:LINE` for anything that is not one. Empty text is None."""
    if odd := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, odd.start()) + 1
        raise ConfigError(f"a control character (U+{ord(odd[0]):04X}) stands in the text", where=f"{name}:{line}")
    reader = _Reader(text, name)
    try:
        return reader.document()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, name) from error


class _Reader:
    def __init__(self, text: str, name: str) -> None:
        # PyYAML comes without libyaml on some platforms.
        self._events: Any = (yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader)(text)
        self._name = name
        self._lines: dict[Path, int] = {}
        self._anchors: dict[str, Any] = {}
        self._problems: list[ConfigError] = []

    def document(self) -> Document:
        self._events.get_event()
        if self._events.check_event(yaml.StreamEndEvent):
            return Document()
        self._events.get_event()
        value = self._value(self._events.get_event(), ())
        self._events.get_event()
        if not self._events.check_event(yaml.StreamEndEvent):
            self._fail(self._events.get_event(), "a second document begins", hint="one file holds one document")
        return Document(value, self._lines, tuple(self._problems))

    def _value(self, event: Any, path: Path) -> Any:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                hint = f"put quotes round a text that begins with `*`, or mark a value above it with `&{event.anchor}`"
                self._fail(event, f"`*{event.anchor}` refers to nothing", hint=hint)
            return self._anchors[event.anchor]
        if event.tag is not None and event.tag not in _CORE_TAGS and event.tag != "!":
            self._fail(event, f"the tag `{event.tag}` is not known", hint="tags are not needed: leave it out")
        if len(path) > _MAX_DEPTH:
            self._fail(event, "nested too deeply")
        if isinstance(event, yaml.ScalarEvent):
            null = event.implicit[0] and event.value in _NULLS
            value: Any = None if null else event.value
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._list(path)
        else:
            value = self._dict(path)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _list(self, path: Path) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := self._events.get_event(), yaml.SequenceEndEvent):
            item = (*path, len(values))
            self._lines[item] = _line(event)
            values.append(self._value(event, item))
        return values

    def _dict(self, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        while not isinstance(event := self._events.get_event(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                hint = "put quotes round a text that begins with `{`, `[` or `*`"
                self._fail(event, "a key must be plain text", hint=hint)
            key, item = event.value, (*path, event.value)
            if key == "<<" and event.implicit[0]:
                merged += self._merge(event, item)
                continue
            if key in values:
                problem = f"`{key}` stands twice: here and in line {self._lines[item]}"
                self._problems.append(self._error(event, problem))
                self._value(self._events.get_event(), (*path, "", key))
                continue
            self._lines[item] = _line(event)
            values[key] = self._value(self._events.get_event(), item)
        for other in merged:
            values = {**other, **values}
        return values

    def _merge(self, event: Any, path: Path) -> list[dict[str, Any]]:
        # https://yaml.org/type/merge.html: keys that are there stay, and the first of several mappings wins.
        value = self._value(self._events.get_event(), path)
        mappings: list[Any] = value if isinstance(value, list) else [value]
        if not all(isinstance(mapping, dict) for mapping in mappings):
            self._fail(event, "`<<` takes a mapping or a list of mappings")
        return mappings

    def _fail(self, event: Any, message: str, *, hint: str | None = None) -> NoReturn:
        raise self._error(event, message, hint=hint)

    def _error(self, event: Any, message: str, *, hint: str | None = None) -> ConfigError:
        return ConfigError(message, where=f"{self._name}:{_line(event)}", hint=hint)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _syntax_error(error: yaml.MarkedYAMLError, text: str, name: str) -> ConfigError:
    lines = text.splitlines() or [""]
    mark = error.problem_mark or error.context_mark
    number = min(mark.line + 1, len(lines)) if mark else 1
    begun = error.context_mark.line + 1 if error.context_mark else number
    message = f"this is not YAML: {error.problem or error.context}"
    if error.context and error.problem:
        message += f", {error.context}" + (f" that begins in line {begun}" if begun < number else "")
    line = lines[number - 1]
    hint = None
    if "\t" in line[: len(line) - len(line.lstrip())]:
        hint = "indent with spaces, not with tabs"
    elif re.search(r"(?:[:,\[-]|^)\s*[{*%@`&!]", line):
        hint = "put quotes round a text that begins with a special character: { [ * & ! % @ `"
    elif re.search(r":\s.*:(?:\s|$)", line):
        hint = "put quotes round a text that contains `: `"
    return ConfigError(message, where=f"{name}:{number}", hint=hint)
