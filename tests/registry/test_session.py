from __future__ import annotations

import socket
from collections.abc import Callable

import httpx
import pytest

from imagewright.errors import EnvironmentMissingError, RegistryError
from imagewright.registry.authentication import RefusedError
from imagewright.registry.credentials import Credential
from imagewright.registry.session import Session, UnansweredError
from tests.registry.answering import Answering

HOST = "r.example"


class Script:
    """Answers requests one after the other; the last answer stays."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.pauses: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def session(self, host: str = HOST, credential: Credential | None = None) -> Session:
        return Session(
            host,
            credentials=lambda _: credential,
            transport=Answering(self),
            sleep=self.pauses.append,
        )


OK = httpx.Response(200)
RESET = httpx.ReadError("connection reset by peer")


@pytest.mark.parametrize(
    ("failure", "pause"),
    [
        (httpx.Response(429), 0.25),
        (httpx.Response(429, headers={"retry-after": "3"}), 3),
        (httpx.Response(429, headers={"retry-after": "86400"}), 30),
        (httpx.Response(503, headers={"retry-after": "-5"}), 0),
        (httpx.Response(503, headers={"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}), 0.25),
        (httpx.Response(403, headers={"retry-after": "2"}), 2),
        (httpx.Response(403, headers={"x-ratelimit-remaining": "0"}), 0.25),
        (httpx.Response(500), 0.25),
        (RESET, 0.25),
        (httpx.RemoteProtocolError("server disconnected"), 0.25),
        (httpx.ReadTimeout("timed out"), 0.25),
    ],
)
def test_a_passing_failure_is_waited_out(failure: httpx.Response | Exception, pause: float) -> None:
    script = Script(failure, OK)
    assert script.session().send("GET", "/v2/").status_code == 200
    assert script.pauses == [pause]


@pytest.mark.parametrize(
    ("failure", "error", "message"),
    [
        (httpx.Response(429), RegistryError, "limits our requests"),
        (httpx.Response(502, content=b"<html>"), RegistryError, "HTTP 502"),
        (RESET, UnansweredError, "closed the connection"),
        (httpx.ReadTimeout("x"), EnvironmentMissingError, "did not answer in time"),
    ],
)
def test_patience_ends(failure: httpx.Response | Exception, error: type[Exception], message: str) -> None:
    script = Script(failure)
    with pytest.raises(error, match=message):
        script.session().send("GET", "/v2/")
    assert len(script.requests) == 5
    assert script.pauses == [0.25, 0.5, 1, 2]


def test_what_may_not_be_repeated_is_not() -> None:
    failing = Script(httpx.Response(500), OK)
    assert failing.session().send("DELETE", "/v2/x", repeatable=False).status_code == 500
    lost = Script(RESET, OK)
    with pytest.raises(UnansweredError):
        lost.session().send("DELETE", "/v2/x", repeatable=False)
    assert len(failing.requests) == len(lost.requests) == 1


def test_what_was_throttled_was_not_done_and_is_repeated() -> None:
    script = Script(httpx.Response(429), OK)
    assert script.session().send("DELETE", "/v2/x", repeatable=False).status_code == 200


def test_a_registrys_own_words_are_told() -> None:
    errors = {"errors": [{"code": "DENIED", "message": "not yours"}, {"code": "NAME_INVALID"}]}
    with pytest.raises(RefusedError, match="HTTP 403, DENIED: not yours; NAME_INVALID"):
        Script(httpx.Response(403, json=errors)).session().send("GET", "/v2/")


def basic_then(location: str) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == HOST and request.url.path == "/v2/blob":
            if "authorization" not in request.headers:
                return httpx.Response(401, headers={"www-authenticate": 'Basic realm="x"'})
            return httpx.Response(307, headers={"location": location})
        return httpx.Response(200, json={"url": str(request.url), "auth": request.headers.get("authorization")})

    return answer


def redirected(location: str) -> dict[str, str | None]:
    session = Session(
        HOST,
        credentials=lambda _: Credential(username="me", password="pw"),
        transport=Answering(basic_then(location)),
    )
    answer: dict[str, str | None] = session.send("GET", "/v2/blob", params={"a": "b"}).json()
    return answer


@pytest.mark.parametrize(
    "location", ["https://storage.example/x?sig=1", f"https://{HOST}:444/x?sig=1", "//storage.example/x?sig=1"]
)
def test_a_redirect_to_another_host_carries_no_credentials(location: str) -> None:
    answer = redirected(location)
    assert answer["auth"] is None
    assert str(answer["url"]).endswith("/x?sig=1")


def test_another_hosts_challenge_is_not_answered() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.host)
        if request.url.host == HOST:
            return httpx.Response(307, headers={"location": "https://storage.example/x"})
        return httpx.Response(401, headers={"www-authenticate": 'Bearer realm="https://evil.example/token"'})

    session = Session(HOST, credentials=lambda _: Credential(username="me", password="pw"), transport=Answering(answer))
    with pytest.raises(RefusedError):
        session.send("GET", "/v2/blob")
    assert seen == [HOST, "storage.example"]


def test_a_redirect_on_the_same_host_carries_them() -> None:
    assert redirected("/elsewhere")["auth"]


@pytest.mark.parametrize(
    "location", [f"http://{HOST}/x", "http://storage.example/x", "file:///etc/passwd", "http://[/"]
)
def test_a_redirect_to_an_unsafe_place_is_not_followed(location: str) -> None:
    with pytest.raises(RegistryError, match="redirects to where"):
        redirected(location)


def test_a_redirect_in_a_circle_ends() -> None:
    script = Script(httpx.Response(307, headers={"location": "/again"}))
    with pytest.raises(RegistryError, match="without end"):
        script.session().send("GET", "/v2/")
    assert len(script.requests) == 6


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_what_changes_something_follows_no_redirect(method: str) -> None:
    script = Script(httpx.Response(307, headers={"location": "/elsewhere"}))
    assert script.session().send(method, "/v2/").status_code == 307
    assert len(script.requests) == 1


def test_docker_hub_has_another_host_for_its_api() -> None:
    script = Script(OK)
    script.session("docker.io").send("GET", "/v2/")
    assert str(script.requests[0].url) == "https://registry-1.docker.io/v2/"


@pytest.mark.parametrize(
    ("first", "scheme"),
    [
        (OK, "http"),
        (httpx.Response(401), "http"),
        (httpx.Response(400, content=b"Client sent an HTTP request to an HTTPS server."), "https"),
        (httpx.RemoteProtocolError("not HTTP"), "https"),
    ],
)
def test_this_machines_registries_speak_plain_http_unless_they_do_not(
    first: httpx.Response | Exception, scheme: str
) -> None:
    script = Script(first, OK)
    script.session("localhost:5000").send("GET", "/v2/_catalog")
    assert [str(request.url) for request in script.requests] == [
        "http://localhost:5000/v2/",
        f"{scheme}://localhost:5000/v2/_catalog",
    ]


def test_other_hosts_are_never_spoken_to_in_plain_http() -> None:
    script = Script(OK)
    script.session().send("GET", "/v2/")
    assert [str(request.url) for request in script.requests] == [f"https://{HOST}/v2/"]


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:1")  # which knows no way to this machine
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        session = Session(host, credentials=lambda _: None)
        with pytest.raises(EnvironmentMissingError, match=r"cannot be reached: .*refused") as raised:
            session.send("GET", "/v2/")
        session.close()
    assert raised.value.where == host
    assert "invoke start registry" in str(raised.value)


def test_an_unknown_certificate_is_told_with_its_remedy() -> None:
    script = Script(httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate"))
    with pytest.raises(EnvironmentMissingError, match="SSL_CERT_FILE"):
        script.session().send("GET", "/v2/")
    assert len(script.requests) == 1
