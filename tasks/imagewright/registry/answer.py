"""What is sent to a registry and what comes back, as values: addresses, answers, and who carries them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote_plus, urlencode, urljoin

if TYPE_CHECKING:
    from urllib3 import HTTPHeaderDict

_PORTS = {"http": 80, "https": 443}
_PLAIN = re.compile(r"(?:/[A-Za-z0-9_:-][A-Za-z0-9_.:-]*)+/?")  # nothing in it to be escaped or resolved
_PARAMETER = r"""\s*;\s*([^\s=;,]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s";,]*)))?"""
_LINK = re.compile(rf"""<(?P<address>[^>]*)>(?P<parameters>(?:{_PARAMETER})*)""")


class NoConnectionError(Exception):
    """There is no connection to the host: nothing was sent. The text is the cause."""


class LostConnectionError(Exception):
    """A request was sent, or a part of it, and no whole answer came."""

    def __init__(self, cause: str, *, timed_out: bool = False) -> None:
        """`timed_out`: the connection is there, and nothing came over it."""
        super().__init__(cause)
        self.timed_out = timed_out


@dataclass(frozen=True, slots=True)
class Address:
    """An `http` or `https` URL in its parts (RFC 3986). What it is compared by is what is connected to."""

    scheme: str
    host: str  # lower case; an IPv6 address in its brackets
    port: int | None  # None: the scheme's own
    target: str  # path and query, percent-encoded; begins with a slash

    @classmethod
    def parse(cls, text: str) -> Address:
        """ValueError for what is no such URL. A user's name in it is left out, and so is a fragment."""
        from urllib3.exceptions import LocationParseError
        from urllib3.util import parse_url

        try:
            url = parse_url(text)
        except LocationParseError:
            raise ValueError("no URL") from None  # without the text, which may hold a signature
        if url.scheme not in _PORTS or not url.host:
            raise ValueError("no URL of HTTP")
        return cls(url.scheme, url.host, None if url.port == _PORTS[url.scheme] else url.port, url.request_uri)

    @property
    def origin(self) -> tuple[str, str, int | None]:
        """RFC 6454: what credentials are for."""
        return self.scheme, self.host, self.port

    @property
    def netloc(self) -> str:
        """`host` or `host:port`."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    def join(self, location: str) -> Address:
        """The address that `location` means when this one says it. ValueError as for `parse`."""
        if _PLAIN.fullmatch(location):
            return Address(self.scheme, self.host, self.port, location)
        return self.parse(urljoin(str(self), location))

    def asking(self, parameters: Mapping[str, str] | Iterable[tuple[str, str]]) -> Address:
        """With these in the query, in the place of those of the same name. The others stay as they are written."""
        pairs = list(parameters.items() if isinstance(parameters, Mapping) else parameters)
        if not pairs:
            return self
        names = {name for name, _ in pairs}
        path, _, query = self.target.partition("?")
        others = [part for part in query.split("&") if part and unquote_plus(part.partition("=")[0]) not in names]
        return Address(self.scheme, self.host, self.port, f"{path}?{'&'.join((*others, urlencode(pairs)))}")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.target}"


def _no_rest() -> Iterator[bytes]:
    return iter(())


def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP response."""

    method: str  # of the request
    url: Address
    status_code: int
    headers: HTTPHeaderDict  # names in whatever case
    content: bytes = b""
    pieces: Callable[[], Iterator[bytes]] = _no_rest
    """What is still to be read, as it was sent. Raises LostConnectionError."""
    close: Callable[[], None] = _nothing

    @property
    def is_success(self) -> bool:
        """2xx."""
        return 200 <= self.status_code <= 299

    @property
    def text(self) -> str:
        """The content as UTF-8; what is none is replaced."""
        return self.content.decode(errors="replace")

    @property
    def following(self) -> str | None:
        """The next page of a list, as the registry writes it: the link of the relation "next" (RFC 8288)."""
        for link in _LINK.finditer(self.headers.get("link", "")):
            for name, quoted, bare in re.findall(_PARAMETER, link["parameters"]):
                if name.lower() == "rel" and "next" in (quoted or bare).lower().split():
                    return str(link["address"].strip())
        return None

    def json(self) -> Any:
        """The content's JSON; ValueError where it is none."""
        return json.loads(self.content)


class Transport(Protocol):
    """Carries one request; no redirects, no second try. Safe to share between threads."""

    def send(
        self,
        method: str,
        url: Address,
        *,
        headers: Mapping[str, str],
        content: bytes | Iterable[bytes] | None = None,
        stream: bool = False,
    ) -> Answer:
        """The answer, with its content unless it is a 200 and to be streamed: then the caller closes it.

        `content` in pieces needs a Content-Length among the headers. Raises NoConnectionError, LostConnectionError.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
