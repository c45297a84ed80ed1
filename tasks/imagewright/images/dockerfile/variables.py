"""Variables: their values where a line stands, and what is not known about them.

The expansion is BuildKit's shell lexer (frontend/dockerfile/shell), as e2b-dockerfile-utils ports it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from imagewright.platforms import normalized

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# ${x//pattern/text} with a star: Python's re replaces the empty match at the end too, Go's regexp does not
_ALL_WITH_STAR = re.compile(r"\$\{\w+//[^/]*\*")

# Most words are no more than this; the lexer walks over them character by character.
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_SIMPLE = re.compile(rf"""(?:[^$'"\\`]|\$\{{{_NAME}\}}|\${_NAME})*""")
_REFERENCE = re.compile(rf"\$\{{({_NAME})\}}|\$({_NAME})")
_QUOTED = re.compile(r"""'[^'\\`]*'|"[^$"\\`]*\"""")


class ExpansionError(ValueError):
    """The word is no legal expansion: `${`, a `${x:?}` that is unset."""


@dataclass(slots=True)
class Variables:
    """What `$name` stands for at one point of a Dockerfile.

    `unknown` are set to something that nobody knows; where `complete` is false, so may be every name that is not
    in `values`.
    """

    values: dict[str, str] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    complete: bool = True

    def copy(self) -> Variables:
        """An independent copy."""
        return Variables(dict(self.values), set(self.unknown), self.complete)

    def put(self, name: str, value: str | None) -> None:
        """Set to a value, or, with None, to one that is not known."""
        if value is None:
            self.values.pop(name, None)
            self.unknown.add(name)
        else:
            self.values[name] = value
            self.unknown.discard(name)

    def lay_over(self, others: Variables) -> None:
        """Set everything that `others` set, or may have set."""
        if not others.complete:
            self.unknown |= self.values.keys()
            self.values.clear()
        self.values |= others.values
        self.unknown = {name for name in self.unknown | others.unknown if name not in others.values}
        for name in others.unknown:
            self.values.pop(name, None)

    def expand(self, word: str, escape: str) -> tuple[str | None, tuple[str, ...]]:
        """The word with its variables expanded and quotes removed; or None and the names that are not known."""
        if "$" not in word and "'" not in word and '"' not in word and escape not in word:
            return word, ()
        looked_up = _LookedUp(self)
        if _QUOTED.fullmatch(word):
            return word[1:-1], ()
        if word.isascii() and _SIMPLE.fullmatch(word):
            text = _REFERENCE.sub(lambda match: looked_up.get(match[1] or match[2], "") or "", word)
            return (None, tuple(looked_up.missing)) if looked_up.missing else (text, ())
        from e2b_dockerfile_utils import ShellLex

        lexer = ShellLex(escape, env=looked_up, skip_unset_env=False)
        try:
            text = lexer.process_word(word)
        except (ValueError, re.error) as error:
            if looked_up.missing:
                return None, tuple(looked_up.missing)
            raise ExpansionError(str(error)) from error
        if looked_up.missing:
            return None, tuple(looked_up.missing)
        if _ALL_WITH_STAR.search(word):
            return None, (word,)
        return text, ()


class _LookedUp(dict[str, str]):
    """The mapping that the lexer asks; it notes the names whose value nobody knows."""

    __slots__ = ("_variables", "missing")

    def __init__(self, variables: Variables) -> None:
        super().__init__()
        self._variables = variables
        self.missing: dict[str, None] = {}

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        value = self._variables.values.get(name)
        if value is None and name and (not self._variables.complete or name in self._variables.unknown):
            self.missing[name] = None
        return value if value is not None else default


def platform_variables(target: str, build: str, stage: str, build_args: Mapping[str, str]) -> dict[str, str]:
    """The predefined ARGs (dockerfile2llb/platform.go, `defaultArgs`); build args replace them."""
    defaults = _of_platforms(target, build) | {"TARGETSTAGE": stage or "default"}
    if build_args:
        defaults |= {name: build_args[name] for name in defaults if name in build_args}
    return defaults


@lru_cache
def _of_platforms(target: str, build: str) -> dict[str, str]:
    target_os, target_arch, target_variant = normalized(target)
    build_os, build_arch, build_variant = normalized(build)
    return {
        "BUILDPLATFORM": _joined(build_os, build_arch, build_variant),
        "BUILDOS": build_os,
        "BUILDOSVERSION": "",
        "BUILDARCH": build_arch,
        "BUILDVARIANT": build_variant,
        "TARGETPLATFORM": _joined(target_os, target_arch, target_variant),
        "TARGETOS": target_os,
        "TARGETOSVERSION": "",
        "TARGETARCH": target_arch,
        "TARGETVARIANT": target_variant,
    }


def is_platform(text: str) -> bool:
    """Whether `FROM --platform=` takes the text (containerd/platforms `Parse`)."""
    parts = text.split("/")
    return len(parts) <= 3 and all(re.fullmatch(r"[A-Za-z0-9_.-]+(\([^/]*\))?", part) for part in parts)


def _joined(*parts: str) -> str:
    return "/".join(part for part in parts if part)


def names(values: Iterable[str]) -> str:
    """Variables for a message: `$A, $B`; a whole expression stays as it is."""
    return ", ".join(value if value.startswith("$") else f"${value}" for value in values)
