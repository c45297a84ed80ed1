"""`python -m invoke`, without the third of a second that Python needs to load other people's modules.

A server loads those once and forks for each run. Each run is a process of its own, with its own folder, environment,
arguments and standard streams, and loads all of imagewright itself, at the time and in the order that a user's would.
A fork inherits the server's hash seed. Two servers take turns, so that a run never has the seed of the one before it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections import deque
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

MODULES = (
    *("boto3", "invoke.main", "jinja2", "platformdirs", "pydantic.main", "python_on_whales"),
    *("rich.console", "rich.table", "semver", "urllib3", "yaml"),
)
SERVERS = 2
_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_")  # a fork would come too late for these
_REQUEST = 1_000_000  # bytes; an environment has some thousands


class Forks:
    """The servers, from the first runs to the end of the block."""

    def __init__(self) -> None:
        self._servers: deque[tuple[socket.socket, subprocess.Popen[bytes]]] = deque()
        self._env = dict(os.environ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for ours, server in self._servers:
            ours.close()  # which it takes as the end
            server.wait(10)

    def invoke(self, *args: str, cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """The finished process, with its output as text; its standard input is empty."""
        if _at_start(env) != _at_start(self._env):
            return subprocess.run(
                [sys.executable, "-m", "invoke", *args],
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
        with ExitStack() as files:
            ends = [tuple(files.enter_context(os.fdopen(end, mode)) for end, mode in _pipe()) for _ in range(3)]
            theirs = [end.fileno() for _, end in ends]
            request = json.dumps({"args": args, "cwd": str(cwd), "env": dict(env)}).encode()
            socket.send_fds(self._next(), [request], theirs)
            for _, end in ends:
                end.close()
            said: dict[int, bytes] = {}
            readers = [Thread(target=_read_all, args=(mine, number, said)) for number, (mine, _) in enumerate(ends)]
            for one in readers:
                one.start()
            for one in readers:
                one.join()
        out, err, code = (said[number].decode() for number in range(3))
        return subprocess.CompletedProcess(["invoke", *args], int(code), out, err)

    def _next(self) -> socket.socket:
        if len(self._servers) < SERVERS:
            self._servers.append(_started(self._env))
        self._servers.rotate()
        return self._servers[0][0]


def _started(env: Mapping[str, str]) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _REQUEST)
    with theirs:
        server = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    return ours, server


def _pipe() -> list[tuple[int, str]]:
    return list(zip(os.pipe(), ("rb", "wb"), strict=True))


def _read_all(file: BinaryIO, number: int, said: dict[int, bytes]) -> None:
    said[number] = file.read()


def _at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_READ_AT_START)}


def _serve(number: int) -> None:
    """Fork for each request, and return in the fork, ready to run."""
    import gc
    import signal
    import time

    _load()
    gc.collect()
    gc.freeze()  # what all share is not copied because a collection looks at it

    def reap(*_: object) -> None:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    signal.signal(signal.SIGCHLD, reap)
    requests = socket.socket(fileno=number)
    while True:
        request, streams, _, _ = socket.recv_fds(requests, _REQUEST, 3)
        if not request:
            os._exit(0)
        if os.fork() == 0:
            break
        for one in streams:
            os.close(one)
    requests.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    out, err, code = streams
    if child := os.fork():
        os.close(out)
        os.close(err)
        _, status = os.waitpid(child, 0)
        os.write(code, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    os.close(code)
    for one, standard in ((out, 1), (err, 2)):
        os.dup2(one, standard)
        os.close(one)
    asked = json.loads(request)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    sys.path[0] = asked["cwd"]
    sys.argv[1:] = asked["args"]


def _load() -> None:
    """What the tasks use of other people's; nothing of imagewright, nor of its `tasks`."""
    from importlib import import_module

    for name in MODULES:
        with suppress(ModuleNotFoundError):  # it is only for the speed of it
            import_module(name)
    assert "imagewright" not in sys.modules


def _end(code: object) -> None:
    """End as Python does, but for taking apart all that it has loaded: memory that is shared would be copied for it.

    Returns where Python would have something to say at its end.
    """
    import atexit
    import threading

    if code is None or isinstance(code, int):
        threading._shutdown()  # type: ignore[attr-defined]  # waits for the threads, as Py_FinalizeEx does
        atexit._run_exitfuncs()
        with suppress(OSError, ValueError):  # nobody reads any more, or it was closed
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit((code or 0) & 0xFF)


if __name__ == "__main__":
    import runpy

    _serve(int(sys.argv[1]))
    try:
        runpy.run_module("invoke", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        _end(ended.code)
        raise
    _end(0)
