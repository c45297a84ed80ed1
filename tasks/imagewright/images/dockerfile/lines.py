"""A Dockerfile's text as instructions: parser directives, continuations, comments, builder flags, heredocs.

BuildKit's frontend/dockerfile/parser, rule for rule. The words of an instruction and the heredoc markers are read by
e2b-dockerfile-utils; its own loop over the lines is not used, because it splits COPY by shell quotes (BuildKit does
not) and knows no heredoc behind ONBUILD.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from imagewright.errors import DockerfileError

if TYPE_CHECKING:
    from collections.abc import Iterator

SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
MAX_LINE_BYTES = 65535  # bufio.Scanner's limit: BuildKit refuses longer lines

_BLANKS = re.compile(r"[\t\v\f\r ]+")
_WORDS = re.compile(r"""(?:[^\t\n\v\f\r '"]|'[^']*(?:'|\Z)|"[^"]*(?:"|\Z))+""")
_BYTE_SPACE = re.compile(r"[\t\n\v\f\r \x85\xa0]")
_DIRECTIVE = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$", re.ASCII)
_DIRECTIVES = frozenset({"syntax", "escape", "check"})
_PLAIN_FLAG = re.compile(r"""(--[!#-&(-\[\]-_a-~]+)(?:[\t\n\v\f\r ]+|\Z)""")  # neither quotes nor escapes in it
_SPECIAL_IN_FLAGS = re.compile(r"""['"\\`]""")
_WITH_HEREDOC = frozenset({"ADD", "COPY", "RUN"})


class Line(NamedTuple):
    """The text of one instruction: continuation lines joined, comments inside them dropped."""

    text: str  # heredoc bodies excluded
    number: int  # 1-based, the first one
    heredocs: tuple[tuple[str, str], ...] = ()  # (name, body)


class Instruction(NamedTuple):
    """One instruction, its flags told from what follows them."""

    keyword: str  # as written
    name: str  # the keyword in upper case
    flags: tuple[str, ...]  # "--from=x", quotes removed
    rest: str  # what follows the flags
    line: int  # 1-based, the first one
    text: str  # all of it, heredoc bodies excluded
    heredocs: tuple[tuple[str, str], ...] = ()  # (name, body)


def decode(data: bytes) -> str:
    """The text without its byte order mark; bytes that are no UTF-8 survive as surrogates."""
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")


def refuse(message: str, path: str, line: int, hint: str | None = None) -> NoReturn:
    """Raise the DockerfileError of `path:line`."""
    raise DockerfileError(message, where=f"{path}:{line}", hint=hint)


def instructions(text: str, *, path: str) -> tuple[str, tuple[Line, ...]]:
    """The escape character and the instructions; DockerfileError where BuildKit's parser refuses the text."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    if len(text) > MAX_LINE_BYTES // 4:
        _check_length(lines, path)
    escape = _escape_character(lines, path)
    found = tuple(_instructions(lines, escape, path))
    if not found:
        refuse("the file has no instructions", path, 1, "a Dockerfile begins with FROM")
    return escape, found


def parse_line(text: str, escape: str, line: int, heredocs: tuple[tuple[str, str], ...] = ()) -> Instruction:
    """One instruction whose continuation lines are joined already."""
    keyword, *more = _BLANKS.split(text.strip(SPACES), maxsplit=1)
    rest = more[0] if more else ""
    flags: tuple[str, ...] = ()
    if rest.startswith("--"):
        rest, flags = _split_flags(rest, escape)
    return Instruction(keyword, keyword.upper(), flags, rest.strip(SPACES), line, text, heredocs)


def json_array(rest: str, *, path: str, line: int) -> tuple[str, ...] | None:
    """The strings of the exec form; None where it is the shell form; an array of other things is an error."""
    if not rest.startswith("["):
        return None
    try:
        values = json.loads(rest, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(value, str) for value in values):
        refuse("when using JSON array syntax, arrays must be comprised of strings only", path, line)
    return tuple(values)


def words(rest: str, escape: str) -> list[str]:
    """Words split at blanks outside quotes; quotes and escapes stay in place (BuildKit's parseWords)."""
    if escape not in rest and rest.isascii():
        return _WORDS.findall(rest)
    from e2b_dockerfile_utils import parse_words

    return parse_words(rest, escape)


def blank_separated(rest: str) -> list[str]:
    """Words split at blanks, quotes or not: FROM, COPY and ADD are read so."""
    return _BLANKS.split(rest) if rest else []


def is_heredoc(word: str) -> bool:
    """Whether a source of COPY or ADD is the marker of a heredoc."""
    if "<<" not in word:
        return False
    from e2b_dockerfile_utils import parse_heredoc

    try:
        return parse_heredoc(word) is not None
    except ValueError:
        return False


def _instructions(lines: list[str], escape: str, path: str) -> Iterator[Line]:
    at, end = 0, len(lines)
    while at < end:
        line = lines[at].rstrip("\r").lstrip(SPACES)
        at += 1
        if not line or line[0] == "#":
            continue
        start = at
        if escape in line and _continues(line, escape):
            parts = [line.rstrip(" \t")[:-1]]
            while at < end:
                raw = lines[at].rstrip("\r")
                at += 1
                bare = raw.lstrip(SPACES)
                if not bare or bare[0] == "#":
                    continue
                if escape not in raw or not _continues(raw, escape):
                    parts.append(raw)
                    break
                parts.append(raw.rstrip(" \t")[:-1])
            line = "".join(parts)
        heredocs: list[tuple[str, str]] = []
        if "<<" in line and _takes_heredocs(parse_line(line, escape, start), escape, path):
            heredocs, at = _heredocs(line, lines, at, path, start)
        yield Line(line, start, tuple(heredocs))


def _continues(line: str, escape: str) -> bool:
    """Whether the line ends in one escape character, trailing blanks aside; two of them are none."""
    body = line.rstrip(" \t")
    return body.endswith(escape) and body[-2:-1] != escape


def _escape_character(lines: list[str], path: str) -> str:
    escape = "\\"
    seen: set[str] = set()
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip("\r").lstrip(SPACES)
        match = _DIRECTIVE.match(line[1:].lstrip(SPACES)) if line.startswith("#") else None
        key = match[1].lower() if match else ""
        if match is None or key not in _DIRECTIVES:
            break
        if key in seen:
            refuse(f"only one {key} parser directive can be used", path, number)
        seen.add(key)
        if key == "escape":
            escape = match[2]
            if escape not in ("\\", "`"):
                refuse(f"invalid escape token {escape!r}: only ` and \\ can be one", path, number)
    return escape


def _check_length(lines: list[str], path: str) -> None:
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE_BYTES // 4 and len(line.encode("utf-8", "surrogateescape")) >= MAX_LINE_BYTES:
            refuse(f"the line is longer than {MAX_LINE_BYTES} bytes", path, number)


def _split_flags(line: str, escape: str) -> tuple[str, tuple[str, ...]]:
    """BuildKit's extractBuilderFlags: what follows the flags, and the flags."""
    if not line.isascii():
        return _walk_over_flags(line, escape)
    plain: list[str] = []
    at = 0
    while line.startswith("--", at):
        flag = _PLAIN_FLAG.match(line, at)
        if flag is None:
            return _walk_over_flags(line, escape)
        plain.append(flag[1])
        at = flag.end()
    return line[at:], tuple(plain)


def _walk_over_flags(line: str, escape: str) -> tuple[str, tuple[str, ...]]:
    """The same of any line. It goes from byte to byte, so that text that is no ASCII comes out as Latin-1."""
    raw = line if line.isascii() else line.encode("utf-8", "surrogateescape").decode("latin-1")
    flags: list[str] = []
    at = 0
    while True:
        while at < len(raw) and _BYTE_SPACE.match(raw[at]):
            at += 1
        if not raw.startswith("--", at):
            break
        word, quoted, at = _flag(raw, at, escape)
        if word == "--":
            break
        if word or quoted:
            flags.append(word)
    rest = raw[at:]
    return rest if line.isascii() else rest.encode("latin-1").decode("utf-8", "surrogateescape"), tuple(flags)


def _flag(raw: str, at: int, escape: str) -> tuple[str, bool, int]:
    """The word that begins at `at`, whether any of it was quoted, and where it ends."""
    blank = _BYTE_SPACE.search(raw, at)
    end = blank.start() if blank else len(raw)
    if not _SPECIAL_IN_FLAGS.search(raw, at, end):
        return raw[at:end], False, end
    word: list[str] = []
    quote, quoted = "", False
    while at < len(raw):
        char = raw[at]
        if quote:
            if char == quote:
                quote = ""
                at += 1
                continue
        elif _BYTE_SPACE.match(char):
            break
        elif char in "'\"":
            quote, quoted = char, True
            at += 1
            continue
        if char == escape:
            at += 1
            if at == len(raw):
                break
        word.append(raw[at])
        at += 1
    return "".join(word), quoted, at


def _takes_heredocs(instruction: Instruction, escape: str, path: str) -> bool:
    if instruction.name == "ONBUILD" and instruction.rest:
        instruction = parse_line(instruction.rest, escape, instruction.line)
    if instruction.name not in _WITH_HEREDOC:
        return False
    return json_array(instruction.rest, path=path, line=instruction.line) is None


def _heredocs(line: str, lines: list[str], at: int, path: str, start: int) -> tuple[list[tuple[str, str]], int]:
    from e2b_dockerfile_utils import ShellLex, parse_heredoc

    try:
        found = ShellLex("\\", raw_quotes=True, raw_escapes=True).process_words(line)
    except ValueError:
        found = []  # BuildKit drops this error: the shell gets the line as it is
    heredocs: list[tuple[str, str]] = []
    for word in found:
        try:
            marker = parse_heredoc(word)
        except ValueError as error:
            refuse(str(error), path, start)
        if marker is None:
            continue
        body: list[str] = []
        for raw in lines[at:]:
            at += 1
            candidate = raw.rstrip("\r")
            if (candidate.lstrip("\t") if marker.chomp else candidate) == marker.name:
                break
            body.append(raw + "\n")
        else:
            refuse(f"unterminated heredoc: a line {marker.name!r} is missing", path, start)
        heredocs.append((marker.name, "".join(body)))
    return heredocs, at


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are JSON to Python, and not to Go
