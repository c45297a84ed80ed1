"""What a run is about: the images to build or to publish, and the doors that each of them goes through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imagewright.builds.caches import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One image to build, or only to publish: where there is a digest, its tags are put on that."""

    name: str
    parents: tuple[str, ...]  # jobs of the same run that must be done first
    tags: tuple[str, ...]  # full references, "localhost:5050/app:dev"
    platforms: tuple[str, ...]
    repository: str
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one bake call builds of an image: all of its platforms, or those of one node of the builder."""

    platforms: tuple[str, ...]
    apart: bool = False  # whether other calls build the image's other platforms
    cache: Mode = "off"

    @property
    def label(self) -> str:
        """What tells it from the image's other parts: `linux/arm64`; empty where it is the only one."""
        return ",".join(self.platforms) if self.apart else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a run is done."""

    root: Path  # bake's working folder: the repository's root
    jobs: int  # how many images build at once
    push: bool  # whether children take their parents by digest from the registry
    retries: int = 1  # of a transient failure
    pause: float = 1.0  # seconds before the first retry; each further one waits twice as long
    fail_fast: bool = False  # whether the first failure ends the run
    seconds: Mapping[str, float] = field(default_factory=dict)  # that the images took before
    env: Mapping[str, str] = field(default_factory=dict)  # for bake, beside this process's own environment
    secrets: tuple[str, ...] = field(default=(), repr=False)  # values that are masked wherever they turn up


Bake = Callable[[Job, Mapping[str, str], Part], Mapping[str, Any]]
"""The bake file of one part of a job, given the digests of its parents that this run has pushed."""

Join = Callable[[Job, Sequence[tuple[tuple[str, ...], str]]], str]
"""Makes one index of the parts of a job (platforms and digest of each), and gives its digest. ImagewrightError: some
of it is not there, or not what it should be."""
