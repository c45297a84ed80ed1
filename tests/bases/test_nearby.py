"""The local registry asked with plain sockets: a small server plays it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from imagewright.bases.nearby import Nearby
from imagewright.registry.credentials import Credential
from imagewright.registry.model import MANIFEST_TYPES, Descriptor
from imagewright.services.places import Places

DIGEST = "sha256:" + "1" * 64
FROM_THE_FULL_CLIENT = Descriptor(media_type="full", digest="sha256:full", size=1)


class FullClient:
    def resolve(self, repository: str, reference: str) -> Descriptor | None:
        return FROM_THE_FULL_CLIENT


class Server:
    """Answers HEAD as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.headers = {
            "Docker-Content-Digest": DIGEST,
            "Content-Type": MANIFEST_TYPES[0],
            "Content-Length": "7",
        }
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                outer.asked.append((self.path, dict(self.headers)))
                self.send_response(outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


def resolved(port: int, credential: Credential | None = None) -> Descriptor | None:
    places = Places(cache=Path("/none"), state=Path("/none"), registry=f"127.0.0.1:{port}")
    with Nearby(places, lambda _host: nullcontext(FullClient()), credentials=lambda _host: credential) as registry:
        return registry.resolve("docker.io/library/debian", "12")


def test_a_plain_answer_is_enough(server: Server) -> None:
    assert resolved(server.http.server_port, Credential(username="me", password="secret")) == Descriptor(
        media_type=MANIFEST_TYPES[0], digest=DIGEST, size=7
    )
    ((path, headers),) = server.asked
    assert path == "/v2/docker.io/library/debian/manifests/12"
    assert headers["Authorization"] == "Basic bWU6c2VjcmV0"
    assert set(headers["Accept"].split(", ")) == set(MANIFEST_TYPES)


def test_without_a_password_none_is_sent(server: Server) -> None:
    resolved(server.http.server_port)
    assert "Authorization" not in server.asked[0][1]


def test_what_is_not_there(server: Server) -> None:
    server.status = 404
    assert resolved(server.http.server_port) is None


@pytest.mark.parametrize("status", [301, 400, 401, 500])
def test_any_other_answer_is_for_the_full_client(server: Server, status: int) -> None:
    server.status = status
    assert resolved(server.http.server_port) == FROM_THE_FULL_CLIENT


@pytest.mark.parametrize("lost", ["Docker-Content-Digest", "Content-Type", "Content-Length"])
def test_an_answer_that_lacks_something_is_for_the_full_client(server: Server, lost: str) -> None:
    del server.headers[lost]
    assert resolved(server.http.server_port) == FROM_THE_FULL_CLIENT


def test_where_nobody_listens_the_full_client_tells_it(server: Server) -> None:
    port = server.http.server_port
    server.http.server_close()
    assert resolved(port) == FROM_THE_FULL_CLIENT
