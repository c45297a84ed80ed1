from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from imagewright.builds.failure import Failure
from imagewright.builds.progress import Event, Progress, Step
from imagewright.builds.result import ImageResult, Status
from imagewright.builds.view import LiveView, PlainView, QuietView, View, make_view, size, summary

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
        ("plain", True, {}, PlainView),
        ("tty", False, {}, LiveView),
        ("quiet", True, {}, QuietView),
    ],
)
def test_the_view_that_is_asked_for(progress: str, terminal: bool, environ: dict[str, str], kind: type[View]) -> None:
    assert type(make_view(progress, Terminal() if terminal else io.StringIO(), environ)) is kind


def test_plain_lines_carry_the_time_and_the_image() -> None:
    stream, clock = io.StringIO(), Clock()
    with PlainView(stream, steps=True, clock=clock, wall=lambda: "12:00:00") as view:
        view.started("app")
        step = Step(name="[2/3] RUN make", started=1, completed=3)
        view.progressed("app", RUNNING, [Event(kind="output", step=step, text="x"), Event(kind="completed", step=step)])
        view.retrying("app", "the connection was reset", 2)
        view.ended(an_ending("app", cached_steps=1))
        view.ended(an_ending("web", "skipped", because="parent app failed"))
        view.ended(an_ending("db", "failed", failure=FAILURE))
    assert stream.getvalue().splitlines() == [
        "12:00:00 app: started",
        "12:00:00 app: [2/3] done in 2.0s",
        "12:00:00 app: the connection was reset: next try in 2s",
        "12:00:00 app: built in 1.2s, 1 of 3 steps cached",
        "12:00:00 web: skipped: parent app failed",
        "12:00:00 db: FAILED after 1.2s: failed with exit code 7",
    ]


def test_a_long_silence_is_broken_and_not_more_than_that() -> None:
    stream, clock = io.StringIO(), Clock()
    with PlainView(stream, steps=False, clock=clock, wall=lambda: "t") as view:
        view.started("app")
        view.progressed("app", RUNNING, [])
        for now in (1.0, 29.0, 31.0, 32.0, 45.0):
            clock.now = now
            view.tick()
    assert stream.getvalue().splitlines()[1:] == ["t app: still at it after 31s: [2/3] RUN make (1.0 MB of 12.0 MB)"]


def test_a_quiet_view_tells_failures_alone() -> None:
    stream = io.StringIO()
    with QuietView(stream) as view:
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
    with LiveView(stream, clock=clock) as view:
        view.started("app")
        view.progressed("app", RUNNING, [])
        clock.now = 5
        view.tick()
        assert "app" in stream.getvalue()
        assert "5s" in stream.getvalue()
        assert "1/3 (1 cached)" in stream.getvalue()
        assert "[2/3] RUN make" in stream.getvalue()
        view.retrying("app", "the connection was reset", 2)
        clock.now = 6
        view.tick()
        assert "the connection was reset: next try in 2s" in stream.getvalue()
        view.ended(an_ending("app"))
    assert "app: built in 1.2s" in stream.getvalue()


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
    with PlainView(stream, steps=False, clock=clock, wall=lambda: "t") as view:
        view.started("app")
        view.progressed("app", Progress(steps={"a": Step(name="[1/2] RUN " + "make " * 99, started=1)}), [])
        clock.now = 31.0
        view.tick()
    line = stream.getvalue().splitlines()[1]
    assert line.startswith("t app: still at it after 31s: [1/2] RUN make make")
    assert len(line) < 140


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream, clock = Terminal(), Clock()
    with LiveView(stream, clock=clock) as view:
        view.started("app")
        clock.now = 5
        view.tick()
    assert "\x1b[36m" not in stream.getvalue()
    assert "\x1b[1;36m" not in stream.getvalue()


def test_a_run_that_is_over_at_once_draws_nothing() -> None:
    stream = Terminal()
    with LiveView(stream) as view:
        view.started("app")
        view.tick()
        view.ended(an_ending("app"))
    assert stream.getvalue() == ""


def test_the_summary() -> None:
    results = [
        an_ending("app", cached_steps=3, sizes={"linux/amd64": 12_345_678}),
        an_ending("web", "failed", digest=None, steps=0, failure=FAILURE),
        an_ending("db", "skipped", digest=None, steps=0, seconds=0.0, because="parent web failed"),
    ]
    assert summary(results, 2.5).splitlines() == [
        "IMAGE  STATUS   DIGEST        PLATFORMS    SIZE     SECONDS  CACHED  REFERENCE",
        "app    built    abababababab  linux/amd64  12.3 MB  1.2      3/3     localhost:5050/app:dev",
        "web    failed   -             linux/amd64  -        1.2      -       localhost:5050/web:dev",
        "db     skipped  -             linux/amd64  -        0.0      -       parent web failed",
        "error: Dockerfile:4: app: failed with exit code 7",
        "    | boom",
        "1 built, 1 skipped, 1 failed in 2.5s",
    ]
    assert "SIZE" not in summary([an_ending("app")], 1)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345_678, "12.3 MB"), (5 * 10**15, "5000.0 TB")],
)
def test_sizes_for_people(count: int, text: str) -> None:
    assert size(count) == text


def test_rich_is_not_loaded_with_the_module() -> None:
    import subprocess

    code = "import sys, imagewright.builds.run, imagewright.builds.view; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
