"""One repository of images, opened: the place where the parts of this package are put together."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from imagewright.builds.plan import Head
    from imagewright.changes.published import Answer
    from imagewright.changes.snapshot import Snapshot
    from imagewright.config.models import Settings
    from imagewright.errors import DockerfileError
    from imagewright.images.dockerfile.cache import ReadingCache
    from imagewright.images.graph import Graph
    from imagewright.images.model import Image, Reading
    from imagewright.images.readings import Readings
    from imagewright.images.records import Records
    from imagewright.images.tree import Tree
    from imagewright.services.places import Places
    from imagewright.tools.git import Change, Repository


class Project:
    """What is known about the repository at `root`. Everything is read when it is first asked for."""

    def __init__(self, root: Path, environ: Mapping[str, str]) -> None:
        self.root = root
        self.environ = environ

    @classmethod
    def open(cls, context: Any) -> Self:
        """The repository that the current folder, or Invoke's `--search-root`, belongs to."""
        from imagewright.config.root import find_root

        here = Path.cwd()
        # The folder of tasks.py, with a slash: Invoke has no public name for it, and keeps `--search-root` nowhere.
        loaded = Path(getattr(context.config, "_project_prefix", None) or here)
        return cls(find_root(here if here.is_relative_to(loaded) else loaded), os.environ)

    def say(self, text: str) -> None:
        """A line for the person at the terminal: on standard error, so that results stay clean."""
        print(text, file=sys.stderr, flush=True)  # noqa: T201

    @cached_property
    def settings(self) -> Settings:
        """The configuration; ConfigError where it is wrong."""
        from imagewright.config.load import load

        return load(self.root, self.environ)

    @cached_property
    def known_settings(self) -> Settings:
        """The configuration, as it was read before where it is still the same: not to be copied, only to be read."""
        from imagewright.config.remembered import remembered
        from imagewright.services.places import cache_folder

        return remembered(self.root, self.environ, cache_folder(self.environ) / "settings.json")

    @cached_property
    def images(self) -> tuple[Image, ...]:
        """All images, by name."""
        from imagewright.images.catalog import catalog
        from imagewright.images.discover import discover

        settings = self.known_settings
        return catalog(settings, discover(self.root, settings.discover), host_platform=host_platform())

    @cached_property
    def by_name(self) -> Mapping[str, Image]:
        """All images, to look one up."""
        return {image.name: image for image in self.images}

    @cached_property
    def repository(self) -> Repository | None:
        """The git repository around the root, where there is one."""
        from imagewright.tools.git import find

        return find(self.root)

    @cached_property
    def head(self) -> Head:
        """The commit that is checked out, and whether the work tree differs from it."""
        from imagewright.builds.plan import NO_HEAD, Head

        if self.repository is None or (commit := self.repository.head()) is None:
            return NO_HEAD
        return Head(commit=commit.oid, time=commit.time, dirty=bool(self.changes))

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """What differs between HEAD and the work tree; nothing where there is no git."""
        return self._asked.changes.result() if self._asked else ()

    @cached_property
    def _asked(self) -> _Asked | None:
        return _Asked(self.repository) if self.repository else None

    def look_ahead(self) -> None:
        """Have git look at the work tree while other things are done: it takes longest in a large repository."""
        _ = self._asked

    def tags(self, image: Image, given: Sequence[str] = ()) -> tuple[str, ...]:
        """The full references that a build of the image gets now."""
        from imagewright.tags.policy import default_tags, own_tags

        tags = given or own_tags(default_tags(self.head.commit, dirty=self.head.dirty), image.publishes)
        return tuple(f"{image.repository}:{tag}" for tag in tags)

    @cached_property
    def reading_cache(self) -> ReadingCache:
        """What Dockerfiles said before, kept between runs."""
        from imagewright.images.dockerfile.cache import ReadingCache

        return ReadingCache(self.places.cache / "dockerfiles.json")

    @cached_property
    def _read(self) -> Readings:
        from imagewright.images.readings import read_all

        readings = read_all(self.images, self.content, self.reading_cache)
        self.reading_cache.save()
        return readings

    def content(self, path: str) -> bytes | None:
        """A file's bytes; None where it cannot be read."""
        try:
            with open(f"{self.root}/{path}", "rb") as file:  # noqa: PTH123 - a Path for each of a thousand is slow
                return file.read()
        except OSError:
            return None

    @property
    def readings(self) -> Mapping[str, Reading]:
        """What each readable Dockerfile uses."""
        return self._read.by_name

    @property
    def broken(self) -> Mapping[str, DockerfileError]:
        """The Dockerfiles that cannot be read, by image."""
        return self._read.broken

    @property
    def declare_epoch(self) -> frozenset[str]:
        """The images whose Dockerfile has `ARG SOURCE_DATE_EPOCH`."""
        return self._read.declare_epoch

    @cached_property
    def places(self) -> Places:
        """Where the local services, the programs that were built, and caches are."""
        from imagewright.services.places import Places

        return Places.of(self.known_settings, self.environ, self.root)

    @cached_property
    def graph(self) -> Graph:
        """The images and what they are built on; ConfigError for a cycle."""
        from imagewright.images.graph import Graph, edges

        return Graph(self.images, edges(self.images, self.readings))

    @cached_property
    def tree(self) -> Tree:
        """All files that git knows or could know, as they are now; without git all there are."""
        from imagewright.images.tree import tree_of_folder, tree_of_worktree

        if self.repository is None:
            return tree_of_folder(self.root)
        return tree_of_worktree(self.repository, self.committed, self.changes)[0]

    @cached_property
    def committed(self) -> Records:
        """All files of HEAD."""
        from imagewright.images.records import Records

        return Records.read(self._asked.listing.result() if self._asked and self.head.commit else b"")

    def snapshot(self, adjust: Callable[[Image], Image] = lambda image: image) -> Snapshot:
        """The work tree as it is now, read; `adjust` is what the command line makes of an image."""
        from imagewright.changes.snapshot import Snapshot
        from imagewright.images.graph import Graph, edges
        from imagewright.images.readings import read_all

        images, readings = tuple(map(adjust, self.images)), self._read
        graph = self.graph if images == self.images else None
        if graph is None:
            readings = read_all(images, self.content, self.reading_cache)
            graph = Graph(images, edges(images, readings.by_name))
        settings = self.known_settings
        return Snapshot(readings, graph, self.tree, bases=settings.bases, patterns=settings.discover)

    def published(self, references: Mapping[str, str]) -> Mapping[str, Answer]:
        """What the registries have at these references, by the keys; EnvironmentMissingError: one is not reached."""
        from imagewright.changes.published import look_up
        from imagewright.registry.client import Registry

        return look_up(references, Registry, self.places.cache / "published.json")


class _Asked:
    """Git's answers about a work tree of which many a command needs both."""

    def __init__(self, repository: Repository) -> None:
        from imagewright.tools.later import Later

        self.changes = Later(repository.changes_of_worktree)
        self.listing = Later(lambda: repository.listing("HEAD"))


def host_platform() -> str:
    """This machine's platform, as OCI spells it (image-spec, config.md: `architecture`, `variant`)."""
    machine = os.uname().machine
    names = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "armv6l": "arm/v6", "i686": "386"}
    return f"linux/{names.get(machine, machine)}"
