"""Aliases: which version has a prefix, and that none moves backwards."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagewright.tags.aliases import Backwards, Settled, Shadowed, aliases, is_older, prefixes, settle
from imagewright.tags.versions import Strategy, parse

# Few numbers, so that prefixes meet; the suffix -dev is a pre-release unless it is declared.
SUFFIXES = ("-semantic", "-pg0.8")
NUMBERS = st.lists(st.sampled_from([0, 1, 2, 9, 10]), min_size=1, max_size=4)
RELEASES = st.builds(
    lambda mark, numbers, suffix: mark + ".".join(map(str, numbers)) + suffix,
    st.sampled_from(["", "", "v"]),
    NUMBERS,
    st.sampled_from(["", "", *SUFFIXES]),
)
VERSIONS = st.builds(
    lambda mark, numbers, pre, suffix: mark + ".".join(map(str, numbers)) + pre + suffix,
    st.sampled_from(["", "", "v"]),
    NUMBERS,
    st.sampled_from(["", "", "", "-rc1", "-beta.2"]),
    st.sampled_from(["", "", *SUFFIXES]),
)
OTHER_TAGS = st.sampled_from(["latest", "main", "sha-abc1234", "pr-7", "1234567", "20251121", "123-add-login"])
SEMVERS = st.builds(
    lambda numbers, pre: ".".join(map(str, numbers)) + pre,
    st.tuples(*[st.sampled_from([0, 1, 9, 10])] * 3),
    st.sampled_from(["", "", "-rc1", "-semantic", "-semantic-rc"]),
)


def numbers(text: str) -> tuple[int, ...]:
    """The oracle's own reading: numbers of the same length, so that 1.2 and 1.2.0 are equal."""
    bare = text.removeprefix("v").partition("-")[0]
    found = [int(part) for part in bare.split(".")]
    return tuple(found + [0] * (4 - len(found)))


def members(alias: str, versions: Iterable[str]) -> list[str]:
    """All releases that an alias could name: its text goes on with a number in front of the same suffix."""
    bare, hyphen, suffix = alias.partition("-")
    return [
        version
        for version in versions
        if "-rc" not in version
        and "-beta" not in version
        and version.startswith(f"{bare}.")
        and version.partition("-")[1:] == (hyphen, suffix)
    ]


def all_prefixes(versions: Iterable[str]) -> set[str]:
    found = set()
    for version in versions:
        bare, hyphen, suffix = version.partition("-")
        while "." in bare:
            bare = bare.rpartition(".")[0]
            found.add(bare + hyphen + suffix)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8.0.300", "8.0 8"),
        ("1.2.3.4", "1.2.3 1.2 1"),
        ("v1.2.3", "v1.2 v1"),
        ("3.13.7-semantic", "3.13-semantic 3-semantic"),
        ("2025.09", "2025"),
        ("2025.09.1", "2025.09 2025"),
        ("17.6-pgvector0.8.2", "17-pgvector0.8.2"),
        ("17.6.1-alpine3.20", "17.6-alpine3.20 17-alpine3.20"),
        ("9", ""),
        ("20251121", ""),
        ("1.2.3-rc1", ""),
        ("1.2.3-rc1-semantic", ""),
        ("3.14.0b2", ""),
    ],
)
def test_prefixes(text: str, expected: str) -> None:
    version = parse(text, "parts")
    assert version is not None
    assert prefixes(version) == tuple(expected.split())


@pytest.mark.parametrize(
    ("versions", "strategy", "expected"),
    [
        ("8.0.300", "parts", {"8.0": "8.0.300", "8": "8.0.300"}),
        ("1.9.0 1.10.0", "parts", {"1.9": "1.9.0", "1.10": "1.10.0", "1": "1.10.0"}),
        ("1.2.0 2.0.0-rc1", "parts", {"1.2": "1.2.0", "1": "1.2.0"}),
        ("2.0.0-rc1", "parts", {}),
        ("1.2.9 1.3.0-rc1 1.3.0-beta", "semver", {"1.2": "1.2.9", "1": "1.2.9"}),
        ("3.13.7 3.14.0-semantic", "parts", {
            "3.13": "3.13.7", "3": "3.13.7", "3.14-semantic": "3.14.0-semantic", "3-semantic": "3.14.0-semantic",
        }),
        ("v1.2.3 1.2.4", "parts", {"v1.2": "v1.2.3", "v1": "v1.2.3", "1.2": "1.2.4", "1": "1.2.4"}),
        ("2025.09 2025.10 2025.9", "parts", {"2025": "2025.10"}),
        ("17.6-pgvector0.8.1 17.5-pgvector0.8.2", "parts", {
            "17-pgvector0.8.1": "17.6-pgvector0.8.1", "17-pgvector0.8.2": "17.5-pgvector0.8.2",
        }),
        ("1.02.0 1.2.0", "parts", {"1.02": "1.02.0", "1.2": "1.2.0", "1": "1.2.0"}),
        ("1.2 1.2.0", "parts", {"1": "1.2.0"}),
        ("1.2.3 latest main 123-add-login 1234567", "parts", {"1.2": "1.2.3", "1": "1.2.3"}),
        ("1.2.3", "none", {}),
    ],
)  # fmt: skip
def test_examples(versions: str, strategy: Strategy, expected: Mapping[str, str]) -> None:
    texts = versions.split()
    assert aliases(texts, strategy).targets == expected
    assert aliases(reversed(texts), strategy).targets == expected


def test_a_declared_suffix_takes_aliases_in_semver() -> None:
    assert aliases(["1.2.3-dev"], "semver").targets == {}
    assert aliases(["1.2.3-dev"], "semver", suffixes=["-dev"]).targets == {"1.2-dev": "1.2.3-dev", "1-dev": "1.2.3-dev"}


def test_an_explicit_tag_wins_over_an_alias_and_both_are_named() -> None:
    found = aliases(["9", "9.0.1"], "parts")
    assert found.targets == {"9.0": "9.0.1"}
    assert found.shadowed == (Shadowed(alias="9", version="9.0.1"),)
    assert aliases(["9.0.1"], "parts", explicit=["9.0", "latest"]).shadowed == (Shadowed(alias="9.0", version="9.0.1"),)


def test_the_aliases_of_one_version() -> None:
    found = aliases(["1.9.0", "1.10.0"], "parts")
    assert found.of("1.10.0") == ("1.10", "1")
    assert found.of("1.9.0") == ("1.9",)
    assert found.of("1.8.0") == ()


@given(st.lists(st.one_of(VERSIONS, OTHER_TAGS), max_size=30), st.booleans())
def test_an_alias_names_the_highest_release_of_its_prefix(versions: list[str], declared: bool) -> None:
    found = aliases(versions, "parts", suffixes=SUFFIXES if declared else ())
    for alias, target in found.targets.items():
        candidates = members(alias, versions)
        assert target in candidates
        assert numbers(target) == max(map(numbers, candidates))
    known = [one for one in versions if parse(one, "parts", suffixes=SUFFIXES) and "-rc" not in one and "b" not in one]
    taken = set(found.targets) | {one.alias for one in found.shadowed}
    assert taken == all_prefixes(known)
    assert {one.alias for one in found.shadowed} == taken & set(versions)


@given(st.lists(SEMVERS, max_size=20))
def test_in_semver_only_releases_have_aliases(versions: list[str]) -> None:
    found = aliases(versions, "semver", suffixes=["-semantic"]).targets
    releases = [one for one in versions if not one.endswith(("-rc1", "-rc"))]
    assert set(found) == all_prefixes(releases)
    for alias, target in found.items():
        assert numbers(target) == max(map(numbers, members(alias, releases)))


@given(st.lists(VERSIONS, max_size=20), VERSIONS)
def test_a_lower_version_changes_no_alias(versions: list[str], more: str) -> None:
    before = aliases(versions, "parts", suffixes=SUFFIXES)
    after = aliases([*versions, more], "parts", suffixes=SUFFIXES)
    for alias, target in before.targets.items():
        if alias != more and (more not in members(alias, [more]) or numbers(more) < numbers(target)):
            assert after.targets[alias] == target


@given(st.lists(VERSIONS, max_size=20).flatmap(lambda them: st.tuples(st.just(them), st.permutations(them))))
def test_the_order_of_the_versions_does_not_matter(two: tuple[list[str], list[str]]) -> None:
    one, other = (aliases(versions, "parts", suffixes=SUFFIXES) for versions in two)
    assert one == other
    assert list(one.targets.items()) == list(other.targets.items())


# ---- against a registry


def test_a_patch_to_an_old_line_takes_its_own_aliases_only() -> None:
    published = ["1.2.0", "1.2", "1", "latest", "1.1.4", "1.1", "sha-abc1234"]
    assert settle(["1.1.5"], published, "parts") == Settled(
        taken={"1.1": "1.1.5"}, refused=(Backwards(alias="1", ours="1.1.5", theirs="1.2.0"),)
    )


@pytest.mark.parametrize("published", ["1.2.0 1.10.0 1.9.0", "1.10.0 1.9.0 1.2.0", "1.9.0 1.2.0 1.10.0"])
def test_a_refusal_names_the_highest_of_the_higher_ones(published: str) -> None:
    settled = settle(["1.1.5"], published.split(), "parts")
    assert settled.refused == (Backwards(alias="1", ours="1.1.5", theirs="1.10.0"),)


@pytest.mark.parametrize("strategy", ["parts", "semver"])
def test_an_alias_alone_tells_that_its_version_was_there(strategy: Strategy) -> None:
    settled = settle(["1.1.5"], ["1.2", "1"], strategy)
    assert settled.taken == {"1.1": "1.1.5"}
    assert settled.refused == (Backwards(alias="1", ours="1.1.5", theirs="1.2"),)


def test_a_downgrade_can_be_allowed() -> None:
    settled = settle(["1.1.5"], ["1.2.0"], "parts", allow_downgrade=True)
    assert settled.taken == {"1.1": "1.1.5", "1": "1.1.5"}
    assert settled.refused == ()
    assert settled.downgraded == (Backwards(alias="1", ours="1.1.5", theirs="1.2.0"),)


@pytest.mark.parametrize("published", ["", "1.1.5 1.1 1", "1.1.4", "1.2.0-rc1", "v1.2.0", "1.2.0-semantic", "2.0.0"])
def test_what_holds_no_alias_of_a_version(published: str) -> None:
    settled = settle(["1.1.5"], published.split(), "parts")
    assert settled == Settled(taken={"1.1": "1.1.5", "1": "1.1.5"})


@pytest.mark.parametrize("new", ["1.2.0", "1.2", "1.02.0", "1.2.0.0"])
@pytest.mark.parametrize("there", ["1.2.0", "1.2", "1.02.0", "1.2.0.0"])
def test_what_is_numerically_equal_is_not_higher(new: str, there: str) -> None:
    settled = settle([new], [there], "parts")
    assert settled.taken["1"] == new
    assert settled.refused == ()


def test_a_pre_release_takes_nothing() -> None:
    assert settle(["2.0.0-rc1"], ["1.0.0"], "parts") == Settled(taken={})


def test_of_several_new_versions_the_highest_has_the_alias() -> None:
    settled = settle(["1.1.5", "1.3.0", "9", "9.1"], ["1.2.0"], "parts")
    assert settled.taken == {"1.1": "1.1.5", "1.3": "1.3.0", "1": "1.3.0"}
    assert settled.shadowed == (Shadowed(alias="9", version="9.1"),)


def test_a_tag_of_its_own_is_not_taken_from_it() -> None:
    settled = settle(["9.0.1"], [], "parts", explicit=["9"])
    assert settled.taken == {"9.0": "9.0.1"}
    assert settled.shadowed == (Shadowed(alias="9", version="9.0.1"),)


def publish(registry: dict[str, str], new: Collection[str]) -> Settled:
    """Put versions and what they take into a registry: tag -> version."""
    settled = settle(new, list(registry), "parts", suffixes=SUFFIXES)
    registry.update({version: version for version in new}, **settled.taken)
    return settled


@settings(max_examples=200)
@given(st.lists(st.lists(VERSIONS, min_size=1, max_size=3), max_size=8))
def test_no_alias_ever_moves_backwards(publications: list[list[str]]) -> None:
    registry: dict[str, str] = {"latest": "latest", "main": "main"}
    for new in publications:
        before = dict(registry)
        settled = publish(registry, new)
        for alias, target in registry.items():
            if alias in before and alias not in new and before[alias] != target:
                # One that was a tag of its own is the alias of a version that goes on from it.
                assert numbers(target) >= numbers(before[alias])
        for refused in settled.refused:
            assert registry.get(refused.alias) != refused.ours
            assert numbers(refused.theirs) > numbers(refused.ours)
            assert refused.theirs in before


@given(st.lists(st.one_of(RELEASES, VERSIONS), max_size=12))
def test_any_order_of_publication_ends_with_the_highest(versions: list[str]) -> None:
    registry: dict[str, str] = {}
    for version in versions:
        publish(registry, [version])
    for alias in all_prefixes(one for one in versions if "-rc" not in one and "-beta" not in one):
        if alias not in versions:
            assert numbers(registry[alias]) == max(map(numbers, members(alias, versions)))


@given(st.lists(RELEASES, min_size=1, max_size=3), st.lists(st.one_of(VERSIONS, OTHER_TAGS), max_size=10))
def test_an_allowed_downgrade_takes_all(new: list[str], published: list[str]) -> None:
    kept = settle(new, published, "parts", suffixes=SUFFIXES)
    forced = settle(new, published, "parts", suffixes=SUFFIXES, allow_downgrade=True)
    assert forced.taken == aliases(new, "parts", suffixes=SUFFIXES).targets
    assert forced.downgraded == kept.refused
    assert {*kept.taken, *(one.alias for one in kept.refused)} == set(forced.taken)


# ---- latest and stable


@pytest.mark.parametrize(
    ("new", "published", "expected"),
    [
        ("1.1.5", "1.2.0 1.10.0 1.9.0 latest 1 1.2", "1.10.0"),
        ("1.10.0", "1.2.0 1.9.0", None),
        ("1.2.0", "1.2.0", None),
        ("1.2.0", "1.2 v1.2.0 1.02.0", None),
        ("1.2", "1.2.0", None),
        ("1.9.9", "2", "2"),
        ("1.9.9", "v2.0.0", "v2.0.0"),
        ("1.9.9", "2.0.0-rc1", None),
        ("2.0.0-rc1", "1.9.9", None),
        ("2.0.0-rc1", "2.0.0", "2.0.0"),
        ("1.2.3", "20251121 1234567 123-add-login", None),
        ("20251120", "20251121 30.1", "20251121"),
        ("20251121", "20251120", None),
        ("3.13.7", "3.14.0-semantic", None),
        ("3.13.7-semantic", "3.14.0-semantic 3.15.0", "3.14.0-semantic"),
        ("17.5-pgvector0.8.2", "17.6-pgvector0.8.1", "17.6-pgvector0.8.1"),
        ("17.6-pgvector0.8.1", "17.6-pgvector0.8.2 17.6-pgvector0.8.10", "17.6-pgvector0.8.10"),
        ("17.6-pgvector0.8.10", "17.6-pgvector0.8.2", None),
        ("main", "1.2.3", None),
    ],
)
def test_what_an_old_version_does_not_take_latest_from(new: str, published: str, expected: str | None) -> None:
    assert is_older(new, published.split(), "parts") == expected


def test_latest_in_the_other_strategies() -> None:
    assert is_older("1.9.0", ["2"], "semver") == "2"
    assert is_older("1.9.0-dev", ["2.0.0-dev"], "semver") is None
    assert is_older("1.9.0-dev", ["2.0.0-dev"], "semver", suffixes=["-dev"]) == "2.0.0-dev"
    assert is_older("1.9.0", ["2.0.0"], "none") is None


@given(RELEASES, st.lists(st.one_of(VERSIONS, OTHER_TAGS), max_size=15))
def test_the_highest_release_is_named(new: str, published: list[str]) -> None:
    found = is_older(new, published, "parts", suffixes=SUFFIXES)
    suffix = new.partition("-")[2]
    releases = [one for one in published if parse(one, "parts", suffixes=SUFFIXES) and one != "20251121"]
    higher = [one for one in releases if one.partition("-")[2] == suffix and numbers(one) > numbers(new)]
    if found is None:
        assert higher == []
    else:
        assert found in higher
        assert numbers(found) == max(map(numbers, higher))
