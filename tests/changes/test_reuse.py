"""What is built and what is reused, and when the registry is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest

from imagewright.changes.decide import Decision
from imagewright.changes.published import Published
from imagewright.changes.reason import Reason
from imagewright.changes.reuse import judge, select
from imagewright.errors import RegistryError
from tests.changes.states import LAYERED, snapshot

GRAPH = snapshot(LAYERED).graph
FILE = (Reason(kind="file", detail="modified"),)
THERE = Published(digest="sha256:1", platforms=("linux/amd64",), fingerprint="sha256:f", revision=None)


def decisions(*changed: str) -> dict[str, Decision]:
    return {name: Decision(name=name, reasons=FILE if name in changed else ()) for name in GRAPH.order()}


class Shop:
    """A registry that has these images, and remembers what it was asked."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.asked: list[list[str]] = []

    def __call__(self, names: Collection[str]) -> Mapping[str, Published | str]:
        self.asked.append(sorted(names))
        return {name: THERE if name in self.names else "it is not there" for name in names}


def test_an_unchanged_parent_is_reused_and_those_above_it_are_left_alone() -> None:
    shop = Shop("tooling", "base")
    found = select(["app"], decisions("app"), GRAPH, shop)
    assert (list(found.built), list(found.reused)) == (["app"], ["tooling"])
    assert shop.asked == [["tooling"]]


def test_a_missing_parent_is_built_from_its_own() -> None:
    shop = Shop("base")
    found = select(["app"], decisions("app"), GRAPH, shop)
    assert (list(found.built), list(found.reused)) == (["tooling", "app"], ["base"])
    assert [reason.kind for reason in found.built["tooling"]] == ["missing"]
    assert shop.asked == [["tooling"], ["base"]]


def test_nothing_is_asked_where_nothing_is_built() -> None:
    shop = Shop()
    assert select([], decisions(), GRAPH, shop).built == {}
    assert shop.asked == []


def test_a_changed_ancestor_of_what_is_chosen_is_built_too() -> None:
    shop = Shop("tooling", "base")
    found = select(["tooling", "app"], decisions("base", "tooling", "app"), GRAPH, shop)
    assert list(found.built) == ["base", "tooling", "app"]
    assert shop.asked == []


@pytest.mark.parametrize(
    ("answer", "platforms", "usable"),
    [
        (THERE, ("linux/amd64",), True),
        (THERE, ("linux/amd64", "linux/arm64"), False),
        (None, ("linux/amd64",), False),
        (RegistryError("no"), ("linux/amd64",), False),
    ],
)
def test_what_can_be_built_upon(
    answer: Published | RegistryError | None, platforms: tuple[str, ...], usable: bool
) -> None:
    found = judge(answer, reference="r/app:dev", fingerprint="sha256:f", platforms=platforms)
    assert isinstance(found, Published) == usable


def test_another_content_under_the_tag_is_of_no_use() -> None:
    assert judge(THERE, reference="r/app:dev", fingerprint="sha256:other", platforms=()) == (
        "r/app:dev was made from other inputs"
    )


def test_a_variant_that_is_the_default_is_the_same_platform() -> None:
    arm = Published(digest="sha256:1", platforms=("linux/arm64",), fingerprint=None, revision=None)
    assert arm.covers(["linux/arm64/v8"])
    assert not arm.covers(["linux/arm/v7"])
