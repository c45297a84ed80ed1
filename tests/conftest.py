"""How the tests share this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.forks import Forks

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = Path("/dev/shm")  # noqa: S108 - pytest makes a folder in it that is the user's alone
ROOM = 4_000_000_000  # bytes that are free; the tests need a quarter of it
LONGEST = ("test_examples.py", "test_differential.py")


# Also where the environment says that Python shall keep no bytecode (images of Python do): each process would compile
# all tests, which takes longer than half of the files do.
sys.dont_write_bytecode = False

# A busy machine is no failure: no test asserts a time.
settings.register_profile("imagewright", deadline=None)
settings.load_profile("imagewright")


def pytest_configure() -> None:
    """Keep the tests' folders in memory: they are 40,000 files, and a disk takes longer for them than the tests do."""
    if os.access(MEMORY, os.W_OK | os.X_OK):
        found = os.statvfs(MEMORY)
        if found.f_bavail * found.f_frsize > ROOM and not found.f_flag & os.ST_NOEXEC:
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Runs `invoke` in forks of one process."""
    with Forks() as made:
        yield made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with what takes longest: these files, then the other end-to-end tests.

    pytest-xdist hands out files in this order. The short ones come last: then no process waits for another's long file.
    """
    items.sort(key=lambda item: (item.path.name not in LONGEST, item.get_closest_marker("e2e") is None))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests recorded, whether they ran in this process or in another."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties:
                terminalreporter.write_line(f"{name}: {value}")
