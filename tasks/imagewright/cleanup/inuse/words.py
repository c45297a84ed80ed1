"""References to known repositories in any text: manifests, compose and CI files, scripts, prose.

Nothing is parsed as a format. A reference is a word, and what a format spreads over several lines (kustomize's
`newTag`, Helm's `tag`) is met by the words near by: what is no use of an image is kept for nothing, but what is one is
never overlooked because a file is a template, or has a format that nobody thought of.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from imagewright.references import DOCKER_HUB, Reference, is_digest, is_tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Shell, compose, make; GitHub's expressions; Helm, Jinja; Python; ERB; cmd. Bounded: no odd file takes for ever.
_INSIDE = r"[^\n]{0,300}?"
_VARIABLE = (
    rf"\$\{{\{{{_INSIDE}\}}\}}|\{{\{{{_INSIDE}\}}\}}|\$\{{[^}}\n]{{0,300}}\}}|\$\([^)\n]{{0,300}}\)|\$\[\[{_INSIDE}\]\]"
    rf"|\$[A-Za-z_]\w*|\$[0-9@*]|\{{[A-Za-z_][\w.]*\}}|<%{_INSIDE}%>|%[A-Za-z_]\w*%|`[^`\n]{{0,300}}`"
)
_CHARACTER = r"[A-Za-z0-9._:@\-\[\]]"
_ANY_WORD = re.compile(rf"(?:{_VARIABLE}|{_CHARACTER}|/)+")
_WORD = re.compile(rf"(?<!{_CHARACTER}){_CHARACTER}*+(?:{_VARIABLE}|/)(?:{_VARIABLE}|{_CHARACTER}|/)*")  # no plain ones
_ONE_VARIABLE = re.compile(_VARIABLE)
_SIGNS = re.compile(r"[${<%`]")  # one of them is in every variable
_FALLBACK = re.compile(r"\$\{\w+:?[-=+?](?P<text>[^}\n]*)\}")
_PLAIN_VARIABLE = re.compile(r"\$\{?(?P<name>[A-Za-z_]\w*)\}?")
_ASSIGNED = re.compile(
    r"""^[ \t]*(?:(?:export|set|ENV|ARG)[ \t]+|-[ \t]*)?["']?(?P<name>[A-Za-z_]\w*)["']?(?P<sign>[ \t]*:?[:=][ \t]*)"""
    r"""(?P<value>[^\n]*)$""",
    re.MULTILINE,
)
_LITERAL = re.compile(r"""(?P<quote>["']?)(?P<text>[A-Za-z0-9_][\w.:/@-]*)(?P=quote)[,;]?(?:[ \t]+\#.*)?""")
_IMAGE_KEY = re.compile(
    rf"""^[ \t]*(?:-[ \t]*)?(?:["']?(?:image|container)["']?[ \t]*[:=]|FROM(?:[ \t]+--platform=\S+)?[ \t])[ \t]*["']?"""
    rf"""(?P<value>(?:(?>{_VARIABLE})|[/:@.-])++)(?=["'\s,]|$)""",
    re.MULTILINE,
)
_TAG_KEY = re.compile(
    r"""(?<![\w.-])["']?[\w.-]*?tag["']?[ \t]*:?[:=][ \t]*["']?(?P<value>[A-Za-z0-9_][\w.-]{0,127})""", re.IGNORECASE
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})(?![0-9a-f])")
_LOOPBACK = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?=[:/])")
_NAME = re.compile(r"[A-Za-z0-9]")
_ENDS = ".:/-@[]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A known repository, named in a text. A `*` in the tag stands for what a variable has."""

    repository: str
    tag: str | None  # None: none is written
    digest: str | None
    line: int  # 1-based

    @property
    def is_open(self) -> bool:
        """Whether a variable stands in the tag."""
        return self.tag is not None and "*" in self.tag


class Names:
    """The ways to write the repositories that are looked for."""

    def __init__(self, repositories: Iterable[str]) -> None:
        self._repositories = tuple(sorted(set(repositories)))
        self._spelled: dict[str, tuple[str, ...]] = {}
        for repository in self._repositories:
            for spelling in dict.fromkeys(_spellings(repository)):
                self._spelled[spelling] = (*self._spelled.get(spelling, ()), repository)

    def find(self, name: str) -> tuple[str, ...]:
        """The repositories that a name may mean; in a name, `*` stands for a variable's value."""
        if "*" not in name:
            return self._spelled.get(name, ())
        fitting = (found for spelling, found in self._spelled.items() if fnmatchcase(spelling, name))
        return tuple(dict.fromkeys(repository for found in fitting for repository in found))

    @property
    def has_plain(self) -> bool:
        """Whether one of them can be written without a `/`: Docker Hub's own, such as `debian`."""
        return any("/" not in spelling for spelling in self._spelled)

    @property
    def all(self) -> tuple[str, ...]:
        """Every repository, sorted."""
        return self._repositories


def mentions(text: str, names: Names, assigned: Mapping[str, frozenset[str]]) -> Iterator[Mention]:
    """Every reference to one of the repositories, also in the fallback of a variable.

    `assigned` has the values that variables are known to get; with an empty text among them, one is not known.
    """
    for found in (_ANY_WORD if names.has_plain else _WORD).finditer(text):
        word = found[0]
        open_ended = _SIGNS.search(word) is not None
        for spelled in _resolved(word, assigned) if open_ended else (word,):
            for repository, tag, digest in _read(spelled, names):
                yield Mention(repository=repository, tag=tag, digest=digest, line=line_of(text, found.start()))
        if not open_ended:
            continue
        for fallback in _FALLBACK.finditer(word):
            for one in mentions(fallback["text"], names, assigned):
                line = line_of(text, found.start())
                yield Mention(repository=one.repository, tag=one.tag, digest=one.digest, line=line)


def assignments(text: str) -> dict[str, frozenset[str]]:
    """The values that a text gives to variables, in any of the usual notations; "" where a value is not literal."""
    values: dict[str, set[str]] = {}
    for found in _ASSIGNED.finditer(text):
        name, written = found["name"], found["value"].strip()
        literal = _LITERAL.fullmatch(written)
        if literal is None and re.findall(r"[A-Za-z_]\w*", written)[-1:] == [name]:
            continue  # `image: ${{ matrix.image }}`, `TAG: ${TAG}`: no further value
        # In a program, `TAG = other` is no text.
        is_code = "=" in found["sign"] and found["sign"] != "=" and not (literal and literal["quote"])
        values.setdefault(name, set()).add(literal["text"] if literal and not is_code else "")
    return {name: frozenset(found) for name, found in values.items()}


def has_variables(text: str) -> bool:
    """Whether anything in it may be a variable, at a glance."""
    return _SIGNS.search(text) is not None


def unknown_images(text: str, assigned: Mapping[str, frozenset[str]]) -> Iterator[tuple[int, str]]:
    """Places (line, as written) where an image is wanted of which not even a part of the name can be told."""
    for found in _IMAGE_KEY.finditer(text):
        value = found["value"]
        if not _ONE_VARIABLE.search(value) or any(one["text"].strip() for one in _FALLBACK.finditer(value)):
            continue
        if not any(_is_known(one, assigned) for one in _ONE_VARIABLE.findall(value)):
            yield line_of(text, found.start("value")), value


def tag_values(text: str) -> Iterator[tuple[str, int]]:
    """What stands behind a key that ends in `tag` (`newTag: 1.2`, `IMAGE_TAG=1.2`), with its line."""
    for found in _TAG_KEY.finditer(text):
        yield found["value"].rstrip(".-"), line_of(text, found.start("value"))


def digests(text: str) -> Iterator[tuple[str, int]]:
    """Every digest, with its line."""
    for found in _DIGEST.finditer(text):
        yield found[0], line_of(text, found.start())


def tag_words(text: str) -> frozenset[str]:
    """Everything in a text that could be a tag."""
    found = set(_TAG.findall(text))
    return frozenset((*found, *(word.rstrip(".-") for word in found)))


def line_of(text: str, position: int) -> int:
    """The 1-based line of a position."""
    return text.count("\n", 0, position) + 1


def _resolved(word: str, assigned: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """The word with `*` for each variable; or, where all values of all variables are known, with each of them."""
    spelled = [""]
    at = 0
    for found in _ONE_VARIABLE.finditer(word):
        plain = _PLAIN_VARIABLE.fullmatch(found[0])
        values = assigned.get(plain["name"], frozenset()) if plain else frozenset()
        known = sorted(values) if values and "" not in values and len(values) * len(spelled) <= 100 else ["*"]
        spelled = [f"{begun}{word[at : found.start()]}{value}" for begun in spelled for value in known]
        at = found.end()
    return tuple(f"{begun}{word[at:]}" for begun in spelled)


def _read(word: str, names: Names) -> Iterator[tuple[str, str | None, str | None]]:
    word = word.rpartition("://")[2].rstrip(_ENDS)
    word = word if word.startswith("[::1]") else word.lstrip(_ENDS)
    rest, _, digest = word.partition("@")
    while rest:
        folder, slash, last = rest.rpartition("/")
        last, colon, tag = last.partition(":")
        name = f"{folder}{slash}{last}"
        # `$DIR/$FILE` is no image: of a name that is only variables nothing can be said here.
        found = names.find(name) if _NAME.search(name) else names.all if _only_name(name, tag) else ()
        if found:
            legal = tag if colon and (is_tag(tag.replace("*", "x"))) else None
            for repository in found:
                yield repository, legal, digest if is_digest(digest) else None
            return
        # `docker-daemon:ghcr.io/me/app`, `image:ghcr.io/me/app`
        _, colon, rest = rest.partition(":")


def _only_name(name: str, tag: str) -> bool:
    """Whether `*:1.2` stands there: some image's tag, which is then in use wherever it is."""
    return (
        bool(name) and set(name) <= set("*/") and bool(tag) and tag.strip("*") != "" and is_tag(tag.replace("*", "x"))
    )


def _is_known(variable: str, assigned: Mapping[str, frozenset[str]]) -> bool:
    """Whether its value stands in the text, where its words are read as any others."""
    names = re.findall(r"[A-Za-z_]\w*", variable)
    values = assigned.get(names[-1], frozenset()) if names else frozenset()
    return bool(values) and "" not in values


def _spellings(repository: str) -> Iterator[str]:
    reference = Reference.parse(repository)
    yield reference.repository
    if "/" in reference.path:
        yield reference.path  # Helm's values have the registry apart
    if reference.domain == DOCKER_HUB:
        for host in (DOCKER_HUB, "index.docker.io", "registry-1.docker.io"):
            yield f"{host}/{reference.path}"
            yield f"{host}/{reference.path.removeprefix('library/')}"
        yield reference.familiar_repository
    elif _LOOPBACK.match(repository):
        yield from (_LOOPBACK.sub(host, repository, count=1) for host in ("localhost", "127.0.0.1", "[::1]"))
