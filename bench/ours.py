"""Our side: how `invoke` is called, and where it keeps what it remembers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.measure import CannotRunError, environment

ROOT = Path(__file__).resolve().parent.parent
INVOKE = str(Path(sys.executable).parent / "invoke")


def own_cache(folder: Path) -> dict[str, str]:
    """An environment in which this package keeps what it remembers below `folder`."""
    return {"IMAGEWRIGHT_CACHE_DIR": str(folder / "cache")}


def output(*args: str, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Standard output of a program; CannotRunError with the end of what it said where it fails."""
    done = subprocess.run(args, cwd=cwd, env=environment(env or {}), capture_output=True, text=True)
    if done.returncode:
        tail = "\n".join(done.stderr.splitlines()[-5:])
        raise CannotRunError(f"`{' '.join(args)}` ended with {done.returncode}: {tail}")
    return done.stdout
