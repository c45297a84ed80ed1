from __future__ import annotations

import io
import re
import sys
from dataclasses import replace
from typing import Any

import pytest

from imagewright.builds.failure import Failure
from imagewright.builds.progress import Event, Progress, Step
from imagewright.builds.result import ImageResult, Status
from imagewright.builds.view import View, make_view
from imagewright.builds.views.live import LiveView
from imagewright.builds.views.log import Log
from imagewright.builds.views.plain import GroupedView, PlainView
from imagewright.builds.views.quiet import QuietView

RUNNING = Progress(
    steps={
        "a": Step(name="[1/3] COPY a", started=1, completed=2, cached=True),
        "b": Step(name="[2/3] RUN make", started=2, transfers={"x": (1_000_000, 12_000_000)}),
        "c": Step(name="[3/3] RUN test"),
    }
)
FAILURE = Failure(
    kind="run", image="app", message="failed with exit code 7", detail="", where="Dockerfile:4", output=("boom",)
)


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def plain(stream: io.StringIO) -> str:
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", stream.getvalue())


def an_ending(name: str, status: Status = "built", **values: Any) -> ImageResult:
    defaults = {"digest": "sha256:" + "ab" * 32, "platforms": ("linux/amd64",), "seconds": 1.25, "steps": 3}
    reference = f"localhost:5050/{name}:dev"
    return ImageResult(name=name, status=status, reference=reference, tags=(reference,), **{**defaults, **values})


@pytest.mark.parametrize(
    ("progress", "terminal", "environ", "kind"),
    [
        ("auto", True, {}, LiveView),
        ("auto", True, {"CI": "true"}, PlainView),
        ("auto", True, {"TERM": "dumb"}, PlainView),
        ("auto", False, {}, PlainView),
        ("auto", False, {"CI": "true"}, PlainView),
        ("auto", False, {"CI": "true", "GITHUB_ACTIONS": "true"}, GroupedView),
        ("auto", False, {"CI": "true", "GITLAB_CI": "true"}, GroupedView),
        ("tty", True, {"CI": "true", "GITHUB_ACTIONS": "true"}, GroupedView),
        ("plain", False, {"CI": "true", "GITHUB_ACTIONS": "true"}, PlainView),
        ("plain", True, {}, PlainView),
        ("tty", False, {}, LiveView),
        ("quiet", True, {}, QuietView),
    ],
)
def test_the_view_that_is_asked_for(progress: str, terminal: bool, environ: dict[str, str], kind: type[View]) -> None:
    assert type(make_view(progress, Terminal() if terminal else io.StringIO(), environ)) is kind


def test_plain_lines_carry_the_time_and_the_image() -> None:
    stream, clock = io.StringIO(), Clock()
    with PlainView(Log(stream), steps=True, clock=clock, wall=lambda: "12:00:00") as view:
        view.started("app")
        step = Step(name="[2/3] RUN make", started=1, completed=3)
        view.progressed("app", RUNNING, [Event(kind="output", step=step, text="x"), Event(kind="completed", step=step)])
        view.retrying("app", "the connection was reset", 2)
        view.ended(an_ending("app", cached_steps=1))
        view.ended(an_ending("web", "skipped", because="parent app failed"))
        view.ended(an_ending("db", "failed", failure=FAILURE))
    assert stream.getvalue().splitlines() == [
        "12:00:00 app: started",
        "12:00:00 app: [2/3] done in 2.0s: RUN make",
        "12:00:00 app: the connection was reset: next try in 2s",
        "12:00:00 app: built in 1.2s, 1 of 3 steps cached",
        "12:00:00 web: skipped: parent app failed",
        "12:00:00 db: FAILED after 1.2s: failed with exit code 7",
    ]


def test_a_long_silence_is_broken_and_not_more_than_that() -> None:
    stream, clock = io.StringIO(), Clock()
    with PlainView(Log(stream), steps=False, clock=clock, wall=lambda: "t") as view:
        view.started("app")
        view.progressed("app", RUNNING, [])
        for now in (1.0, 29.0, 31.0, 32.0, 45.0):
            clock.now = now
            view.tick()
    assert stream.getvalue().splitlines()[1:] == ["t app: still at it after 31s: [2/3] RUN make (1.0 MB of 12.0 MB)"]


def test_a_quiet_view_tells_failures_alone() -> None:
    stream = io.StringIO()
    with QuietView(Log(stream)) as view:
        view.started("app")
        view.finish([an_ending("app")], 1)
    assert stream.getvalue() == ""
    view.finish([an_ending("app", "failed", failure=FAILURE, log="/l/app.log")], 1)
    assert stream.getvalue().splitlines() == [
        "error: Dockerfile:4: app: failed with exit code 7",
        "    | boom",
        "  the full log: /l/app.log",
    ]


def test_the_live_view_shows_what_runs_and_leaves_what_ended() -> None:
    stream, clock = Terminal(), Clock()
    with LiveView(stream, {"COLUMNS": "120", "TERM": "xterm"}, clock=clock) as view:
        view.started("app")
        view.progressed("app", RUNNING, [])
        clock.now = 5
        view.tick()
        assert "app" in stream.getvalue()
        assert "5.0s" in stream.getvalue()
        assert "1/3 (1 cached)" in stream.getvalue()
        assert "[2/3] RUN make" in stream.getvalue()
        view.retrying("app", "the connection was reset", 2)
        clock.now = 6
        view.tick()
        assert "the connection was reset: next try in 2s" in stream.getvalue()
        view.ended(an_ending("app"))
    assert "app: built in 1.2s" in plain(stream)


def test_the_live_view_names_the_stage_of_a_step() -> None:
    stream, clock = Terminal(), Clock()
    with LiveView(stream, clock=clock) as view:
        view.started("app")
        view.progressed("app", Progress(steps={"a": Step(name="[build 2/4] RUN make", started=1)}), [])
        clock.now = 5
        view.tick()
    assert "[build 2/4] RUN make" in stream.getvalue()


def test_a_long_step_is_cut_in_a_plain_line() -> None:
    stream, clock = io.StringIO(), Clock()
    with PlainView(Log(stream), steps=False, clock=clock, wall=lambda: "t") as view:
        view.started("app")
        view.progressed("app", Progress(steps={"a": Step(name="[1/2] RUN " + "make " * 99, started=1)}), [])
        clock.now = 31.0
        view.tick()
    line = stream.getvalue().splitlines()[1]
    assert line.startswith("t app: still at it after 31s: [1/2] RUN make make")
    assert len(line) < 140


@pytest.mark.parametrize("environ", [{}, {"NO_COLOR": "1"}])
def test_no_color_is_honoured(environ: dict[str, str]) -> None:
    stream, clock = Terminal(), Clock()
    with LiveView(stream, {"TERM": "xterm-256color", **environ}, clock=clock) as view:
        view.started("app")
        view.progressed("app", RUNNING, [])
        clock.now = 5
        view.tick()
        view.ended(an_ending("app"))
    colours = re.findall(r"\x1b\[(?:\d+;)*3\d(?:;\d+)*m", stream.getvalue())
    assert bool(colours) == (not environ)


def test_the_live_view_counts() -> None:
    stream, clock = Terminal(), Clock()
    with LiveView(stream, {"COLUMNS": "100", "LINES": "20", "TERM": "dumb-ish"}, clock=clock) as view:
        view.begin(["base", "app", "web", "db", "doc"])
        for name in ("base", "app", "web"):
            view.started(name)
        view.ended(an_ending("base"))
        view.ended(an_ending("web", "failed", failure=FAILURE))
        clock.now = 75
        view.tick()
    assert "1m 15s  2/5  1 built, 1 running, 2 waiting, 1 failed" in plain(stream)


@pytest.mark.parametrize(("height", "rows"), [(40, 30), (31, 28), (8, 5), (3, 0), (2, 0), (1, 0)])
@pytest.mark.parametrize("width", [200, 40, 1])
def test_the_live_view_is_never_larger_than_the_terminal(height: int, rows: int, width: int) -> None:
    stream, clock = Terminal(), Clock()
    with LiveView(stream, {"COLUMNS": str(width), "LINES": str(height), "TERM": "xterm"}, clock=clock) as view:
        view.begin([f"image-{number}" for number in range(30)])
        for number in range(30):
            view.started(f"image-{number}")
            view.progressed(f"image-{number}", RUNNING, [])
        clock.now = 5
        view.tick()
        lines = [line.plain for line in view._frame]
        assert len(lines) <= max(height - 1, 1)
        assert max(map(len, lines)) <= max(width - 1, 1)
        assert sum(line.startswith("image-") for line in lines) == (rows if width > 20 else 0)
        assert (f"… and {30 - rows} more" in lines) == (0 < 30 - rows < 30 or height == 3) or width < 20


def test_a_terminal_that_becomes_narrower_is_cleared_of_what_it_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, clock = Terminal(), Clock()
    environ = {"COLUMNS": "81", "LINES": "20", "TERM": "xterm"}
    with LiveView(stream, environ, clock=clock) as view:
        view.started("app")
        view.progressed("app", Progress(steps={"a": Step(name="[build 2/4] RUN " + "make " * 99, started=1)}), [])
        clock.now = 5
        view.tick()
        assert view._live
        view._live.console._width = 40  # what the terminal would say now
        before = stream.tell()
        clock.now = 6
        view.tick()
        # The line of 80 columns takes two of 40 now: one more to go up than the frame has lines.
        assert stream.getvalue()[before:].startswith("\x1b[2K\x1b[1A\r\x1b[2K\x1b[1A\x1b[2K")
        before = stream.tell()
        clock.now = 7
        view.tick()
        assert stream.getvalue()[before:].startswith("\r\x1b[2K\x1b[1A\x1b[2K")


def test_a_build_cannot_write_to_the_terminal() -> None:
    stream, clock = Terminal(), Clock()
    evil = "[2/3] RUN echo \x1b]0;title\x07\x1b[2J\u202e\x9b1A"
    failure = replace(FAILURE, message="failed: \x1b[2J", output=("\x1b[31mred\x1b[0m", "\x1b]52;c;aGk=\x07\rboom"))
    with LiveView(stream, {"TERM": "xterm", "NO_COLOR": "1"}, clock=clock) as view:
        view.started("app")
        view.progressed("app", Progress(steps={"a": Step(name=evil, started=1)}), [])
        clock.now = 5
        view.tick()
        view.ended(an_ending("app", "failed", failure=failure))
    view.finish([an_ending("app", "failed", failure=failure)], 1)
    for sequence in ("\x1b]", "\x1b[2J", "\x9b", "\u202e", "\x07", "\x1b[31m"):
        assert sequence not in stream.getvalue()
    assert "    | red\n    | boom\n" in stream.getvalue()


def test_a_run_that_is_over_at_once_draws_nothing() -> None:
    stream = Terminal()
    with LiveView(stream) as view:
        view.started("app")
        view.tick()
        view.ended(an_ending("app"))
    assert stream.getvalue() == ""


def test_rich_is_not_loaded_with_the_module() -> None:
    import subprocess

    code = (
        "import sys, imagewright.builds.run, imagewright.builds.view, imagewright.builds.report.markdown, "
        "imagewright.builds.report.timeline; sys.exit(bool({'rich', 'jinja2'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
