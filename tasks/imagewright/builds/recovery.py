"""A BuildKit that hangs or went away, brought back.

BuildKit reads the manifest of a cache without a time limit and without heeding a cancellation, and when the build that
wanted it ends it waits for it under a lock of the whole daemon (solver/jobs.go, `Discard`; llbsolver/bridge.go,
`lazyCacheManager.wait`; v0.33): a store that takes the request and never answers stops all builds. Nothing that runs
there is lost by a restart.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

Restart = Callable[[], None]


class Recovery:
    """Restarts a builder's BuildKit, once for all builds that hang there together."""

    def __init__(self, restart: Restart | None = None) -> None:
        """None: it is not ours to restart."""
        self._restart = restart
        self._lock = threading.Lock()
        self.times = 0  # it was restarted: what failed meanwhile may have failed because of that

    def since(self, seen: int) -> bool:
        """Whether it was restarted since it was `seen` with so many `times`; a restart under way is waited for."""
        with self._lock:
            return self.times != seen

    def run(self, seen: int) -> bool:
        """Restart it, unless that was done since it was `seen` with so many `times`; whether it could be done."""
        if self._restart is None:
            return False
        with self._lock:
            if self.times == seen:
                self._restart()
                self.times += 1
        return True
