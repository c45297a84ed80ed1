"""HTTP with one registry: authentication, retries, redirects, and failures told in words."""

from __future__ import annotations

import os
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from imagewright.errors import EnvironmentMissingError, RegistryError
from imagewright.references import DOCKER_HUB
from imagewright.registry.answer import Address, LostConnectionError, NoConnectionError
from imagewright.registry.authentication import Authenticator, CredentialSource, RefusedError, Scopes, is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from imagewright.registry.answer import Answer, Transport
    from imagewright.registry.model import Content

WORKERS = 8  # requests at once; more only makes a registry queue them

_DOCKER_HUB_API = "registry-1.docker.io"
_ATTEMPTS = 5
_FIRST_PAUSE = 0.25  # seconds; doubles with every attempt
_LONGEST_PAUSE = 30.0  # seconds; however long Retry-After asks for
_REDIRECTS = 5
_REDIRECTING = (301, 302, 303, 307, 308)
# identity: a Content-Length and a digest are those of the content itself
_HEADERS = {"User-Agent": "imagewright", "Accept": "*/*", "Accept-Encoding": "identity"}


class UnansweredError(EnvironmentMissingError):
    """A request was sent and no answer came: it may or may not have been carried out."""


class Session:
    """One registry's HTTP connections. Safe to share between threads."""

    def __init__(
        self,
        host: str,
        *,
        credentials: CredentialSource,
        transport: Transport | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        from imagewright.registry.connections import Connections

        self.host = host
        self.is_loopback = is_loopback(host)
        self._sleep = sleep
        self._transport = transport or Connections(
            most=2 * WORKERS,
            trust=None if self.is_loopback else _trust(),  # as docker does: between us and this machine is nobody
            proxies=not self.is_loopback,  # no proxy knows the way to this machine
        )
        self.authenticator = Authenticator(host, credentials, self._ask_token_server)
        self._base: Address | None = None
        self._lock = threading.Lock()
        self._counted = threading.Lock()
        self.requests = 0  # sent so far: retries, redirects and token servers included

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    @property
    def base(self) -> Address:
        """The registry's address. This machine's registries usually speak plain HTTP, so that is tried first."""
        if self._base is not None:
            return self._base
        with self._lock:
            if self._base is None:
                scheme = "http" if self.is_loopback and self._speaks_plain_http() else "https"
                api = _DOCKER_HUB_API if self.host == DOCKER_HUB else self.host
                self._base = Address.parse(f"{scheme}://{api}/")
            return self._base

    def send(
        self,
        method: str,
        url: str,
        *,
        scopes: Scopes = (),
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        body: Callable[[], Content] | None = None,
        repeatable: bool = True,
        stream: bool = False,
    ) -> Answer:
        """Send a request and return the answer, unless it is 401, 403, 429 (after patience) or nothing at all.

        `url` may be relative to the registry's address. `body` opens the content anew for each try. A request that
        is not `repeatable` is not sent again after a 5xx (which is returned) or a lost connection (UnansweredError).
        With `stream` the content of a 200 is still to be read, and the caller closes the answer.
        Raises RegistryError (refused, or failing after retries) and EnvironmentMissingError (unreachable).
        """
        target = self.base.join(url)
        if params:
            target = target.asking(params)
        for attempt in range(_ATTEMPTS):
            last = attempt == _ATTEMPTS - 1
            try:
                response = self._authorized(method, target, scopes, headers or {}, body, stream)
            except UnansweredError:
                if last or not repeatable:
                    raise
                self._sleep(_pause(None, attempt))
                continue
            if last or not (_is_throttled(response) or (repeatable and response.status_code >= 500)):
                break
            self._sleep(_pause(response, attempt))
        if _is_throttled(response):
            raise RegistryError("the registry limits our requests", where=self.host, hint="try again in a few minutes")
        if response.status_code in (401, 403):
            raise RefusedError(
                self.host, has_credentials=self.authenticator.has_credentials, detail=explanation(response)
            )
        if repeatable and response.status_code >= 500:
            raise RegistryError(f"the registry fails: {explanation(response)}", where=self.host)
        return response

    def _authorized(
        self,
        method: str,
        target: Address,
        scopes: Scopes,
        headers: Mapping[str, str],
        body: Callable[[], Content] | None,
        stream: bool,
    ) -> Answer:
        authorization = self.authenticator.header(scopes)
        may_renew = True
        hops = 0
        while hops <= _REDIRECTS:
            ours = target.origin == self.base.origin
            # Never to another host: storage behind a redirect has its own signature in the address.
            sent = {**headers, "Authorization": authorization} if ours and authorization else headers
            response = self._once(method, target, sent, body, stream)
            if response.status_code == 401 and ours and may_renew:
                may_renew = False
                challenges = response.headers.getlist("www-authenticate")
                renewed = self.authenticator.answer(challenges, scopes, authorization)
                if renewed is None:
                    return response
                authorization = renewed
            elif _redirects(response) and method in ("GET", "HEAD"):
                target = self._redirected(response)
                hops += 1
            else:
                return response
        raise RegistryError("the registry redirects without end", where=self.host)

    def _once(
        self,
        method: str,
        target: Address,
        headers: Mapping[str, str],
        body: Callable[[], Content] | None,
        stream: bool,
    ) -> Answer:
        if body is None:
            return self._exchange(method, target, stream=stream, headers=headers)
        with body() as content:
            return self._exchange(method, target, headers=headers, content=content)

    def _exchange(
        self,
        method: str,
        target: Address,
        *,
        headers: Mapping[str, str],
        content: bytes | Iterable[bytes] | None = None,
        stream: bool = False,
    ) -> Answer:
        with self._counted:
            self.requests += 1
        sent = {**_HEADERS, **headers}
        try:
            return self._transport.send(method, target, headers=sent, content=content, stream=stream)
        except NoConnectionError as error:
            raise _unreachable(target, str(error), loopback=self.is_loopback) from error
        except LostConnectionError as error:
            what = "did not answer in time" if error.timed_out else "closed the connection"
            raise UnansweredError(f"the registry {what}", where=target.netloc) from error

    def _ask_token_server(
        self,
        method: str,
        url: Address,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        content = urlencode(form).encode() if form else None
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        for attempt in range(_ATTEMPTS):
            response = self._exchange(method, url, headers={**(headers or {}), **kind}, content=content)
            if not _is_throttled(response) and response.status_code < 500:
                break
            self._sleep(_pause(response, attempt))
        return response

    def _redirected(self, response: Answer) -> Address:
        target: Address | None = None
        with suppress(ValueError):
            target = response.url.join(response.headers["location"])
        if target is None or target.scheme not in ("https", self.base.scheme):
            raise RegistryError("the registry redirects to where nothing may be read from", where=self.host)
        return target

    def _speaks_plain_http(self) -> bool:
        try:
            response = self._exchange("GET", Address.parse(f"http://{self.host}/v2/"), headers={})
        except UnansweredError:
            return False
        return response.status_code != 400  # "the client sent an HTTP request to an HTTPS server"


def answers(host: str, *, within: float) -> bool:
    """Whether a registry answers within so many seconds, whatever it answers. Nothing is sent but one HEAD."""
    from imagewright.registry.connections import Connections

    url = Address.parse(f"https://{_DOCKER_HUB_API if host == DOCKER_HUB else host}/v2/")
    connections = Connections(most=1, trust=_trust(), proxies=True, patience=within)
    try:
        connections.send("HEAD", url, headers=_HEADERS)
    except (NoConnectionError, LostConnectionError):
        return False
    finally:
        connections.close()
    return True


def explanation(response: Answer) -> str:
    """What an error answer says (OCI distribution spec, "Error Codes"), in one line."""
    try:
        errors = response.json()["errors"]
        said = "; ".join(f"{error.get('code', '')}: {error.get('message', '')}".strip(": ") for error in errors)
    except (AttributeError, KeyError, TypeError, ValueError):
        said = ""
    return f"HTTP {response.status_code}{f', {said}' if said else ''}"[:300]


def _is_throttled(response: Answer) -> bool:
    if response.status_code == 403:  # GitHub's way to say 429
        return "retry-after" in response.headers or response.headers.get("x-ratelimit-remaining") == "0"
    return response.status_code == 429


def _pause(response: Answer | None, attempt: int) -> float:
    asked = response.headers.get("retry-after", "") if response is not None else ""
    try:
        seconds = float(asked)
    except ValueError:  # absent, or a date: a clock that we do not share
        seconds = _FIRST_PAUSE * 2**attempt
    return min(max(seconds, 0.0), _LONGEST_PAUSE)


def _redirects(response: Answer) -> bool:
    return response.status_code in _REDIRECTING and "location" in response.headers


def _unreachable(url: Address, cause: str, *, loopback: bool) -> EnvironmentMissingError:
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        hint = "SSL_CERT_FILE=FILE names the authority that signed the registry's certificate"
    elif loopback:
        hint = "`invoke start registry` starts the local one"
    else:
        hint = "check the network, and `registry` in config/images.yml"
    return EnvironmentMissingError(f"the registry cannot be reached: {cause}", where=url.netloc, hint=hint)


def _trust() -> ssl.SSLContext:
    import certifi

    trust = ssl.create_default_context()  # the system's authorities, as docker uses them; SSL_CERT_FILE replaces them
    if not os.environ.get("SSL_CERT_FILE"):
        trust.load_verify_locations(certifi.where())  # a machine without ca-certificates has none
    return trust
