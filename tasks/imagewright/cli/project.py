"""One repository of images, opened: the place where the parts of this package are put together."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from imagewright.builds.plan import Head
    from imagewright.changes.published import Answer
    from imagewright.changes.snapshot import Snapshot
    from imagewright.config.models import Settings
    from imagewright.errors import DockerfileError
    from imagewright.events.event import Event
    from imagewright.events.local import ByHand
    from imagewright.images.dockerfile.cache import ReadingCache
    from imagewright.images.families.memory import FamilyMemory
    from imagewright.images.graph import Graph
    from imagewright.images.model import Image, Reading
    from imagewright.images.readings import Readings
    from imagewright.images.records import Records
    from imagewright.images.survey import Survey
    from imagewright.images.tree import Tree
    from imagewright.services.places import Places
    from imagewright.tags.model import Occasion
    from imagewright.tools.git import Change, Commit, Repository
    from imagewright.tools.later import Later


_Key = TypeVar("_Key", bound=Hashable)


class Project:
    """What is known about the repository at `root`. Everything is read when it is first asked for."""

    def __init__(self, root: Path, environ: Mapping[str, str]) -> None:
        self.root = root
        self.environ = environ
        self.by_hand: ByHand | None = None  # what the command line says about the run; before `event` is asked for

    @classmethod
    def open(cls, context: Any) -> Self:
        """The repository that the current folder, or Invoke's `--search-root`, belongs to."""
        from imagewright.config.root import find_root

        # Python looks for cycles once more when it ends: 50 ms of CPU after a thousand images, for nothing.
        atexit.register(gc.freeze)
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
        return self.survey.images

    @cached_property
    def survey(self) -> Survey:
        """All images, and what was made for the members of families."""
        from imagewright.images.discover import discover
        from imagewright.images.survey import survey
        from imagewright.tags.members import FamilyVersions

        settings = self.known_settings
        found = discover(self.root, settings.discover)
        rules = FamilyVersions()
        memory = self._family_memory if any(one.is_family for one in found) else None
        return survey(settings, found, self._inside, host_platform=host_platform(), rules=rules, memory=memory)

    @property
    def _family_memory(self) -> FamilyMemory:
        from importlib.util import find_spec

        from imagewright.images.families.memory import FamilyMemory

        # the programs that make them: of another version they may make something else
        names = ("imagewright.config", "imagewright.images.families", "imagewright.tags", "jinja2")
        folders = (
            folder for name in names if (spec := find_spec(name)) for folder in spec.submodule_search_locations or ()
        )
        return FamilyMemory(self.places.cache / "families.json", map(Path, folders))

    def _inside(self, path: str) -> bytes | None:
        """A file's bytes, where no link leads out of the repository."""
        full = (self.root / path).resolve()
        return self._on_disk(path) if full.is_relative_to(self.root.resolve()) else None

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

        if (commit := self.checked_out) is None:
            return NO_HEAD
        return Head(commit=commit.oid, time=commit.time, dirty=bool(self.changes))

    @cached_property
    def checked_out(self) -> Commit | None:
        """The commit alone, for which nobody has to wait until git has looked at the work tree."""
        return self._asked.head.result() if self._asked else None

    @cached_property
    def event(self) -> Event:
        """What this run is about: the CI's word or the local git state, and what the command line says over it."""
        from imagewright.events.local import given_event

        local = self._local_event
        return given_event(local.result() if local else self._read_event, self.by_hand)

    @cached_property
    def _read_event(self) -> Event:
        from imagewright.events.ci import read_event

        return read_event(self.environ, lambda path: Path(path).read_bytes())

    @cached_property
    def _local_event(self) -> Later[Event] | None:
        from imagewright.events.local import local_event
        from imagewright.tools.later import Later

        return Later(lambda: local_event(self.repository)) if self._read_event.kind == "local" else None

    @cached_property
    def occasion(self) -> Occasion:
        """What tags depend on beside the image."""
        from datetime import UTC, datetime

        from imagewright.tags.model import Occasion

        head = self.head
        today = f"{datetime.now(UTC):%Y%m%d}"
        return Occasion(event=self.event, commit=head.commit, dirty=head.dirty, date=today)

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """What differs between HEAD and the work tree; nothing where there is no git."""
        return self._asked.changes.result() if self._asked else ()

    @cached_property
    def _asked(self) -> _Asked | None:
        return _Asked(self.repository) if self.repository else None

    def look_ahead(self) -> None:
        """Have git look at the work tree while other things are done: it takes longest in a large repository."""
        _ = self._asked, self._local_event

    @cached_property
    def reading_cache(self) -> ReadingCache:
        """What Dockerfiles said before, kept between runs."""
        from imagewright.images.dockerfile.cache import ReadingCache

        return ReadingCache(self.places.cache / "dockerfiles.json")

    @cached_property
    def _read(self) -> Readings:
        from imagewright.images.readings import read_all

        readings = read_all(self.images, self.content, self.reading_cache, self.survey.broken)
        self.reading_cache.save()
        return readings

    def content(self, path: str) -> bytes | None:
        """A file's bytes, also of one that is made from others; None where it cannot be read."""
        made = self.survey.generated.get(path)
        return made.content if made else self._on_disk(path)

    def _on_disk(self, path: str) -> bytes | None:
        from imagewright.images.tree import read_file

        try:
            return read_file(f"{self.root}/{path}")  # a Path for each of a thousand is slow
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
            tree = tree_of_folder(self.root)
        else:
            tree = tree_of_worktree(self.repository, self.committed, self.changes)[0]
        return tree.overlaid(self.survey.generated)

    @cached_property
    def committed(self) -> Records:
        """All files of HEAD."""
        from imagewright.images.records import Records

        return Records.read(self._asked.listing.result() if self._asked and self.checked_out else b"")

    def snapshot(self, adjust: Callable[[Image], Image] = lambda image: image) -> Snapshot:
        """The work tree as it is now, read; `adjust` is what the command line makes of an image."""
        from imagewright.changes.snapshot import Snapshot
        from imagewright.images.graph import Graph, edges
        from imagewright.images.readings import read_all

        images, readings = tuple(map(adjust, self.images)), self._read
        graph = self.graph if images == self.images else None
        if graph is None:
            readings = read_all(images, self.content, self.reading_cache, self.survey.broken)
            graph = Graph(images, edges(images, readings.by_name))
        settings = self.known_settings
        return Snapshot(
            readings,
            graph,
            self.tree,
            bases=settings.bases,
            patterns=settings.discover,
            consulted=self.survey.consulted,
        )

    def published(self, references: Mapping[_Key, str]) -> Mapping[_Key, Answer]:
        """What the registries have at these references, by the keys; EnvironmentMissingError: one is not reached."""
        from imagewright.changes.published import look_up
        from imagewright.registry.client import Registry

        return look_up(references, Registry, self.places.cache / "published.json")

    def published_tags(self, repositories: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """All tags of each repository; EnvironmentMissingError: a registry is not reached."""
        from imagewright.references import Reference
        from imagewright.registry.client import Registry

        hosts: dict[str, dict[str, str]] = {}
        for repository in repositories:
            reference = Reference.parse(repository)
            hosts.setdefault(reference.domain, {})[repository] = reference.path
        found: dict[str, tuple[str, ...]] = {}
        for host, paths in sorted(hosts.items()):
            with Registry(host) as registry:
                listed = registry.concurrently(registry.tags, paths.values())
                found |= {repository: tags or () for repository, tags in zip(paths, listed, strict=True)}
        return found


class _Asked:
    """Git's answers about a work tree of which many a command needs both."""

    def __init__(self, repository: Repository) -> None:
        from imagewright.tools.later import Later

        self.head = Later(repository.head)
        self.changes = Later(repository.changes_of_worktree)
        self.listing = Later(lambda: repository.listing("HEAD"))


def host_platform() -> str:
    """This machine's platform, as OCI spells it (image-spec, config.md: `architecture`, `variant`)."""
    machine = os.uname().machine
    names = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "armv6l": "arm/v6", "i686": "386"}
    return f"linux/{names.get(machine, machine)}"
