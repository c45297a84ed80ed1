"""What a person sees of a run, on standard error: live lines on a terminal, plain ones with times elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, Self, TextIO

from imagewright.builds.progress import Event, Progress
from imagewright.builds.result import ImageResult
from imagewright.builds.views.live import LiveView
from imagewright.builds.views.log import Log, make_log
from imagewright.builds.views.plain import GroupedView, PlainView
from imagewright.builds.views.quiet import QuietView


class View(Protocol):
    """Told what happens, by one thread. A context manager: it may hold the terminal while it is open."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *args: object) -> None: ...

    def begin(self, names: Sequence[str]) -> None:
        """What the run is about to do: each of these images will end."""

    def started(self, name: str) -> None:
        """The build of an image begins."""

    def progressed(self, name: str, progress: Progress, events: Sequence[Event]) -> None:
        """A build went on."""

    def retrying(self, name: str, why: str, seconds: float) -> None:
        """A transient failure: the build begins again in so many seconds."""

    def warned(self, text: str) -> None:
        """Something is not as it should be, and the run goes on."""

    def ended(self, result: ImageResult) -> None:
        """An image has its end: built, failed or skipped."""

    def tick(self) -> None:
        """Time passes; called often."""

    def finish(self, results: Sequence[ImageResult], seconds: float) -> None:
        """The run is over: the table, and what failed."""


def make_view(progress: str, stream: TextIO, environ: Mapping[str, str], *, root: str = "") -> View:
    """The view that `--progress` asks for; `auto` is live on a terminal, grouped in the CI that can, else plain.

    `root`: the folder that the paths of Dockerfiles in errors start from, for the annotations of a CI service.
    """
    log = make_log(stream, environ, root)
    live = stream.isatty() and not environ.get("CI") and environ.get("TERM") != "dumb"
    match progress:
        case "quiet":
            return QuietView(log)
        case "auto" | "tty" if type(log) is not Log:  # where lines that are redrawn would be read as commands, too
            return GroupedView(log)
        case "tty":
            return LiveView(stream, environ)
        case "auto" if live:
            return LiveView(stream, environ)
        case _:
            return PlainView(log, steps=progress == "plain")
