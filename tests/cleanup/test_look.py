"""Looking again at a repository, against a registry in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.cleanup.look import Look
from imagewright.cleanup.model import Stored
from imagewright.cleanup.needs import held
from imagewright.cleanup.read import read_picture
from imagewright.errors import RegistryError
from imagewright.registry.copy import Place
from tests.cleanup.stock import NOW, Stock
from tests.registry.memory import Memory

if TYPE_CHECKING:
    from pathlib import Path

    from imagewright.cleanup.model import Picture

REPOSITORY = "shop/app"


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def stock(memory: Memory) -> Stock:
    return Stock(Place(memory.client(), REPOSITORY))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def picture_of(stock: Stock, folder: Path) -> Picture:
    return read_picture(stock.place, memory=folder, now=NOW)


def test_new_tags_are_read_with_all_that_they_lead_to(stock: Stock, folder: Path) -> None:
    stock.image("old", "1")
    look = Look(stock.place, picture_of(stock, folder), ["1"])
    look.again()
    assert look.news() == frozenset()
    version = look.version
    index = stock.multi("new", "2")
    look.again()
    assert look.tags["2"] == index.digest
    assert {child.digest for child in index.manifests} < set(look.manifests)
    assert look.version > version


def test_what_new_tags_speak_about(stock: Stock, folder: Path) -> None:
    old, other = stock.image("old", "1"), stock.image("other", "2")
    look = Look(stock.place, picture_of(stock, folder), ["1", "2"])
    stock.cosign(old)
    stock.referrer(other, "signature", "signature-of-2")
    look.again()
    assert look.news() == {old.digest, other.digest}


def test_a_list_without_a_kept_tag_is_not_believed(memory: Memory, stock: Stock, folder: Path) -> None:
    stock.image("old", "1")
    stock.image("kept", "2")
    picture = picture_of(stock, folder)
    moved = stock.multi("moved", "2")
    look = Look(stock.place, picture, ["1"])
    hidden = memory._tags

    def short(request: object, name: str) -> object:
        memory.tags.pop((REPOSITORY, "3"), None)
        response = hidden(request, name)  # type: ignore[arg-type]
        response._content = b'{"tags":["1"]}'
        return response

    memory._tags = short  # type: ignore[method-assign,assignment]
    look.again()
    assert look.tags["2"] == moved.digest


def test_a_repository_that_is_not_known_any_more(memory: Memory, stock: Stock, folder: Path) -> None:
    stock.image("old", "1")
    stock.image("kept", "2")
    picture = picture_of(stock, folder)
    memory.lists_tags = False
    with pytest.raises(RegistryError, match="does not know this repository any more"):
        Look(stock.place, picture, ["1"]).again()
    Look(stock.place, picture, ["1", "2"]).again()  # with its last tag it may well be gone


def test_many_tags_are_all_asked_for_now_and_then(memory: Memory, stock: Stock, folder: Path) -> None:
    one = stock.image("one", "t0")
    memory.tags |= {(REPOSITORY, f"t{number}"): one.digest for number in range(200)}
    # A full look asks twice: the first takes 20 s, the second 2 s, and that is believed for 6 s.
    moments = iter([1000.0, 1020.0, 1021.0, 1050.0, 1051.0, 1053.0, 1059.0, 1060.0, 1061.0, 1062.0])
    look = Look(stock.place, picture_of(stock, folder), [], clock=lambda: next(moments))
    counts = []
    for _ in range(6):
        memory.log.clear()
        look.again()
        counts.append(memory.methods()["HEAD"])
    assert counts == [200, 0, 0, 200, 0, 200]
    memory.tags[REPOSITORY, "new"] = one.digest
    memory.log.clear()
    look.again()
    assert memory.methods()["HEAD"] == 1


def test_a_new_tag_with_nothing_under_it_is_not_passed_over(memory: Memory, stock: Stock, folder: Path) -> None:
    old = stock.image("old", "1")
    look = Look(stock.place, picture_of(stock, folder), ["1"])
    memory.tags[REPOSITORY, "new"] = "sha256:" + "0" * 64
    with pytest.raises(RegistryError, match="has nothing under it"):
        look.again()
    memory.tags[REPOSITORY, "new"] = old.digest
    look.again()
    assert look.tags["new"] == old.digest


def test_what_the_registry_lists_as_new_about_a_manifest(memory: Memory, stock: Stock, folder: Path) -> None:
    memory.lists_referrers = True
    old, other = stock.image("old", "1"), stock.image("other", "2")
    known = stock.referrer(old, "known")
    planned = stock.referrer(other, "planned")
    picture = picture_of(stock, folder)
    picture = replace(picture, manifests={one: of for one, of in picture.manifests.items() if one != planned.digest})
    look = Look(stock.place, picture, ["1", "2"], planned=[planned.digest])
    look.again()
    for one in (old, other):
        look.ask_about(one.digest)
    assert look.news() == frozenset()
    stock.referrer(old, "new")
    look.ask_about(old.digest)
    assert look.news() == {old.digest}
    assert known.digest in look.manifests
    memory.lists_referrers = False
    with pytest.raises(RegistryError, match="no list of referrers any more"):
        look.ask_about(old.digest)


def test_a_registry_without_lists_of_referrers_is_asked_once(memory: Memory, stock: Stock, folder: Path) -> None:
    old = stock.image("old", "1")
    look = Look(stock.place, picture_of(stock, folder), ["1"])
    memory.log.clear()
    for _ in range(3):
        look.ask_about(old.digest)
    assert len(memory.log) == 1


def test_what_is_not_there_is_told(stock: Stock, folder: Path) -> None:
    one = stock.image("one", "1")
    look = Look(stock.place, picture_of(stock, folder), [])
    gone = "sha256:" + "0" * 64
    loose = stock.multi("loose")
    assert look.learn_of([one.digest, gone, loose.digest]) == {gone}
    assert {child.digest for child in loose.manifests} < set(look.manifests)


DIGESTS = [f"sha256:{number:064x}" for number in range(8)]


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Stored]:
    """Manifests that name only later ones, as hashes have it; subjects as they come, circles among them."""
    made = {}
    for number, digest in enumerate(DIGESTS):
        later = st.sampled_from(DIGESTS[number + 1 :] or ["sha256:" + "f" * 64])
        children = tuple(draw(st.lists(later, max_size=2, unique=True)))
        subject = draw(st.none() | st.sampled_from(DIGESTS))
        made[digest] = Stored(digest=digest, media_type="", kind="image", size=1, children=children, subject=subject)
    return made


@given(manifests=graphs(), roots=st.sets(st.sampled_from(DIGESTS)), tagged=st.sampled_from(DIGESTS))
def test_held_is_closed(manifests: dict[str, Stored], roots: set[str], tagged: str) -> None:
    beside = f"{DIGESTS[0].replace(':', '-')}.sig"
    found = held(manifests, {beside: tagged, "latest": DIGESTS[1]}, roots)
    assert roots <= found
    for digest, one in manifests.items():
        if digest in found:
            assert set(one.children) <= found
        if one.subject in found:
            assert digest in found
    if DIGESTS[0] in found:
        assert tagged in found
    assert held(manifests, {}, found) == found or DIGESTS[0] in found
    if not roots:
        assert found == frozenset()
