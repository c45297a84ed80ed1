"""What BuildKit reports while it builds, folded into one value: the steps, how far they are, what they said.

The lines are those of `docker buildx bake --progress rawjson`: one JSON object each, BuildKit's
`client.SolveStatus` (github.com/moby/buildkit, client/graph.go). Everything else that buildx prints on the same
stream (its warnings, the excerpt of the Dockerfile, `ERROR: …`) is kept as text.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

TAIL_LINES = 50  # of each step's output, and of buildx's own text
_STEP = re.compile(r"\[(?:(?P<prefix>[^\]]+) )?(?P<number>\d+)/(?P<count>\d+)\] (?P<instruction>.*)", re.DOTALL)
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?")
_CANCELED = "context canceled"
# What BuildKit calls its work on a cache elsewhere: solver/llbsolver/bridge.go, and `Name` of each exporter.
_CACHE = re.compile(r"(\[[^\]]*\] )?(importing cache manifest from |exporting cache )")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A vertex of BuildKit's graph: an instruction of a Dockerfile, or something that BuildKit does around them."""

    name: str  # "[linux/amd64 build 2/4] RUN make"
    started: float | None = None  # seconds since 1970
    completed: float | None = None
    cached: bool = False
    error: str | None = None
    tail: tuple[str, ...] = ()  # the last lines of its output
    rest: bytes = b""  # the line that it has not ended yet
    transfers: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # id: (bytes done, bytes in all or 0)

    @property
    def is_instruction(self) -> bool:
        """Whether it is a numbered instruction of a Dockerfile."""
        return _STEP.fullmatch(self.name) is not None

    @property
    def is_cache(self) -> bool:
        """Whether it reads or writes a cache outside the builder: what fails there need not fail the build."""
        return _CACHE.match(self.name) is not None

    @property
    def counts(self) -> bool:
        """Whether it is an instruction that is done or cached; BuildKit never says "cached" of a FROM it looked up."""
        return self.is_instruction and not self.instruction.startswith("FROM ")

    @property
    def running(self) -> bool:
        """Whether it is at work now."""
        return self.started is not None and self.completed is None

    @property
    def seconds(self) -> float:
        """How long it took; 0 where it did not run or has not ended."""
        return max(0.0, self.completed - self.started) if self.started and self.completed else 0.0

    @property
    def label(self) -> str:
        """The name without the instruction: `[build 2/4]`; the whole name where it is none."""
        return self.name.partition("]")[0] + "]" if self.is_instruction else self.name

    @property
    def instruction(self) -> str:
        """The name without stage and number: `RUN make`."""
        found = _STEP.fullmatch(self.name)
        return found["instruction"] if found else self.name

    @property
    def number(self) -> str | None:
        """`2/4` where it is an instruction."""
        found = _STEP.fullmatch(self.name)
        return f"{found['number']}/{found['count']}" if found else None

    @property
    def platform(self) -> str | None:
        """The platform, which BuildKit names where it builds for several."""
        return next((word for word in self._prefix if _PLATFORM.fullmatch(word)), None)

    @property
    def stage(self) -> str | None:
        """The stage: its name, or `stage-N`; None for the only one."""
        words = [word for word in self._prefix if not _PLATFORM.fullmatch(word)]
        return words[-1] if words else None

    @property
    def _prefix(self) -> list[str]:
        found = _STEP.fullmatch(self.name)
        return (found["prefix"] or "").split() if found else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something worth a line of a log. `text` is a line of output, of buildx's own text, or of a warning."""

    kind: Literal["started", "output", "completed", "failed", "text", "warning"]
    step: Step | None = None
    text: str = ""

    @property
    def line(self) -> str:
        """The event as a line of a log."""
        label = self.step.label if self.step else ""
        match self.kind:
            case "started":
                return self.step.name if self.step else ""
            case "completed" if self.step:
                return f"{label} cached" if self.step.cached else f"{label} done in {self.step.seconds:.1f}s"
            case "failed":
                return f"{label} failed: {self.text}"
            case "warning":
                return f"warning: {self.text}"
            case _:
                return f"{label} {self.text}" if label else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where one build stands."""

    steps: Mapping[str, Step] = field(default_factory=dict)  # by digest, in the order of their first report
    text: tuple[str, ...] = ()  # the last lines of what buildx itself said
    warnings: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """How many instructions there are besides FROM, as far as BuildKit has said."""
        return sum(step.counts for step in self.steps.values())

    @property
    def done(self) -> int:
        """How many instructions are done."""
        return sum(step.counts and step.completed is not None for step in self.steps.values())

    @property
    def cached(self) -> int:
        """How many instructions came from the cache."""
        return sum(step.counts and step.cached for step in self.steps.values())

    @property
    def current(self) -> Step | None:
        """The step at work that began last."""
        running = [step for step in self.steps.values() if step.running]
        return max(running, key=lambda step: step.started or 0.0, default=None)

    @property
    def bytes(self) -> tuple[int, int]:
        """Bytes moved and bytes to move by the transfers of the current step, where their size is known."""
        known = [pair for pair in (self.current.transfers.values() if self.current else ()) if pair[1]]
        return sum(pair[0] for pair in known), sum(pair[1] for pair in known)

    @property
    def failed(self) -> Step | None:
        """The step that failed.

        One that was canceled because of another one's failure only where there is no other, and one that is about a
        cache only where nothing else failed.
        """
        failed = [step for step in self.steps.values() if step.error]
        return min(failed, key=lambda step: (step.is_cache, _CANCELED in (step.error or "")), default=None)

    @property
    def cache_errors(self) -> tuple[str, ...]:
        """What went wrong with caches outside the builder, in BuildKit's words; one that is not there yet is right."""
        errors = (step.error for step in self.steps.values() if step.is_cache and step.error)
        return tuple(error for error in errors if not error.endswith(": not found") and _CANCELED not in error)

    @property
    def is_at_cache(self) -> bool:
        """Whether it waits for a cache outside the builder."""
        return any(step.running and step.is_cache for step in self.steps.values())

    @property
    def is_at_import(self) -> bool:
        """Whether it waits for what it reads from one."""
        return any(step.running and step.is_cache and "import" in step.name for step in self.steps.values())


def advance(progress: Progress, line: str, clean: Callable[[str], str] = str) -> tuple[Progress, tuple[Event, ...]]:
    """Fold one line of buildx's output in; the events that it means, in order.

    `clean` is applied to every text that is kept: it takes secrets out. Output is cleaned by whole lines, because
    BuildKit cuts it anywhere.
    """
    status = _load(line)
    if status is None:
        if not line.strip():
            return progress, ()
        text = clean(line)
        return replace(progress, text=(*progress.text, text)[-TAIL_LINES:]), (Event(kind="text", text=text),)
    steps = dict(progress.steps)
    warnings = progress.warnings
    events: list[Event] = []
    for item in _objects(status, "vertexes"):
        key = str(item.get("digest"))
        steps[key] = _vertex(steps.get(key), item, clean, events)
    for item in _objects(status, "statuses"):
        key = str(item.get("vertex"))
        if key in steps:
            pair = (_integer(item.get("current")), _integer(item.get("total")))
            steps[key] = replace(steps[key], transfers={**steps[key].transfers, str(item.get("id")): pair})
    for item in _objects(status, "logs"):
        key = str(item.get("vertex"))
        if key in steps:
            steps[key] = _output(steps[key], _decoded(item.get("data")), clean, events)
    for item in _objects(status, "warnings"):
        text = clean(_decoded(item.get("short")).decode(errors="replace").strip())
        if text and text not in warnings:
            warnings = (*warnings, text)
            events.append(Event(kind="warning", step=steps.get(str(item.get("vertex"))), text=text))
    return replace(progress, steps=steps, warnings=warnings), tuple(events)


def _vertex(known: Step | None, item: Mapping[str, Any], clean: Callable[[str], str], events: list[Event]) -> Step:
    before = known or Step(name=clean(str(item.get("name", ""))))
    # BuildKit reports one step several times, also again after its end: the first start and the last end count.
    step = replace(
        before,
        started=before.started or _time(item.get("started")),
        completed=_time(item.get("completed")) if item.get("started") else before.completed,
        cached=before.cached or bool(item.get("cached")),
        error=clean(str(item["error"])) if item.get("error") else before.error,
    )
    if step.started is not None and before.started is None:
        events.append(Event(kind="started", step=step))
    if step.completed is not None and before.completed is None:
        if step.rest:
            step = _output(step, b"\n", clean, events)
        events.append(Event(kind="failed" if step.error else "completed", step=step, text=step.error or ""))
    return step


def _output(step: Step, data: bytes, clean: Callable[[str], str], events: list[Event]) -> Step:
    *lines, rest = (step.rest + data).split(b"\n")
    # A progress bar rewrites its line with carriage returns: what stands at the end is what a person would see.
    shown = tuple(clean(line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")) for line in lines)
    events.extend(Event(kind="output", step=step, text=line) for line in shown)
    return replace(step, tail=(*step.tail, *shown)[-TAIL_LINES:], rest=rest)


def _load(line: str) -> Mapping[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _objects(status: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = status.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _decoded(data: object) -> bytes:
    try:
        return base64.b64decode(str(data or ""), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _integer(value: object) -> int:
    return value if isinstance(value, int) else 0


def _time(value: object) -> float | None:
    try:
        return datetime.fromisoformat(str(value)).timestamp() if value else None
    except ValueError:
        return None
