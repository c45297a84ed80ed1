"""The network's stand-in: a function from requests to answers, both in httpx's words, behind the client's own HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import httpx
from urllib3 import HTTPHeaderDict

from imagewright.registry.answer import Address, Answer, LostConnectionError, NoConnectionError

Handler = Callable[[httpx.Request], httpx.Response]


class Answering:
    """A transport whose answers come from `handler`; httpx's errors stand for what happens to a connection."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def send(
        self,
        method: str,
        url: Address,
        *,
        headers: Mapping[str, str],
        content: bytes | Iterable[bytes] | None = None,
        stream: bool = False,
    ) -> Answer:
        if not (content is None or isinstance(content, bytes)):
            assert "Content-Length" in headers, "registries refuse what comes in chunks"
            content = b"".join(content)
        with failing():
            response = self._handler(httpx.Request(method, str(url), headers=headers, content=content))
            fields = HTTPHeaderDict(response.headers.multi_items())
            if stream and response.status_code == 200:
                return Answer(
                    method=method,
                    url=url,
                    status_code=200,
                    headers=fields,
                    pieces=lambda: pieces(response),
                    close=response.close,
                )
            said = response.read()
        return Answer(method=method, url=url, status_code=response.status_code, headers=fields, content=said)

    def close(self) -> None:
        pass


def pieces(response: httpx.Response) -> Iterator[bytes]:
    with failing():
        yield from response.iter_raw()


class failing:  # noqa: N801 - reads as the statement that it is part of
    """httpx's errors as the client's own."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
            raise NoConnectionError(str(error)) from error
        if isinstance(error, httpx.RequestError):
            raise LostConnectionError(str(error), timed_out=isinstance(error, httpx.TimeoutException)) from error
