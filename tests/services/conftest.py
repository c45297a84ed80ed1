"""A service of the tests' own: a small real daemon, managed as the real ones are."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imagewright.services import catalog, manager, probes, programs
from imagewright.services.model import Container, Launch, Secrets, Service
from imagewright.services.places import Places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from imagewright.services.model import Provided, Running

ECHO = "echo"
DAEMON = f"""\
#!{sys.executable} -S
import os, signal, socket, sys
if sys.argv[1] == "--version":
    print("echod 2.1.0")
    sys.exit()
port, folder = int(sys.argv[1]), sys.argv[2]
if os.path.exists(folder + "/crash"):
    print("\\n".join(f"line {{number}}" for number in range(30)), flush=True)
    print("cannot read my mind", file=sys.stderr)
    sys.exit(3)
if os.path.exists(folder + "/stubborn"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
server = socket.create_server(("127.0.0.1", port))
while True:
    connection, _ = server.accept()
    with connection:
        connection.recv(1024)
        if not os.path.exists(folder + "/mute-" + str(os.getpid())):
            connection.sendall(b"HTTP/1.1 200 OK\\r\\nX-Echo: 1\\r\\n\\r\\n")
"""


@dataclass
class Sandbox:
    """Folders, a port and a daemon of one test's own."""

    places: Places
    environ: dict[str, str]
    said: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.places.service(ECHO)

    def start(self) -> Running:
        return manager.start(ECHO, self.places, environ=self.environ, say=self.said.append)

    def ensure(self) -> Running:
        return manager.ensure([ECHO], self.places, environ=self.environ, say=self.said.append)[0]

    def stop(self) -> bool:
        return manager.stop(ECHO, self.places, say=self.said.append)

    def state(self) -> str:
        (found,) = (one for one in manager.status(self.places, environ=self.environ) if one.name == ECHO)
        return found.state


def echo_service() -> Service:
    def answers(places: Places) -> bool:
        answer = probes.http("127.0.0.1", places.s3_port, "/")
        return answer is not None and "x-echo" in answer.headers

    def prepare(places: Places, found: Mapping[str, Provided], secrets: Secrets) -> Launch:
        folder = places.service(ECHO)
        return Launch(
            argv=(str(found["echod"].path), str(places.s3_port), str(folder)),
            env={"ECHO_PASSWORD": secrets.password},
            files={"echo.conf": "x" * 4096},
            folders=("data",),
        )

    return Service(
        name=ECHO,
        program="echod",
        address=lambda places: f"http://127.0.0.1:{places.s3_port}",
        port=lambda places: ("127.0.0.1", places.s3_port),
        answers=answers,
        foreign=lambda _places, _environ: None,
        prepare=prepare,
        container=lambda _places, _secrets: Container(image="example/echod:2", port=80, folders=("data",)),
        secrets="password",
        bound_to=lambda places: str(places.s3_port),
    )


@pytest.fixture
def free_port() -> Callable[[], int]:
    def find() -> int:
        with socket.create_server(("127.0.0.1", 0)) as server:
            return int(server.getsockname()[1])

    return find


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]) -> Iterator[Sandbox]:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "echod").write_text(DAEMON)
    (bin_folder / "echod").chmod(0o755)
    monkeypatch.setattr(catalog, "SERVICES", {ECHO: echo_service()})
    monkeypatch.setattr(manager, "SERVICES", {ECHO: echo_service()})
    monkeypatch.setattr(programs, "PROGRAMS", {"echod": programs.Program(name="echod")})
    places = Places(cache=tmp_path / "cache", state=tmp_path / "state", s3_port=free_port())
    environ = {
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "DOCKER_CONFIG": str(tmp_path / "docker"),
        "AWS_SECRET_ACCESS_KEY": "not-for-daemons",
    }
    made = Sandbox(places, environ)
    yield made
    made.stop()
