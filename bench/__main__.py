"""`python -m bench [--only TEXT] [--runs N]`: measure, print a table, write bench/results/<time>.json.

A row beyond its limit is shown as such and is no failure: timings depend on the machine and its other work. The exit
code is 1 when a row could not be measured at all.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from bench.measure import CannotRunError, Measurement, measure
from bench.ours import ROOT, output
from bench.rows import rows

RESULTS = ROOT / "bench" / "results"
COLUMNS = ("row", "ours", "peer", "measured", "min … max", "pairs", "limit", "within")


def main(argv: Sequence[str]) -> int:
    """Measure the rows that are asked for."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--runs", type=int, metavar="N")
    options = parser.parse_args(argv)
    # Installers compile, and so does `inv`; Invoke itself never writes byte code: 80 ms for what was edited since.
    compileall.compile_dir(ROOT / "tasks", quiet=1)
    measured: list[Measurement] = []
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="imagewright-bench-") as scratch, ExitStack() as ending:
        for name, prepare in rows(Path(scratch), ending).items():
            if options.only in name:
                print(f"measuring: {name}", file=sys.stderr, flush=True)
                try:
                    measured.append(measure(prepare(), options.runs))
                except CannotRunError as error:
                    failed[name] = str(error)
    if not measured and not failed:
        print(f"no row has {options.only!r} in its name", file=sys.stderr)
        return 2
    print(table(measured))
    for name, why in failed.items():
        print(f"{name}: could not be measured: {why}", file=sys.stderr)
    print(f"written: {write(measured, failed).relative_to(ROOT)}", file=sys.stderr)
    return 1 if failed else 0


def table(measured: Sequence[Measurement]) -> str:
    """Aligned columns; what a command took is the median."""
    lines = [COLUMNS, *(cells(item) for item in measured)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def cells(item: Measurement) -> tuple[str, ...]:
    """A row of the table."""
    low, high = min(item.values), max(item.values)
    return (
        item.row.name,
        item.row.show_sample(item.ours_median),
        item.row.show_sample(item.peer_median),
        item.row.show(item.value),
        f"{item.row.show(low)} … {item.row.show(high)}",
        str(len(item.values)),
        item.row.show(item.row.limit),
        "yes" if item.within else "NO",
    )


def write(measured: Sequence[Measurement], failed: dict[str, str]) -> Path:
    """All single measurements, and where they were made."""
    now = datetime.now(UTC)
    document = {
        "schema": 2,
        "time": now.isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": {
            "system": platform.platform(),
            "cpus": os.cpu_count(),
            "load": os.getloadavg(),
            "python": platform.python_version(),
        },
        "rows": [
            {
                "name": item.row.name,
                "how": item.row.how,
                "ours": {"command": list(item.row.ours.args), item.row.unit: item.ours},
                "peer": {"command": list(item.row.peer.args), item.row.unit: item.peer},
                "floor": {"command": list(item.row.floor.args), item.row.unit: item.floor} if item.row.floor else None,
                "value": item.value,
                "limit": item.row.limit,
                "within": item.within,
            }
            for item in measured
        ],
        "failed": failed,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path


def commit() -> str | None:
    """The commit that is checked out, None where there is none."""
    try:
        return output("git", "rev-parse", "HEAD", cwd=ROOT).strip()
    except CannotRunError:
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
