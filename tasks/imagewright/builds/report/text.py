"""Numbers, states and foreign text as people read them."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from imagewright.builds.progress import Progress, Step
from imagewright.builds.result import ImageResult
from imagewright.config.sizes import size

# ECMA-48: CSI sequences, strings to the terminal (OSC, DCS, …) with or without their end, and the two-letter escapes.
_ESCAPES = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[]PX^_].*?(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]?")
Phase = Literal["preparing", "building", "exporting", "publishing"]

_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # Unicode's controls, formats (bidirectional ones too), halves, line ends


def printable(line: str) -> str:
    """A line that does nothing to a terminal or a viewer but show letters: no escapes, no controls but tabs."""
    if line.isascii() and line.isprintable():
        return line
    kept = (c for c in _ESCAPES.sub("", line) if c == "\t" or unicodedata.category(c) not in _UNSEEN)
    return "".join(kept)


def one_line(text: str) -> str:
    """The text with each run of white space as one blank."""
    return printable(" ".join(text.split()))


def doing(progress: Progress) -> str:
    """What a build does now, in a line."""
    step = progress.current
    if step is None:
        return "waiting"
    moved, total = progress.bytes
    transfer = f" ({size(moved)} of {size(total)})" if total and moved < total else ""
    return one_line(f"{step.name}{transfer}")


def phase(step: str) -> Phase:
    """What part of a build a step, given by its name, belongs to."""
    if Step(name=step).is_instruction:
        return "building"
    if step.startswith(("exporting ", "pushing ", "sending tarball")):
        return "exporting"
    return "publishing" if step.startswith("publish") else "preparing"


def ending(result: ImageResult) -> str:
    """How an image ended, in a line."""
    match result.status:
        case "failed" if result.failure:
            return f"FAILED after {result.seconds:.1f}s: {one_line(result.failure.message)}"
        case "failed":
            return f"FAILED after {result.seconds:.1f}s"
        case "skipped":
            return f"skipped: {result.because}"
        case _:
            cached = f", {result.cached_steps} of {result.steps} steps cached" if result.steps else ""
            return f"{result.status} in {result.seconds:.1f}s{cached}"


def short(digest: str | None) -> str:
    """The first twelve digits of a digest, as docker shows it."""
    return digest.partition(":")[2][:12] if digest else "-"


def change(growth: int | None) -> str:
    """How a size has changed: `+1.2 MB`, `-3.0 kB`, `=`; a dash where nothing is known to compare with."""
    if growth is None:
        return "-"
    return f"{'+' if growth > 0 else '-'}{size(abs(growth))}" if growth else "="


def duration(seconds: float) -> str:
    """`0.4s`, `42.0s`, `3m 07s`, `1h 02m`."""
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest:02}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02}m"
