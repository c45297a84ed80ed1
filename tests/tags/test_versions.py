"""Reading and ordering versions."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest
import semver
from hypothesis import given
from hypothesis import strategies as st

from imagewright.config.sections import AliasStrategy
from imagewright.references import is_tag
from imagewright.tags.versions import Strategy, Version, parse

NUMBERS = st.integers(0, 10**5)
IDENTIFIERS = st.one_of(
    st.integers(0, 50).map(str), st.from_regex(r"[A-Za-z-][0-9A-Za-z-]{0,3}", fullmatch=True), st.sampled_from(["rc1"])
)
SEMVERS = st.builds(
    lambda numbers, pre: ".".join(map(str, numbers)) + (f"-{'.'.join(pre)}" if pre else ""),
    st.tuples(NUMBERS, NUMBERS, NUMBERS),
    st.lists(IDENTIFIERS, max_size=3),
)
TAG_CHARACTERS = st.text(alphabet="0123456789.-_+vabgmrcdev \n\u0661", max_size=14)


def read(text: str, strategy: Strategy = "parts", *suffixes: str) -> Version:
    version = parse(text, strategy, suffixes=suffixes)
    assert version is not None
    return version


def test_the_strategies_are_those_of_the_configuration() -> None:
    assert get_args(Strategy) == get_args(AliasStrategy)


def test_only_semver_loads_the_semver_package() -> None:
    code = (
        "import sys; from imagewright.tags.versions import parse; parse('1.2.3-rc1', 'parts'); "
        "before = {'semver', 'pydantic'} & set(sys.modules); parse('1.2.3', 'semver'); "
        "print(before, 'semver' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "set() True\n"


@pytest.mark.parametrize(
    ("text", "mark", "parts", "pre", "suffix"),
    [
        ("8.0.300", "", "8 0 300", "", ""),
        ("1.2.3.4", "", "1 2 3 4", "", ""),
        ("v1.2.3", "v", "1 2 3", "", ""),
        ("V1.2", "V", "1 2", "", ""),
        ("2025.09", "", "2025 09", "", ""),
        ("2025.10", "", "2025 10", "", ""),
        ("9", "", "9", "", ""),
        ("2025", "", "2025", "", ""),
        ("20251121", "", "20251121", "", ""),
        ("3.13.7-semantic", "", "3 13 7", "", "-semantic"),
        ("17.6-pgvector0.8.2", "", "17 6", "", "-pgvector0.8.2"),
        ("0.8.2-pg17-trixie", "", "0 8 2", "", "-pg17-trixie"),
        ("17.6-alpine3.20", "", "17 6", "", "-alpine3.20"),
        ("1.2.3-slim_x", "", "1 2 3", "", "-slim_x"),
        ("1.2.3_4", "", "1 2 3", "", "_4"),
        ("1.2.3-1", "", "1 2 3", "", "-1"),
        ("1.2.3-rc1", "", "1 2 3", "-rc1", ""),
        ("1.2.3-rc.1", "", "1 2 3", "-rc.1", ""),
        ("1.2.3-rc1.x", "", "1 2 3", "-rc1.x", ""),
        ("1.2.3-rc1a", "", "1 2 3", "-rc1a", ""),
        ("1.2.3-RC1", "", "1 2 3", "-RC1", ""),
        ("1.2.3-beta-2", "", "1 2 3", "-beta-2", ""),
        ("1.2.3-beta.2.5f3a", "", "1 2 3", "-beta.2.5f3a", ""),
        ("1.2.3_rc1", "", "1 2 3", "_rc1", ""),
        ("1.2.3.dev4", "", "1 2 3", ".dev4", ""),
        ("3.14.0rc1", "", "3 14 0", "rc1", ""),
        ("3.14.0a1-slim", "", "3 14 0", "a1", "-slim"),
        ("1.2.3-b1", "", "1 2 3", "-b1", ""),
        ("1.2.3-b1.2", "", "1 2 3", "-b1.2", ""),
        ("1.2.3-rc1-3.20", "", "1 2 3", "-rc1", "-3.20"),
        ("1.2.3-b7f", "", "1 2 3", "", "-b7f"),
        ("1.2.3-5-g0123abcx", "", "1 2 3", "", "-5-g0123abcx"),
        ("6.0.0-M1", "", "6 0 0", "-M1", ""),
        ("1.2-SNAPSHOT", "", "1 2", "-SNAPSHOT", ""),
        ("1.2.3-dev", "", "1 2 3", "-dev", ""),
        ("1.2.3-nightly20251121", "", "1 2 3", "-nightly20251121", ""),
        ("1.2.3-pre", "", "1 2 3", "-pre", ""),
        ("1.2.3-preview.7", "", "1 2 3", "-preview.7", ""),
        ("1.2.3-rc1-alpine3.20", "", "1 2 3", "-rc1", "-alpine3.20"),
        ("1.2.3-5-g0123abc-dirty", "", "1 2 3", "-5-g0123abc", "-dirty"),
        ("9-rc1", "", "9", "-rc1", ""),
        # These start like the word of a pre-release, and are none.
        ("1.2.3-alpine", "", "1 2 3", "", "-alpine"),
        ("1.2.3-devel", "", "1 2 3", "", "-devel"),
        ("1.2.3-rclone", "", "1 2 3", "", "-rclone"),
        ("1.2.3-prebuilt", "", "1 2 3", "", "-prebuilt"),
        ("1.2.3-b", "", "1 2 3", "", "-b"),
        ("1.2.3-a1b2c3d", "", "1 2 3", "", "-a1b2c3d"),
        ("1.2.3-musl", "", "1 2 3", "", "-musl"),
    ],
)
def test_the_numeric_parts(text: str, mark: str, parts: str, pre: str, suffix: str) -> None:
    version = read(text)
    assert (version.mark, " ".join(version.parts), version.pre, version.suffix) == (mark, parts, pre, suffix)
    assert version.text == text
    assert version.is_prerelease is bool(pre)


NO_VERSIONS = [
    *("", "latest", "stable", "main", "base-stable", "sha-abc1234", "pr-7", "pr-7-abc1234", "abc1234", "deadbeef"),
    *("release-1.2", "x1.2", "v", "vv1", "v-1", "1.2.x", "1.x", "1.1.1w", "1..2", ".1.2", "1.2.", "1.2.3-", "1.2--x"),
    *("1.2.3+b", "1.2.3-rc1+b", "1.2.3 ", "1.2.3\n", "1.2/3", "\u0661.2", "1.2.3-é", f"1.{'2' * 127}"),
    *("1e10", "9b1", "9rc1", "5-b123456", "123-add-login", "7-abc1234", "2025-11-21"),
    *("1234567", "0123456", "123456", "20251321", "20250100", "18991231", "20251121133700", "0" * 40),
]


@pytest.mark.parametrize("strategy", get_args(Strategy))
@pytest.mark.parametrize("text", NO_VERSIONS)
def test_what_is_no_version(text: str, strategy: Strategy) -> None:
    assert parse(text, strategy) is None
    assert parse(text, strategy, partial=True) is None


@pytest.mark.parametrize("text", ["1.2.3", "9", "v1.2.3-rc1"])
def test_without_a_strategy_nothing_is_a_version(text: str) -> None:
    assert parse(text, "none", partial=True) is None


@pytest.mark.parametrize("text", ["1.2", "1", "1.2.3.4", "2025.09", "01.2.3", "1.2.3-01", "1.2.3_x", "20251121"])
def test_what_is_a_version_in_parts_only(text: str) -> None:
    assert parse(text, "semver") is None


@pytest.mark.parametrize(("text", "parts"), [("1.2", "1 2"), ("v1", "1"), ("3-semantic", "3"), ("1.2.3", "1 2 3")])
def test_an_alias_in_the_registry_is_part_of_a_semantic_version(text: str, parts: str) -> None:
    version = parse(text, "semver", suffixes=["-semantic"], partial=True)
    assert version is not None
    assert " ".join(version.parts) == parts


@pytest.mark.parametrize("strategy", ["parts", "semver"])
@pytest.mark.parametrize(
    ("text", "pre", "suffix"),
    [
        ("1.2.3-semantic", "", "-semantic"),
        ("1.2.3-dev", "", "-dev"),
        ("1.2.3-rc1-semantic", "-rc1", "-semantic"),
        ("1.2.3-rc1-dev", "-rc1", "-dev"),
        ("1.2.3-slim-semantic", "", "-slim-semantic"),
        ("v1.2.3-pgvector0.8.2", "", "-pgvector0.8.2"),
        ("1.2.3-rc1", "-rc1", ""),
        ("1.2.3", "", ""),
    ],
)
def test_a_declared_suffix_is_a_variant(strategy: Strategy, text: str, pre: str, suffix: str) -> None:
    version = read(text, strategy, "-semantic", "-dev", "-slim-semantic", "-pgvector0.8.2", ".3", "3", "")
    assert (version.pre, version.suffix) == (pre, suffix)


def test_one_number_with_a_suffix_is_a_version_where_the_suffix_is_declared() -> None:
    assert read("9-slim", "parts", "-slim").parts == ("9",)
    assert parse("1234567-slim", "parts", suffixes=["-slim"]) is None


def test_in_semver_what_is_not_declared_is_a_pre_release() -> None:
    version = read("1.2.3-semantic", "semver")
    assert (version.pre, version.suffix) == ("-semantic", "")


ORDERED = [
    *("0.9", "1.9", "1.10-nightly", "1.10-alpha", "1.10-alpha.2", "1.10a10", "1.10-beta1", "1.10-M2", "1.10-preview3"),
    *("1.10-rc9", "1.10-rc10", "1.10", "1.10.0", "1.10.0.0", "1.10.0.1", "1.10.1", "2.0.0-rc1", "2", "10.0", "2025.09"),
    *("2025.10", "20251121"),
]


@given(st.permutations(ORDERED))
def test_the_order(shuffled: list[str]) -> None:
    assert [version.text for version in sorted(map(read, shuffled))] == ORDERED


# The example of semver.org, section 11, and numbers that text would put the other way round.
PRECEDENCE = [
    *("1.0.0-9", "1.0.0-10", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2"),
    *("1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.9.0", "1.10.0"),
]


@given(st.permutations(PRECEDENCE))
def test_the_order_of_semver(shuffled: list[str]) -> None:
    assert [version.text for version in sorted(read(text, "semver") for text in shuffled)] == PRECEDENCE


@pytest.mark.parametrize(("one", "other"), [("1.2.0", "1.2"), ("1.02.0", "1.2.0"), ("v1.2.0", "1.2.0"), ("0", "0.0")])
def test_what_is_numerically_equal_is_not_higher_and_still_in_order(one: str, other: str) -> None:
    assert read(one).rank == read(other).rank
    assert (read(one) < read(other)) is not (read(other) < read(one))


def test_a_suffix_has_a_flavour_and_an_edition() -> None:
    old, new = read("17.6-pgvector0.8.2"), read("17.6-pgvector0.8.10")
    assert old.flavour == new.flavour != read("17.6-pg").flavour
    assert old.edition < new.edition


PRE_RELEASES = st.lists(IDENTIFIERS, max_size=3).map(
    lambda fields: "1.0.0" + (f"-{'.'.join(fields)}" if fields else "")
)


@given(st.one_of(st.tuples(SEMVERS, SEMVERS), st.tuples(PRE_RELEASES, PRE_RELEASES)))
def test_semver_orders_like_the_package(two: tuple[str, str]) -> None:
    one, other = two
    ours, theirs = read(one, "semver"), read(other, "semver")
    compared = semver.Version.parse(one).compare(other)
    assert (ours.rank > theirs.rank) - (ours.rank < theirs.rank) == compared


@given(st.lists(NUMBERS, min_size=3, max_size=3), st.lists(NUMBERS, min_size=3, max_size=3))
def test_parts_order_releases_like_the_package(one: list[int], other: list[int]) -> None:
    first, second = (".".join(map(str, numbers)) for numbers in (one, other))
    compared = semver.Version.parse(first).compare(second)
    ours, theirs = read(first), read(second)
    assert (ours.rank > theirs.rank) - (ours.rank < theirs.rank) == compared


@given(st.one_of(SEMVERS, TAG_CHARACTERS, st.text(max_size=8)), st.sampled_from(["parts", "semver"]))
def test_what_is_read_is_all_there(text: str, strategy: Strategy) -> None:
    version = parse(text, strategy, suffixes=["-a", "_b1"], partial=True)
    if version is not None:
        assert is_tag(text)
        assert version.mark + ".".join(version.parts) + version.pre + version.suffix == text
        assert version == parse(text, strategy, suffixes=["_b1", "-a"], partial=True)


SIMILAR = st.from_regex(r"v?[01]\.0?[0-2](\.0)?(-rc[12]|-x)?", fullmatch=True)


@given(st.lists(SIMILAR, unique=True, max_size=8).flatmap(lambda them: st.tuples(st.just(them), st.permutations(them))))
def test_the_order_is_total(two: tuple[list[str], list[str]]) -> None:
    one, other = (sorted(map(read, texts)) for texts in two)
    assert one == other
    assert len(set(one)) == len(one)
