"""Which node builds what. The cases by name are those of buildx's own tests (build/resolver/driver_test.go)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.builds.nodes import Node, node_of, parts
from imagewright.platforms import normal

PLATFORMS = ["linux/amd64", "linux/386", "linux/arm64", "linux/arm64/v8", "linux/arm/v7", "linux/riscv64"]


def nodes(*named: str | Sequence[str], found: Sequence[Sequence[str]] = ()) -> tuple[Node, ...]:
    """Nodes with the platforms that were named for them, and those that they say."""
    listed = [(one,) if isinstance(one, str) else tuple(one) for one in named]
    return tuple(
        Node(name=f"n{at}", endpoint=f"tcp://n{at}:1", platforms=one, found=tuple(found[at]) if found else None)
        for at, one in enumerate(listed)
    )


@pytest.mark.parametrize(
    ("named", "wanted", "chosen"),
    [
        (["linux/amd64", "linux/beta"], ["linux/beta"], (1,)),
        (["linux/amd64"], ["linux/riscv64"], (0,)),
        (["linux/amd64", "linux/riscv64"], ["linux/unknown"], (0,)),
        (["linux/amd64", "linux/arm64"], ["linux/arm/v8"], (1,)),
        (["linux/amd64", "linux/arm64"], ["linux/arm/v7"], (1,)),
        (["linux/amd64", "linux/arm64", "linux/arm/v8"], ["linux/arm/v7"], (2,)),
        (["linux/amd64", "linux/arm/v7"], ["linux/arm/v8"], (0,)),
        (["linux/amd64", "linux/arm/v7"], ["linux/arm/v6"], (1,)),
        (["linux/amd64", "linux/riscv64", "linux/riscv64"], ["linux/riscv64"], (1,)),
        (["linux/arm/v8", "linux/arm/v7"], ["linux/arm/v7"], (1,)),
        ([["linux/amd64", "linux/arm64"], "linux/riscv64"], ["linux/amd64", "linux/arm64"], (0, 0)),
        ([["linux/amd64", "linux/arm64"], "linux/riscv64"], ["linux/amd64", "linux/riscv64"], (0, 1)),
        (["linux/amd64", ["linux/amd64", "linux/riscv64"]], ["linux/amd64", "linux/riscv64"], (0, 1)),
        (["linux/amd64", "linux/arm64/v8"], ["linux/arm64"], (1,)),
    ],
)
def test_the_node_is_the_one_that_buildx_takes(
    named: Sequence[str | Sequence[str]], wanted: Sequence[str], chosen: tuple[int, ...]
) -> None:
    assert node_of(nodes(*named), wanted) == chosen


def test_what_a_node_says_counts_where_nothing_was_named_that_fits() -> None:
    said = nodes("linux/amd64", "linux/arm/v8", found=[["linux/arm/v7"], []])
    assert node_of(said, ["linux/arm/v7"]) == (0,)
    assert node_of(nodes("linux/amd64", "linux/arm/v8"), ["linux/arm/v7"]) == (1,)


def test_one_node_builds_all_at_once() -> None:
    wanted = ("linux/amd64", "linux/arm64")
    assert parts(nodes("linux/amd64"), wanted) == (wanted,)
    assert parts((), wanted) == (wanted,)
    assert parts(nodes("linux/amd64", "linux/arm64"), ["linux/arm64"]) == (("linux/arm64",),)
    assert parts(nodes("linux/amd64"), []) == ((),)


def test_each_node_gets_its_platforms() -> None:
    fleet = nodes("linux/amd64", ["linux/arm64", "linux/arm/v7"])
    assert parts(fleet, ["linux/arm64", "linux/amd64", "linux/arm/v7"]) == (
        ("linux/arm64", "linux/arm/v7"),
        ("linux/amd64",),
    )


def test_a_platform_that_was_named_for_a_node_is_built_there_whatever_it_is_built_with() -> None:
    # buildx gives both to the first node, which says that it runs amd64, where it builds them together.
    fleet = nodes("linux/arm64", "linux/amd64", found=[["linux/amd64", "linux/arm/v7"], ["linux/amd64"]])
    assert node_of(fleet, ["linux/amd64", "linux/arm/v7"]) == (0, 0)
    assert parts(fleet, ["linux/amd64", "linux/arm/v7"]) == (("linux/amd64",), ("linux/arm/v7",))


def test_what_a_node_builds_is_one_part_only_where_it_would_stay_there() -> None:
    named = ["linux/riscv64", "linux/amd64"]
    fleet = nodes(*named, found=[[], ["linux/s390x"]])
    assert parts(fleet, ["linux/amd64", "linux/s390x"]) == (("linux/amd64", "linux/s390x"),)
    fleet = nodes(*named, found=[["linux/amd64"], ["linux/s390x"]])
    assert parts(fleet, ["linux/amd64", "linux/s390x"]) == (("linux/amd64",), ("linux/s390x",))


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from(PLATFORMS), max_size=2), st.lists(st.sampled_from(PLATFORMS), max_size=3)),
        min_size=1,
        max_size=3,
    ),
    st.lists(st.sampled_from(PLATFORMS), max_size=4),
)
def test_every_part_is_built_by_one_node_and_nothing_is_lost(
    described: list[tuple[list[str], list[str]]], wanted: list[str]
) -> None:
    fleet = nodes(*(named for named, _ in described), found=[found for _, found in described])
    shared = parts(fleet, wanted)
    assert sorted(platform for part in shared for platform in part) == sorted(set(wanted))
    for part in shared:
        assert len(set(node_of(fleet, part))) <= 1
    for platform in wanted:
        named = [at for at, node in enumerate(fleet) if normal(platform) in map(normal, node.platforms)]
        (part,) = (part for part in shared if platform in part)
        assert not named or set(node_of(fleet, part)) == {named[0]}
