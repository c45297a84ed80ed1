"""One bake call at work: what it says, and whether it waits for a cache that does nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from imagewright.builds.progress import Event, Progress, advance


@dataclass(slots=True)
class Attempt:
    """Written by the thread that builds, looked at by the one that keeps the schedule."""

    clean: Callable[[str], str]
    shown: Callable[[Progress, tuple[Event, ...]], None]
    progress: Progress = field(default_factory=Progress)
    heard: float = field(default_factory=time.monotonic)  # when its last line came
    stop: Callable[[], None] | None = None  # ends the call, once it runs
    gave_up: float = 0.0  # seconds that it waited in vain for a cache
    hangs: bool = False  # whether BuildKit goes on waiting (builds/recovery.py)

    def on_line(self, line: str) -> None:
        """Take one line of what buildx says."""
        self.heard = time.monotonic()
        self.progress, events = advance(self.progress, line, self.clean)
        self.shown(self.progress, events)

    def give_up(self, timeout: float) -> None:
        """End the call where it has waited for a cache, in silence, for `timeout` seconds."""
        silence = time.monotonic() - self.heard
        if self.stop and not self.gave_up and silence >= timeout and self.progress.is_at_cache:
            self.gave_up = silence
            self.hangs = self.progress.is_at_import
            self.stop()
