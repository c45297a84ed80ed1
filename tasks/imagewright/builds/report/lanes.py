"""The time line of a run as values: for each image when it waited and worked, and the critical path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from imagewright.builds.report.text import Phase, phase
from imagewright.builds.result import ImageResult, Span

_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)
_MOST_TICKS = 10
_SKEW_SECONDS = 0.25  # by which the builder's clock may differ without being put right


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of an image's time, in seconds since the first image began."""

    phase: Phase
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One image; all times in seconds since the first image began."""

    result: ImageResult
    ready: float  # when its last parent was done
    start: float
    end: float
    stretches: tuple[Stretch, ...]
    spans: tuple[Span, ...]  # its steps, within `start` and `end`
    critical: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What is drawn."""

    seconds: float  # from the first beginning to the last end
    lanes: tuple[Lane, ...]  # in the order in which they began
    path: tuple[Lane, ...]  # the critical path, parents first
    tick: float  # seconds between two lines of the scale
    load: tuple[tuple[float, int], ...]  # (from when, how many images are at work)

    @property
    def busy(self) -> float:
        """The seconds of all images together."""
        return sum(lane.end - lane.start for lane in self.lanes)

    @property
    def peak(self) -> int:
        """The most images at work at once."""
        return max((count for _, count in self.load), default=0)


def chart(results: Sequence[ImageResult], *, parents: Mapping[str, Sequence[str]]) -> Chart:
    """The chart of the images for which something was done, from when the first of them began.

    `parents` names what each image is built on; those that are not in the run count for nothing.
    """
    worked = [(one, one.began) for one in results if one.began is not None]
    first = min((began for _, began in worked), default=0.0)
    ends = {one.name: began - first + max(0.0, one.seconds) for one, began in worked}
    lanes = []
    for one, began in worked:
        ready = max((ends[parent] for parent in parents.get(one.name, ()) if parent in ends), default=0.0)
        lanes.append(_lane(one, first, began - first, ready))
    lanes.sort(key=lambda lane: (lane.start, lane.result.name))
    path = _path(lanes, parents)
    names = {lane.result.name for lane in path}
    seconds = max(ends.values(), default=0.0)
    tick = next((tick for tick in _TICKS if seconds / tick <= _MOST_TICKS), 86400.0)
    marked = tuple(replace(lane, critical=lane.result.name in names) for lane in lanes)
    return Chart(seconds=seconds, lanes=marked, path=path, tick=tick, load=_load(lanes))


def _lane(result: ImageResult, zero: float, start: float, ready: float) -> Lane:
    end = start + max(0.0, result.seconds)
    spans = _placed(result.spans, zero, start, end)
    stretches = tuple(
        stretch for kind in ("preparing", "building", "exporting", "publishing") for stretch in _merged(spans, kind)
    )
    return Lane(
        result=result,
        ready=min(ready, start),
        start=start,
        end=end,
        stretches=stretches,
        spans=spans,
    )


def _placed(spans: Sequence[Span], zero: float, start: float, end: float) -> tuple[Span, ...]:
    """The spans on the same scale, within those of the image: a builder elsewhere has a clock of its own.

    A step that an image shares with another one may have begun earlier; none can end later.
    """
    steps = [span for span in spans if phase(span.name) != "publishing"]  # that one has this machine's clock
    first = min((span.start for span in steps), default=zero + start) - zero
    last = max((span.end for span in steps), default=zero + end) - zero
    late, early = last - end, start - last
    skew = late if late > _SKEW_SECONDS else first - start if early > _SKEW_SECONDS else 0.0

    def within(moment: float) -> float:
        return min(max(moment - zero, start), end)

    return tuple(
        replace(span, start=within(span.start - put), end=within(span.end - put))
        for span in spans
        for put in (0.0 if phase(span.name) == "publishing" else skew,)
    )


def _merged(spans: Sequence[Span], kind: Phase) -> list[Stretch]:
    """The time in which at least one span of a phase was at work."""
    stretches: list[Stretch] = []
    for span in sorted(spans, key=lambda span: span.start):
        if phase(span.name) != kind or span.end <= span.start:
            continue
        if stretches and span.start <= stretches[-1].end:
            stretches[-1] = replace(stretches[-1], end=max(stretches[-1].end, span.end))
        else:
            stretches.append(Stretch(phase=kind, start=span.start, end=span.end))
    return stretches


def _path(lanes: Sequence[Lane], parents: Mapping[str, Sequence[str]]) -> tuple[Lane, ...]:
    """The chain of images, each built on the one before it, that takes longest: no run of these can be shorter."""
    if not parents:
        return ()
    longest: dict[str, tuple[float, tuple[Lane, ...]]] = {}  # by the image at its end
    for lane in sorted(lanes, key=lambda lane: lane.end):  # an image ends after its parents
        before = (longest[name] for name in parents.get(lane.result.name, ()) if name in longest)
        seconds, chain = max(before, key=lambda one: one[0], default=(0.0, ()))
        longest[lane.result.name] = (seconds + lane.end - lane.start, (*chain, lane))
    return max(longest.values(), key=lambda one: one[0], default=(0.0, ()))[1]


def _load(lanes: Sequence[Lane]) -> tuple[tuple[float, int], ...]:
    changes: dict[float, int] = {}
    for lane in lanes:
        changes[lane.start] = changes.get(lane.start, 0) + 1
        changes[lane.end] = changes.get(lane.end, 0) - 1
    count, load = 0, []
    for moment in sorted(changes):
        count += changes[moment]
        load.append((moment, count))
    return tuple(load)
