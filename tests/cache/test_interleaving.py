"""No build ever misses a blob: prunes among exporters and importers, in any order of their requests.

What is taken for granted, and nothing else: an export takes less than 24 hours from its first look at a blob to its
manifest, and a build no more from reading a manifest to its last blob. Where the store cannot delete on a condition, or
keeps an object's time when it is copied onto itself, no exporter's copy falls between the last HEAD and the DELETE of a
blob.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from imagewright.cache.document import read_layers
from imagewright.cache.model import BLOBS, MANIFESTS
from imagewright.cache.retire import LEAST_GRACE, Policy
from imagewright.errors import ImagewrightError
from tests.cache.memory import DAY, HOUR, MemoryStore
from tests.cache.pruning import prune

LONGEST = timedelta(hours=24) - timedelta(seconds=1)  # of an export, and of a build
NAMES = st.sampled_from(["app@main", "gone@main"])
LAYERS = st.sampled_from([("a",), ("bb",), ("a", "bb"), ("ccc",)])
TIMES = st.sampled_from([timedelta(minutes=10), LONGEST, 30 * HOUR, 4 * DAY])
POLICIES = st.builds(
    Policy,
    unused=st.sampled_from([DAY, 30 * DAY]),
    grace=st.sampled_from([LEAST_GRACE, 3 * DAY]),
    budget=st.sampled_from([None, 1]),
)


@dataclass
class Export:
    """An exporter on its way."""

    began: datetime
    steps: Iterator[str]


@dataclass
class Build:
    """A build that has read a manifest, and reads the blobs when it comes to them."""

    began: datetime
    name: str
    left: list[str]


@dataclass
class World:
    """What runs at the same time."""

    store: MemoryStore
    exports: list[Export] = field(default_factory=list)
    builds: list[Build] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    def start_export(self, name: str, layers: tuple[str, ...]) -> None:
        self.exports.append(Export(self.store.clock, self.store.export(name, layers)))

    def start_build(self, name: str) -> None:
        found = self.store.objects.get(MANIFESTS + name)
        if found is not None:
            self.builds.append(Build(self.store.clock, name, list(read_layers(found.body))))

    def step_export(self, number: int) -> None:
        if self.exports:
            export = self.exports[number % len(self.exports)]
            if next(export.steps, None) is None:
                self.exports.remove(export)

    def step_build(self, number: int) -> None:
        if self.builds:
            build = self.builds[number % len(self.builds)]
            if build.left:
                self._read(build)
            else:
                self.builds.remove(build)

    def _read(self, build: Build) -> None:
        digest = build.left.pop()
        assert BLOBS + digest in self.store.objects, f"the build that has read {build.name} misses {digest}"

    def pass_time(self, much: timedelta, *, complete: bool) -> None:
        """Time passes; what would take too long comes to its end before, or is killed."""
        end = self.store.clock + much
        for export in [one for one in self.exports if end - one.began > LONGEST]:
            self.exports.remove(export)
            while complete and next(export.steps, None) is not None:
                pass
        for build in [one for one in self.builds if end - one.began > LONGEST]:
            self.builds.remove(build)
            while build.left:
                self._read(build)
        self.store.clock = end


class Pruning(RuleBasedStateMachine):
    @initialize(copies_anew=st.booleans(), conditional=st.booleans(), age=TIMES, policy=POLICIES, since=TIMES)
    def start(self, copies_anew: bool, conditional: bool, age: timedelta, policy: Policy, since: timedelta) -> None:
        self.world = World(MemoryStore(copies_anew=copies_anew, conditional=conditional))
        self.world.store.exported("by-hand", "e")
        self.world.store.exported("app@main", "a", "bb")
        self.world.store.exported("app@main", "bb")
        self.world.pass_time(age, complete=True)
        self._prune(policy)
        self.world.pass_time(since, complete=True)

    @rule(name=NAMES, layers=LAYERS)
    def an_export_begins(self, name: str, layers: tuple[str, ...]) -> None:
        self.world.start_export(name, layers)

    @rule(name=NAMES, layers=LAYERS)
    def a_whole_export(self, name: str, layers: tuple[str, ...]) -> None:
        self.world.store.exported(name, *layers)

    @rule(number=st.integers(0, 3))
    def an_export_goes_on(self, number: int) -> None:
        self.world.step_export(number)

    @rule(name=NAMES)
    def a_build_begins(self, name: str) -> None:
        self.world.start_build(name)

    @rule(number=st.integers(0, 3))
    def a_build_goes_on(self, number: int) -> None:
        self.world.step_build(number)

    @rule(much=TIMES, complete=st.booleans())
    def time_passes(self, much: timedelta, complete: bool) -> None:
        self.world.pass_time(much, complete=complete)

    @rule(policy=POLICIES)
    def a_prune(self, policy: Policy) -> None:
        self._prune(policy)

    @rule(policy=POLICIES, data=st.data())
    def a_prune_among_others(self, policy: Policy, data: st.DataObject) -> None:
        store, last = self.world.store, ("", "")
        free = store.copies_anew and store.conditional

        def meanwhile(what: str, key: str) -> None:
            nonlocal last
            before, last = last, (what, key)
            if free or (before, what) != (("head", key), "delete"):
                self._something(data)

        store.before = meanwhile
        try:
            self._prune(policy)
        finally:
            store.before = lambda _what, _key: None

    def _prune(self, policy: Policy) -> None:
        with suppress(ImagewrightError):  # one that was killed still holds its lease
            prune(self.world.store, policy=policy)

    def _something(self, data: st.DataObject) -> None:
        match data.draw(
            st.sampled_from(
                ["", "", "", "export", "export", "export", "build", "new export", "new build", "time", "killed"]
            )
        ):
            case "export":
                self.world.step_export(data.draw(st.integers(0, 3)))
            case "build":
                self.world.step_build(data.draw(st.integers(0, 3)))
            case "new export":
                self.world.start_export(data.draw(NAMES), data.draw(LAYERS))
            case "new build":
                self.world.start_build(data.draw(NAMES))
            case "time":
                self.world.pass_time(data.draw(st.sampled_from([timedelta(minutes=1), 2 * HOUR])), complete=True)
            case "killed":
                raise ImagewrightError("another prune, or Ctrl-C, ends it here")

    @invariant()
    def every_manifest_has_its_blobs(self) -> None:
        store = self.world.store
        for name in store.names:
            for digest in read_layers(store.objects[MANIFESTS + name].body):
                assert BLOBS + digest in store.objects, f"{name} needs {digest}"


Pruning.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestPruning = Pruning.TestCase
