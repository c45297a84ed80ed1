"""Against real servers on this machine, with TLS and proxies."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from imagewright.errors import EnvironmentMissingError, RegistryError
from imagewright.registry.answer import Address, LostConnectionError, NoConnectionError
from imagewright.registry.connections import Connections

GET = Address("http", "r.invalid", None, "/v2/")  # a name that only a proxy knows


class Handler(BaseHTTPRequestHandler):
    """Says what it was asked; its address decides what goes wrong."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.command, self.path, self.headers))
        content = self.rfile.read(int(self.headers.get("Content-Length", "0"))) or b"1023456789"
        if "/stalled" in self.path:
            self.server.released.wait(30)
        if "/reset" in self.path:
            self.close_connection = True
            return
        self.send_response(404 if "/absent" in self.path else 200)
        self.send_header("Www-Authenticate", "Basic")
        self.send_header("Www-Authenticate", "Bearer")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:3] if "/short" in self.path else content)
        self.close_connection = "/short" in self.path

    do_HEAD = do_PUT = do_GET  # noqa: N815 - the names that http.server looks for

    def do_CONNECT(self) -> None:
        self.server.asked.append((self.command, self.path, self.headers))
        if "refused" in self.path:
            self.send_error(407)
            return
        self.send_response(200)
        self.end_headers()
        self.close_connection = False
        assert self.server.tls
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None, *, speaks_tls: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.tls, self.speaks_tls = tls, speaks_tls
        self.asked: list[tuple[str, str, Message]] = []
        self.connections = 0
        self.released = threading.Event()

    def finish_request(self, request: ssl.SSLSocket, address: object) -> None:  # type: ignore[override]
        self.connections += 1
        with suppress(OSError):  # a handshake that the client breaks off
            if self.speaks_tls and self.tls:
                request = self.tls.wrap_socket(request, server_side=True)
            super().finish_request(request, address)

    def at(self, path: str) -> Address:
        return Address("https" if self.speaks_tls else "http", "127.0.0.1", self.server_address[1], path)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With its key."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    new = (
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=x",
    )
    names = ("-addext", "subjectAltName=IP:127.0.0.1,DNS:r.invalid")
    subprocess.run([*new, *names, "-keyout", path, "-out", path.with_suffix(".crt")], check=True, capture_output=True)
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


Serve = Callable[..., Server]


@pytest.fixture
def serve(certificate: Path) -> Iterator[Serve]:
    servers = []

    def start(*, tls: bool = False) -> Server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        servers.append(Server(context, speaks_tls=tls))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.released.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def connections() -> Iterator[Connections]:
    made = Connections(most=1, trust=None, proxies=False, patience=5)
    yield made
    made.close()


def asked(connections: Connections, url: Address, method: str = "GET", **headers: str) -> bytes:
    return connections.send(method, url, headers=headers).content


def test_an_answer(serve: Serve, connections: Connections) -> None:
    server = serve()
    answer = connections.send("GET", server.at("/a?b=c"), headers={"Accept": "x/y"})
    assert (answer.status_code, answer.content, answer.text, answer.json()) == (
        200,
        b"1023456789",
        "1023456789",
        1023456789,
    )
    assert answer.headers.getlist("WWW-AUTHENTICATE") == ["Basic", "Bearer"]
    assert connections.send("HEAD", server.at("/a"), headers={}).headers["content-length"] == "10"
    method, path, headers = server.asked[0]
    assert (method, path, headers["Accept"], headers["Host"]) == ("GET", "/a?b=c", "x/y", server.at("").netloc)


def test_connections_are_kept(serve: Serve, connections: Connections) -> None:
    server = serve(tls=True)
    for _ in range(5):
        asked(connections, server.at("/"))
    assert server.connections == 1


def test_what_is_pushed_has_its_length(serve: Serve, connections: Connections) -> None:
    server = serve()
    for content in (b"abcdef", iter([b"abc", b"def"])):
        answer = connections.send("PUT", server.at("/"), headers={"Content-Length": "6"}, content=content)
        assert answer.content == b"abcdef"
    assert not any("Transfer-Encoding" in headers for _, _, headers in server.asked)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("path", ["/reset", "/short"])
def test_a_connection_is_lost(serve: Serve, connections: Connections, path: str, tls: bool) -> None:
    server = serve(tls=tls)
    for _ in range(2):
        with pytest.raises(LostConnectionError) as raised:
            asked(connections, server.at(path))
        assert not raised.value.timed_out
    assert asked(connections, server.at("/"))


def test_a_server_that_says_nothing(serve: Serve) -> None:
    connections = Connections(most=1, trust=None, proxies=False, patience=0.05)
    with pytest.raises(LostConnectionError) as raised:
        asked(connections, serve().at("/stalled"))
    assert raised.value.timed_out


def test_nobody_listens(serve: Serve, connections: Connections) -> None:
    server = serve()
    url = server.at("/")
    server.shutdown()
    server.server_close()
    with pytest.raises(NoConnectionError, match="refused"):
        asked(connections, url)
    with pytest.raises(NoConnectionError, match=r"not known|resolution|No address"):
        asked(connections, GET)


class TestStreams:
    def test_piece_by_piece(self, serve: Serve, connections: Connections) -> None:
        url = serve().at("/")
        for _ in range(2):  # one connection: the first has to be given back
            answer = connections.send("GET", url, headers={}, stream=True)
            assert answer.content == b""
            assert b"".join(answer.pieces()) == b"1023456789"
            answer.close()

    def test_one_that_is_given_up_leaves_its_connection_to_others(self, serve: Serve, connections: Connections) -> None:
        url = serve().at("/")
        connections.send("GET", url, headers={}, stream=True).close()
        found: list[bytes] = []
        other = threading.Thread(target=lambda: found.append(asked(connections, url)), daemon=True)
        other.start()
        other.join(10)
        assert found == [b"1023456789"]

    def test_what_is_no_200_says_why(self, serve: Serve, connections: Connections) -> None:
        answer = connections.send("GET", serve().at("/absent"), headers={}, stream=True)
        assert (answer.status_code, answer.content) == (404, b"1023456789")

    def test_one_that_ends_too_early(self, serve: Serve, connections: Connections) -> None:
        answer = connections.send("GET", serve().at("/short"), headers={}, stream=True)
        with pytest.raises(LostConnectionError):
            list(answer.pieces())
        answer.close()


class TestTrust:
    def test_an_unknown_authority(self, serve: Serve) -> None:
        server = serve(tls=True)
        connections = Connections(most=1, trust=ssl.create_default_context(), proxies=False)
        with pytest.raises(NoConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            asked(connections, server.at("/"))
        assert server.asked == []

    def test_a_known_one(self, serve: Serve, certificate: Path) -> None:
        trust = ssl.create_default_context(cafile=certificate)
        assert asked(Connections(most=1, trust=trust, proxies=False), serve(tls=True).at("/"))

    def test_another_hosts_certificate(self, serve: Serve, certificate: Path) -> None:
        trust = ssl.create_default_context(cafile=certificate)
        url = serve(tls=True).at("/")
        with pytest.raises(NoConnectionError, match=r"(?i)match|not valid"):
            asked(Connections(most=1, trust=trust, proxies=False), Address("https", "localhost", url.port, url.target))

    def test_plain_http_where_tls_was_expected(self, serve: Serve, connections: Connections) -> None:
        url = serve().at("/")
        with pytest.raises(NoConnectionError):
            asked(connections, Address("https", url.host, url.port, "/"))


def test_a_secret_that_cannot_be_sent_is_not_told(serve: Serve, connections: Connections) -> None:
    for secret in ("s3cr\net", "s3cr\u20acet"):
        with pytest.raises(RegistryError, match="cannot be sent") as raised:
            asked(connections, serve().at("/"), Authorization=secret)
        assert "s3cr" not in f"{raised.value!r}{raised.value.__cause__!r}"
        assert raised.value.__suppress_context__


class TestProxies:
    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)

    def through(self, url: Address, certificate: Path) -> bytes:
        trust = ssl.create_default_context(cafile=certificate)
        return asked(Connections(most=1, trust=trust, proxies=True), url)

    def test_plain_http(self, serve: Serve, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        server = serve()
        monkeypatch.setenv("http_proxy", f"http://me:p%40ss@{server.at('').netloc}")
        assert self.through(GET, certificate)
        ((method, path, headers),) = server.asked
        assert (method, path, headers["Proxy-Authorization"]) == ("GET", "http://r.invalid/v2/", "Basic bWU6cEBzcw==")

    def test_a_tunnel(self, serve: Serve, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        server = serve()
        monkeypatch.setenv("ALL_PROXY", server.at("").netloc)
        assert self.through(Address("https", "r.invalid", None, "/v2/"), certificate)
        assert [(method, path) for method, path, _ in server.asked] == [("CONNECT", "r.invalid:443"), ("GET", "/v2/")]

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_what_is_lost_on_the_way_may_have_arrived(
        self, serve: Serve, certificate: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
    ) -> None:
        monkeypatch.setenv("ALL_PROXY", str(serve().at("")))
        with pytest.raises(LostConnectionError):
            self.through(Address(scheme, "r.invalid", None, "/reset"), certificate)

    def test_one_that_refuses(self, serve: Serve, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", str(serve().at("")))
        with pytest.raises(NoConnectionError, match="407"):
            self.through(Address("https", "refused.invalid", None, "/"), certificate)

    def test_one_that_is_not_there(self, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        with pytest.raises(NoConnectionError, match="refused"):
            self.through(GET, certificate)

    def test_none_for_some_hosts(self, serve: Serve, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        server = serve()
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("no_proxy", "example.com,127.0.0.1")
        assert self.through(server.at("/"), certificate)

    def test_a_kind_that_is_not_spoken(self, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
        with pytest.raises(EnvironmentMissingError, match="socks5"):
            self.through(GET, certificate)
