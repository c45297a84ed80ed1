"""One bake call at work: what it says, whether it waits for a cache that does nothing, and how it is ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from imagewright.builds.progress import Event, Progress, advance

# BuildKit says when it begins to upload a layer to a cache, and when it has done so, and nothing between.
_WRITING_SECONDS = 600.0
_WRITING_FACTOR = 10


@dataclass(slots=True)
class Attempt:
    """Written by the thread that builds, looked at by others."""

    clean: Callable[[str], str]
    shown: Callable[[Progress, tuple[Event, ...]], None]
    progress: Progress = field(default_factory=Progress)
    heard: float = field(default_factory=time.monotonic)  # when its last line came
    gave_up: float = 0.0  # seconds that it waited in vain for a cache
    hangs: bool = False  # whether BuildKit goes on waiting for it (builds/recovery.py)
    halted: bool = False  # whether it was ended because of another one
    _stop: Callable[[], None] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on_start(self, stop: Callable[[], None]) -> None:
        """It runs; `stop` ends it."""
        with self._lock:
            self._stop = stop
            if self.halted:
                stop()

    def on_line(self, line: str) -> None:
        """Take one line of what buildx says."""
        self.heard = time.monotonic()
        self.progress, events = advance(self.progress, line, self.clean)
        self.shown(self.progress, events)

    def halt(self) -> None:
        """End it, also where it has yet to start: nobody wants any more what it builds."""
        with self._lock:
            self.halted = True
            if self._stop:
                self._stop()

    def give_up(self, timeout: float) -> None:
        """End it where it has waited for a cache, in silence, for `timeout` seconds; longer, while it writes one."""
        silence = time.monotonic() - self.heard
        if silence < timeout or self.gave_up or not self.progress.is_at_cache:
            return
        reads = self.progress.is_at_import
        if not reads and silence < max(_WRITING_SECONDS, _WRITING_FACTOR * timeout):
            return
        with self._lock:
            if self._stop:
                self.gave_up, self.hangs = silence, reads
                self._stop()
