"""Headers are read as `http.client` reads them, whatever is sent."""

from __future__ import annotations

import http.client
from io import BytesIO
from typing import BinaryIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imagewright.registry import headers
from imagewright.registry.headers import parse

NAMES = st.sampled_from([b"Content-Length", b"Docker-Content-Digest", b"x_1", b"Link", b"From", b"a b", b"", b"\xe4"])
VALUES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"sha256:abc", b" 12", b"\t1 \t", b"", b"multipart/mixed", b"a: b", b"x" * 70_000]),
)
LINES = st.builds(
    lambda name, colon, value, end: name + colon + value + end,
    NAMES,
    st.sampled_from([b":", b": ", b" :", b""]),
    VALUES,
    st.sampled_from([b"\r\n", b"\n", b"\r\n ", b"\r"]),
)


def outcome(read: object, raw: bytes) -> object:
    file: BinaryIO = BytesIO(raw)
    try:
        return read(file).items(), file.tell()  # type: ignore[operator]
    except http.client.HTTPException as error:
        return repr(error)


@given(st.lists(LINES, max_size=6), st.sampled_from([b"\r\n", b"\n", b""]), st.sampled_from([b"", b"{}\r\n\r\n"]))
@example([b"a: 1\r\n"] * 100, b"\r\n", b"")
@example([b"a: 1\r\n"] * 99, b"\r\n", b"")
@example([b"a: 1\r\n", b"\tand 2\r\n"], b"\r\n", b"rest")
def test_they_are_those_of_the_standard_library(lines: list[bytes], end: bytes, rest: bytes) -> None:
    raw = b"".join(lines) + end + rest
    assert outcome(parse, raw) == outcome(http.client.parse_headers, raw)


def test_what_registries_send_is_not_left_to_the_email_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http.client, "parse_headers", lambda _: pytest.fail("left to http.client"))
    sent = b'Content-Length: 2\r\nDocker-Content-Digest: sha256:ab\r\nLink: </v2/?n=2>; rel="next"\r\n\r\n{}'
    file = BytesIO(sent)
    assert parse(file)["link"] == '</v2/?n=2>; rel="next"'
    assert file.read() == b"{}"


def test_responses_are_read_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wire:
        def makefile(self, _mode: str) -> BinaryIO:
            return BytesIO(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    monkeypatch.setattr(http.client, "parse_headers", lambda *_: pytest.fail("the standard library's was called"))
    for connection in (headers.PlainConnection, headers.TlsConnection):
        response = connection.response_class(Wire(), method="GET")  # type: ignore[arg-type]
        response.begin()
        assert (response.status, response.read()) == (200, b"{}")
