"""One state of the repository, read: its images, their graph, and a fingerprint for each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from imagewright.config.load import FILE, load_bytes
from imagewright.errors import DockerfileError
from imagewright.images.discover import discover_in
from imagewright.images.dockerfile.cache import ReadingCache
from imagewright.images.graph import Graph, edges
from imagewright.images.inputs import Inputs, fingerprint, inputs, preload
from imagewright.images.model import Image
from imagewright.images.readings import Readings, read_all
from imagewright.images.survey import preload_families, survey
from imagewright.images.tree import Tree
from imagewright.tags.members import FamilyVersions

if TYPE_CHECKING:
    from imagewright.config.models import DebianBase


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What every snapshot of one run shares, and no tree holds."""

    environ: Mapping[str, str]
    host_platform: str
    cache: ReadingCache
    adjust: Callable[[Image], Image] = lambda image: image  # what the command line makes of an image


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why an image's inputs cannot be told; `path` is the file that is to blame, where there is one."""

    detail: str
    path: str | None = None


class Snapshot:
    """The images of one tree. Everything is computed when it is first asked for."""

    def __init__(
        self,
        readings: Readings,
        graph: Graph,
        tree: Tree,
        *,
        bases: Mapping[str, DebianBase] | None = None,
        patterns: Sequence[str] = (),
        consulted: Collection[str] = (),
    ) -> None:
        """`bases` and `patterns` are the configuration's: how outside images are made, and where Dockerfiles stand.

        `consulted` are the files that families were made from, or would have been made from had they been there.
        """
        self.images = graph.images
        self.readings = readings
        self.graph = graph
        self.tree = tree
        self.bases = bases or {}
        self.patterns = patterns
        self.consulted = consulted
        self._inputs: dict[str, Inputs | Unknown] = {}
        self._fingerprints: dict[str, str | None] = {}

    @classmethod
    def of_tree(cls, tree: Tree, ground: Ground) -> Snapshot:
        """The snapshot of a commit's tree, by the configuration that stands in it and today's environment.

        ConfigError: the configuration is wrong, images are named twice, or depend on each other in a cycle.
        """
        settings = load_bytes(_content(tree, FILE), ground.environ)
        found = discover_in(tree, settings.discover)
        preload_families(found, tree)
        seen = survey(
            settings,
            found,
            lambda path: _content(tree, path),
            host_platform=ground.host_platform,
            rules=FamilyVersions(),
        )
        images = [ground.adjust(one) for one in seen.images]
        tree = tree.overlaid(seen.generated)
        preload(images, tree)
        readings = read_all(images, lambda path: _content(tree, path), ground.cache, seen.broken)
        graph = Graph(images, edges(images, readings.by_name))
        return cls(readings, graph, tree, bases=settings.bases, patterns=settings.discover, consulted=seen.consulted)

    def inputs(self, name: str) -> Inputs | Unknown:
        """What an image depends on, or why nobody can tell."""
        found = self._inputs.get(name)
        if found is None:
            found = self._inputs[name] = self._read(name)
        return found

    def fingerprint(self, name: str) -> str | None:
        """`sha256:…` over everything that can change the image; None where it, or a parent's, cannot be told."""
        if name not in self._fingerprints:
            self._fingerprints[name] = self._print(name)
        return self._fingerprints[name]

    @cached_property
    def fingerprints(self) -> Mapping[str, str | None]:
        """All fingerprints, in build order."""
        return {name: self.fingerprint(name) for name in self.graph.order()}

    def pinned(self, name: str) -> Mapping[str, str]:
        """What the configuration says of the outside images that an image uses: how they are made."""
        reading = self.readings.by_name[name]
        recipes = {use.reference: self.bases.get(use.reference or "") for use in reading.images}
        return {
            str(reference): f"debootstrap {recipe.debootstrap} {','.join(sorted(recipe.include))}"
            for reference, recipe in recipes.items()
            if recipe
        }

    def _read(self, name: str) -> Inputs | Unknown:
        image = self.images[name]
        error = self.readings.broken.get(name)
        if error is None:
            try:
                found = inputs(image, self.readings.by_name[name], self.tree)
            except DockerfileError as problem:
                error = problem
            else:
                unseen = next((note.text for note in found.notes if note.kind == "unseen"), None)
                return found if unseen is None else Unknown(unseen)
        return Unknown(f"the Dockerfile cannot be read: {error}", image.dockerfile)

    def _print(self, name: str) -> str | None:
        parents: dict[str, str] = {}
        for parent in self.graph.parents(name):
            of_parent = self.fingerprint(parent)
            if of_parent is None:
                return None
            parents[parent] = of_parent
        found = self.inputs(name)
        if isinstance(found, Unknown):
            return None
        return fingerprint(self.images[name], found, parents=parents, pinned=self.pinned(name))


def _content(tree: Tree, path: str) -> bytes | None:
    try:
        return tree.read(path)
    except FileNotFoundError:
        return None
