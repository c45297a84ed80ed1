"""Which images there are, by where their Dockerfiles stand: `Dockerfiles/Dockerfile.<name>`."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from imagewright.config.patterns import NAME, check_pattern
from imagewright.config.problems import combined
from imagewright.errors import ConfigError
from imagewright.images.folders import Disk, Snapshot
from imagewright.images.model import Found
from imagewright.references import is_repository_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from imagewright.images.folders import Folders, Item
    from imagewright.images.tree import Tree

DEFAULT_PATTERN = f"Dockerfiles/Dockerfile.{NAME}"
FAMILY_PATTERN = f"images/{NAME}/image.yml"
DEFAULT_PATTERNS = (DEFAULT_PATTERN, FAMILY_PATTERN)
EVERY_IMAGE = "all"
"""The word that the command line takes for every image: no image can have it as its name."""

# The ignore file of a single Dockerfile (BuildKit) stands beside it; the others are what editors and merges leave.
_NOT_A_DOCKERFILE = (".dockerignore", "~", ".swp", ".swo", ".orig", ".bak", ".rej")
_GLOB = re.compile(r"(\*|<name>)")


class NoImagesError(ConfigError):
    """There are no images where they usually are: not every task needs some."""


def discover(root: Path, patterns: Sequence[str]) -> tuple[Found, ...]:
    """Every Dockerfile that a pattern finds below `root`, by name.

    In a pattern `<name>` is a path component or a part of one; `*` and `**` mean what they mean to a shell: no leading
    dot, and `**` does not follow links to folders. A file that several patterns find belongs to the first. Its context
    is its own folder when its file name does not carry the name, else the repository root.

    ConfigError lists all of: a pattern that finds nothing, a name that is no repository name, two Dockerfiles for one
    name, a link to nothing. Of the default patterns it is enough that one finds something.
    """
    if tuple(patterns) != DEFAULT_PATTERNS:
        return _discover(Disk(root), patterns, nothing=lambda pattern: _nothing(root, pattern))
    found = _discover(Disk(root), patterns)
    if not found:
        problem = _nothing(root, DEFAULT_PATTERN)
        raise NoImagesError(problem.message, where=problem.where, hint=problem.hint)
    return found


def discover_in(tree: Tree, patterns: Sequence[str]) -> tuple[Found, ...]:
    """The same for a snapshot, in which links are followed inside alone; a pattern may find nothing there."""
    return _discover(Snapshot(tree), patterns)


def _discover(
    folders: Folders, patterns: Sequence[str], nothing: Callable[[str], ConfigError] | None = None
) -> tuple[Found, ...]:
    by_file: dict[str, Found] = {}
    problems: list[ConfigError] = []
    for pattern in patterns:
        paths = _walk(folders, "", _compiled(pattern), "")
        matches = [(path, name) for path, name in paths if not path.endswith(_NOT_A_DOCKERFILE)]
        if nothing and not matches:
            problems.append(nothing(pattern))
        for path, name in matches:
            context = "." if NAME in pattern.rpartition("/")[2] else path.rpartition("/")[0] or "."
            by_file.setdefault(path, Found(name=name, dockerfile=path, context=context, pattern=pattern))
    found = sorted(by_file.values(), key=lambda one: (one.name, one.dockerfile))
    problems += [
        problem
        for one in found
        # a family's file may give it another name
        if (not one.is_family and (problem := _name_problem(one))) or (problem := folders.problem(one.dockerfile))
    ]
    problems += [_twice(first, second) for first, second in pairwise(found) if first.name == second.name]
    if problems:
        raise combined(problems)
    return tuple(found)


def check_names(found: Sequence[Found]) -> None:
    """ConfigError where an image's name is none, or two have the same: for names that the files themselves give."""
    ordered = sorted(found, key=lambda one: (one.name, one.dockerfile))
    problems = [problem for one in ordered if (problem := _name_problem(one))]
    problems += [_twice(first, second) for first, second in pairwise(ordered) if first.name == second.name]
    if problems:
        raise combined(problems)


def may_find(patterns: Sequence[str], path: str, *, on_the_way: bool = False) -> bool:
    """Whether a file at `path` may be found; with `on_the_way`, whether a link there may lead to one that is."""
    parts = path.split("/")
    return any(_matches(_compiled(pattern), parts, on_the_way=on_the_way) for pattern in patterns)


def _matches(components: Sequence[_Component], parts: Sequence[str], *, on_the_way: bool) -> bool:
    if not parts:
        return on_the_way or not components
    if not components:
        return False
    first, rest = components[0], components[1:]
    if first.literal is None and first.regex is None:
        return _matches(rest, parts, on_the_way=on_the_way) or _matches(components, parts[1:], on_the_way=on_the_way)
    same = parts[0] == first.literal if first.regex is None else first.regex.fullmatch(parts[0]) is not None
    return same and _matches(rest, parts[1:], on_the_way=on_the_way)


class _Component(NamedTuple):
    """One part of a pattern between slashes: a plain text, a regex, or neither: `**`."""

    literal: str | None = None
    regex: re.Pattern[str] | None = None


def _compiled(pattern: str) -> list[_Component]:
    try:
        texts = check_pattern(pattern).split("/")
    except ValueError as error:
        raise ConfigError(str(error), where="discover") from error
    # `**/**` finds what `**` finds, in exponential time.
    return [_component(text) for at, text in enumerate(texts) if text != "**" or texts[at - 1 : at] != ["**"]]


def _component(text: str) -> _Component:
    if text == "**":
        return _Component()
    if not _GLOB.search(text):
        return _Component(literal=text)
    hidden = "" if text.startswith(".") else r"(?!\.)"
    parts = ({NAME: "([^/]+)", "*": "[^/]*"}.get(part, re.escape(part)) for part in _GLOB.split(text))
    return _Component(regex=re.compile(hidden + "".join(parts), re.DOTALL))


def _walk(folders: Folders, folder: str, components: Sequence[_Component], name: str) -> Iterator[tuple[str, str]]:
    """(path, name) of what `components` match in `folder`, which is empty or ends in `/`; `name` if it is known yet."""
    first, rest = components[0], components[1:]
    if first.literal is not None:
        path = folder + first.literal
        if rest:
            yield from _walk(folders, f"{path}/", rest, name)
        elif folders.is_there(path):
            yield path, name
    elif first.regex is None:
        yield from _walk(folders, folder, rest, name)
        for item in folders.items(folder):
            if not item.name.startswith(".") and item.is_dir(follow_symlinks=False):
                yield from _walk(folders, f"{folder}{item.name}/", components, name)
    else:
        for item in folders.items(folder):
            if match := first.regex.fullmatch(item.name):
                captured = match[1] if match.re.groups else name
                if not rest and not _is_folder(item):
                    yield folder + item.name, captured
                elif rest and _is_folder(item) and item.name != ".git":
                    yield from _walk(folders, f"{folder}{item.name}/", rest, captured)


def _is_folder(item: Item) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link in a circle
        return False


def _nothing(root: Path, pattern: str) -> ConfigError:
    if pattern == DEFAULT_PATTERN:
        folder = root / "Dockerfiles"
        message = "no Dockerfile.<name> in Dockerfiles" if folder.is_dir() else "no Dockerfiles folder"
        hint = "`invoke new NAME` writes the first one; `discover` in config/images.yml names another place"
        return ConfigError(message, where=str(root), hint=hint)
    return ConfigError(
        f"the pattern `{pattern}` finds no Dockerfile",
        where="config/images.yml: discover",
        hint="correct it, or take it out of `discover`",
    )


def _twice(first: Found, second: Found) -> ConfigError:
    patterns = (
        f"the patterns `{first.pattern}` and `{second.pattern}`"
        if first.pattern != second.pattern
        else f"the pattern `{first.pattern}`"
    )
    return ConfigError(
        f"the image `{first.name}` has two Dockerfiles, {first.dockerfile} and {second.dockerfile}, by {patterns}",
        where=second.dockerfile,
        hint="rename one of them, or make `discover` in config/images.yml narrower",
    )


def _name_problem(found: Found) -> ConfigError | None:
    if found.name == EVERY_IMAGE:
        return ConfigError(
            f"`{EVERY_IMAGE}` cannot be an image's name: it means every image on the command line",
            where=found.dockerfile,
            hint="rename it",
        )
    if is_repository_path(found.name):
        return None
    better = re.sub(r"[^a-z0-9]+", "-", found.name.lower()).strip("-")
    return ConfigError(
        f"`{found.name}` is no legal repository name: small letters and digits, joined by `.`, `_`, `__` or `-`",
        where=found.dockerfile,
        hint=f"name it `{better}`" if is_repository_path(better) else "rename it",
    )
