"""Caches that lack a blob, and what mends them."""

from __future__ import annotations

import pytest

from imagewright.cache.look import look
from imagewright.cache.model import BLOBS, MANIFESTS
from imagewright.cache.verify import Finding, repair, verify
from tests.cache.memory import HOUR, MemoryStore, digest_of


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    made.exported("app@main", "one", "two")
    made.exported("app@dev", "one", "three")
    return made


def found(store: MemoryStore, *, deep: bool = False) -> list[Finding]:
    return verify(store, look(store), deep=deep)


def lose(store: MemoryStore, blob: str) -> None:
    del store.objects[BLOBS + digest_of(blob)]


def test_all_is_well(store: MemoryStore) -> None:
    assert found(store, deep=True) == []


def test_a_lost_blob(store: MemoryStore) -> None:
    lose(store, "two")
    (one,) = found(store)
    assert (one.name, one.blobs) == ("app@main", {digest_of("two"): "missing"})
    assert one.reason == "of 2 blobs 1 not there"
    assert repair(store, one) == (MANIFESTS + "app@main",)
    assert store.names == {"app@dev"}
    assert found(store) == []
    assert repair(store, one) == ()


def test_one_lost_blob_of_several_caches(store: MemoryStore) -> None:
    lose(store, "one")
    assert [one.name for one in found(store)] == ["app@dev", "app@main"]


@pytest.mark.parametrize(("content", "fault"), [(b"t", "size"), (b"TWO", "content")])
def test_a_wrong_blob_goes_with_its_caches(store: MemoryStore, content: bytes, fault: str) -> None:
    store.write(BLOBS + digest_of("two"), content)
    if fault == "content":
        assert found(store) == []
    (one,) = found(store, deep=True)
    assert one.blobs == {digest_of("two"): fault}
    assert repair(store, one, deep=True) == (MANIFESTS + "app@main", BLOBS + digest_of("two"))
    assert store.blobs == {"one", "three"}


def test_a_cache_that_is_mended_while_it_is_looked_at_is_no_finding(store: MemoryStore) -> None:
    lose(store, "two")
    shot = look(store)
    store.exported("app@main", "one", "two")
    assert verify(store, shot) == []


@pytest.mark.parametrize("what", ["get", "head", "delete"])
def test_a_cache_that_is_written_while_it_is_repaired_stays(store: MemoryStore, what: str) -> None:
    lose(store, "two")
    (one,) = found(store)

    def write(asked: str, key: str) -> None:
        if (asked, key) == (what, MANIFESTS + "app@main"):
            store.before = lambda _what, _key: None
            store.pass_time(HOUR)
            store.exported("app@main", "one", "two", "new")

    store.before = write
    assert repair(store, one) == ()
    assert store.names == {"app@main", "app@dev"}


def test_damaged_manifests_are_removed_and_unknown_ones_are_not(store: MemoryStore) -> None:
    store.write(MANIFESTS + "half", b'{"layers": [')
    store.write(MANIFESTS + "newer", b'{"layers": [], "blobs": ["sha256:x"]}')
    half, newer = found(store)
    assert (half.kind, half.repairable) == ("damaged", True)
    assert (newer.kind, newer.repairable) == ("unknown form", False)
    assert newer.reason == "it has `blobs`, which is not known"
    assert repair(store, half) == (MANIFESTS + "half",)
    assert repair(store, newer) == ()
    assert store.names == {"newer", "app@main", "app@dev"}
