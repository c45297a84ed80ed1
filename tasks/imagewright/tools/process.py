"""The one door to child processes: captured, streamed, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from imagewright.errors import EnvironmentMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_GRACE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Completed:
    """How a process ended. `code` is negative for a signal, as in `subprocess`."""

    args: tuple[str, ...]
    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text, without the last line's end."""
        return self.stdout.decode(errors="replace").rstrip("\n")

    @property
    def error_text(self) -> str:
        """Standard error as text, without the last line's end."""
        return self.stderr.decode(errors="replace").rstrip("\n")


def run(
    args: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    stdin: bytes | None = None,
    seconds: float | None = None,
    is_long: bool = False,
) -> Completed:
    """Run to the end and capture both streams; `env` is added to this process's own environment (None takes a
    variable out of it).

    A program that cannot be started is an EnvironmentMissingError; any exit code is the caller's to judge. `seconds` is
    a limit: past it the process group is ended, and `subprocess.TimeoutExpired` raised. Where the output `is_long` it
    goes to a file in memory: a pipe gives it in small pieces, and a thread waits for its turn with each.
    """
    source = subprocess.PIPE if stdin is not None else subprocess.DEVNULL
    with _file_in_memory() if is_long and sys.platform == "linux" else nullcontext() as file:
        with _started(args, cwd=cwd, env=env, stdin=source, stdout=file or subprocess.PIPE) as child:
            stdout, stderr = child.communicate(stdin, timeout=seconds)
        if file:
            file.seek(0)
            stdout = file.read()
    return Completed(tuple(args), child.returncode, stdout, stderr)


def stream(
    args: Sequence[str],
    on_line: Callable[[str], None],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    on_start: Callable[[subprocess.Popen[bytes]], None] = lambda _child: None,
) -> int:
    """Run to the end, handing each line of standard error and output, as it comes, to `on_line`; the exit code.

    `on_start` gets the child, so that another thread can `end` it.

    When an exception passes through (Ctrl-C among them) the process is asked to end (SIGINT, which buildx takes as
    "cancel"), then killed after ten seconds: nothing is left running.
    """
    with _started(args, cwd=cwd, env=env, stdin=subprocess.DEVNULL, merge=True) as child:
        on_start(child)
        for raw in child.stdout or ():
            on_line(raw.decode(errors="replace").rstrip("\n"))
        child.wait()
    return child.returncode


def _file_in_memory() -> IO[bytes]:
    return os.fdopen(os.memfd_create("output"), "w+b")


@contextmanager
def _started(
    args: Sequence[str],
    *,
    cwd: Path | None,
    env: Mapping[str, str | None] | None,
    stdin: int,
    stdout: int | IO[bytes] = subprocess.PIPE,
    merge: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    try:
        child = subprocess.Popen(
            args,
            cwd=cwd,
            env={name: value for name, value in {**os.environ, **env}.items() if value is not None} if env else None,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.STDOUT if merge else subprocess.PIPE,
            start_new_session=True,  # the terminal's Ctrl-C comes to us alone: we end the child in our own order
        )
    except OSError as error:
        if cwd is not None and not cwd.is_dir():
            raise
        why = "is not installed" if isinstance(error, FileNotFoundError) else f"cannot be executed: {error.strerror}"
        raise EnvironmentMissingError(
            f"{args[0]} {why}", hint="`invoke doctor` lists what is needed and how to get it"
        ) from error
    try:
        yield child
    except BaseException:
        end(child)
        raise
    finally:
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe:
                pipe.close()


def end(child: subprocess.Popen[bytes]) -> None:
    """End a process and its group: SIGINT, ten seconds, SIGKILL. What is left of the group then is killed, too."""
    try:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE_SECONDS)
    finally:  # also after a second Ctrl-C, and for grandchildren that did not hear the first
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
