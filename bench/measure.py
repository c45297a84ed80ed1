"""Pairs of measurements: ours, the peer, ours, the peer, so that a busy moment of the machine falls on both."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

How = Literal["ratio", "difference"]


class CannotRunError(Exception):
    """A measurement could not be made; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to time. `before` runs ahead of it, outside of the time."""

    args: Sequence[str]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], None] | None = None
    codes: tuple[int, ...] = (0,)

    def seconds(self) -> float:
        """Run once; wall-clock seconds. CannotRunError where the exit code is not the expected one."""
        if self.before:
            self.before()
        start = time.perf_counter()
        done = subprocess.run(self.args, cwd=self.cwd, env=environment(self.env), capture_output=True, text=True)
        seconds = time.perf_counter() - start
        if done.returncode not in self.codes:
            tail = "\n".join((done.stderr or done.stdout).splitlines()[-5:])
            raise CannotRunError(f"`{' '.join(self.args)}` ended with {done.returncode}: {tail}")
        return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: two commands that do the same work, and how far ours may be off."""

    name: str
    ours: Command
    peer: Command
    how: How
    limit: float
    runs: int
    warm_up: bool = True

    def show(self, value: float) -> str:
        """A ratio as `1.25x`, a difference as `+0.350 s`."""
        return f"{value:.2f}x" if self.how == "ratio" else f"{value:+.3f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What was measured, in seconds, in pairs."""

    row: Row
    ours: tuple[float, ...]
    peer: tuple[float, ...]

    @property
    def values(self) -> tuple[float, ...]:
        """The ratio or the difference of each pair."""
        if self.row.how == "ratio":
            return tuple(ours / peer for ours, peer in zip(self.ours, self.peer, strict=True))
        return tuple(ours - peer for ours, peer in zip(self.ours, self.peer, strict=True))

    @property
    def ours_median(self) -> float:
        """Seconds of our command."""
        return statistics.median(self.ours)

    @property
    def peer_median(self) -> float:
        """Seconds of the peer."""
        return statistics.median(self.peer)

    @property
    def value(self) -> float:
        """The median over the pairs."""
        return statistics.median(self.values)

    @property
    def within(self) -> bool:
        """Whether the median keeps the limit."""
        return self.value <= self.row.limit


def measure(row: Row, runs: int | None = None) -> Measurement:
    """Run the pairs of a row, each command once before them where the row warms up."""
    if row.warm_up:
        row.ours.seconds()
        row.peer.seconds()
    pairs = [(row.ours.seconds(), row.peer.seconds()) for _ in range(runs or row.runs)]
    ours, peer = zip(*pairs, strict=True)
    return Measurement(row=row, ours=ours, peer=peer)


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment and more, with byte code written, as on a user's machine."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | dict(more)
