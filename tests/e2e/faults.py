"""A proxy before a real registry which answers some requests wrongly, late, or not at all."""

from __future__ import annotations

import http.client
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Fault = Literal["reset", "lost", "stall", "garbage", "401", "403", "404", "405", "429", "500", "503", "507"]
"""reset: closed before the registry gets it; lost: after it; stall: said not to be answered; garbage: other bytes."""

STALLED = 599  # the client's transport makes a timeout of it, so that no test waits for one

ALL: tuple[Fault, ...] = ("reset", "lost", "stall", "garbage", "401", "403", "404", "405", "429", "500", "503")
_NOT_PASSED_ON = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass
class Proxy:
    """Where it listens, and what it does to which request."""

    upstream: str
    host: str = ""
    choose: Callable[[str, str], Fault | None] = lambda _method, _path: None
    before: Callable[[str, str], None] = lambda _method, _path: None
    after: Callable[[str, str], None] = lambda _method, _path: None
    sent_as: Callable[[str], str] = lambda path: path  # what the registry is asked instead
    edit: Callable[[str, dict[str, str], bytes], bytes] = lambda _path, _headers, content: content  # may change both
    log: list[tuple[str, str, Fault | None]] = field(default_factory=list)
    said: bytes = b'{"errors":[{"code":"FAULT","message":"injected"}]}'  # the body of an injected answer


@dataclass
class Strike:
    """A `before` of a proxy: does something once, when the first of the requests comes that are meant."""

    do: Callable[[], object]
    which: Callable[[str, str], bool]
    done: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, method: str, path: str) -> None:
        with self._lock:
            if self.done or not self.which(method, path):
                return
            self.done = True
        self.do()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what the tests are about, and no error of the proxy's."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def proxy(upstream: str) -> Iterator[Proxy]:
    """A proxy before `host:port`, until the end of the block."""
    made = Proxy(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body are two writes: the second would wait for an acknowledgement

        def log_message(self, *_: object) -> None:
            pass

        def handle_any(self) -> None:
            answer(self, made)

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the base class's names

    server = _Server(("127.0.0.1", 0), Handler)
    made.host = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def by_seed(seed: int, share: float, faults: tuple[Fault, ...] = ALL) -> Callable[[str, str], Fault | None]:
    """Any request may meet any fault; which, is told by the seed and the order of the requests."""
    chance = random.Random(seed)  # noqa: S311 - dice, no secrets
    lock = threading.Lock()

    def choose(_method: str, path: str) -> Fault | None:
        with lock:
            return chance.choice(faults) if path != "/v2/" and chance.random() < share else None

    return choose


def answer(handler: BaseHTTPRequestHandler, proxy: Proxy) -> None:
    """One request."""
    body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
    fault = proxy.choose(handler.command, handler.path)
    proxy.log.append((handler.command, handler.path, fault))
    if fault == "reset":
        handler.close_connection = True
        return
    if fault == "stall":
        _send(handler, STALLED, {}, b"")
        return
    if fault and fault.isdecimal():
        headers = {"Retry-After": "0"} if fault == "429" else {}
        _send(handler, int(fault), headers, proxy.said)
        return
    proxy.before(handler.command, handler.path)
    connection = http.client.HTTPConnection(proxy.upstream, timeout=30)
    try:
        sent = {name: value for name, value in handler.headers.items() if name.lower() not in _NOT_PASSED_ON}
        connection.request(handler.command, proxy.sent_as(handler.path), body or None, sent)
        response = connection.getresponse()
        content = response.read()
        headers = {name: value for name, value in response.getheaders() if name.lower() not in _NOT_PASSED_ON}
        if handler.command == "HEAD" and response.getheader("content-length"):
            headers["Content-Length"] = str(response.getheader("content-length"))
        status = response.status
    finally:
        connection.close()
    proxy.after(handler.command, handler.path)
    content = proxy.edit(handler.path, headers, content)
    if fault == "lost":
        handler.close_connection = True
        return
    _send(handler, status, headers, b"not what you asked for" if fault == "garbage" and content else content)


def _send(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], content: bytes) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    if "Content-Length" not in headers:
        handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(content)
