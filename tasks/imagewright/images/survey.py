"""The images of one state of the repository: those of Dockerfiles, and the members of families, made from templates."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from imagewright.images.catalog import catalog, repository_of
from imagewright.images.discover import check_names

if TYPE_CHECKING:
    from imagewright.config.models import Settings
    from imagewright.errors import DockerfileError
    from imagewright.images.families.memory import FamilyMemory, Made
    from imagewright.images.families.model import Family, Generated, Strategy, VersionRules
    from imagewright.images.model import Found, Image
    from imagewright.images.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All images, and what was made for them."""

    images: tuple[Image, ...]
    generated: Mapping[str, Generated] = field(default_factory=dict)  # files by path, which no disk need have
    broken: Mapping[str, DockerfileError] = field(default_factory=dict)  # images whose files could not be made
    consulted: frozenset[str] = frozenset()  # what the families were made from, and paths where nothing was found
    notices: tuple[str, ...] = ()  # for people


def survey(
    settings: Settings,
    found: Sequence[Found],
    content: Callable[[str], bytes | None],
    *,
    host_platform: str,
    rules: VersionRules,
    memory: FamilyMemory | None = None,
) -> Survey:
    """Every image with its settings resolved; families are read from `content`, which gives a file's bytes or None.

    They are not made again where `memory` knows them. ConfigError lists what is wrong with the settings and with the
    files of families.
    """
    files = [one for one in found if one.is_family]
    if not files:
        return Survey(images=catalog(settings, found, host_platform=host_platform))
    kept: dict[str, bytes | None] = {}

    def read(path: str) -> bytes | None:
        if path not in kept:
            kept[path] = content(path)
        return kept[path]

    plain = [one for one in found if not one.is_family]
    question = _question(settings, files, plain)
    recalled = memory.recall(question, read) if memory else None
    known = recalled.families if recalled else _families(settings, files, read, rules)
    check_names([*plain, *(one.named(family.name) for one, family in zip(files, known, strict=True))])
    images = catalog(settings, plain, host_platform=host_platform, families=known)
    names = [*(one.name for one in plain), *(family.name for family in known)]
    repositories = {name: repository_of(settings, name) for name in names}
    made, broken = (recalled, {}) if recalled else _generated(known, read, settings.registry[0], repositories)
    if memory and not recalled and not broken:
        memory.keep(question, kept, made)
    return Survey(
        images=images,
        generated=made.files,
        broken=broken,
        consulted=frozenset(kept),
        notices=tuple(notice for family in known for notice in family.notices),
    )


def _question(settings: Settings, files: Sequence[Found], plain: Sequence[Found]) -> Any:
    """All that families are made from beside files, as JSON has it."""
    own = {name: [one.aliases, one.repository] for name, one in settings.images.items()}
    names = [one.name for one in plain]
    return [files, names, settings.registry[0], settings.repository, settings.tags.aliases, own]


def _families(
    settings: Settings, files: Sequence[Found], content: Callable[[str], bytes | None], rules: VersionRules
) -> tuple[Family, ...]:
    from imagewright.images.families.collect import families

    def strategy(name: str) -> Strategy:
        own = settings.images.get(name)
        return (own.aliases if own else None) or settings.tags.aliases

    return families(files, content, strategy, rules)


def _generated(
    known: tuple[Family, ...],
    content: Callable[[str], bytes | None],
    registry: str,
    repositories: Mapping[str, str],
) -> tuple[Made, Mapping[str, DockerfileError]]:
    from imagewright.images.families.generate import generate
    from imagewright.images.families.memory import Made

    made = generate(known, content, registry=registry, repositories=repositories)
    return Made(families=known, files=made.files), made.broken


def preload_families(found: Sequence[Found], tree: Tree) -> None:
    """Fetch at once what `survey` will open of a commit's tree: the files of families, and all of their templates."""
    files = [one.dockerfile for one in found if one.is_family]
    if files:
        folders = {posixpath.dirname(posixpath.dirname(file)) for file in files}
        templates = (path for folder in sorted(folders) for path in tree.below(folder) if path.endswith(".jinja2"))
        tree.preload([*files, *templates])
