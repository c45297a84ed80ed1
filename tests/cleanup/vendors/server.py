"""A vendor's server on this machine: real HTTP, answers by a function, and faults that come first."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from imagewright.registry.client import Registry
from imagewright.registry.credentials import Credential
from imagewright.registry.model import OCI_MANIFEST

DIGESTS = [f"sha256:{number:064x}" for number in range(64)]


@dataclass(frozen=True)
class Request:
    method: str
    target: str  # as it was sent: path and query
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def authorization(self) -> str | None:
        return self.headers.get("authorization")


@dataclass(frozen=True)
class Answer:
    status: int = 200
    document: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None
    hangs_up: bool = False  # without a word


@dataclass
class Server:
    """Its log and its faults leave out a client's first look at whether it speaks plain HTTP."""

    answer: Callable[[Request], Answer]
    host: str = ""
    log: list[Request] = field(default_factory=list)
    faults: list[tuple[str, Answer]] = field(default_factory=list)  # method, and what the next such request gets
    has_root: bool = False  # whether /v2/ means anything after the first look
    looks: int = 0

    def methods(self) -> list[str]:
        return [request.method for request in self.log]

    def registry(self, credential: Credential | None = None) -> Registry:
        return Registry(self.host, credentials=lambda _: credential, sleep=lambda _: None)

    def fail(self, method: str, *answers: Answer) -> None:
        self.faults += [(method, answer) for answer in answers]

    def take(self, request: Request) -> Answer:
        if request.target == "/v2/":
            self.looks += 1
            if self.looks == 1 or not self.has_root:
                return Answer(404)
        self.log.append(request)
        for number, (method, answer) in enumerate(self.faults):
            if method == request.method:
                del self.faults[number]
                return answer
        return self.answer(request)


def manifest_answer(digest: str) -> Answer:
    """What a registry says to the HEAD of a manifest."""
    headers = {"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": digest}
    return Answer(200, {"schemaVersion": 2}, headers)


@contextmanager
def serving(answer: Callable[[Request], Answer], *, has_root: bool = False) -> Iterator[Server]:
    server = Server(answer, has_root=has_root)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # an answer in one packet: a second one would wait for the first one's receipt

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            given = server.take(Request(self.command, self.path, headers, body))
            if given.hangs_up:
                self.close_connection = True
                self.connection.close()
                return
            content = b"" if given.document is None else json.dumps(given.document).encode()
            content = given.text.encode() if given.text is not None else content
            self.send_response(given.status)
            for name, value in {"Content-Type": "application/json", **given.headers}.items():
                self.send_header(name, value)
            if given.status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD" and given.status != 204:
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_DELETE = do_PUT = handle_any  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    server.host = f"127.0.0.1:{http.server_port}"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
