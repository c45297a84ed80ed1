"""Connections to hosts, kept and shared between threads, by urllib3: the one door to the network for registries."""

from __future__ import annotations

import ssl
import warnings
from typing import TYPE_CHECKING, Any

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    InsecureRequestWarning,
    NewConnectionError,
)
from urllib3.exceptions import TimeoutError as LateError

from imagewright.errors import EnvironmentMissingError, RegistryError
from imagewright.registry.answer import Address, Answer, LostConnectionError, NoConnectionError
from imagewright.registry.headers import PlainConnection, TlsConnection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PATIENCE = 60.0  # seconds
_PATIENCE_TO_CONNECT = 10.0  # seconds
_PIECE = 64 * 1024  # bytes


class Connections:
    """Up to `most` connections to each host; who wants one more waits. Safe to share between threads."""

    def __init__(self, *, most: int, trust: ssl.SSLContext | None, proxies: bool, patience: float = _PATIENCE) -> None:
        """`trust` checks certificates; with None nobody does. `proxies`: the environment's are used.

        `patience` in seconds: how long nothing may come, or be taken.
        """
        self._most = most
        self._trust = trust or _blind_trust()
        self._proxies = proxies
        self._reading = Timeout(connect=min(patience, _PATIENCE_TO_CONNECT), read=patience)
        self._writing = Timeout(connect=patience, read=patience)  # the first is the one for sending, too
        self._pools: dict[tuple[str, str, int | None], HTTPConnectionPool] = {}
        self._managers: dict[str | None, PoolManager] = {}

    def close(self) -> None:
        """Close the connections."""
        for manager in self._managers.values():
            manager.clear()

    def send(
        self,
        method: str,
        url: Address,
        *,
        headers: Mapping[str, str],
        content: bytes | Iterable[bytes] | None = None,
        stream: bool = False,
    ) -> Answer:
        """See `answer.Transport`. EnvironmentMissingError for a proxy of a kind that cannot be used."""
        try:
            raw = self._sent(
                method,
                url,
                headers=headers,
                body=content,
                timeout=self._reading if content is None else self._writing,
                preload_content=not stream,
                retries=False,
                redirect=False,
            )
            if stream and raw.status == 200:
                pieces, close = (lambda: _pieces(raw)), (lambda: _end(raw))
                return Answer(method=method, url=url, status_code=200, headers=raw.headers, pieces=pieces, close=close)
            said = raw.data  # where it was to be streamed: the reason for what is no 200
            return Answer(method=method, url=url, status_code=raw.status, headers=raw.headers, content=said)
        except (HTTPError, OSError) as error:
            raise _told(error) from error
        except ValueError:  # of http.client, with the secret that it does not like in its words
            what = "the request cannot be sent: a password or token has characters that HTTP does not allow"
            raise RegistryError(what, where=url.netloc) from None

    def _sent(self, method: str, url: Address, *, headers: Mapping[str, str], **parts: Any) -> BaseHTTPResponse:
        pool = self._pools.get(url.origin)
        if pool is None:
            proxy = _proxy(url) if self._proxies else None
            manager = self._manager(proxy)
            if proxy:  # the manager knows what a proxy wants to be told
                return manager.urlopen(method, str(url), headers=dict(headers), **parts)
            pool = self._pools[url.origin] = manager.connection_from_host(url.host, url.port, url.scheme)
        return pool.urlopen(method, url.target, headers=headers, **parts)

    def _manager(self, proxy: str | None) -> PoolManager:
        if proxy not in self._managers:
            parts: dict[str, Any] = {
                "num_pools": 1000,  # hosts: none is forgotten while a request to it is under way
                "maxsize": self._most,
                "block": True,
                "ssl_context": self._trust,
            }
            manager = _proxied(proxy, parts) if proxy else PoolManager(**parts)
            manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
            self._managers.setdefault(proxy, manager)
        return self._managers[proxy]


class _Connection(TlsConnection):
    """Tells what fails before the request from what fails after it: both are the same errors of TLS otherwise."""

    def connect(self) -> None:
        try:
            super().connect()
        except (OSError, ValueError) as error:
            raise NewConnectionError(self, str(error)) from error


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = PlainConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Connection


def _proxied(proxy: str, parts: Mapping[str, Any]) -> ProxyManager:
    from urllib.parse import unquote

    from urllib3.util import make_headers, parse_url

    user = parse_url(proxy).auth
    headers = make_headers(proxy_basic_auth=unquote(user)) if user else None
    return ProxyManager(proxy, proxy_headers=headers, proxy_ssl_context=parts["ssl_context"], **parts)


def _proxy(url: Address) -> str | None:
    """HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, or the system's settings."""
    from urllib.request import getproxies, proxy_bypass

    known = getproxies()
    proxy = known.get(url.scheme) or known.get("all")
    if not proxy or proxy_bypass(url.netloc):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    kind = proxy.partition(":")[0].lower()
    if kind not in ("http", "https"):
        raise EnvironmentMissingError(
            f"a proxy of the kind {kind} cannot be used", where=url.netloc, hint="NO_PROXY names hosts without one"
        )
    return proxy


def _pieces(raw: BaseHTTPResponse) -> Iterator[bytes]:
    try:
        yield from raw.stream(_PIECE, decode_content=False)
    except (HTTPError, OSError) as error:
        raise _told(error) from error


def _end(raw: BaseHTTPResponse) -> None:
    raw.close()
    raw.release_conn()  # a closed connection is as good for the next request as none, and one fewer is in use


def _told(error: Exception) -> NoConnectionError | LostConnectionError:
    """In the first cause's own words: urllib3's tell of its objects."""
    causes: list[BaseException] = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    words = str(causes[-1]) or type(causes[-1]).__name__
    # Not ProxyError: a request that is lost on its way through a proxy is one, too.
    if any(isinstance(cause, NewConnectionError | ConnectTimeoutError) for cause in causes):
        return NoConnectionError(words)
    return LostConnectionError(words, timed_out=isinstance(error, LateError | TimeoutError))


def _blind_trust() -> ssl.SSLContext:
    warnings.simplefilter("ignore", InsecureRequestWarning)
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    return blind
