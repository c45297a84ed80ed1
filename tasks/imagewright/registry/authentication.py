"""Answering a registry's 401: the token protocol and Basic.

Sources: RFC 9110 section 11 (challenges), distribution.github.io/distribution/spec/auth/token (GET with a scope) and
.../auth/oauth (POST with a refresh token).
"""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagewright.errors import RegistryError
from imagewright.references import Reference
from imagewright.registry.answer import Address
from imagewright.registry.credentials import Credential

if TYPE_CHECKING:
    from imagewright.registry.answer import Answer

CredentialSource = Callable[[str], Credential | None]
Scopes = tuple[str, ...]  # ("repository:library/debian:pull",): what a token is asked for

_TOKEN = re.compile(
    r'(?P<name>[\w-]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s,"]+))|(?P<scheme>[A-Za-z][\w-]*)'
)
_CLIENT_ID = "imagewright"


class RefusedError(RegistryError):
    """The registry wants (other) credentials: 401 or 403. The message never says what was sent."""

    def __init__(self, host: str, *, has_credentials: bool, detail: str = "") -> None:
        """`detail` is what the registry said."""
        what = "refuses the credentials" if has_credentials else "wants credentials"
        super().__init__(
            f"the registry {what}{f' ({detail})' if detail else ''}",
            where=host,
            hint=f"`invoke login {host}`" + (" as a user with the rights for this" if has_credentials else ""),
        )


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of a WWW-Authenticate header; scheme and parameter names in lower case."""

    scheme: str
    parameters: dict[str, str]


def parse_challenges(headers: list[str]) -> tuple[Challenge, ...]:
    """Every challenge of the WWW-Authenticate headers; several may share one header."""
    found: list[Challenge] = []
    for token in (match for header in headers for match in _TOKEN.finditer(header)):
        if token["scheme"]:
            found.append(Challenge(token["scheme"].lower(), {}))
        elif found:
            quoted = re.sub(r"\\(.)", r"\1", token["quoted"] or "")
            found[-1].parameters[token["name"].lower()] = quoted or token["bare"] or ""
    return tuple(found)


class Authenticator:
    """Knows what to send as Authorization to one registry. Safe to share between threads."""

    def __init__(self, host: str, credentials: CredentialSource, ask: Callable[..., Answer]) -> None:
        """`ask(method, address, headers=, form=)` sends a request to the token server."""
        self._host = host
        self._credentials = credentials
        self._ask = ask
        self._lock = threading.Lock()
        self._looked_up = False
        self._credential: Credential | None = None
        self._challenge: Challenge | None = None
        self._headers: dict[Scopes, str] = {}

    @property
    def asked(self) -> bool:
        """Whether the registry has asked for authentication so far."""
        return self._challenge is not None

    @property
    def has_credentials(self) -> bool:
        """Whether credentials for the registry were looked for and found."""
        return self._credential is not None

    def header(self, scopes: Scopes) -> str | None:
        """What to send for `scopes`: nothing until the registry has asked once."""
        with self._lock:
            if self._challenge is None:
                return None
            if scopes not in self._headers:
                self._renew(self._challenge, scopes, scopes)
            return self._headers.get(scopes)

    def answer(self, headers: list[str], scopes: Scopes, rejected: str | None) -> str | None:
        """What to send after a 401 with these WWW-Authenticate headers; None where there is no other answer.

        `rejected` is what the refused request carried: another thread may have renewed it in the meantime.
        """
        challenges = {challenge.scheme: challenge for challenge in parse_challenges(headers)}
        challenge = challenges.get("bearer") or challenges.get("basic")
        if challenge is None:
            return None
        with self._lock:
            self._challenge = challenge
            if self._headers.get(scopes) == rejected:
                self._headers.pop(scopes, None)
                # The registry's own words about what it needs come before ours.
                wanted = dict.fromkeys([*challenge.parameters.get("scope", "").split(), *scopes])
                self._renew(challenge, scopes, tuple(wanted))
            header = self._headers.get(scopes)
        return None if header == rejected else header

    def _renew(self, challenge: Challenge, scopes: Scopes, wanted: Scopes) -> None:
        credential = self._stored()
        if challenge.scheme == "bearer":
            self._headers[scopes] = f"Bearer {self._token(challenge, wanted, credential)}"
        elif credential is not None and credential.username:
            self._headers[scopes] = _basic(credential)

    def _stored(self) -> Credential | None:
        if not self._looked_up:
            self._credential = self._credentials(self._host)
            self._looked_up = True
        return self._credential

    def _token(self, challenge: Challenge, scopes: Scopes, credential: Credential | None) -> str:
        realm = self._realm(challenge)
        service = challenge.parameters.get("service")
        if credential is not None and credential.identity_token:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": credential.identity_token,
                "client_id": _CLIENT_ID,
                "scope": " ".join(scopes),
                **({"service": service} if service else {}),
            }
            response = self._ask("POST", realm, form=form)
        else:
            query = [("service", service)] if service else []
            query += [("scope", scope) for scope in scopes]
            headers = {"Authorization": _basic(credential)} if credential is not None else {}
            response = self._ask("GET", realm.asking(query), headers=headers)
        if response.status_code in (400, 401, 403):
            raise RefusedError(self._host, has_credentials=credential is not None)
        token = None
        if response.is_success:
            try:
                document = response.json()
                token = document.get("token") or document.get("access_token")
            except (AttributeError, ValueError):
                token = None
        if not token:
            raise RegistryError(
                f"the token server {response.url.host} gave no token (HTTP {response.status_code})", where=self._host
            )
        return str(token)

    def _realm(self, challenge: Challenge) -> Address:
        realm: Address | None = None
        with suppress(ValueError):
            realm = Address.parse(challenge.parameters.get("realm", ""))
        if realm is None or not (realm.scheme == "https" or is_loopback(realm.netloc)):
            raise RegistryError(
                f"the registry names {realm or 'nothing'} as its token server: passwords are sent over https only",
                where=self._host,
            )
        return realm


def is_loopback(host: str) -> bool:
    """Whether `host[:port]` is this machine."""
    return Reference(host, "").is_loopback


def _basic(credential: Credential) -> str:
    pair = f"{credential.username}:{credential.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"
