"""How the tests share this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.forks import Forks

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = Path("/dev/shm")  # noqa: S108 - pytest makes a folder in it that is the user's alone
ROOM = 4_000_000_000  # bytes that are free; the tests need a quarter of it


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


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist's own, which reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with what takes longest: the example images, then the other end-to-end tests, each file in one process.

    Files that share more than a machine can give to two at once have a group of their own (`pytest.mark.xdist_group`).
    All others, which are short and may run anywhere, come last: then no process waits for another one's long file.
    """
    items.sort(key=lambda item: (item.get_closest_marker("e2e") is None, item.path.name != "test_examples.py"))
    for item in items:
        if item.get_closest_marker("e2e") and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests recorded, whether they ran in this process or in another."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties:
                terminalreporter.write_line(f"{name}: {value}")
