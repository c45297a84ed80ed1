"""Reading a Dockerfile: bytes to stages, once for all platforms."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from imagewright.errors import DockerfileError
from imagewright.images.dockerfile.frontend import is_foreign as is_foreign
from imagewright.images.dockerfile.instructions import Arg, Stage, stages
from imagewright.images.dockerfile.lines import decode

_TARGET = re.compile(r"TARGET(?:PLATFORM|OS|ARCH|VARIANT)")
_BUILD = re.compile(r"BUILD(?:PLATFORM|OS|ARCH|VARIANT)")
_PLATFORM_FLAG = re.compile(r"--platform=\S*")
_DIRECTIVE = re.compile(r"\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    """A Dockerfile that BuildKit would take. `args` stand before the first FROM."""

    path: str
    escape: str
    args: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    syntax: str | None = None  # the image of the `# syntax=` line
    syntax_line: int = 0
    by_target: bool = False  # whether TARGETARCH and the like are named anywhere
    by_build: bool = False  # the same of BUILDARCH and the like, outside of `FROM --platform=`
    from_build: bool = False  # the same inside of it


def read(data: bytes, *, path: str, syntax: str | None = None) -> Dockerfile:
    """Parse a Dockerfile; `path` is for messages, `syntax` (BUILDKIT_SYNTAX) goes before the file's own line.

    DockerfileError (`where` is `path:line`) for what BuildKit's parser refuses. A file for a foreign front end need
    not be a Dockerfile at all: it has no stages here where it does not parse.
    """
    text = decode(data)
    line = 0
    if syntax is None:
        syntax, line = detect_syntax(text)
    try:
        escape, args, found = stages(text, path=path)
    except DockerfileError:
        if is_foreign(syntax):
            return Dockerfile(path=path, escape="\\", args=(), stages=(), syntax=syntax, syntax_line=line)
        raise
    return Dockerfile(
        path=path,
        escape=escape,
        args=args,
        stages=found,
        syntax=syntax,
        syntax_line=line,
        by_target=names_target(text),
        by_build=names_build(text),
        from_build="BUILD" in text and any(_BUILD.search(flag) for flag in _PLATFORM_FLAG.findall(text)),
    )


def names_target(text: str) -> bool:
    """Whether the text may read a variable of the target platform."""
    return "TARGET" in text and bool(_TARGET.search(text))


def names_build(text: str) -> bool:
    """Whether the text may read a variable of the build platform for more than `FROM --platform=`."""
    return "BUILD" in text and bool(_BUILD.search(_PLATFORM_FLAG.sub("", text)))


def detect_syntax(text: str) -> tuple[str | None, int]:
    """The front end's image and its line (parser/directives.go `DetectSyntax`): `#`, `//` or a JSON document."""
    lines = text.split("\n", 50)
    first = 1 if lines[0].startswith("#!") else 0
    for comment in ("#", "//"):
        for number, raw in enumerate(lines[first:], first + 1):
            match = _DIRECTIVE.match(raw[len(comment) :]) if raw.startswith(comment) else None
            if match is None or match[1].lower() not in ("syntax", "escape", "check"):
                break
            if match[1].lower() == "syntax":
                return match[2].partition(" ")[0], number
    if text.lstrip().startswith("{"):
        try:
            value = json.loads(text).get("syntax")
        except (ValueError, AttributeError):
            return None, 0
        return (value, 1) if isinstance(value, str) else (None, 0)
    return None, 0
