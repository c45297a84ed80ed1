"""The Dockerfiles of all images, read together: what a parent sets counts in its children."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from imagewright.images.dockerfile.cache import ReadingCache
from imagewright.images.model import Image
from imagewright.images.readings import Readings, read_all


def image(name: str, **more: Any) -> Image:
    plain = Image(
        name=name,
        repository=f"r.io/{name}",
        dockerfile=f"Dockerfile.{name}",
        context=".",
        layer=None,
        platforms=("linux/amd64",),
    )
    return dataclasses.replace(plain, **more)


class Desk:
    """Reads Dockerfiles given as text, by image, in the given order."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "dockerfiles.json"

    def read(self, dockerfiles: Mapping[str, str | bytes], **images: Image) -> Readings:
        content = {
            f"Dockerfile.{name}": text if isinstance(text, bytes) else text.encode()
            for name, text in dockerfiles.items()
        }
        cache = ReadingCache(self.cache)
        found = read_all([images.get(name) or image(name) for name in dockerfiles], content.get, cache)
        cache.save()
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def sources(readings: Readings, name: str) -> list[tuple[str, ...] | None]:
    return [use.sources for use in readings.by_name[name].context]


BASE = "FROM scratch\nENV FILES=from-base\nONBUILD COPY onbuild.txt /\n"
TOOLING = "FROM r.io/base:1\nENV MORE=${FILES}/more\n"
APP = "FROM r.io/tooling\nCOPY ${MORE} /\n"


@pytest.mark.parametrize("order", [("base", "tooling", "app"), ("app", "tooling", "base")])
def test_what_a_parent_sets_counts_in_its_children_in_whatever_order_they_are_read(
    desk: Desk, order: tuple[str, ...]
) -> None:
    texts = {"base": BASE, "tooling": TOOLING, "app": APP}
    for _ in ("fresh", "from the cache"):
        found = desk.read({name: texts[name] for name in order})
        assert not found.broken
        assert sources(found, "base") == []
        assert sources(found, "tooling") == [("onbuild.txt",)]
        assert sources(found, "app") == [("from-base/more",)]
        assert found.by_name["app"].unread_bases == ()


def test_a_changed_parent_is_a_changed_child(desk: Desk) -> None:
    desk.read({"base": BASE, "tooling": TOOLING, "app": APP})
    found = desk.read({"base": BASE.replace("from-base", "changed"), "tooling": TOOLING, "app": APP})
    assert sources(found, "app") == [("changed/more",)]


def test_of_a_foreign_base_nothing_is_known(desk: Desk) -> None:
    found = desk.read({"app": "FROM debian:trixie\nCOPY ${FILES} /\n"})
    assert sources(found, "app") == [None]
    assert found.by_name["app"].unread_bases == ("debian:trixie",)


def test_a_broken_dockerfile_does_not_hide_the_others(desk: Desk) -> None:
    found = desk.read(
        {"base": "FROM scratch\n\nCOPPY a /\n", "tooling": TOOLING, "app": APP, "other": "FROM scratch\n"}
    )
    assert set(found.broken) == {"base"}
    assert found.broken["base"].where == "Dockerfile.base:3"
    assert set(found.by_name) == {"tooling", "app", "other"}
    assert [use.reference for use in found.by_name["tooling"].images] == ["r.io/base:1"]
    assert sources(found, "app") == [None], "what a broken parent sets is unknown"


def test_a_dockerfile_that_is_not_there(desk: Desk) -> None:
    found = read_all([image("app")], lambda _path: None, ReadingCache(desk.cache))
    assert "cannot be read" in str(found.broken["app"])
    assert found.broken["app"].where == "Dockerfile.app"


@pytest.mark.parametrize(("one", "two"), [("r.io/two", "r.io/one"), ("r.io/one", "r.io/two")])
def test_who_stands_on_itself_is_read_all_the_same(desk: Desk, one: str, two: str) -> None:
    """The graph finds the cycle, and needs both sides of it."""
    found = desk.read({"one": f"FROM {one}\n", "two": f"FROM {two}\n"})
    assert not found.broken
    assert [use.reference for use in found.by_name["one"].images] == [one]
    assert [use.reference for use in found.by_name["two"].images] == [two]


def test_settings_of_an_image_are_its_own(desk: Desk) -> None:
    text = "ARG TAG\nFROM r.io/base:${TAG} AS first\nFROM r.io/other AS second\n"
    found = desk.read(
        {"one": text, "two": text},
        one=image("one", build_args={"TAG": "5"}, target="first"),
        two=image("two", secret_build_args=("TAG",)),
    )
    assert [use.reference for use in found.by_name["one"].images] == ["r.io/base:5"]
    assert [use.reference for use in found.by_name["two"].images] == ["r.io/other"]


@pytest.mark.parametrize(
    ("text", "declares"),
    [
        ("FROM scratch\nARG SOURCE_DATE_EPOCH\n", True),
        ("arg A=1 SOURCE_DATE_EPOCH=0\nFROM scratch\n", True),
        ("FROM scratch\n  ARG\tSOURCE_DATE_EPOCH\n", True),
        ("FROM scratch\n# ARG SOURCE_DATE_EPOCH\n", False),
        ("FROM scratch\nARG NOT_SOURCE_DATE_EPOCH\n", False),
        ("FROM scratch\nARG SOURCE_DATE_EPOCHS\n", False),
        ("FROM scratch\nENV SOURCE_DATE_EPOCH=1\n", False),
    ],
)
def test_who_asks_for_the_commits_time(desk: Desk, text: str, declares: bool) -> None:
    assert desk.read({"app": text}).declare_epoch == ({"app"} if declares else set())
