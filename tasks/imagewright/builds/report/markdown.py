"""The end of a run as GitHub-flavoured Markdown, for the summary page of a CI run."""

from __future__ import annotations

import re
from collections.abc import Sequence

from imagewright.builds.failure import OUTPUT_LINES
from imagewright.builds.report.table import columns, counted, is_unchanged
from imagewright.builds.report.text import one_line, printable
from imagewright.builds.result import ImageResult

LIMIT = 1024 * 1024  # bytes of $GITHUB_STEP_SUMMARY, for each step; more, and GitHub shows nothing of it
_LINE_WIDTH = 1000  # of a line of output
_NOTE = "\n*This summary is cut: it would be larger than the page may be.*\n"
_MARKS = {"built": "✅", "reused": "♻️", "skipped": "⏭️", "failed": "❌"}
_RIGHT = {"size", "change", "seconds", "cached"}
# Whatever Markdown or HTML could give a meaning, or GitHub a link: `@name`, `#7`, `:emoji:`, `$math$`, `https://…`.
_SPECIAL = re.compile(r"[\\`*_{}\[\]<>()#+!|~@$&:\"'=^]")


def markdown(results: Sequence[ImageResult], seconds: float, *, limit: int = LIMIT) -> str:
    """The counts, the table, what failed (folded, with its last output); unchanged images in a folded table.

    It has at most `limit` bytes of UTF-8, and says so where something was left out.
    """
    done = [result for result in results if not is_unchanged(result)]
    unchanged = [result for result in results if is_unchanged(result)]
    blocks: list[tuple[str, ...]] = [(f"## Images: {_text(counted(results, seconds))}\n\n",)]
    if done:
        blocks.append((*_table(done), "\n"))
    blocks += [(_failure(result),) for result in results if result.failure]
    blocks += [(_unpublished(result),) for result in results if result.unpublished]
    if unchanged:
        head = f"<details><summary>{len(unchanged)} unchanged</summary>\n\n"
        blocks.append((head, *_table(unchanged), "\n</details>\n"))
    return _within(limit, blocks)


def _within(limit: int, blocks: Sequence[tuple[str, ...]]) -> str:
    """As many of the parts as there is room for; the last part of a block of several is its end, and always follows."""
    text: list[str] = []
    left = limit - len(_NOTE.encode())
    for parts in blocks:
        end = parts[-1] if len(parts) > 1 else ""
        room = left - len(end.encode())
        for part in parts[:-1] if end else parts:
            room -= len(part.encode())
            if room < 0:
                opened = end if part is not parts[0] else ""
                return "".join([*text, opened, _NOTE]) if limit > len(_NOTE.encode()) else ""
            text.append(part)
        text.append(end)
        left = room
    return "".join(text)


def _table(results: Sequence[ImageResult]) -> list[str]:
    """The head, as one part, and a part for each row."""
    heads, rows = columns(results)
    rule = ("--:" if head in _RIGHT else "---" for head in heads)
    lines = [f"| {' | '.join(heads)} |\n| {' | '.join(rule)} |\n"]
    for result, row in zip(results, rows, strict=True):
        cells = [_text(cell) for cell in row]
        cells[1] = f"{_MARKS[result.status]} {cells[1]}"
        lines.append(f"| {' | '.join(cells)} |\n")
    return lines


def _failure(result: ImageResult) -> str:
    failure = result.failure
    if failure is None:
        return ""
    where = f"{failure.where}: " if failure.where else ""
    title = _text(_cut(f"{result.name}: {where}{failure.message}"))
    said = list(failure.output) or (failure.detail or failure.message).split("\n")
    output = "\n".join(_cut(line) for line in said[-OUTPUT_LINES:])
    hint = f"\n→ {_text(failure.hint)}\n" if failure.hint else ""
    log = f"\nThe full log: {_text(result.log)}\n" if result.log else ""
    return f"<details><summary>❌ {title}</summary>\n\n{fenced(output)}{hint}{log}\n</details>\n\n"


def _cut(line: str) -> str:
    return line if len(line) <= _LINE_WIDTH else f"{line[:_LINE_WIDTH]}…"


def _unpublished(result: ImageResult) -> str:
    lines = (f"- ❌ {_text(f'{result.name} is not in {one.registry}: {one.error}')}\n" for one in result.unpublished)
    return "".join(lines) + "\n"


def fenced(text: str) -> str:
    """The text as a block of code that ends where it ends: the fence is longer than any run of backticks in it."""
    shown = "\n".join(printable(line) for line in text.split("\n"))
    longest = max(map(len, re.findall(r"`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{shown}\n{fence}\n"


def _text(text: str) -> str:
    """Text that is nothing but text, on one line. A reference to a character is never read as a mark of Markdown."""
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", one_line(text))
