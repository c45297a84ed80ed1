"""The time line of a run as one HTML file: nothing comes from elsewhere, and no script is needed to read it.

Jinja's autoescape keeps every text a text. A content security policy forbids what is not in the file, and names its
one script by its hash: a script that came in with a text would not run.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING

from imagewright.builds.report.lanes import Chart, Lane, chart
from imagewright.builds.report.table import is_unchanged, tally
from imagewright.builds.report.text import change, duration, one_line, phase, printable, short
from imagewright.builds.result import ImageResult, Span
from imagewright.config.sizes import size

if TYPE_CHECKING:
    from jinja2 import Template

_SLOWEST = 10
_SLOW_SECONDS = 0.1
_COMPACT_ROWS = 60  # from which rows are low
_PREFIX_WIDTH = 16  # of a step: "linux/amd64 2/7"
_LOAD_WIDTH, _LOAD_HEIGHT = 1000, 40


def timeline(
    results: Sequence[ImageResult],
    *,
    title: str,
    began: float,
    parents: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> str:
    """The page. `began`: of the run, in seconds since 1970; `parents`: what each image is built on.

    Without `parents` the wait for them cannot be told from the wait for a turn, and there is no critical path.
    """
    drawn = chart(results, parents=parents)
    return _template().render(
        title=one_line(title),
        when=datetime.fromtimestamp(began, UTC),
        tally=tally(results),
        failed=any(result.status == "failed" for result in results),
        steps=sum(result.steps for result in results),
        cached=sum(result.cached_steps for result in results),
        bytes=sum(sum((result.sizes or {}).values()) for result in results if not is_unchanged(result)),
        chart=drawn,
        critical=sum(lane.end - lane.start for lane in drawn.path),
        compact=len(drawn.lanes) > _COMPACT_ROWS,
        numbers={lane.result.name: number for number, lane in enumerate(drawn.lanes)},
        names=max([_PREFIX_WIDTH, *(len(lane.result.name) for lane in drawn.lanes)]),
        ticks=_ticks(drawn),
        load=_load(drawn),
        slowest=_slowest(drawn.lanes),
        unchanged=[result for result in results if is_unchanged(result)],
        undone=[result for result in results if result.began is None and not is_unchanged(result)],
        place=_Place(drawn.seconds),
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    def ours(name: str) -> str:
        return (files("imagewright.builds.report") / "page" / name).read_text(encoding="utf-8")

    script = ours("timeline.js")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "bytes": size,
        "change": change,
        "duration": duration,
        "one_line": one_line,
        "phase": phase,
        "short": short,
    }
    environment.globals |= {
        "style": Markup(ours("timeline.css")),  # noqa: S704
        "script": Markup(script),  # noqa: S704
        "script_hash": base64.b64encode(sha256(script.encode()).digest()).decode(),
        "hover": _hover,
        "output": _output,
        "parts": _parts,
    }
    return environment.from_string(ours("timeline.html"))


class _Place:
    """Where a stretch of time is on the scale, as CSS."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds or 1.0

    def __call__(self, start: float, end: float) -> str:
        return f"left:{self._percent(start)}%;width:{self._percent(end - start)}%"

    def beside(self, start: float, end: float) -> str:
        """For a text on that side of the stretch where there is more room."""
        if start > self._seconds - end:
            return f"right:{self._percent(self._seconds - start)}%;max-width:{self._percent(start)}%"
        return f"left:{self._percent(end)}%;max-width:{self._percent(self._seconds - end)}%"

    def _percent(self, seconds: float) -> str:
        return f"{100 * seconds / self._seconds:.2f}".rstrip("0").rstrip(".")


def _ticks(drawn: Chart) -> list[tuple[str, str]]:
    """(where, as a percentage, what it says) for each line of the scale."""
    count = int(drawn.seconds / drawn.tick) if drawn.seconds else 0
    return [(f"{100 * n * drawn.tick / drawn.seconds:.2f}", _label(n * drawn.tick)) for n in range(count + 1) if count]


def _label(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + "s"
    hours, minutes, rest = int(seconds) // 3600, int(seconds) // 60 % 60, int(seconds) % 60
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return " ".join(f"{count}{unit}" for count, unit in parts if count)


def _load(drawn: Chart) -> str:
    """How many images are at work, as the outline of an area: an SVG path."""
    if not drawn.seconds or not drawn.peak:
        return ""
    points = [f"M0 {_LOAD_HEIGHT}"]
    for moment, count in drawn.load:
        points.append(f"H{_LOAD_WIDTH * moment / drawn.seconds:.1f}V{_LOAD_HEIGHT * (1 - count / drawn.peak):.1f}")
    return "".join([*points, f"H{_LOAD_WIDTH}V{_LOAD_HEIGHT}Z"])


def _slowest(lanes: Sequence[Lane]) -> list[tuple[Lane, Span]]:
    """The steps that took longest; one that several images share counts once."""
    steps: dict[tuple[str, float], tuple[Lane, Span]] = {}
    for lane in lanes:
        for span in lane.spans:
            if span.state != "cached" and span.end - span.start >= _SLOW_SECONDS:
                steps.setdefault((span.name, round(span.start, 2)), (lane, span))
    return sorted(steps.values(), key=lambda pair: pair[1].start - pair[1].end)[:_SLOWEST]


def _parts(span: Span) -> tuple[str, str]:
    """`linux/amd64 build 2/4` and `RUN make` of `[linux/amd64 build 2/4] RUN make`."""
    name = one_line(span.name)
    found = re.fullmatch(r"\[([^\]]+)\] (.*)", name)
    before, after = (found[1], found[2]) if found else ("", name)
    if span.platform and span.platform not in before:
        before = f"{span.platform} {before}".strip()
    return before, after


def _hover(name: str, start: float, end: float) -> str:
    return f"{one_line(name)}\n{duration(end - start)}, from {duration(start)} to {duration(end)}"


def _output(result: ImageResult) -> str:
    """What a failed image said."""
    lines = str(result.failure.error).split("\n") if result.failure else []
    return "\n".join(map(printable, lines))
