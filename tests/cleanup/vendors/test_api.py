from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagewright.cleanup.vendors.api import Api, Pace, said
from imagewright.cleanup.vendors.model import latest, moment
from imagewright.errors import RegistryError
from imagewright.registry.authentication import RefusedError
from imagewright.registry.session import UnansweredError
from tests.cleanup.vendors.server import Answer, Request, serving


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


class TestPace:
    @settings(deadline=None)
    @given(st.lists(st.sampled_from(["GET", "HEAD", "DELETE", "POST"]), max_size=200), st.integers(5, 50))
    def test_no_minute_has_more_points_than_allowed(self, methods: list[str], points: int) -> None:
        clock = Clock()
        pace = Pace(points, clock=clock, sleep=clock.sleep)
        sent: list[tuple[float, int]] = []
        for method in methods:
            pace.wait(method)
            sent.append((clock.now, 1 if method in ("GET", "HEAD") else 5))
            assert sum(cost for at, cost in sent if clock.now - at < 60) <= points

    def test_what_is_within_the_limit_does_not_wait(self) -> None:
        clock = Clock()
        pace = Pace(900, clock=clock, sleep=clock.sleep)
        for _ in range(180):
            pace.wait("DELETE")
        assert clock.now == 0
        pace.wait("GET")
        assert clock.now == 60


def api_of(host: str, **parts: object) -> Api:
    return Api(host, **{"sleep": lambda _: None, **parts})  # type: ignore[arg-type]


def test_the_answer_waits_for_the_next_window_when_this_one_is_used_up() -> None:
    slept: list[float] = []
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 50)}
    with serving(lambda _: Answer(200, {}, headers)) as server:
        api_of(server.host, sleep=slept.append).send("GET", "/x")
    assert len(slept) == 1
    assert 0 < slept[0] <= 50


@pytest.mark.parametrize("reset", ["", "x", "0", "99999999999"])
def test_other_resets_are_not_waited_for(reset: str) -> None:
    slept: list[float] = []
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    with serving(lambda _: Answer(200, {}, headers)) as server:
        api_of(server.host, sleep=slept.append).send("GET", "/x")
    assert slept == []


def test_secrets_stay_on_the_host() -> None:
    seen: list[str | None] = []

    def elsewhere(request: Request) -> Answer:
        seen.append(request.authorization)
        return Answer(200, [])

    with serving(elsewhere) as other:

        def answer(request: Request) -> Answer:
            return Answer(302, headers={"Location": f"http://{other.host}/list"})

        with serving(answer) as server:
            api_of(server.host, header=lambda _: "Bearer secret").send("GET", "/list")
    assert seen == [None]


def test_a_list_that_goes_on_elsewhere_is_refused() -> None:
    link = {"Link": '<https://evil.example/list?page=2>; rel="next"'}
    with serving(lambda _: Answer(200, [1], link)) as server, pytest.raises(RegistryError, match=r"evil\.example"):
        list(api_of(server.host).items("/list", params={"page": "1"}, where="x"))


def test_a_list_in_a_circle_ends() -> None:
    link = {"Link": '</list?page=1>; rel="next"'}
    with serving(lambda _: Answer(200, [1], link)) as server, pytest.raises(RegistryError, match="circle"):
        list(api_of(server.host).items("/list", params={"page": "1"}, where="x"))


@pytest.mark.parametrize("answer", [Answer(200, {}), Answer(200, text="<html>"), Answer(404, []), Answer(204)])
def test_a_page_that_is_no_list_is_an_error(answer: Answer) -> None:
    with serving(lambda _: answer) as server, pytest.raises(RegistryError):
        list(api_of(server.host).items("/list", params={}, where="x"))


def test_a_read_is_sent_again_and_a_delete_is_not() -> None:
    with serving(lambda _: Answer(200, [])) as server:
        api = api_of(server.host)
        server.fail("GET", Answer(500), Answer(hangs_up=True))
        server.fail("DELETE", Answer(500), Answer(hangs_up=True))
        assert api.send("GET", "/x").status_code == 200
        deleted = api.delete("/x")
        assert deleted is not None
        assert deleted.status_code == 500
        assert api.delete("/x") is None
        assert server.methods().count("DELETE") == 2


def test_a_post_without_an_answer_is_no_silence() -> None:
    with serving(lambda _: Answer(200)) as server:
        api = api_of(server.host)
        server.fail("POST", Answer(hangs_up=True))
        with pytest.raises(UnansweredError):
            api.send("POST", "/x", document={})


def test_a_refusal_is_asked_for_anew_once() -> None:
    asked: list[bool] = []

    def header(anew: bool) -> str:
        asked.append(anew)
        return f"Bearer secret-{anew}"

    with serving(lambda _: Answer(401)) as server:
        with pytest.raises(RefusedError, match="do this") as caught:
            api_of(server.host, header=header, hint="do this").send("GET", "/x")
        assert [request.authorization for request in server.log[-2:]] == ["Bearer secret-False", "Bearer secret-True"]
    assert "secret" not in str(caught.value)


def test_no_cookie_is_kept() -> None:
    with serving(lambda _: Answer(200, {}, {"Set-Cookie": "sid=1; Path=/"})) as server:
        api = api_of(server.host)
        api.send("GET", "/x")
        api.send("GET", "/x")
        assert all("cookie" not in request.headers for request in server.log)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Answer(400, {"message": "no\n way"}), "HTTP 400, no way"),
        (Answer(400, {"detail": "no"}), "HTTP 400, no"),
        (Answer(400, {"errors": [{"code": "X", "message": "no"}]}), "HTTP 400, no"),
        (Answer(400, {"errors": []}), "HTTP 400"),
        (Answer(400, {"errors": ["x"]}), "HTTP 400"),
        (Answer(400, ["x"]), "HTTP 400"),
        (Answer(400, text="<html>"), "HTTP 400"),
    ],
)
def test_what_an_error_says(answer: Answer, text: str) -> None:
    with serving(lambda _: answer) as server:
        assert said(api_of(server.host).send("POST", "/x")) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.678+02:00", datetime(2026, 1, 2, 1, 4, 5, 678000, tzinfo=UTC)),
        ("1767225600000", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-02T03:04:05", None),  # of no zone
        ("0001-01-01T00:00:00+14:00", None),
        ("9" * 30, None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (1767225600000, None),
    ],
)
def test_moments(text: object, expected: datetime | None) -> None:
    assert moment(text) == expected


def test_the_latest_time_counts() -> None:
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    assert latest({"d": late}, "d", early) == {"d": late}
    assert latest({"d": early}, "d", late) == {"d": late}
    assert latest({}, "d", late) == {"d": late}
    assert latest({"d": late}, "d", None) == {}
