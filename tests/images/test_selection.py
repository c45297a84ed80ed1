from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.errors import UsageError
from imagewright.images.model import Image
from imagewright.images.selection import Selected, select

NAMES = ("app", "base", "snapcast", "snapclient")
IMAGES = [
    Image(name=name, repository=f"r.io/{name}", dockerfile="d", context=".", layer=None, platforms=("linux/amd64",))
    for name in NAMES
]


FAMILY = [
    Image(
        name=f"python:{tag}",
        repository="r.io/python",
        dockerfile="d",
        context=".",
        layer=None,
        platforms=("linux/amd64",),
        family="python",
        own_tag=tag,
        publishes=(tag, *aliases),
    )
    for tag, *aliases in (
        ("3.12.9", "3.12"),
        ("3.12.9-slim", "3.12-slim"),
        ("3.13.7", "3.13", "3", "latest"),
        ("3.13.7-slim", "3.13-slim", "3-slim"),
    )
]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("python", ["3.12.9", "3.12.9-slim", "3.13.7", "3.13.7-slim"]),
        ("python:3.12.9", ["3.12.9"]),
        ("python:3.13", ["3.13.7"]),
        ("python:3", ["3.13.7"]),
        ("python:latest", ["3.13.7"]),
        ("python:3-slim", ["3.13.7-slim"]),
        ("python:3.12*", ["3.12.9", "3.12.9-slim"]),
        ("python:*-slim", ["3.12.9-slim", "3.13.7-slim"]),
        ("pyth*", ["3.12.9", "3.12.9-slim", "3.13.7", "3.13.7-slim"]),
        ("p*n:3.13.7", ["3.13.7"]),
        ("python:3,python:3.13.7,python:3.12", ["3.13.7", "3.12.9"]),
    ],
)
def test_members_of_a_family(names: str, expected: list[str]) -> None:
    found = select(names, [*IMAGES, *FAMILY])
    assert found == tuple(Selected(f"python:{tag}") for tag in expected), "its own tags, and none that is wanted"


def test_all_with_a_tag_means_the_members_that_have_it() -> None:
    assert [one.name for one in select("all", [*IMAGES, *FAMILY])] == [*NAMES, *(one.name for one in FAMILY)]
    found = select("all:3", [*IMAGES, *FAMILY])
    assert found == (*(Selected(name, "3") for name in NAMES), Selected("python:3.13.7"))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("python:3.13.8", "`python` has no tag `3.13.8`: did you mean `3.13.7`"),
        ("python:9*", "`python` has no tag `9*`"),
        ("p*:9", "no image matches `p*:9`"),
        ("python:", "`` in `python:` is no tag"),
        ("python:a b", "`a b` in `python:a b` is no tag"),
        ("snap*:1*", "`1*` in `snap*:1*` is no tag"),
        ("pyton:3", "no image is called `pyton`: did you mean `python`?"),
    ],
)
def test_members_that_there_are_not(names: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        select(names, [*IMAGES, *FAMILY])
    assert caught.value.message.startswith(message)


def chosen(names: str) -> list[str]:
    return [one.name if one.tag is None else f"{one.name}:{one.tag}" for one in select(names, IMAGES)]


def refusal(names: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        select(names, IMAGES)
    return caught.value


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("app", ["app"]),
        ("app:1.2", ["app:1.2"]),
        ("snapcast,app", ["snapcast", "app"]),
        ("all", list(NAMES)),
        ("all:dev", [f"{name}:dev" for name in NAMES]),
        ("snap*", ["snapcast", "snapclient"]),
        ("snap*:1,base", ["snapcast:1", "snapclient:1", "base"]),
        ("?pp", ["app"]),
        ("[ab]*", ["app", "base"]),
        ("app,app", ["app"]),
        ("base,all", ["base", "app", "snapcast", "snapclient"]),
        ("app:1,app:2,app:1,app", ["app:1", "app:2", "app"]),
        (" app , base ,", ["app", "base"]),
        (",,app,,", ["app"]),
    ],
)
def test_what_names_mean(names: str, expected: list[str]) -> None:
    assert chosen(names) == expected


def test_an_unknown_name_offers_near_ones() -> None:
    error = refusal("app,snapct,xyzzy")
    suggestion = "did you mean `snapcast` or `snapclient`?"
    assert error.message == f"no image is called `snapct`: {suggestion}\nno image is called `xyzzy`"
    assert "`invoke list`" in str(error.hint)
    assert error.exit_code == 2


@pytest.mark.parametrize("names", ["App", "snapcast.", "-app", "localhost:5050/app"])
def test_names_are_taken_exactly(names: str) -> None:
    assert "no image is called" in refusal(names).message


def test_a_glob_that_matches_nothing() -> None:
    assert refusal("app,zz*").message == "no image matches `zz*`"


@pytest.mark.parametrize("tag", ["", ".x", "a b", "1:2", "x" * 129, "5050/app"])
def test_an_illegal_tag(tag: str) -> None:
    assert refusal(f"app:{tag}").message == f"`{tag}` in `app:{tag}` is no tag"


@pytest.mark.parametrize("names", ["", " ", ",", " , ,"])
def test_nothing_named(names: str) -> None:
    error = refusal(names)
    assert error.message == "no image is named"
    assert "`all`" in str(error.hint)


@given(st.one_of(st.text(), st.text(alphabet="aplsnc*?[]!-:,. ^\\")))
def test_no_text_raises_anything_but_a_usage_error(names: str) -> None:
    try:
        result = select(names, IMAGES)
    except UsageError:
        return
    assert result
    assert len(set(result)) == len(result)
    assert {one.name for one in result} <= set(NAMES)


@given(st.lists(st.sampled_from([*NAMES, "app:1", "base:x"]), min_size=1))
def test_the_order_is_that_of_the_user(items: list[str]) -> None:
    expected = [Selected(*item.split(":", 1)) for item in dict.fromkeys(items)]
    assert list(select(",".join(items), IMAGES)) == expected
