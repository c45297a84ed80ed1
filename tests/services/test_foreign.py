"""Services that somebody else started: used where they can be, never stopped."""

from __future__ import annotations

import json
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imagewright.errors import EnvironmentMissingError
from imagewright.services import manager, probes
from imagewright.services.places import Places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imagewright.services.model import Running

SETTINGS_FRAME = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


class Server(ThreadingHTTPServer):
    status = 200
    header = ("Docker-Distribution-Api-Version", "registry/2.0")


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.send_response(self.server.status)
        self.send_header(*self.server.header)
        self.end_headers()

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield made
        made.shutdown()


@pytest.fixture
def start(server: Server, tmp_path: Path) -> Callable[[str], Running]:
    places = Places(
        cache=tmp_path / "cache",
        state=tmp_path / "state",
        registry=f"localhost:{server.server_port}",
        s3_port=server.server_port,
    )
    environ = {"PATH": os.defpath, "HOME": str(tmp_path)}

    def run(name: str) -> Running:
        running = manager.start(name, places, environ=environ, say=pytest.fail)
        assert running == manager.ensure([name], places, environ=environ, say=pytest.fail)[0]
        assert {one.name: one.state for one in manager.status(places, environ=environ)}[name] == "running"
        assert not manager.stop(name, places, say=pytest.fail)
        return running

    return run


def test_a_registry_without_a_password_is_used(start: Callable[[str], Running], server: Server) -> None:
    running = start("registry")
    assert (running.address, running.pid, running.how) == (f"localhost:{server.server_port}", None, "running already")


def test_a_registry_with_a_password_is_used_once_docker_knows_it(
    start: Callable[[str], Running], server: Server, tmp_path: Path
) -> None:
    server.status = 401
    with pytest.raises(EnvironmentMissingError, match="wants a password") as caught:
        start("registry")
    assert f"invoke login localhost:{server.server_port}" in str(caught.value.hint)

    (tmp_path / ".docker").mkdir()
    login = {"auths": {f"localhost:{server.server_port}": {"auth": "bWU6bXk="}}}
    (tmp_path / ".docker/config.json").write_text(json.dumps(login))

    assert start("registry").how == "running already"


def test_an_s3_store_is_known_by_its_answer(start: Callable[[str], Running], server: Server) -> None:
    with pytest.raises(EnvironmentMissingError, match="the port is taken"):
        start("s3")
    server.header = ("x-amz-request-id", "1")
    assert start("s3").how == "running already"


def test_something_else_on_the_registrys_port_is_an_error(start: Callable[[str], Running], server: Server) -> None:
    server.header = ("Server", "nginx")
    with pytest.raises(EnvironmentMissingError, match=rf"127.0.0.1:{server.server_port}: the port is taken by"):
        start("registry")


@pytest.mark.parametrize(
    ("reply", "speaks"), [(SETTINGS_FRAME, True), (b"HTTP/1.1 400 Bad\r\n\r\n", False), (b"", False)]
)
def test_buildkitd_is_known_by_http2(reply: bytes, speaks: bool, tmp_path: Path) -> None:
    path = tmp_path / "buildkitd.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        assert probes.grpc(path) is speaks
        thread.join()
    assert probes.grpc(path) is False, "a socket that nobody listens on"
    assert probes.grpc(tmp_path / "none") is False
