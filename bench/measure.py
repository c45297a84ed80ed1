"""Pairs of measurements: ours, the peer, ours, the peer, so that a busy moment of the machine falls on both."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

How = Literal["ratio", "difference", "peak"]
Unit = Literal["seconds", "megabytes"]
PEAK = Path(__file__).with_name("peak.py")


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
        return self._run(self.args)[0]

    def megabytes(self) -> float:
        """Run once; the peak of memory of its largest process, in millions of bytes. CannotRunError as above."""
        kibibytes = self._run((sys.executable, "-I", "-S", str(PEAK), *self.args))[1].splitlines()[-1]
        return int(kibibytes) * 1024 / 1e6

    def _run(self, args: Sequence[str]) -> tuple[float, str]:
        if self.before:
            self.before()
        start = time.perf_counter()
        done = subprocess.run(args, cwd=self.cwd, env=environment(self.env), capture_output=True, text=True)
        seconds = time.perf_counter() - start
        if done.returncode not in self.codes:
            tail = "\n".join((done.stderr or done.stdout).splitlines()[-5:])
            raise CannotRunError(f"`{' '.join(self.args)}` ended with {done.returncode}: {tail}")
        return seconds, done.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: two commands that do the same work, and how far ours may be off.

    "ratio"       seconds of ours / seconds of the peer; `floor` is what both contain, and is taken off both before
    "difference"  seconds of ours - seconds of the peer
    "peak"        megabytes of ours; the peer is there to compare
    """

    name: str
    ours: Command
    peer: Command
    how: How
    limit: float
    runs: int
    floor: Command | None = None
    warm_up: bool = True

    @property
    def unit(self) -> Unit:
        """What a command is measured in."""
        return "megabytes" if self.how == "peak" else "seconds"

    def sample(self, command: Command) -> float:
        """Run one of the row's commands once, in `unit`."""
        return command.megabytes() if self.unit == "megabytes" else command.seconds()

    def show_sample(self, value: float) -> str:
        """What a command took: `0.123 s` or `98.5 MB`."""
        return f"{value:.1f} MB" if self.unit == "megabytes" else f"{value:.3f} s"

    def show(self, value: float) -> str:
        """A ratio as `1.25x`, a difference as `+0.350 s`, a peak as `98.5 MB`."""
        match self.how:
            case "ratio":
                return f"{value:#.3g}x"  # 0.0465x and 1.25x
            case "difference":
                return f"{value:+.3f} s"
            case "peak":
                return self.show_sample(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What was measured, in the row's unit, in pairs."""

    row: Row
    ours: tuple[float, ...]
    peer: tuple[float, ...]
    floor: tuple[float, ...] = ()  # as many, or none

    @property
    def values(self) -> tuple[float, ...]:
        """The ratio, the difference or the peak of each pair."""
        pairs = zip(self.ours, self.peer, self.floor or (0.0,) * len(self.ours), strict=True)
        match self.row.how:
            case "ratio":
                return tuple((ours - floor) / (peer - floor) for ours, peer, floor in pairs)
            case "difference":
                return tuple(ours - peer for ours, peer, _ in pairs)
            case "peak":
                return self.ours

    @property
    def ours_median(self) -> float:
        """What our command took."""
        return statistics.median(self.ours)

    @property
    def peer_median(self) -> float:
        """What the peer took."""
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
    commands = (row.ours, row.peer, *([row.floor] if row.floor else []))
    if row.warm_up:
        for command in commands:
            row.sample(command)
    ours, peer, *floor = zip(*([row.sample(one) for one in commands] for _ in range(runs or row.runs)), strict=True)
    return Measurement(row=row, ours=ours, peer=peer, floor=floor[0] if floor else ())


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment and more, with byte code written where a program does that, as on a user's machine."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | dict(more)
