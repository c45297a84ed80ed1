"""Work that goes on while other work is done: what a child process finds out, mostly."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Later(Generic[_T]):
    """A call that has begun on a thread of its own."""

    def __init__(self, call: Callable[[], _T]) -> None:
        self._call = call
        self._value: list[_T] = []
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self) -> _T:
        """What it returns, once it does; what it raises is raised here."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value[0]

    def wait(self, seconds: float) -> None:
        """Wait for its end, but not longer than that; what it raised is raised here, too."""
        self._thread.join(max(seconds, 0.0))
        if not self._thread.is_alive():
            self.result()

    def _run(self) -> None:
        try:
            self._value.append(self._call())
        except BaseException as error:  # noqa: BLE001 (raised where the result is asked for)
            self._error = error
