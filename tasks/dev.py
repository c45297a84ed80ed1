"""The chores of this repository: checks, tests, generated files, benchmarks, the lock file. Not part of the package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from invoke.collection import Collection
from invoke.exceptions import Exit

from imagewright.cli.task import task
from imagewright.errors import EnvironmentMissingError, ImagewrightError

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent  # the programs of this environment, whatever PATH says
WORKERS = len(os.sched_getaffinity(0)) + 1  # end-to-end tests also wait

CHECKS = {
    "ruff check": (str(BIN / "ruff"), "check"),
    "ruff format": (str(BIN / "ruff"), "format", "--check"),
    "imports": (str(BIN / "lint-imports"),),
    "mypy": (str(BIN / "mypy"),),
    "generated files": (str(BIN / "invoke"), "dev.docs", "--check"),
    # Compiles the tests, too, which all of pytest's processes would do at once.
    "collection": (sys.executable, "-m", "pytest", "--collect-only", "-qq"),
}


class _Outcome(NamedTuple):
    """How a check ended."""

    name: str
    code: int
    output: str
    seconds: float


@task(
    name="test",
    help={
        "only": "Run only the tests whose names match this expression (pytest -k), without the checks.",
        "unit": "Leave out the end-to-end tests, which start a real engine, registry and S3 store.",
    },
)
def run_tests(_context: Any, only: str = "", unit: bool = False) -> None:
    """Check the code, then run all tests: what CI runs."""
    failed = [] if only else _run_checks()
    selection = ["-k", only] if only else ["-n", str(WORKERS), "--dist", "loadfile", "--no-loadscope-reorder"]
    code = _call(sys.executable, "-m", "pytest", *selection, *(["-m", "not e2e"] if unit else []))
    if failed:
        raise Exit(f"error: failed before the tests: {', '.join(failed)}", code=1)
    if code:
        raise Exit(code=code)


@task()
def lint(_context: Any) -> None:
    """Check style, types, the direction of imports, generated files, and that all tests can be collected."""
    if failed := _run_checks():
        raise Exit(f"error: failed: {', '.join(failed)}", code=1)


@task(name="format")
def format_(_context: Any) -> None:
    """Format the code and mend what ruff can mend by itself."""
    fixed = _call(str(BIN / "ruff"), "check", "--fix")
    formatted = _call(str(BIN / "ruff"), "format")
    if fixed or formatted:
        raise Exit(code=1)


@task(help={"check": "Write nothing; exit 1 when a file is not what would be written."})
def docs(_context: Any, check: bool = False) -> None:
    """Write the generated files: the configuration's schema and reference, the picture of the images."""
    stale = {path: text for path, text in _generated().items() if not path.exists() or path.read_text() != text}
    if check and stale:
        names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
        raise ImagewrightError(f"not current: {names}", hint="`./inv dev.docs` writes them")
    for path, text in stale.items():
        path.write_text(text)


@task(
    help={
        "only": "Measure only the rows whose names contain this.",
        "runs": "How often each pair is measured; a row says its own number when this is not given.",
    }
)
def bench(_context: Any, only: str = "", runs: int = 0) -> None:
    """Measure against the programs that one would use instead; a table, and JSON in bench/results/."""
    options = [*(["--only", only] if only else []), *(["--runs", str(runs)] if runs else [])]
    if code := _call(sys.executable, "-m", "bench", *options):
        raise Exit(code=code)


@task(help={"upgrade": "Take the newest versions; without it those in the file stay where they satisfy."})
def lock(_context: Any, upgrade: bool = False) -> None:
    """Write requirements.lock anew from pyproject.toml. Needs uv."""
    if not (uv := shutil.which("uv")):
        raise EnvironmentMissingError("uv is not installed", hint="`pipx install uv` installs it")
    code = _call(
        *(uv, "pip", "compile", "pyproject.toml", "--group", "dev", "--quiet"),
        *("--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url"),
        *("--custom-compile-command", "./inv dev.lock", "--output-file", "requirements.lock"),
        *(("--upgrade",) if upgrade else ()),
        stdout=subprocess.DEVNULL,
    )
    if code:
        raise Exit(code=1)


def _generated() -> dict[Path, str]:
    """Each generated file with the text that it must have."""
    import json

    from imagewright.cli.project import Project
    from imagewright.config.remembered import DEFAULTS, defaults
    from imagewright.config.schema import SCHEMA_FILE, reference, schema
    from imagewright.images.draw.svg import svg

    images = Project(ROOT, environ={})  # what stands in the environment is no part of a committed file
    return {
        SCHEMA_FILE: json.dumps(schema(), indent=2, ensure_ascii=False) + "\n",
        DEFAULTS: defaults(),
        ROOT / "docs/configuration.md": reference(),
        ROOT / "docs/images.svg": svg(images.graph, tuple(images.settings.layers)),
    }


def _run_checks() -> list[str]:
    """Run all checks beside each other and show each as it was called; the names of those that failed."""
    from concurrent.futures import ThreadPoolExecutor  # not for `invoke -l`, which loads this module too

    with ThreadPoolExecutor() as pool:
        failed = []
        for outcome in pool.map(_check, CHECKS, CHECKS.values()):
            print(f"{'ok  ' if outcome.code == 0 else 'FAIL'} {outcome.name}, {outcome.seconds:.1f} s", flush=True)  # noqa: T201
            if outcome.code:
                print(outcome.output, flush=True)  # noqa: T201
                failed.append(outcome.name)
    return failed


def _check(name: str, args: tuple[str, ...]) -> _Outcome:
    start = time.monotonic()
    done = subprocess.run(
        args, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return _Outcome(name, done.returncode, done.stdout, time.monotonic() - start)


def _call(*args: str, stdout: int | None = None) -> int:
    """Run a program in the root with this terminal; its exit code."""
    return subprocess.run(args, cwd=ROOT, stdout=stdout).returncode


ns = Collection(run_tests, lint, format_, docs, bench, lock)
