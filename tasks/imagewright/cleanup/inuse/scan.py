"""The images that files and folders name: whoever deploys them needs them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from imagewright.cleanup.inuse.files import texts
from imagewright.cleanup.inuse.words import (
    Mention,
    Names,
    assignments,
    digests,
    has_variables,
    mentions,
    tag_values,
    tag_words,
    unknown_images,
)
from imagewright.cleanup.model import Use
from imagewright.config.problems import combined
from imagewright.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from imagewright.cleanup.model import Picture

_CHART = "Chart.yaml"
_MOST_TOLD = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A text that names a repository."""

    where: str
    mentions: tuple[Mention, ...]
    words: frozenset[str]  # all that could be tags
    digests: tuple[tuple[str, int], ...]  # with their lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What was found, before it is known which tags a repository has."""

    files: tuple[_File, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)  # behind keys that end in `tag`: where the first stands
    digests: Mapping[str, str] = field(default_factory=dict)  # any digest: where the first stands

    def pinned(self, repository: str) -> tuple[Use, ...]:
        """What is in use of a repository by digest, known without asking it: no tag may lead there.

        A digest that stands in a file with the name, but apart from it (kustomize, Helm), is one of these: where the
        repository does not have it, it is another's.
        """
        found: dict[str, str] = {}
        for file in self.files:
            for mention in file.mentions:
                if mention.repository != repository:
                    continue
                if mention.digest:
                    found.setdefault(mention.digest, f"{file.where}:{mention.line}")
                elif mention.tag is None:
                    for digest, line in file.digests:
                        found.setdefault(digest, f"{file.where}:{line}")
        return tuple(Use(reference=f"{repository}@{digest}", where=where) for digest, where in found.items())

    def uses(self, picture: Picture) -> tuple[Use, ...]:
        """What is in use of one repository, each image once.

        A tag that is written is in use. Of a tag with a variable in it all are that fit. Where no tag is written, or
        one that the repository does not have (a placeholder), `latest` is in use, and so is every tag that stands
        anywhere in the same file, or behind a key that ends in `tag` in any file.
        """
        found: dict[str, str] = {}
        for digest, where in self.digests.items():
            if digest in picture.manifests or digest in picture.untagged:
                found.setdefault(digest, where)
        for file in self.files:
            # Each way to write it once: a file may name an image a thousand times.
            written = {
                (one.tag, one.digest): one for one in file.mentions[::-1] if one.repository == picture.repository
            }
            for mention in written.values():
                for reference, where in self._meant(mention, file, picture):
                    found.setdefault(reference, where)
        return tuple(Use(reference=reference, where=where) for reference, where in found.items())

    def uses_as(self, picture: Picture, repository: str) -> tuple[Use, ...]:
        """The same, where what is in use is called `repository`: the registry from which this one has its images."""
        named = self.uses(replace(picture, repository=repository))
        return tuple(replace(use, reference=use.reference.replace(repository, picture.repository, 1)) for use in named)

    def _meant(self, mention: Mention, file: _File, picture: Picture) -> Iterator[tuple[str, str]]:
        where = f"{file.where}:{mention.line}"
        name = picture.repository
        if mention.is_open:
            fitting = (tag for tag in picture.tags if fnmatchcase(tag, mention.tag or ""))
            yield from ((f"{name}:{tag}", f"{where}, which has a variable in it: `{mention.tag}`") for tag in fitting)
        elif mention.tag in picture.tags:
            yield f"{name}:{mention.tag}", where
        elif not mention.digest:
            yield f"{name}:latest", where
            near = f"{where}, with this tag elsewhere in the file"
            yield from ((f"{name}:{tag}", near) for tag in picture.tags if tag in file.words)
            yield from ((f"{name}:{tag}", self.tags[tag]) for tag in picture.tags if tag in self.tags)


def scan(paths: Sequence[Path], repositories: Iterable[str]) -> Scan:
    """What files and folders name of these repositories ("ghcr.io/me/app").

    ConfigError: a path is not there or not readable; one that names none of the repositories (it is probably the
    wrong one); an image of which nothing can be told (`image: $IMAGE`).
    """
    names = Names(repositories)
    files: list[_File] = []
    tags: dict[str, str] = {}
    found: dict[str, str] = {}
    problems: list[ConfigError] = []
    for path in paths:
        named = list(_scanned(path, names, tags, found, problems))
        files += named
        if not (named or problems):
            problems.append(_nothing(path, names))
    if problems:
        told = problems[:_MOST_TOLD]
        if len(problems) > len(told):
            told.append(ConfigError(f"and {len(problems) - len(told)} more places like these"))
        raise combined(told)
    return Scan(files=tuple(files), tags=tags, digests=found)


def _scanned(
    path: Path, names: Names, tags: dict[str, str], found: dict[str, str], problems: list[ConfigError]
) -> Iterator[_File]:
    all_texts = list(texts(path))
    charts = {file.parent for file, _ in all_texts if file.name == _CHART}
    environments = {file.parent: assignments(text) for file, text in all_texts if file.name == ".env"}
    for file, text in all_texts:
        is_open = has_variables(text)
        assigned = {**environments.get(file.parent, {}), **assignments(text)} if is_open else {}
        for value, line in tag_values(text):
            tags.setdefault(value, f"{file}:{line}")
        for digest, line in digests(text):
            found.setdefault(digest, f"{file}:{line}")
        in_chart = any(folder in charts for folder in file.parents)
        for line, written in unknown_images(text, assigned) if is_open else ():
            # A chart's templates take their images from its values, which are read as any other file.
            if not (in_chart and "{{" in written):
                problems.append(
                    ConfigError(
                        f"`{written}` is in use, and which image that is cannot be told",
                        where=f"{file}:{line}",
                        hint="write its name out, set the variable in `.env`, or leave the file out of --in-use",
                    )
                )
        if named := tuple(mentions(text, names, assigned)):
            yield _File(
                where=str(file), mentions=named, words=tag_words(text), digests=tuple(dict(digests(text)).items())
            )


def _nothing(path: Path, names: Names) -> ConfigError:
    some = ", ".join(names.all[:3]) + (" …" if len(names.all) > 3 else "")
    return ConfigError(
        f"this names none of the repositories ({some or 'there are none'})",
        where=str(path),
        hint="is it the right folder? What is in use was expected to stand there",
    )
