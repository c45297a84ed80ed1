"""What a person sees of a run, on standard error: live lines on a terminal, plain ones with times elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, Any, Protocol, Self, TextIO

from imagewright.builds.progress import Event, Progress
from imagewright.builds.result import ImageResult

if TYPE_CHECKING:
    from rich.live import Live

_LIVE_AFTER_SECONDS = 0.4  # a run with nothing to do is over before, and need not load rich (0.08 s)
_REFRESH_SECONDS = 0.1
_STEP_WIDTH = 100  # characters of a step in a plain line
_SILENCE_SECONDS = 30.0  # after which a plain view says that a build still lives


class View(Protocol):
    """Told what happens, by one thread. A context manager: it may hold the terminal while it is open."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *args: object) -> None: ...

    def started(self, name: str) -> None:
        """The build of an image begins."""

    def progressed(self, name: str, progress: Progress, events: Sequence[Event]) -> None:
        """A build went on."""

    def retrying(self, name: str, why: str, seconds: float) -> None:
        """A transient failure: the build begins again in so many seconds."""

    def ended(self, result: ImageResult) -> None:
        """An image has its end: built, failed or skipped."""

    def tick(self) -> None:
        """Time passes; called often."""

    def finish(self, results: Sequence[ImageResult], seconds: float) -> None:
        """The run is over: the table, and what failed."""


def make_view(progress: str, stream: TextIO, environ: Mapping[str, str]) -> View:
    """The view that `--progress` asks for; `auto` is live on a terminal, and plain elsewhere and in CI."""
    live = stream.isatty() and not environ.get("CI") and environ.get("TERM") != "dumb"
    match progress:
        case "quiet":
            return QuietView(stream)
        case "tty":
            return LiveView(stream)
        case "auto" if live:
            return LiveView(stream)
        case _:
            return PlainView(stream, steps=progress == "plain")


class QuietView:
    """Says nothing but what failed. The other views say more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        pass

    def started(self, name: str) -> None:
        pass

    def progressed(self, name: str, progress: Progress, events: Sequence[Event]) -> None:
        pass

    def retrying(self, name: str, why: str, seconds: float) -> None:
        pass

    def ended(self, result: ImageResult) -> None:
        pass

    def tick(self) -> None:
        pass

    def finish(self, results: Sequence[ImageResult], seconds: float) -> None:  # noqa: ARG002 - others show it
        self._print(failures(results))

    def _print(self, text: str) -> None:
        if text:
            print(text, file=self._stream, flush=True)


class PlainView(QuietView):
    """A line with the time for each start and end; with `steps` also for each step. Long silence is broken."""

    def __init__(
        self,
        stream: TextIO,
        *,
        steps: bool,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], str] = lambda: time.strftime("%H:%M:%S"),
    ) -> None:
        super().__init__(stream)
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
                self._say(name, event.line)

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

    def finish(self, results: Sequence[ImageResult], seconds: float) -> None:
        self._print(summary(results, seconds))

    def _say(self, name: str, text: str) -> None:
        self._spoke[name] = self._clock()
        self._print(f"{self._wall()} {name}: {text}")


class LiveView(QuietView):
    """A line for each image at work, redrawn in place; what has ended stays above. NO_COLOR is rich's to honour."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock = clock
        self._began = clock()
        self._drawn = 0.0
        self._running: dict[str, tuple[float, Progress]] = {}
        self._notes: dict[str, str] = {}
        self._live: Live | None = None

    def __exit__(self, *args: object) -> None:
        if self._live:
            self._live.update("", refresh=True)
            self._live.stop()
            self._live = None

    def started(self, name: str) -> None:
        self._running[name] = (self._clock(), Progress())

    def progressed(self, name: str, progress: Progress, events: Sequence[Event]) -> None:  # noqa: ARG002 - state is enough
        self._running[name] = (self._running[name][0], progress)
        self._notes.pop(name, None)

    def retrying(self, name: str, why: str, seconds: float) -> None:
        self._notes[name] = f"{why}: next try in {seconds:g}s"

    def ended(self, result: ImageResult) -> None:
        self._running.pop(result.name, None)
        if self._live:
            self._live.console.print(f"{result.name}: {ending(result)}", markup=False, highlight=False)

    def tick(self) -> None:
        now = self._clock()
        if now - self._began < _LIVE_AFTER_SECONDS or now - self._drawn < _REFRESH_SECONDS:
            return
        self._drawn = now
        if self._live is None:
            self._live = _live(self._stream)
        self._live.update(self._table(now), refresh=True)

    def finish(self, results: Sequence[ImageResult], seconds: float) -> None:
        self._print(summary(results, seconds))

    def _table(self, now: float) -> Any:
        from rich.table import Table
        from rich.text import Text  # a plain string is markup to rich, which would take `[build 2/4]` out

        table = Table.grid(padding=(0, 2))
        for style, ratio in (("bold", None), ("cyan", None), ("dim", None), (None, 1)):
            table.add_column(style=style, ratio=ratio, no_wrap=True, overflow="ellipsis")
        for name, (since, progress) in self._running.items():
            counts = f"{progress.done}/{progress.total}" if progress.total else ""
            cached = f" ({progress.cached} cached)" if progress.cached else ""
            now_doing = self._notes.get(name) or doing(progress)
            table.add_row(name, f"{now - since:.0f}s", counts + cached, Text(now_doing))
        return table


def _live(stream: TextIO) -> Live:
    from rich.console import Console
    from rich.live import Live

    live = Live(console=Console(file=stream), auto_refresh=False, transient=True)
    live.start()
    return live


def doing(progress: Progress) -> str:
    """What a build does now, in a line."""
    step = progress.current
    if step is None:
        return "waiting"
    moved, total = progress.bytes
    transfer = f" ({size(moved)} of {size(total)})" if total and moved < total else ""
    return " ".join(f"{step.name}{transfer}".split())


def ending(result: ImageResult) -> str:
    """How an image ended, in a line."""
    match result.status:
        case "failed" if result.failure:
            return f"FAILED after {result.seconds:.1f}s: {result.failure.message}"
        case "skipped":
            return f"skipped: {result.because}"
        case _:
            cached = f", {result.cached_steps} of {result.steps} steps cached" if result.steps else ""
            return f"{result.status} in {result.seconds:.1f}s{cached}"


def summary(results: Sequence[ImageResult], seconds: float) -> str:
    """The table of a run, then what failed, then one line that counts."""
    sized = any(result.sizes for result in results)
    rows = [("IMAGE", "STATUS", "DIGEST", "PLATFORMS", *(("SIZE",) if sized else ()), "SECONDS", "CACHED", "REFERENCE")]
    for result in results:
        total = (size(sum(result.sizes.values())) if result.sizes else "-",) if sized else ()
        rows.append(
            (
                result.name,
                result.status,
                short(result.digest),
                ",".join(result.platforms) or "-",
                *total,
                f"{result.seconds:.1f}",
                f"{result.cached_steps}/{result.steps}" if result.steps else "-",
                result.because or result.reference,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    counts = {status: sum(result.status == status for result in results) for status in ("built", "reused", "skipped")}
    failed = sum(result.status == "failed" for result in results)
    said = [f"{count} {status}" for status, count in (*counts.items(), ("failed", failed)) if count]
    parts = ["\n".join(table), failures(results), f"{', '.join(said) or 'nothing to build'} in {seconds:.1f}s"]
    return "\n".join(part for part in parts if part)


def failures(results: Sequence[ImageResult]) -> str:
    """Each failure in full, with where its log is, and each registry that an image is missing in."""
    blocks = [
        f"error: {result.failure.error}" + (f"\n  the full log: {result.log}" if result.log else "")
        for result in results
        if result.failure
    ]
    blocks += [
        f"error: {result.name} is not in {one.registry}: {one.error}"
        for result in results
        for one in result.unpublished
    ]
    return "\n".join(blocks)


def short(digest: str | None) -> str:
    """The first twelve digits of a digest, as docker shows it."""
    return digest.partition(":")[2][:12] if digest else "-"


def size(count: int) -> str:
    """Bytes for people: `12.3 MB`, powers of 1000 as registries and docker count."""
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def _is_news(event: Event) -> bool:
    is_instruction = event.step is not None and event.step.is_instruction
    return event.kind in ("completed", "failed") and is_instruction
