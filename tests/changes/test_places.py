"""Where an earlier build is looked for: the first place that has the fingerprint decides, else the best there is."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from imagewright.changes.places import Places, find
from imagewright.changes.published import Answer, Published
from imagewright.errors import RegistryError


def published(fingerprint: str | None, digest: str = "sha256:1") -> Published:
    return Published(digest=digest, platforms=("linux/amd64",), fingerprint=fingerprint, revision=None)


class Shop:
    """A registry that writes down each round of questions."""

    def __init__(self, **content: Answer) -> None:
        self.content = content
        self.rounds: list[dict[str, str]] = []

    def __call__(self, wanted: Mapping[str, str]) -> Mapping[str, Answer]:
        self.rounds.append(dict(wanted))
        return {name: self.content.get(reference) for name, reference in wanted.items()}


def test_who_has_the_fingerprint_ends_the_search() -> None:
    shop = Shop(mine=published("old"), main=published("new", "sha256:2"), latest=published("new"))
    found = find({"app": Places(own=("mine",), others=("main", "latest"))}, {"app": "new"}, shop)["app"]
    assert (found.reference, found.is_same, found.answer) == ("main", True, shop.content["main"])
    assert found.last == shop.content["mine"], "the last build of this branch is another"
    assert shop.rounds == [{"app": "mine"}, {"app": "main"}]


def test_one_round_for_all_images_and_only_for_those_not_found_yet() -> None:
    shop = Shop(a1=published("a"), b2=published("b"))
    places = {"a": Places(own=("a1", "a2")), "b": Places(own=("b1", "b2")), "c": Places(own=("c1",))}
    found = find(places, {"a": "a", "b": "b", "c": "c"}, shop)
    assert shop.rounds == [{"a": "a1", "b": "b1", "c": "c1"}, {"b": "b2"}]
    assert [found[name].is_same for name in "abc"] == [True, True, False]
    assert found["c"].answer is None
    assert found["c"].last is None


def test_an_image_without_a_fingerprint_is_never_the_same() -> None:
    shop = Shop(mine=published(None))
    found = find({"app": Places(own=("mine",))}, {"app": None}, shop)["app"]
    assert not found.is_same
    assert found.answer == shop.content["mine"]


def test_a_refusal_is_told_where_nothing_better_is_found() -> None:
    refusal = RegistryError("no")
    shop = Shop(mine=refusal, main=published("other"))
    places = {"app": Places(own=("mine",), others=("main",)), "web": Places(own=("mine", "gone"))}
    found = find(places, {"app": "x", "web": "x"}, shop)
    assert (found["app"].reference, found["app"].last) == ("main", refusal)
    assert (found["web"].answer, found["web"].reference) == (refusal, "mine")


@given(
    st.lists(st.sampled_from([None, "same", "other"]), min_size=1, max_size=5),
    st.integers(min_value=1, max_value=5),
)
def test_it_is_the_same_exactly_where_some_place_has_it(content: list[str | None], own: int) -> None:
    references = [f"r{number}" for number in range(len(content))]
    answers = {ref: published(what) if what else None for ref, what in zip(references, content, strict=True)}
    places = Places(own=tuple(references[:own]), others=tuple(references[own:]))
    found = find({"app": places}, {"app": "same"}, lambda wanted: {name: answers[r] for name, r in wanted.items()})
    assert found["app"].is_same == ("same" in content)
