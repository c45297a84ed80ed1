"""One repository of images, opened: the place where the parts of this package are put together."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from imagewright.builds.plan import Head
    from imagewright.config.models import Settings
    from imagewright.errors import DockerfileError
    from imagewright.images.graph import Graph
    from imagewright.images.model import Image, Reading
    from imagewright.images.readings import Readings
    from imagewright.services.places import Places
    from imagewright.tools.git import Repository


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
    def images(self) -> tuple[Image, ...]:
        """All images, by name."""
        from imagewright.images.catalog import catalog
        from imagewright.images.discover import discover

        return catalog(self.settings, discover(self.root, self.settings.discover), host_platform=host_platform())

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
        return Head(commit=commit.oid, time=commit.time, dirty=self.repository.is_dirty())

    def tags(self, image: Image, given: Sequence[str] = ()) -> tuple[str, ...]:
        """The full references that a build of the image gets now."""
        from imagewright.tags.policy import default_tags

        tags = given or default_tags(self.head.commit, dirty=self.head.dirty)
        return tuple(f"{image.repository}:{tag}" for tag in tags)

    @cached_property
    def _read(self) -> Readings:
        from imagewright.images.dockerfile.cache import ReadingCache
        from imagewright.images.readings import read_all

        cache = ReadingCache(self.places.cache / "dockerfiles.json")
        readings = read_all(self.images, self._content, cache)
        cache.save()
        return readings

    def _content(self, path: str) -> bytes | None:
        try:
            return (self.root / path).read_bytes()
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

        return Places.of(self.settings, self.environ, self.root)

    @cached_property
    def graph(self) -> Graph:
        """The images and what they are built on; ConfigError for a cycle."""
        from imagewright.images.graph import Graph, edges

        return Graph(self.images, edges(self.images, self.readings))


def host_platform() -> str:
    """This machine's platform, as OCI spells it (image-spec, config.md: `architecture`, `variant`)."""
    machine = os.uname().machine
    names = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "armv6l": "arm/v6", "i686": "386"}
    return f"linux/{names.get(machine, machine)}"
