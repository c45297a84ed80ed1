"""What was started, written down so that a later command knows it again: never by the pid alone."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

_FILE = "process.json"
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process, told from all others: pids are used again, start times and boots are not."""

    pid: int
    started: int  # clock ticks after boot: field 22 of /proc/PID/stat, proc_pid_stat(5)
    boot: str  # /proc/sys/kernel/random/boot_id

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process that has `pid` now; None where there is none, or only its zombie."""
        try:
            stat = (_PROC / str(pid) / "stat").read_text()
        except OSError:
            return None
        # The second field is the program's name in brackets, and may hold spaces and brackets itself.
        fields = stat.rpartition(")")[2].split()
        state, started = fields[0], fields[19]
        return None if state in "ZX" else cls(pid=pid, started=int(started), boot=boot_id())

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return Process.of(self.pid) == self


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A service that `start` started: as a process, or as a container of a Docker engine."""

    name: str
    address: str
    how: str
    version: str
    bound_to: str  # Service.bound_to, when it was started
    process: Process | None = None
    container: str | None = None  # its id


def boot_id() -> str:
    """The kernel's name for this boot."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def read(folder: Path) -> Record | None:
    """The record in a service's folder; None where there is none, or none that can be read."""
    try:
        data = json.loads((folder / _FILE).read_text())
        process = data.pop("process")
        return Record(**data, process=Process(**process) if process else None)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None


def exists(folder: Path) -> bool:
    """Whether there is a record at all, readable or not."""
    return (folder / _FILE).exists()


def write(folder: Path, record: Record) -> None:
    """Keep the record; a reader sees the old one or the new one, never a half."""
    fresh = folder / f".{_FILE}-{os.getpid()}"
    fresh.write_text(json.dumps(asdict(record), indent=1) + "\n")
    fresh.replace(folder / _FILE)


def remove(folder: Path) -> None:
    """Forget the record, where there is one."""
    (folder / _FILE).unlink(missing_ok=True)
