"""The headers of an HTTP response, read without the email package: that takes a quarter of all that a request takes.

Plain lines, which is what registries send, are put into `http.client`'s own message; all others are left to
`http.client`.
"""

from __future__ import annotations

import http.client
import re
from io import BytesIO
from types import FunctionType
from typing import BinaryIO

from urllib3.connection import HTTPConnection, HTTPSConnection

_LONGEST = 65536  # bytes of a line, and 100 lines: as http.client has it
_MOST = 100
# RFC 9112, section 5: a token, a colon, and no line that goes on in the next one.
_PLAIN = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t -~]*)\r?\n")


def parse(file: BinaryIO) -> http.client.HTTPMessage:
    """`http.client.parse_headers`: the same message, the same errors."""
    lines: list[bytes] = []
    message = http.client.HTTPMessage()
    is_plain = True
    while True:
        line = file.readline(_LONGEST + 1)
        lines.append(line)
        if line in (b"\r\n", b"\n", b"") or len(line) > _LONGEST or len(lines) > _MOST:
            break
        found = _PLAIN.fullmatch(line)
        if found:
            message.set_raw(found[1].decode("ascii"), found[2].decode("ascii"))
        is_plain = is_plain and found is not None
    if is_plain and lines[-1] == b"\r\n" and len(lines) <= _MOST:
        return message
    return http.client.parse_headers(BytesIO(b"".join(lines)))


class _Response(http.client.HTTPResponse):
    # Its own code, with another function where that says `parse_headers`.
    begin = FunctionType(
        http.client.HTTPResponse.begin.__code__, {**vars(http.client), "parse_headers": parse}, name="begin"
    )


class PlainConnection(HTTPConnection):
    """A connection without TLS."""

    response_class = _Response


class TlsConnection(HTTPSConnection):
    """A connection with TLS."""

    response_class = _Response
