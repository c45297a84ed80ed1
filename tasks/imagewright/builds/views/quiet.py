"""The view that says nothing but what failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from imagewright.builds.progress import Event, Progress
from imagewright.builds.report.table import failures
from imagewright.builds.result import ImageResult
from imagewright.builds.views.log import Log


class QuietView:
    """Says nothing but what failed. The other views say more."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        pass

    def begin(self, names: Sequence[str]) -> None:
        pass

    def started(self, name: str) -> None:
        pass

    def progressed(self, name: str, progress: Progress, events: Sequence[Event]) -> None:
        pass

    def retrying(self, name: str, why: str, seconds: float) -> None:
        pass

    def warned(self, text: str) -> None:
        self._log.say(f"warning: {text}")

    def ended(self, result: ImageResult) -> None:
        pass

    def tick(self) -> None:
        pass

    def finish(self, results: Sequence[ImageResult], seconds: float) -> None:
        if text := self._end(results, seconds):
            self._log.say(text)
        for result in results:
            self._log.annotate(result)

    def _end(self, results: Sequence[ImageResult], seconds: float) -> str:  # noqa: ARG002 - others show it
        return failures(results)
