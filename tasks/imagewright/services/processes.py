"""Services as processes: they outlive the command that starts them, and are ended by identity, not by number."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from imagewright.errors import EnvironmentMissingError
from imagewright.services.records import Process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

START_SECONDS = 60.0
_PROBE_SECONDS = 0.02
_SILENT_SECONDS = 1.0
_TERM_SECONDS = 9.0
_KILL_SECONDS = 10.0
TAIL_LINES = 20  # a Go program ends with a stack trace, its message before it
# What a daemon gets of the caller's environment: no tokens and keys that happen to be set where it is started first.
_ENVIRONMENT = (
    *("PATH", "HOME", "LANG", "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    environ: Mapping[str, str],
    log: Path,
    answers: Callable[[], bool],
    seconds: float = START_SECONDS,
) -> Process:
    """Start a daemon in a session of its own, with its output in `log`, and return when it answers.

    EnvironmentMissingError, with the log's last lines, where it ends before that or does not answer in `seconds`.
    """
    if log.exists():
        log.replace(log.with_name(f"{log.name}.old"))  # the last run's: what a crash said is not lost by the next start
    kept = {name: value for name, value in environ.items() if name in _ENVIRONMENT}
    with log.open("wb") as output:
        child = subprocess.Popen(
            argv,
            cwd="/",  # it must not hold the caller's folder, which may be deleted or unmounted
            env={**kept, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait(child, Path(argv[0]).name, log, answers, seconds)
        process = Process.of(child.pid)
    except BaseException:
        child.kill()
        child.wait()
        raise
    if process is None:  # then it was another who answered
        raise _ended(child, Path(argv[0]).name, log)
    child.returncode = 0  # it is meant to run on: Popen shall neither warn of that nor wait for it
    return process


def stop(process: Process, waiting: Callable[[], None]) -> bool:
    """End this very process: SIGTERM, ten seconds, SIGKILL. False where it was gone already.

    `waiting` is called when it does not end at once: buildkitd finishes its builds first.
    EnvironmentMissingError where it cannot be ended.
    """
    try:
        with _pidfd(process.pid) as descriptor:
            # The descriptor holds on to one process: nothing can take its pid between this check and the signal.
            if not process.alive():
                return False
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
            if _exited(descriptor, _SILENT_SECONDS):
                return True
            waiting()
            if _exited(descriptor, _TERM_SECONDS):
                return True
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            if _exited(descriptor, _KILL_SECONDS):
                return True
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise EnvironmentMissingError(
            f"pid {process.pid} belongs to another user", hint="stop it as the user who started it"
        ) from error
    raise EnvironmentMissingError(
        f"pid {process.pid} does not end, not even by SIGKILL", hint="the kernel may be waiting for a disk: see dmesg"
    )


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, indented for a message."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join(f"    {line[:500]}" for line in text.splitlines()[-lines:])


def _wait(child: subprocess.Popen[bytes], name: str, log: Path, answers: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    with _pidfd(child.pid) as descriptor:
        while not answers():
            if _exited(descriptor, _PROBE_SECONDS):
                raise _ended(child, name, log)
            if time.monotonic() > deadline:
                raise EnvironmentMissingError(
                    f"{name} does not answer after {seconds:.0f} s; the end of its log:\n{tail(log)}",
                    hint=f"the whole log is {log}",
                )


def _ended(child: subprocess.Popen[bytes], name: str, log: Path) -> EnvironmentMissingError:
    code = child.wait()
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    full = "no space left on device" in tail(log).lower()
    return EnvironmentMissingError(
        f"{name} {how} right after its start; the end of its log:\n{tail(log)}",
        hint=f"the disk of {log.parent} is full" if full else f"the whole log is {log}",
    )


@contextmanager
def _pidfd(pid: int) -> Iterator[int]:
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _exited(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
