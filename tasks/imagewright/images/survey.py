"""The images of one state of the repository: those of Dockerfiles, and the members of families, made from templates."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imagewright.images.catalog import catalog, repository_of
from imagewright.images.discover import check_names

if TYPE_CHECKING:
    from imagewright.config.models import Settings
    from imagewright.errors import DockerfileError
    from imagewright.images.families.model import Generated, Strategy, VersionRules
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
) -> Survey:
    """Every image with its settings resolved; families are read from `content`, which gives a file's bytes or None.

    ConfigError lists what is wrong with the settings and with the files of families.
    """
    files = [one for one in found if one.is_family]
    if not files:
        return Survey(images=catalog(settings, found, host_platform=host_platform))
    from imagewright.images.families.collect import families
    from imagewright.images.families.generate import generate

    kept: dict[str, bytes | None] = {}

    def read(path: str) -> bytes | None:
        if path not in kept:
            kept[path] = content(path)
        return kept[path]

    def strategy(name: str) -> Strategy:
        own = settings.images.get(name)
        return (own.aliases if own else None) or settings.tags.aliases

    known = families(files, read, strategy, rules)
    plain = [one for one in found if not one.is_family]
    check_names([*plain, *(one.named(family.name) for one, family in zip(files, known, strict=True))])
    images = catalog(settings, plain, host_platform=host_platform, families=known)
    names = [*(one.name for one in plain), *(family.name for family in known)]
    made = generate(
        known,
        read,
        registry=settings.registry[0],
        repositories={name: repository_of(settings, name) for name in names},
    )
    return Survey(
        images=images,
        generated=made.files,
        broken=made.broken,
        consulted=frozenset(kept),
        notices=tuple(notice for family in known for notice in family.notices),
    )


def preload_families(found: Sequence[Found], tree: Tree) -> None:
    """Fetch at once what `survey` will open of a commit's tree: the files of families, and all of their templates."""
    files = [one.dockerfile for one in found if one.is_family]
    if files:
        folders = {posixpath.dirname(posixpath.dirname(file)) for file in files}
        templates = (path for folder in sorted(folders) for path in tree.below(folder) if path.endswith(".jinja2"))
        tree.preload([*files, *templates])
