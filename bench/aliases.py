"""The rows of names: the aliases of a family with many versions. The peer is the same program without our part."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial

from bench.measure import Command, Row
from bench.ours import ROOT

VERSIONS = 5000
FEWER, MORE = 10_000, 40_000  # enough that what takes the time is ours
LIMIT = 0.1  # seconds


def alias_rows() -> Mapping[str, Callable[[], Row]]:
    """Each row by its name, like `bench.rows.rows`."""
    made: dict[str, Callable[[str], Row]] = {
        f"aliases of {VERSIONS} versions": partial(own_time, strategy="parts"),
        f"aliases of {VERSIONS} versions, semver": partial(own_time, strategy="semver"),
        f"aliases, {MORE} versions to {FEWER}": growth,
    }
    return {name: partial(make, name) for name, make in made.items()}


def own_time(name: str, *, strategy: str) -> Row:
    """What the aliases take, the import of the semver package included."""
    return Row(
        name=name, ours=family(VERSIONS, strategy), peer=family(VERSIONS), how="difference", limit=LIMIT, runs=20
    )


def growth(name: str) -> Row:
    """Four times the versions in four times the time: both without Python's start."""
    return Row(
        name=name,
        ours=family(MORE, "parts"),
        peer=family(FEWER, "parts"),
        floor=family(1),
        how="ratio",
        limit=4.5,
        runs=10,
    )


def family(count: int, strategy: str = "none") -> Command:
    """The program that makes so many versions, and their aliases by a strategy."""
    return Command(args=(sys.executable, "-m", "bench.family", str(count), strategy), cwd=ROOT)
