"""The door to S3 against a server that answers as stores do which are not AWS; the real one is in tests/e2e."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from imagewright.cache.store import S3Store, connect
from imagewright.errors import EnvironmentMissingError, ImagewrightError

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAme", "AWS_SECRET_ACCESS_KEY": "s3cr3t-s3cr3t"}
MODIFIED = datetime(2025, 3, 1, 12, 0, 0, tzinfo=UTC)
DATE = "Sun, 02 Mar 2025 12:00:00 GMT"
ENTRY = (
    "<Contents><Key>team/blobs/{}</Key><Size>3</Size><LastModified>2025-03-01T12:00:00.987Z</LastModified></Contents>"
)

Answer = tuple[int, Mapping[str, str], str]


@dataclass
class Server:
    """What it was asked, and how it answers."""

    answer: Callable[[str, str, Mapping[str, str]], Answer] = lambda _method, _path, _headers: (200, {}, "")
    log: list[str] = field(default_factory=list)
    port: int = 0

    def store(self) -> S3Store:
        return connect(
            "layers", "team/", region="us-east-1", endpoint=f"http://127.0.0.1:{self.port}", path_style=True, keys=KEYS
        )


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def date_time_string(self, timestamp: float | None = None) -> str:
            return DATE

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            made.log.append(f"{self.command} {self.path}")
            status, headers, body = made.answer(self.command, self.path, dict(self.headers))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body.encode())

        do_GET = do_HEAD = do_PUT = do_DELETE = answer  # noqa: N815 - the base class's names

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    made.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    http.shutdown()
    http.server_close()


def refusal(code: str, status: int, words: str = "") -> Answer:
    return status, {"Content-Type": "application/xml"}, f"<Error><Code>{code}</Code><Message>{words}</Message></Error>"


def test_a_listing_is_followed_to_its_end(server: Server) -> None:
    def answer(_method: str, path: str, _headers: Mapping[str, str]) -> Answer:
        last = "continuation-token=more" in path
        rest = "" if last else "<IsTruncated>true</IsTruncated><NextContinuationToken>more</NextContinuationToken>"
        return 200, {}, f"<ListBucketResult>{rest}{ENTRY.format('b' if last else 'a')}</ListBucketResult>"

    server.answer = answer
    store = server.store()

    assert [(one.key, one.size, one.modified) for one in store.list("blobs/")] == [
        ("blobs/a", 3, MODIFIED),
        ("blobs/b", 3, MODIFIED),
    ]
    assert "prefix=team%2Fblobs%2F" in server.log[0]
    assert timedelta(0) <= store.now() - datetime(2025, 3, 2, 12, tzinfo=UTC) < timedelta(minutes=1), "its clock"


@pytest.mark.parametrize("token", ["", "<NextContinuationToken>same</NextContinuationToken>"])
def test_a_listing_that_does_not_go_on_is_an_error_and_no_end(server: Server, token: str) -> None:
    body = f"<ListBucketResult><IsTruncated>true</IsTruncated>{token}{ENTRY.format('a')}</ListBucketResult>"
    server.answer = lambda _method, _path, _headers: (200, {}, body)
    with pytest.raises(ImagewrightError, match="does not say how its listing goes on"):
        list(server.store().list("blobs/"))


def test_a_store_that_knows_no_conditions_is_asked_without(server: Server) -> None:
    def answer(method: str, _path: str, headers: Mapping[str, str]) -> Answer:
        known = {"if-match", "if-none-match", "x-amz-if-match-last-modified-time"}
        if known & {name.lower() for name in headers}:
            return refusal("NotImplemented", 501)
        return (204 if method == "DELETE" else 200), {"ETag": '"new"'}, ""

    server.answer = answer
    store = server.store()

    assert store.put("x", b"1", etag=None) == '"new"'
    assert store.delete("x", MODIFIED)
    server.log.clear()
    store.put("x", b"1", etag='"new"')
    store.delete("x", MODIFIED)
    assert len(server.log) == 2, "it is not asked with conditions again"


@pytest.mark.parametrize(
    ("updated", "used"),
    [
        (None, MODIFIED),
        ("2025-03-01 11:00:00.123456789 +0000 UTC m=+12.345", MODIFIED),
        ("2025-03-05 13:30:00.5 +0100 CET m=+0.001", datetime(2025, 3, 5, 12, 30, tzinfo=UTC)),
        ("2025-03-05 13:30:00 -0700 -0700", datetime(2025, 3, 5, 20, 30, tzinfo=UTC)),
        ("2025-13-05 13:30:00 +0000 UTC", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_when_an_exporter_used_a_blob(server: Server, updated: str | None, used: datetime | None) -> None:
    headers = {"Last-Modified": "Sat, 01 Mar 2025 12:00:00 GMT", "ETag": '"x"'}
    more = {} if updated is None else {"x-amz-meta-updated-at": updated}
    server.answer = lambda _method, _path, _headers: (200, headers | more, "")
    head = server.store().head("blobs/x")
    assert head is not None
    assert (head.modified, head.used) == (MODIFIED, used)


@pytest.mark.parametrize(
    ("code", "status", "error", "words"),
    [
        ("AccessDenied", 403, ImagewrightError, "the store refuses: AccessDenied"),
        ("InvalidAccessKeyId", 403, ImagewrightError, "the store refuses: InvalidAccessKeyId"),
        ("InternalError", 500, ImagewrightError, r"the store failed: InternalError \(HTTP 500\)"),
        ("NoSuchBucket", 404, EnvironmentMissingError, "there is no bucket layers"),
    ],
)
@pytest.mark.parametrize("what", ["list", "get", "head", "put", "delete"])
def test_what_is_refused_is_told_without_the_stores_words(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    code: str,
    status: int,
    error: type[Exception],
    words: str,
) -> None:
    monkeypatch.setattr("imagewright.cache.store._ATTEMPTS", 1)
    server.answer = lambda _method, _path, _headers: refusal(code, status, "the string to sign: s3cr3t-s3cr3t")
    store = server.store()
    calls: dict[str, Callable[[], object]] = {
        "list": lambda: list(store.list("")),
        "get": lambda: store.get("x"),
        "head": lambda: store.head("x"),
        "put": lambda: store.put("x", b"", etag=None),
        "delete": lambda: store.delete("x", MODIFIED),
    }
    if what == "head":  # has no body, and so no code
        if code == "NoSuchBucket":
            assert store.head("x") is None
            return
        error, words = ImagewrightError, "the store (refuses|failed)"
    with pytest.raises(error, match=words) as refused:
        calls[what]()
    assert "s3cr3t" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_store_that_breaks_off_is_no_shorter_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagewright.cache.store._READ_SECONDS", 0.2)
    monkeypatch.setattr("imagewright.cache.store._ATTEMPTS", 1)
    headers = {"Last-Modified": "Sat, 01 Mar 2025 12:00:00 GMT", "Content-Length": "100"}
    server.answer = lambda _method, _path, _headers: (200, headers, "{}")
    with pytest.raises(EnvironmentMissingError, match="the store does not answer"):
        server.store().get("manifests/x")


def test_an_error_ends_what_runs_at_once(server: Server) -> None:
    store, begun = server.store(), []

    def call(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise ImagewrightError("no")
        return number

    assert list(store.concurrently(lambda number: -number, range(100))) == [-number for number in range(100)]
    with pytest.raises(ImagewrightError, match="no"):
        list(store.concurrently(call, range(10_000)))
    assert len(begun) < 200
