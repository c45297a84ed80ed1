"""The end of a run as text: the table, what failed, and one line that counts."""

from __future__ import annotations

from collections.abc import Sequence

from imagewright.builds.report.text import change, one_line, short
from imagewright.builds.result import ImageResult
from imagewright.config.sizes import size

_UNCHANGED_ROWS = 20  # more rows that say "unchanged" bury the others

_Column = tuple[str, ...]


def summary(results: Sequence[ImageResult], seconds: float) -> str:
    """The table of a run, then what failed, then one line that counts."""
    shown, hidden = foreground(results)
    heads, rows = columns(shown)
    cells = [tuple(head.upper() for head in heads), *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    table = "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells) if rows else ""
    more = f"{len(hidden)} more are unchanged" if hidden else ""
    parts = [table, more, failures(results), counted(results, seconds)]
    return "\n".join(part for part in parts if part)


def foreground(results: Sequence[ImageResult]) -> tuple[list[ImageResult], list[ImageResult]]:
    """What is worth a row, and what is not: images that are unchanged, where there are many of them."""
    quiet = [result for result in results if is_unchanged(result)]
    if len(quiet) <= _UNCHANGED_ROWS:
        return list(results), []
    return [result for result in results if not is_unchanged(result)], quiet


def is_unchanged(result: ImageResult) -> bool:
    """Whether nothing was done for it, and nothing had to be."""
    return result.status == "reused" and result.began is None and not result.seconds


def columns(results: Sequence[ImageResult]) -> tuple[_Column, list[_Column]]:
    """The heads and the rows; sizes only where one is known."""
    sized = any(result.sizes for result in results)
    grown = any(result.growth is not None for result in results)
    heads = ("image", "status", "digest", "platforms", *(("size",) if sized else ()), *(("change",) if grown else ()))
    return (*heads, "seconds", "cached", "why"), [_row(result, sized, grown) for result in results]


def _row(result: ImageResult, sized: bool, grown: bool) -> _Column:
    return (
        result.name,
        result.status,
        short(result.digest),
        ",".join(result.platforms) or "-",
        *((size(sum(result.sizes.values())) if result.sizes else "-",) if sized else ()),
        *((change(result.growth),) if grown else ()),
        f"{result.seconds:.1f}",
        f"{result.cached_steps}/{result.steps}" if result.steps else "-",
        one_line(result.because or result.why or "-"),
    )


def tally(results: Sequence[ImageResult]) -> str:
    """`3 built, 1 failed`."""
    statuses = ("built", "reused", "skipped", "failed")
    counts = ((sum(result.status == status for result in results), status) for status in statuses)
    return ", ".join(f"{count} {status}" for count, status in counts if count) or "nothing to build"


def counted(results: Sequence[ImageResult], seconds: float) -> str:
    """`3 built, 1 failed in 12.3s`."""
    return f"{tally(results)} in {seconds:.1f}s"


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
