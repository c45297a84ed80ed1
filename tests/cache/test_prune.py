"""One prune after the other, with what may come between its requests, written out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from imagewright.cache import condemned, lease
from imagewright.cache.condemned import read_condemned
from imagewright.cache.lease import LASTS, Lease
from imagewright.cache.model import BLOBS, MANIFESTS
from imagewright.cache.retire import WAIT
from imagewright.errors import ImagewrightError
from tests.cache.memory import DAY, HOUR, MemoryStore, Object, digest_of, manifest
from tests.cache.pruning import POLICY, prune

OLD = BLOBS + digest_of("old")
_SECOND = timedelta(seconds=1)


@pytest.fixture
def store() -> MemoryStore:
    """A cache that was written anew four days ago, and no longer needs the blob `old`."""
    made = MemoryStore()
    made.exported("app@main", "old", "layer")
    made.exported("app@main", "layer")
    made.pass_time(4 * DAY)
    return made


@pytest.fixture
def condemning(store: MemoryStore) -> MemoryStore:
    """The same, with `old` condemned long enough."""
    prune(store)
    store.pass_time(WAIT)
    return store


def test_a_blob_goes_a_day_after_it_was_condemned(store: MemoryStore) -> None:
    first = prune(store)
    assert (first.blobs, first.waiting, first.waiting_bytes) == ({}, 1, len("old"))
    store.pass_time(WAIT - _SECOND)
    assert prune(store).blobs == {}
    store.pass_time(_SECOND)
    gone: list[str] = []

    done = prune(store, journal=gone.append)

    assert (done.blobs, done.waiting) == ({digest_of("old"): 3}, 0)
    assert gone == [OLD]
    assert store.blobs == {"layer"}
    assert prune(store).blobs == {}


def test_each_blob_is_looked_at_and_deleted_alone(condemning: MemoryStore) -> None:
    condemning.log.clear()
    prune(condemning)

    about = [what for what, key in condemning.log if key == OLD]
    assert about == ["head", "delete"]
    assert condemning.log.index(("put", condemned.KEY)) < condemning.log.index(("head", OLD))


def test_what_is_younger_than_the_grace_period_is_not_condemned(store: MemoryStore) -> None:
    assert prune(store, policy=replace(POLICY, grace=4 * DAY)).waiting == 0
    assert prune(store, policy=replace(POLICY, grace=4 * DAY - _SECOND)).waiting == 1


def test_a_longer_grace_period_than_that_of_the_last_prune_is_waited_for(condemning: MemoryStore) -> None:
    longer = replace(POLICY, grace=4 * DAY)
    assert prune(condemning, policy=longer).blobs == {}
    condemning.pass_time(WAIT)
    assert prune(condemning, policy=longer).blobs, "condemned anew, it goes after all"


def test_what_a_retired_cache_needed_waits_for_builds_that_have_read_it(store: MemoryStore) -> None:
    store.pass_time(30 * DAY)
    store.before = lambda what, key: (
        store.pass_time(HOUR) if (what, key) == ("delete", MANIFESTS + "app@main") else None
    )
    done = prune(store)
    assert done.caches == ["app@main"]
    assert store.names == set()
    store.before = lambda _what, _key: None

    store.pass_time(WAIT - _SECOND)
    assert prune(store).blobs == {}, "a build may have read the manifest an hour after the prune began"
    store.pass_time(_SECOND)
    assert set(prune(store).blobs) == {digest_of("old"), digest_of("layer")}


def test_the_time_before_a_cache_needed_it_does_not_count(condemning: MemoryStore) -> None:
    """Condemned, needed by a cache that a build wrote, and left by it again: it begins anew."""
    condemning.write(MANIFESTS + "base@main", manifest("old"))  # an exporter that refreshed nothing
    condemning.pass_time(31 * DAY)

    assert "base@main" in prune(condemning).caches
    assert prune(condemning).blobs == {}


@pytest.mark.parametrize("copies_anew", [True, False])
def test_an_exporter_between_two_prunes_keeps_it(condemning: MemoryStore, copies_anew: bool) -> None:
    condemning.copies_anew = copies_anew
    export = condemning.export("app@dev", ["old"])
    next(export), next(export)  # it has looked, and refreshed it

    done = prune(condemning)

    assert done.blobs == {}
    list(export)
    assert "app@dev" in condemning.names
    condemning.pass_time(29 * DAY)
    condemning.exported("app@dev", "layer")
    assert prune(condemning).blobs == {}, "a build may have read app@dev just before"
    condemning.pass_time(WAIT)
    assert set(prune(condemning).blobs) == {digest_of("old")}


def test_an_exporter_shortly_before_the_blob_was_condemned_keeps_it(store: MemoryStore) -> None:
    """On versitygw, whose listing does not show that it was refreshed; its manifest comes, and goes, after that."""
    store.copies_anew = False
    export = store.export("app@dev", ["old"])
    next(export), next(export)
    store.pass_time(HOUR)
    prune(store)
    list(export)
    store.pass_time(5 * DAY)
    store.exported("app@dev", "layer")

    assert prune(store).blobs == {}, "a build may have read app@dev just before"
    store.pass_time(3 * DAY)
    assert set(prune(store).blobs) == {digest_of("old")}


@pytest.mark.parametrize("moment", ["head", "delete"])
def test_an_exporter_in_the_last_moment_keeps_it(condemning: MemoryStore, moment: str) -> None:
    export = condemning.export("app@dev", ["old"])
    next(export)  # it has looked

    def refresh(what: str, key: str) -> None:
        if (what, key) == (moment, OLD):
            list(export)

    condemning.before = refresh
    done = prune(condemning)

    assert done.blobs == {}
    assert list(done.skipped) == [OLD]
    assert "old" in condemning.blobs
    condemning.before = lambda _what, _key: None
    assert prune(condemning).waiting == 0


def test_a_blob_that_was_uploaded_anew_stays(condemning: MemoryStore) -> None:
    def upload(what: str, key: str) -> None:
        if (what, key) == ("delete", OLD):
            condemning.write(OLD, b"old")

    condemning.before = upload
    assert prune(condemning).blobs == {}


def test_a_new_manifest_is_seen_before_the_first_deletion(condemning: MemoryStore) -> None:
    def appear(what: str, key: str) -> None:
        if (what, key) == ("list", BLOBS):
            condemning.write(MANIFESTS + "app@dev", manifest("old"))

    condemning.before = appear
    assert prune(condemning).blobs == {}


def test_a_cache_that_is_written_meanwhile_is_not_retired(store: MemoryStore) -> None:
    store.pass_time(40 * DAY)

    def write(what: str, key: str) -> None:
        if (what, key) == ("head", MANIFESTS + "app@main"):
            store.exported("app@main", "layer", "more")

    store.before = write
    done = prune(store)

    assert done.caches == []
    assert done.skipped == {MANIFESTS + "app@main": "a build has written it meanwhile"}
    assert store.names == {"app@main"}


def test_a_manifest_that_disappears_while_it_is_read_was_none(store: MemoryStore) -> None:
    store.exported("app@dev", "layer")

    def disappear(what: str, key: str) -> None:
        if (what, key) == ("get", MANIFESTS + "app@dev"):
            del store.objects[key]

    store.before = disappear
    assert prune(store).waiting == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"layers"',
        b'{"layers": {}}',
        b'{"layers": ["x"]}',
        b'{"layers": [{}]}',
        b'{"layers": [{"blob": null}]}',
        b'{"layers": [{"blob": "sha256:abc"}]}',
        b'{"Layers": []}',
    ],
)
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_one_manifest_that_cannot_be_read_stops_everything(condemning: MemoryStore, body: bytes, when: str) -> None:
    if when == "before":
        condemning.write(MANIFESTS + "other", body)
    else:
        condemning.before = lambda what, key: (
            condemning.write(MANIFESTS + "other", body) if (what, key) == ("list", BLOBS) else None
        )
    with pytest.raises(ImagewrightError, match="nobody can tell what this"):
        prune(condemning)
    assert condemning.blobs == {"old", "layer"}
    assert condemned.KEY in condemning.objects
    assert lease.KEY not in condemning.objects


@pytest.mark.parametrize(
    ("body", "hint"), [(b'{"layers"', r"`invoke cache verify --repair --yes` removes it"), (b"[]", "newer imagewright")]
)
def test_what_helps_with_a_manifest_that_cannot_be_read(store: MemoryStore, body: bytes, hint: str) -> None:
    store.write(MANIFESTS + "other", body)
    with pytest.raises(ImagewrightError, match=hint):
        prune(store)


def test_an_empty_cache_is_a_manifest_too(store: MemoryStore) -> None:
    store.write(MANIFESTS + "app@dev", b"{}")
    assert prune(store).waiting == 1


def test_no_manifest_at_all_stops_everything(condemning: MemoryStore) -> None:
    del condemning.objects[MANIFESTS + "app@main"]
    with pytest.raises(ImagewrightError, match="there are 2 blobs, and no manifest that needs one"):
        prune(condemning)
    assert condemning.blobs == {"old", "layer"}


def test_an_empty_store_is_fine() -> None:
    assert prune(MemoryStore()).waiting == 0


def test_after_the_last_cache_was_retired_its_blobs_go(store: MemoryStore) -> None:
    store.pass_time(40 * DAY)
    assert prune(store).caches == ["app@main"]
    store.pass_time(WAIT)
    assert len(prune(store).blobs) == 2
    assert store.blobs == set()


def test_keys_that_no_exporter_wrote_stay(condemning: MemoryStore) -> None:
    condemning.write(BLOBS + "notes.txt", b"mine")
    condemning.pass_time(40 * DAY)
    prune(condemning)
    condemning.pass_time(WAIT)
    prune(condemning)
    assert BLOBS + "notes.txt" in condemning.objects


def test_a_blob_whose_metadata_cannot_be_read_stays(condemning: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    head = condemning.head
    monkeypatch.setattr(condemning, "head", lambda key: (found := head(key)) and replace(found, used=None))
    done = prune(condemning)
    assert done.skipped == {OLD: "its metadata do not say when it was used"}


def test_the_record_of_the_last_prune_is_read_strictly(store: MemoryStore) -> None:
    for body in (b"", b"{}", b'{"schema":1}', b'{"schema":1,"generation":1,"caches":null,"condemned":[{"since":"x"}]}'):
        with pytest.raises(ImagewrightError, match="this record of an earlier prune is damaged"):
            read_condemned(body)
    with pytest.raises(ImagewrightError, match="it has the form 2"):
        read_condemned(b'{"schema":2}')
    prune(store)
    record = read_condemned(store.objects[condemned.KEY].body)
    assert (record.generation, record.caches, list(record.blobs)) == (1, 1, [digest_of("old")])
    assert read_condemned(record.as_json()) == record


def test_two_prunes_do_not_run_at_once(condemning: MemoryStore) -> None:
    with Lease(condemning):
        with pytest.raises(ImagewrightError, match=r"another prune of this store is running \(by .*, process \d+"):
            prune(condemning)
        assert condemning.blobs == {"old", "layer"}
    assert prune(condemning).blobs


def test_a_lease_that_has_ended_is_taken_over_and_its_holder_stops(condemning: MemoryStore) -> None:
    with Lease(condemning) as slow:
        condemning.pass_time(LASTS)
        with Lease(condemning) as other:
            with pytest.raises(ImagewrightError, match="another prune"):
                slow.renew()
            condemning.pass_time(LASTS * 2 / 3)
            other.renew()
            condemning.pass_time(LASTS * 2 / 3)
            with pytest.raises(ImagewrightError, match="another prune"):
                Lease(condemning).__enter__()
    assert lease.KEY not in condemning.objects


def test_of_two_who_take_a_lease_at_once_one_has_it(condemning: MemoryStore) -> None:
    def other(what: str, key: str) -> None:
        if what == "put" and key == lease.KEY:
            condemning.before = lambda _what, _key: None
            Lease(condemning).__enter__()

    condemning.before = other
    with pytest.raises(ImagewrightError, match="another prune"):
        prune(condemning)


def test_a_store_without_conditions_is_read_again(condemning: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def put(key: str, body: bytes, *, etag: str | None) -> str:
        condemning.write(key, body.replace(b"owner", b"other"))  # somebody else was a moment later
        return ""

    monkeypatch.setattr(condemning, "put", put)
    with pytest.raises(ImagewrightError, match="another prune"):
        prune(condemning)


def test_a_lease_that_nobody_can_read_has_ended(condemning: MemoryStore) -> None:
    condemning.objects[lease.KEY] = Object(b"?", condemning.clock)
    assert prune(condemning).blobs


def test_manifests_are_looked_at_between_many_blobs(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagewright.cache.prune._AT_ONCE", 2)
    names = [f"blob {number}" for number in range(5)]
    store.exported("base@main", *names)
    store.exported("base@main", "layer")
    store.pass_time(4 * DAY)
    prune(store)
    store.pass_time(WAIT)
    deleted: list[str] = []

    def appear(what: str, key: str) -> None:
        if what == "delete" and key.startswith(BLOBS):
            deleted.append(key)
            left = [name for name in names if BLOBS + digest_of(name) not in deleted]
            store.write(MANIFESTS + "app@dev", manifest(*left))

    store.before = appear
    done = prune(store)

    assert len(done.blobs) <= 2 + 1  # those of the first look, and `old`
    assert store.names >= {"app@dev"}
