"""Which member of a family has an alias, and which is the latest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.tags.members import FamilyVersions

RULES = FamilyVersions()


@pytest.mark.parametrize(
    ("tags", "strategy", "latest"),
    [
        (["1.9", "1.10"], "parts", "1.10"),
        (["1.9", "2.0-rc1"], "parts", "1.9"),
        (["2.0-rc1"], "parts", None),
        (["main", "edge"], "parts", None),
        (["1.9", "1.10"], "none", None),
        (["17.6", "18.0-pgvector0.8"], "parts", "17.6"),
        (["17.6-pgvector0.8.9", "17.6-pgvector0.8.10"], "parts", "17.6-pgvector0.8.10"),
        (["9", "20251121"], "parts", "9"),
        (["20251121", "20251120"], "parts", "20251121"),
        (["v1.2.3", "v1.10.0"], "semver", "v1.10.0"),
    ],
)
def test_the_latest(tags: list[str], strategy: str, latest: str | None) -> None:
    assert RULES.latest(tags, strategy) == latest  # type: ignore[arg-type]


VERSIONS = st.lists(st.tuples(*[st.integers(0, 12)] * 3).map(lambda parts: ".".join(map(str, parts))), unique=True)


@given(VERSIONS, st.data())
def test_the_order_of_the_file_does_not_matter(tags: list[str], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(tags))
    first, second = (RULES.aliases(some, "parts", suffixes=(), explicit=()) for some in (tags, shuffled))
    assert first == second
    assert RULES.latest(tags, "parts") == RULES.latest(shuffled, "parts")


@given(VERSIONS)
def test_the_latest_is_the_one_that_has_its_aliases(tags: list[str]) -> None:
    latest = RULES.latest(tags, "parts")
    assert (latest is None) == (not tags)
    held, _ = RULES.aliases(tags, "parts", suffixes=(), explicit=())
    assert latest is None or held[latest.partition(".")[0]] == latest
