"""A table for people: drawn by rich on a terminal, plain aligned columns anywhere else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def show_table(heads: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str] = ()) -> None:
    """Print to standard output. `styles` are rich's, one a row, for example `red`; empty for none."""
    if not sys.stdout.isatty():
        print(plain_table(heads, rows))  # noqa: T201
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, head in enumerate(heads):
        table.add_column(head, overflow="fold", no_wrap=number == 0)  # a name can be copied whole
    for number, row in enumerate(rows):
        table.add_row(*(Text(cell) for cell in row), style=styles[number] if styles else None)
    Console().print(table)


def plain_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns two blanks apart, the heads in capitals, a dash for an empty cell: easy for grep and awk."""
    cells = [[head.upper() for head in heads], *([cell or "-" for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )
