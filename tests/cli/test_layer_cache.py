from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.builds.caches import Mode
from imagewright.cache.scopes import Scopes
from imagewright.cli.layer_cache import LayerCache
from imagewright.errors import EnvironmentMissingError

LOST = "failed to copy: operation error S3: GetObject, https response error StatusCode: 404, NoSuchKey: not there"
BROKEN = (
    "error writing layer blob: operation error S3: PutObject, https response error StatusCode: 507, api error: full"
)
MINUTE = 60.0


@dataclass
class World:
    """A cache with a store, a clock and a person who hears its warnings."""

    required: bool = False
    now: float = 1000.0
    trouble: str | None = None  # what is wrong with the store
    asked: int = 0
    warned: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cache = LayerCache(
            Scopes(read=("main",), write="main"),
            timeout=60,
            required=self.required,
            env={},
            answers=self._answer,
            clock=lambda: self.now,
        )

    def _answer(self) -> str | None:
        self.asked += 1
        return self.trouble

    def mode(self, image: str = "app") -> Mode:
        return self.cache.mode(image, self.warned.append)

    def failed(self, *errors: str, image: str = "app", hangs: bool = False) -> None:
        self.cache.failed(image, errors, self.warned.append, hangs=hangs)


def test_a_store_that_answers_is_used_and_asked_once_a_second() -> None:
    world = World()
    assert [world.mode(name) for name in ("app", "base", "app")] == ["use"] * 3
    assert world.asked == 1
    world.now += 1
    assert world.mode() == "use"
    assert world.asked == 2
    assert world.warned == []


def test_a_store_that_does_not_answer_is_left_alone_for_a_minute() -> None:
    world = World(trouble="nobody there")
    assert [world.mode(name) for name in ("app", "base")] == ["off", "off"]
    assert world.asked == 1
    assert world.warned == ["the layer cache cannot be used, builds go on without it: nobody there"]
    world.trouble = None
    world.now += MINUTE - 0.1
    assert world.mode() == "off"
    world.now += 0.1
    assert world.mode() == "use"
    assert world.asked == 2


def test_a_store_that_fails_again_is_not_warned_of_again() -> None:
    world = World()
    world.failed(BROKEN)
    assert world.mode("base") == "off"
    assert world.warned == ["the layer cache cannot be used, builds go on without it: full (HTTP 507)"]
    world.now += MINUTE
    assert world.mode() == "use"
    world.failed(BROKEN, image="base")
    assert world.mode() == "off"
    assert len(world.warned) == 1


def test_a_lost_blob_concerns_one_image_whose_cache_is_written_anew() -> None:
    world = World()
    world.failed(LOST)
    assert (world.mode("app"), world.mode("base")) == ("renew", "use")
    assert world.warned == ["the cache of app lacks a blob: it is built without, and its cache is written anew"]


def test_what_fails_while_it_is_written_anew_is_the_store() -> None:
    world = World()
    world.failed(LOST)
    world.failed(LOST)
    assert world.mode() == "off"
    world.now += MINUTE
    assert world.mode() == "renew"


def test_a_lost_blob_beside_another_error_is_the_store_s_trouble() -> None:
    world = World()
    world.failed(BROKEN, LOST)
    assert world.mode("base") == "off"


def test_a_required_cache_that_does_not_answer_is_an_error() -> None:
    world = World(required=True, trouble="nobody there")
    with pytest.raises(EnvironmentMissingError, match=r"`cache\.required` is set: nobody there") as caught:
        world.mode()
    assert "invoke cache status" in str(caught.value)
    assert world.warned == []


def test_a_required_cache_is_not_left_alone() -> None:
    world = World(required=True)
    world.failed(BROKEN)
    world.failed(LOST)
    assert world.mode() == "use"
    assert world.warned == []


def test_builds_that_begin_at_once_ask_and_warn_once() -> None:
    world = World(trouble="nobody there")
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(world.mode, map(str, range(32)))) == {"off"}
    assert (world.asked, len(world.warned)) == (1, 1)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 30.0, 60.0])),
            st.tuples(st.just("failed"), st.sampled_from([LOST, BROKEN])),
            st.tuples(st.just("store"), st.sampled_from([None, "away"])),
            st.tuples(st.just("build"), st.sampled_from(["app", "base"])),
        )
    )
)
def test_no_build_meets_a_store_that_failed_within_a_minute(steps: list[tuple[str, str | float | None]]) -> None:
    world = World()
    failed_at = -MINUTE
    for what, value in steps:
        if what == "wait":
            world.now += float(value or 0)
        elif what == "failed":
            world.failed(str(value))
            if value == BROKEN:
                failed_at = world.now
        elif what == "store":
            world.trouble = str(value) if value else None
        elif world.mode(str(value)) != "off":
            assert world.now - failed_at >= MINUTE - 1e-6  # the clock is a float
    assert len([text for text in world.warned if "cannot be used" in text]) <= 1
    assert len([text for text in world.warned if "lacks a blob" in text]) <= 1


def test_a_store_that_made_buildkit_hang_is_left_alone_for_good() -> None:
    world = World()
    world.failed("its store said nothing for 60s", hangs=True)
    world.failed(BROKEN)
    world.now += 1000 * MINUTE
    assert world.mode() == "off"
    assert world.asked == 0
