from __future__ import annotations

import base64
import threading
import traceback
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import httpx
import pytest

from imagewright.errors import RegistryError
from imagewright.registry.authentication import Challenge, RefusedError, is_loopback, parse_challenges
from imagewright.registry.client import Registry
from imagewright.registry.credentials import Credential
from imagewright.registry.model import digest_of
from tests.registry.answering import Answering

HOST = "r.example"
SECRET = "s3cr3t-of-mine"
ME = Credential(username="me", password=SECRET)
CONFIG = b'{"os":"linux"}'


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            ['Bearer realm="https://a.io/token",service="a.io",scope="repository:x:pull,push"'],
            [
                Challenge(
                    "bearer", {"realm": "https://a.io/token", "service": "a.io", "scope": "repository:x:pull,push"}
                )
            ],
        ),
        (['Basic realm="my \\"own\\" registry"'], [Challenge("basic", {"realm": 'my "own" registry'})]),
        (["Negotiate", "basic Realm=x"], [Challenge("negotiate", {}), Challenge("basic", {"realm": "x"})]),
        (
            ['BEARER realm="https://a.io/t", Basic realm="b", charset="UTF-8"'],
            [
                Challenge("bearer", {"realm": "https://a.io/t"}),
                Challenge("basic", {"realm": "b", "charset": "UTF-8"}),
            ],
        ),
        ([""], []),
        ([], []),
    ],
)
def test_challenges(headers: list[str], expected: list[Challenge]) -> None:
    assert list(parse_challenges(headers)) == expected


@pytest.mark.parametrize("host", ["localhost", "localhost:5050", "127.0.0.1:1", "127.8.8.8", "[::1]:5000"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["ghcr.io", "localhost.evil.io", "10.0.0.1:5000", "[::2]:5000"])
def test_other_machines(host: str) -> None:
    assert not is_loopback(host)


@dataclass
class TokenRegistry:
    """A registry behind a token server, which counts what it is asked."""

    password: str = SECRET
    anonymous: bool = False
    realm: str = "https://auth.example/token"
    grants: str | None = None  # a scope that the registry insists on
    takes_tokens: bool = True
    nonsense: bytes | None = None
    valid: set[str] = field(default_factory=set)
    asked: list[httpx.Request] = field(default_factory=list)
    refused: int = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.example":
            return self.token(request)
        header = request.headers.get("authorization", "")
        repository = request.url.path.split("/")[2]
        needed = self.grants or f"repository:{repository}:pull"
        if header.removeprefix("Bearer ") in self.valid and needed in header and self.takes_tokens:
            return httpx.Response(200, content=CONFIG)
        self.refused += 1
        challenge = f'Bearer realm="{self.realm}",service="{HOST}",scope="{needed}"'
        return httpx.Response(401, headers={"www-authenticate": challenge})

    def token(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.nonsense is not None:
            return httpx.Response(200, content=self.nonsense)
        if request.method == "POST":
            form = parse_qs(request.content.decode())
            allowed = form.get("refresh_token") == [self.password] and form["grant_type"] == ["refresh_token"]
            scopes = form["scope"][0].split()
        else:
            scopes = request.url.params.get_list("scope")
            expected = base64.b64encode(f"me:{self.password}".encode()).decode()
            allowed = self.anonymous or request.headers.get("authorization") == f"Basic {expected}"
        if not allowed:
            return httpx.Response(401, json={"details": "incorrect username or password"})
        token = f"{len(self.asked)}/{'+'.join(scopes)}"
        self.valid.add(token)
        return httpx.Response(200, json={"access_token" if request.method == "POST" else "token": token})


def registry_of(server: TokenRegistry, credential: Credential | None = ME) -> Registry:
    return Registry(HOST, credentials=lambda _: credential, transport=Answering(server), sleep=lambda _: None)


def read(registry: Registry, repository: str = "app") -> object:
    return registry.config(repository, digest_of(CONFIG))


def test_a_token_is_fetched_once_for_each_repository() -> None:
    server = TokenRegistry()
    with registry_of(server) as registry:
        for repository in ("app", "app", "base", "base", "app"):
            assert read(registry, repository) == {"os": "linux"}
    assert [dict(request.url.params) for request in server.asked] == [
        {"service": HOST, "scope": "repository:app:pull"},
        {"service": HOST, "scope": "repository:base:pull"},
    ]
    assert server.refused == 1  # after the first answer it is known how the registry wants it


def test_without_credentials_an_anonymous_token_is_asked_for() -> None:
    server = TokenRegistry(anonymous=True)
    with registry_of(server, None) as registry:
        assert read(registry) == {"os": "linux"}
    assert "authorization" not in server.asked[0].headers


def test_an_identity_token_is_exchanged() -> None:
    server = TokenRegistry()
    with registry_of(server, Credential(identity_token=SECRET)) as registry:
        assert read(registry) == {"os": "linux"}
    assert SECRET not in str(server.asked[0].url)


def test_an_expired_token_is_renewed_once() -> None:
    server = TokenRegistry()
    with registry_of(server) as registry:
        read(registry)
        server.valid.clear()
        assert read(registry) == {"os": "linux"}
        assert len(server.asked) == 2


def test_the_registrys_own_scope_is_asked_for() -> None:
    server = TokenRegistry(grants="repository:app:pull,push,delete")
    with registry_of(server) as registry:
        assert read(registry) == {"os": "linux"}
        assert read(registry) == {"os": "linux"}
    assert len(server.asked) == 1


def test_a_registry_that_takes_no_token_ends_in_a_refusal() -> None:
    server = TokenRegistry(takes_tokens=False)
    with registry_of(server) as registry, pytest.raises(RefusedError, match="refuses the credentials"):
        read(registry)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("credential", "message"),
    [(Credential(username="me", password=f"wrong-{SECRET}"), "refuses the credentials"), (None, "wants credentials")],
)
def test_refused_credentials(credential: Credential | None, message: str) -> None:
    with registry_of(TokenRegistry(), credential) as registry, pytest.raises(RegistryError, match=message) as raised:
        read(registry)
    assert f"invoke login {HOST}" in str(raised.value)
    assert SECRET not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("realm", ["http://auth.example/token", "", "ftp://auth.example/", "https://", "http://[/"])
def test_a_password_goes_to_no_unsafe_token_server(realm: str) -> None:
    server = TokenRegistry(realm=realm)
    with registry_of(server) as registry, pytest.raises(RegistryError, match="over https only"):
        read(registry)
    assert not server.asked


@pytest.mark.parametrize("body", [b"no json", b"[]", b"{}", b'{"token": ""}'])
def test_a_token_server_that_answers_nonsense(body: bytes) -> None:
    server = TokenRegistry(nonsense=body)
    with registry_of(server) as registry, pytest.raises(RegistryError, match=r"auth\.example gave no token"):
        read(registry)


def test_threads_share_one_token() -> None:
    server = TokenRegistry()
    everyone = threading.Barrier(8)
    answer = server.__call__

    def together(request: httpx.Request) -> httpx.Response:
        if request.url.host == HOST and "authorization" not in request.headers:
            everyone.wait(10)  # all eight are refused before the first of them asks for a token
        return answer(request)

    with Registry(HOST, credentials=lambda _: ME, transport=Answering(together)) as registry:
        assert registry.concurrently(lambda _: read(registry), range(8)) == [{"os": "linux"}] * 8
    assert len(server.asked) == 1


def test_basic() -> None:
    looked_up = []

    def credentials(host: str) -> Credential:
        looked_up.append(host)
        return ME

    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization") == "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode():
            return httpx.Response(200, content=CONFIG)
        return httpx.Response(401, headers={"www-authenticate": 'Basic realm="x"'})

    with Registry(HOST, credentials=credentials, transport=Answering(answer)) as registry:
        assert read(registry, "a") == read(registry, "b") == {"os": "linux"}
    assert looked_up == [HOST]


def test_basic_without_or_with_wrong_credentials() -> None:
    requests = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(401, headers={"www-authenticate": 'Basic realm="x"'})

    for credential, message, count in ((None, "wants credentials", 1), (ME, "refuses the credentials", 3)):
        with (
            Registry(HOST, credentials=lambda _, it=credential: it, transport=Answering(answer)) as registry,  # type: ignore[misc]
            pytest.raises(RefusedError, match=message),
        ):
            read(registry)
        assert len(requests) == count


def test_a_password_that_was_refused_is_not_sent_twice_for_one_request() -> None:
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append("authorization" in request.headers)
        return httpx.Response(401, headers={"www-authenticate": 'Basic realm="x"'})

    with Registry(HOST, credentials=lambda _: ME, transport=Answering(answer)) as registry:
        for _ in range(2):
            with pytest.raises(RefusedError):
                read(registry)
    assert sent == [False, True, True]


def test_a_registry_without_authentication_never_looks_credentials_up() -> None:
    def credentials(host: str) -> Credential:
        raise AssertionError

    transport = Answering(lambda _: httpx.Response(200, content=CONFIG))
    with Registry(HOST, credentials=credentials, transport=transport) as registry:
        assert read(registry) == {"os": "linux"}
        assert registry.ping() is False
