"""The views of logs: lines with the time, and in CI what belongs to one image folded together."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from textwrap import shorten

from imagewright.builds.progress import Event, Progress
from imagewright.builds.report.table import summary
from imagewright.builds.report.text import doing, ending
from imagewright.builds.result import ImageResult
from imagewright.builds.views.log import Log
from imagewright.builds.views.quiet import QuietView

_STEP_WIDTH = 100  # characters of a step in a plain line
_SILENCE_SECONDS = 30.0  # after which a plain view says that a build still lives
_LAST_LINES = 200  # of a failed build, which are not folded
_FEW_LINES = 20  # of a failed build, where the log has no room for more
_NEWS_LINES = 1_000  # of one image


class PlainView(QuietView):
    """A line with the time for each start and end; with `steps` also for each step. Long silence is broken."""

    def __init__(
        self,
        log: Log,
        *,
        steps: bool,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], str] = lambda: time.strftime("%H:%M:%S"),
    ) -> None:
        super().__init__(log)
        self._steps = steps
        self._clock = clock
        self._wall = wall
        self._running: dict[str, tuple[float, Progress]] = {}  # name: (when it began, how far it is)
        self._spoke: dict[str, float] = {}

    def started(self, name: str) -> None:
        self._running[name] = (self._clock(), Progress())
        self._say(name, "started")

    def progressed(self, name: str, progress: Progress, events: Sequence[Event]) -> None:
        self._running[name] = (self._running[name][0], progress)
        for event in events:
            if event.kind == "warning" or (self._steps and _is_news(event)):
                self._say(name, _news(event))

    def retrying(self, name: str, why: str, seconds: float) -> None:
        self._say(name, f"{why}: next try in {seconds:g}s")

    def ended(self, result: ImageResult) -> None:
        self._running.pop(result.name, None)
        self._say(result.name, ending(result))

    def tick(self) -> None:
        now = self._clock()
        for name, (since, progress) in self._running.items():
            if now - self._spoke[name] >= _SILENCE_SECONDS:
                self._say(name, f"still at it after {now - since:.0f}s: {shorten(doing(progress), _STEP_WIDTH)}")

    def _end(self, results: Sequence[ImageResult], seconds: float) -> str:
        return summary(results, seconds)

    def _say(self, name: str, text: str) -> None:
        self._spoke[name] = self._clock()
        self._log.say(f"{self._wall()} {name}: {text}")


class GroupedView(PlainView):
    """For CI: an image's lines come together when it ends, since images build at once; folded where all went well.

    A good one shows its steps, a failed one all of its output, the last lines unfolded.
    """

    def __init__(
        self,
        log: Log,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], str] = lambda: time.strftime("%H:%M:%S"),
    ) -> None:
        super().__init__(log, steps=True, clock=clock, wall=wall)
        self._news: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=_NEWS_LINES))
        self._all: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=log.log_lines))
        self._room = log.log_bytes

    def progressed(self, name: str, progress: Progress, events: Sequence[Event]) -> None:
        self._running[name] = (self._running[name][0], progress)
        for event in events:
            self._keep(self._all[name], event.line)
            if event.kind == "warning" or _is_news(event):
                self._keep(self._news[name], _news(event))

    def retrying(self, name: str, why: str, seconds: float) -> None:
        super().retrying(name, why, seconds)
        for lines in (self._all[name], self._news[name]):
            self._keep(lines, f"--- {why}: next try in {seconds:g}s")

    def ended(self, result: ImageResult) -> None:
        self._running.pop(result.name, None)
        news, everything = self._news.pop(result.name, ()), self._all.pop(result.name, ())
        title = f"{self._wall()} {result.name}: {ending(result)}"
        if result.status == "failed":
            self._failed(result, title, list(everything))
        elif news:
            self._log.group(title, news, folded=True, seconds=result.seconds)
        else:
            self._log.say(title)

    def _failed(self, result: ImageResult, title: str, lines: Sequence[str]) -> None:
        cut = _bytes(lines) > self._room
        if result.log and (cut or len(lines) == self._log.log_lines):
            lines = [f"the full log: {result.log}", *lines]
        last = lines[-_FEW_LINES if cut else -_LAST_LINES :]
        before = () if cut else lines[: -len(last)]
        self._room -= _bytes([*before, *last])
        if before:
            self._log.group(f"{title} (what came before)", before, folded=True, seconds=result.seconds)
        self._log.group(title, last, folded=False, seconds=result.seconds)

    def _keep(self, lines: deque[str], text: str) -> None:
        lines.extend(f"{self._wall()} {line}" for line in text.split("\n"))


def _bytes(lines: Sequence[str]) -> int:
    return sum(len(line.encode(errors="replace")) + 1 for line in lines)


def _is_news(event: Event) -> bool:
    return event.kind in ("completed", "failed") and event.step is not None and event.step.counts


def _news(event: Event) -> str:
    """The event as a line that stands without the one of the step's start."""
    if event.kind != "completed" or event.step is None:
        return event.line
    return f"{event.line}: {shorten(event.step.instruction, _STEP_WIDTH)}"
