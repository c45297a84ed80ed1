"""A vendor's own HTTP API, which stands beside its registry."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from imagewright.errors import RegistryError
from imagewright.registry.authentication import Authenticator, RefusedError
from imagewright.registry.model import Blob, Deletion
from imagewright.registry.pages import pages
from imagewright.registry.session import Session, UnansweredError

if TYPE_CHECKING:
    from imagewright.registry.answer import Answer
    from imagewright.registry.authentication import Scopes

_LONGEST_WAIT = 60.0  # seconds: the limits that are worth waiting for are those of a minute


class Pace:
    """Keeps under a limit of points a minute: a read costs one, anything else five (docs.github.com, REST rate limits).

    Waits before a request that would go over it. Not shared between processes: what another one uses shows as 429.
    """

    def __init__(
        self,
        points: int = 900,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`points`: how many a minute."""
        self._points = points
        self._clock = clock
        self._sleep = sleep
        self._spent: list[tuple[float, int]] = []  # when, how many

    def wait(self, method: str) -> None:
        """Wait until a request may be sent, and count it."""
        cost = 1 if method in ("GET", "HEAD") else 5
        while True:
            now = self._clock()
            self._spent = [(at, points) for at, points in self._spent if now - at < _LONGEST_WAIT]
            if not self._spent or sum(points for _, points in self._spent) + cost <= self._points:
                break
            self._sleep(max(_LONGEST_WAIT - (now - self._spent[0][0]), 0.001))
        self._spent.append((now, cost))


class _Given(Authenticator):
    """Sends what the vendor wants without being asked first, and asks for it anew once where it is refused."""

    def __init__(self, host: str, header: Callable[[bool], str | None]) -> None:
        super().__init__(host, lambda _: None, _no_token_server)
        self._given = header

    @property
    def has_credentials(self) -> bool:
        return self._given(False) is not None

    def header(self, scopes: Scopes) -> str | None:  # noqa: ARG002 - APIs have none
        return self._given(False)

    def answer(self, headers: list[str], scopes: Scopes, rejected: str | None) -> str | None:  # noqa: ARG002
        renewed = self._given(True)
        return None if renewed == rejected else renewed


class Api:
    """One host's API, in JSON. Secrets go to this host only, over HTTPS (plain HTTP on this machine alone)."""

    def __init__(
        self,
        host: str,
        header: Callable[[bool], str | None] = lambda _: None,
        *,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
        pace: Pace | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`header(anew)` gives the Authorization header; `hint` says what to do where it is refused."""
        self.host = host
        self._hint = hint
        self._headers = {"Accept": "application/json", **(headers or {})}
        self._pace = pace
        self._sleep = sleep
        self._session = Session(host, credentials=lambda _: None, sleep=sleep)
        self._session.authenticator = _Given(host, header)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def send(self, method: str, path: str, *, document: Any = None) -> Answer:
        """An answer as it comes, but for refusals (RefusedError), limits and 5xx to reads (RegistryError).

        Only reads are sent again after a 5xx or a lost connection (UnansweredError).
        """
        if self._pace:
            self._pace.wait(method)
        body = Blob.of(json.dumps(document).encode(), "application/json") if document is not None else None
        try:
            response = self._session.send(
                method,
                path,
                headers={
                    **self._headers,
                    **({"Content-Type": body.media_type, "Content-Length": str(body.size)} if body else {}),
                },
                body=body.open if body else None,
                repeatable=method == "GET",
            )
        except RefusedError as error:
            error.hint = self._hint or error.hint
            raise
        self._spare(response)
        return response

    def get(self, path: str, where: str) -> Any:
        """The JSON of what must be there; RegistryError where it is not."""
        response = self.send("GET", path)
        if response.status_code != 200:
            raise unexpected(response, where, self._hint)
        return parsed(response, where)

    def delete(self, path: str) -> Answer | None:
        """The answer to a DELETE; None where it is unknown whether it was carried out."""
        try:
            return self.send("DELETE", path)
        except UnansweredError:
            return None

    def items(self, path: str, *, params: Mapping[str, str], where: str) -> Iterator[Any]:
        """The entries of a list, along its `Link` (RFC 8288) on this host, each page once."""
        for response in pages(lambda link: self.send("GET", link), f"{path}?{urlencode(params)}", "list", where):
            if response.status_code != 200:
                raise unexpected(response, where, self._hint)
            page = parsed(response, where)
            if not isinstance(page, list):
                raise malformed(where)
            yield from page

    def _spare(self, response: Answer) -> None:
        """Wait for the next window where this one is used up."""
        if response.headers.get("x-ratelimit-remaining") != "0":
            return
        reset = response.headers.get("x-ratelimit-reset", "")
        seconds = int(reset) - time.time() if reset.isdecimal() else 0.0
        if 0 < seconds <= _LONGEST_WAIT:
            self._sleep(seconds)


def settle(response: Answer | None, where: str) -> Deletion:
    """The outcome that the answer to a DELETE tells; None is an unknown one. RegistryError for a no."""
    if response is None or response.status_code >= 500:
        return Deletion.UNKNOWN
    if response.is_success:
        return Deletion.DONE
    if response.status_code == 404:
        return Deletion.ABSENT
    if response.status_code == 405:
        return Deletion.UNSUPPORTED
    raise unexpected(response, where)


def parsed(response: Answer, where: str) -> Any:
    """The answer's JSON; RegistryError where it is none."""
    try:
        return response.json()
    except ValueError:
        raise malformed(where) from None


def malformed(where: str) -> RegistryError:
    """The answer is not what the API's documentation says."""
    return RegistryError("the registry's API gave a malformed answer", where=where)


def said(response: Answer) -> str:
    """What an error answer says, in one line: its status and its own words where they are JSON."""
    try:
        document = response.json()
        first = (document.get("errors") or [document])[0] if isinstance(document, dict) else {}
        words = " ".join(str(first.get("message") or first.get("detail") or "").split())
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        words = ""
    return f"HTTP {response.status_code}{f', {words}' if words else ''}"[:300]


def unexpected(response: Answer, where: str, hint: str | None = None) -> RegistryError:
    """The API says no."""
    return RegistryError(f"the registry says no to {response.method}: {said(response)}", where=where, hint=hint)


def _no_token_server(*_: Any, **__: Any) -> Answer:
    raise AssertionError("an API has no token server")
