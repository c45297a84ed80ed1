"""Which image builds when: as soon as its parents are done, and no more than so many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Where a run stands. A failure takes its dependents along and nothing else."""

    parents: Mapping[str, tuple[str, ...]]
    order: tuple[str, ...]  # the one that has the longest path of dependents behind it comes first
    limit: int
    running: frozenset[str] = frozenset()
    succeeded: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    skipped: Mapping[str, str] = field(default_factory=dict)  # name: because of what
    fail_fast: bool = False  # whether the first failure ends the run

    @property
    def done(self) -> bool:
        """Whether every image has its end: built, failed or skipped."""
        return len(self.succeeded) + len(self.failed) + len(self.skipped) == len(self.order)

    @property
    def startable(self) -> tuple[str, ...]:
        """What is to be started now, in order."""
        settled = self.running | self.succeeded | self.failed | self.skipped.keys()
        free = self.limit - len(self.running)
        ready = (name for name in self.order if name not in settled and self.succeeded.issuperset(self.parents[name]))
        return tuple(name for name, _ in zip(ready, range(free), strict=False))

    def start(self, name: str) -> Schedule:
        """The schedule with `name` at work."""
        return replace(self, running=self.running | {name})

    def end(self, name: str, *, ok: bool) -> Schedule:
        """The schedule with `name` at its end; where it failed, all that is built on it is skipped."""
        running = self.running - {name}
        if ok:
            return replace(self, running=running, succeeded=self.succeeded | {name})
        skipped = dict(self.skipped)
        lost = {name: f"parent {name} failed"}
        while lost:
            found = {}
            for child in self.order:
                parent = next((parent for parent in self.parents[child] if parent in lost), None)
                if parent is not None and child not in skipped:
                    skipped[child] = lost[parent]
                    found[child] = f"parent {child} was skipped: {name} failed"
            lost = found
        if self.fail_fast:
            settled = self.running | self.succeeded | self.failed | skipped.keys()
            skipped |= {other: f"{name} failed, and --fail-fast is set" for other in self.order if other not in settled}
        return replace(self, running=running, failed=self.failed | {name}, skipped=skipped)

    def skip(self, name: str, because: str) -> Schedule:
        """The schedule without `name`, which was at work and was stopped."""
        return replace(self, running=self.running - {name}, skipped={**self.skipped, name: because})


def schedule(
    parents: Mapping[str, Sequence[str]],
    *,
    limit: int,
    seconds: Mapping[str, float] | None = None,
    fail_fast: bool = False,
) -> Schedule:
    """The schedule of images and the parents that each waits for, at most `limit` at once.

    Among those that could start the one with the longest path of dependents goes first, by the `seconds` that each
    took before (one that is not known takes as long as the middle one of the others), then the given order.
    ValueError for a parent that is not among the images, for a cycle, and for a limit below 1.
    """
    if limit < 1:
        raise ValueError(f"limit is {limit}, and must be 1 or more")
    unknown = {parent for found in parents.values() for parent in found} - parents.keys()
    if unknown:
        raise ValueError(f"parents that are not part of the run: {', '.join(sorted(unknown))}")
    try:
        topological = tuple(TopologicalSorter(parents).static_order())
    except CycleError as error:
        raise ValueError(f"a cycle of parents: {' -> '.join(error.args[1])}") from error
    taken = {name: found for name, found in (seconds or {}).items() if name in parents and found > 0}
    usual = sorted(taken.values())[len(taken) // 2] if taken else 1.0
    path = {name: taken.get(name, usual) for name in parents}
    for child in reversed(topological):
        for parent in parents[child]:
            path[parent] = max(path[parent], path[child] + taken.get(parent, usual))
    order = tuple(sorted(parents, key=lambda name: -path[name]))
    return Schedule(
        parents={name: tuple(found) for name, found in parents.items()}, order=order, limit=limit, fail_fast=fail_fast
    )
