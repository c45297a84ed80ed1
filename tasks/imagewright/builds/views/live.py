"""The view of a terminal: what runs, redrawn in place, under a line that counts; what has ended stays above."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from imagewright.builds.progress import Event, Progress
from imagewright.builds.report.table import summary
from imagewright.builds.report.text import Phase, doing, duration, ending, one_line, phase
from imagewright.builds.result import ImageResult
from imagewright.builds.views.log import Log
from imagewright.builds.views.quiet import QuietView

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

_LIVE_AFTER_SECONDS = 0.4  # a run with nothing to do is over before, and need not load rich (0.08 s)
_REFRESH_SECONDS = 0.1
_NAME_WIDTH = 32  # the most columns that names take from what is done
_COUNTED = (("built", "green"), ("reused", "green"), ("running", "cyan"), ("waiting", "dim"))
_COUNTED_LAST = (("skipped", "yellow"), ("failed", "bold red"))
_ENDED = {"built": "green", "reused": "green", "skipped": "yellow", "failed": "bold red"}


class LiveView(QuietView):
    """A line for each image at work, never more than the terminal has. NO_COLOR leaves bold and dim."""

    def __init__(
        self,
        stream: TextIO,
        environ: Mapping[str, str] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(Log(stream))
        self._stream = stream
        self._environ = environ
        self._clock = clock
        self._began = clock()
        self._drawn = 0.0
        self._names: tuple[str, ...] = ()  # of the whole run
        self._waiting: set[str] = set()
        self._running: dict[str, tuple[float, Progress]] = {}  # name: (when it began, how far it is)
        self._ended: Counter[str] = Counter()
        self._notes: dict[str, str] = {}
        self._live: Live | None = None
        self._frame: list[Text] = []
        self._width = 0

    def __exit__(self, *args: object) -> None:
        if self._live:
            self._live.update("", refresh=True)
            self._live.stop()
            self._live = None

    def begin(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._waiting = set(names)

    def started(self, name: str) -> None:
        self._waiting.discard(name)
        self._running[name] = (self._clock(), Progress())

    def progressed(self, name: str, progress: Progress, events: Sequence[Event]) -> None:  # noqa: ARG002 - state is enough
        self._running[name] = (self._running[name][0], progress)
        self._notes.pop(name, None)

    def retrying(self, name: str, why: str, seconds: float) -> None:
        self._notes[name] = f"{why}: next try in {seconds:g}s"

    def warned(self, text: str) -> None:
        if self._live is None:
            super().warned(text)
        else:
            from rich.text import Text

            self._live.console.print(Text(f"warning: {one_line(text)}", style="yellow"), highlight=False)

    def ended(self, result: ImageResult) -> None:
        self._waiting.discard(result.name)
        self._running.pop(result.name, None)
        self._notes.pop(result.name, None)
        self._ended[result.status] += 1
        if self._live:
            from rich.text import Text  # a plain string is markup to rich, which would take `[build 2/4]` out

            line = Text.assemble((f"{result.name}: ", "bold"), (one_line(ending(result)), _ENDED[result.status]))
            self._live.console.print(line, highlight=False)

    def tick(self) -> None:
        now = self._clock()
        if now - self._began < _LIVE_AFTER_SECONDS or now - self._drawn < _REFRESH_SECONDS:
            return
        self._drawn = now
        if self._live is None:
            self._live = _live(self._stream, self._environ)
        from rich.console import Group

        width, height = self._live.console.size
        self._forget_wrapped(width)
        self._frame, self._width = self._lines(now, width, height), width
        self._live.update(Group(*self._frame), refresh=True)

    def _end(self, results: Sequence[ImageResult], seconds: float) -> str:
        return summary(results, seconds)

    def _forget_wrapped(self, width: int) -> None:
        """Clear the lines that a terminal has made of the last frame's when it became narrower."""
        from rich.control import Control
        from rich.segment import ControlType

        if self._live is None or width >= self._width:
            return
        more = sum((max(line.cell_len, 1) - 1) // width for line in self._frame)
        self._live.console.control(Control(*((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)) * more))

    def _lines(self, now: float, width: int, height: int) -> list[Text]:
        """The line that counts, then those of the images that run longest, as many as there is room for."""
        from rich.text import Text

        room = max(height - 2, 0)  # for what counts, and for the cursor
        running = list(self._running.items())
        if len(running) > room:
            running = running[: max(room - 1, 0)]
        names = min(max((len(name) for name in {*self._names, *self._running}), default=0), _NAME_WIDTH)
        lines = [self._counts(now)]
        lines += [self._row(name, now - since, progress, names) for name, (since, progress) in running]
        if (more := len(self._running) - len(running)) and room:
            lines.append(Text(f"… and {more} more", style="dim"))
        for line in lines:
            line.no_wrap = True
            line.truncate(max(width - 1, 1), overflow="ellipsis")
        return lines

    def _counts(self, now: float) -> Text:
        from rich.text import Text

        counts = {**self._ended, "running": len(self._running), "waiting": len(self._waiting)}
        shown = [(f"{counts[kind]} {kind}", style) for kind, style in _COUNTED + _COUNTED_LAST if counts.get(kind)]
        done = sum(self._ended.values())
        total = done + len(self._running) + len(self._waiting)
        parts: list[Any] = [(f"{duration(now - self._began)}  {done}/{total}", "bold"), "  "]
        for number, part in enumerate(shown):
            parts += [", ", part] if number else [part]
        return Text.assemble(*parts)

    def _row(self, name: str, seconds: float, progress: Progress, names: int) -> Text:
        from rich.text import Text

        counts = f"{progress.done}/{progress.total}" if progress.total else ""
        cached = f" ({progress.cached} cached)" if progress.cached else ""
        shown = name if len(name) <= names else f"{name[: names - 1]}…"
        note = self._notes.get(name)
        return Text.assemble(
            (f"{shown:<{names}}", "bold"),
            (f"  {'retrying' if note else _phase(progress):<10}", "yellow" if note else "cyan"),
            f"{duration(seconds):>7}",
            (f"  {counts + cached:<14}", "dim"),
            f"  {one_line(note or doing(progress))}",
        )


def _phase(progress: Progress) -> Phase:
    if progress.current:
        return phase(progress.current.name)
    # Tags are put when buildx has ended, and no step of BuildKit's says so.
    return "publishing" if progress.total and progress.done == progress.total else "preparing"


def _live(stream: TextIO, environ: Mapping[str, str] | None) -> Live:
    from rich.console import Console
    from rich.live import Live

    console = Console(file=stream, _environ=environ)
    live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")
    live.start()
    return live
