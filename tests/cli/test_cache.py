"""`invoke cache` from the command line's words to what is shown, with a store in memory."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from imagewright.cache import lease
from imagewright.cache.model import BLOBS, MANIFESTS
from imagewright.cache.retire import WAIT, Policy
from imagewright.cli.cache_options import cache_wishes, policy_of
from imagewright.cli.caching import Caching
from imagewright.config.build_models import CachePrune
from imagewright.errors import ConfigError, ImagewrightError, UsageError
from tests.cache.memory import DAY, MemoryStore, digest_of
from tests.cache.pruning import POLICY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Invoke


@pytest.mark.parametrize(
    ("action", "options", "message"),
    [
        ("", {}, "`invoke cache` takes an action: it takes"),
        ("clean", {}, "there is no `invoke cache clean`: it takes"),
        ("status", {"unused": "3d"}, "--unused is for `invoke cache prune`"),
        ("verify", {"budget": "3GB"}, "--budget is for `invoke cache prune`"),
        ("prune", {"repair": True}, "--repair is for `invoke cache verify`"),
        ("status", {"deep": True}, "--deep is for `invoke cache verify`"),
        ("status", {"yes": True}, "`invoke cache status` deletes nothing"),
        ("verify", {"yes": True}, "`invoke cache verify` deletes nothing"),
        ("prune", {"yes": True, "dry_run": True}, "give one of them"),
        ("prune", {"unused": "30"}, "--unused: `30` is no length of time"),
        ("prune", {"unused": "0d"}, "--unused: `0d` is no time at all"),
        ("prune", {"budget": "50"}, "--budget: `50` is no amount of bytes"),
        ("prune", {"budget": "0GB"}, "--budget: `0GB` is nothing at all"),
        ("prune", {"grace": "47h"}, "--grace must be 2d at least"),
    ],
)
def test_options_that_are_refused(action: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        cache_wishes(action, **options)
    assert message in str(refused.value)


def test_the_command_line_stands_over_the_configuration() -> None:
    configured = CachePrune(unused="10d", budget="5GB", grace="96h")
    assert policy_of(cache_wishes("prune"), configured) == Policy(unused=10 * DAY, budget=5 * 10**9, grace=4 * DAY)
    given = cache_wishes("prune", unused="3d", budget="1GiB", grace="48h", yes=True)
    assert policy_of(given, configured) == Policy(unused=3 * DAY, budget=2**30, grace=2 * DAY)
    assert given.act
    assert not cache_wishes("prune", dry_run=True).act
    with pytest.raises(ConfigError, match=r"`cache\.prune\.grace` must be 2d at least"):
        policy_of(cache_wishes("prune"), CachePrune(grace="1h"))


class World:
    """A store, and what was said."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.said: list[str] = []
        self.store.exported("app@main", "one", "two")
        self.store.exported("app@main", "one", "three")
        self.store.exported("gone@main@linux-arm64", "one", "four")
        self.store.pass_time(4 * DAY)

    def caching(self, *, act: bool = False, as_json: bool = False, policy: Policy = POLICY) -> Caching:
        return Caching(self.store, policy, {"app"}, self.said.append, act=act, as_json=as_json)


@pytest.fixture
def world() -> World:
    return World()


def test_status(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.caching().status()

    assert capsys.readouterr().out.splitlines() == [
        "IMAGE  SCOPE  PLATFORM     BLOBS  SIZE  OWN  AGE",
        "app    main   -            2      8 B   5 B  4d",
        "gone   main   linux/arm64  2      7 B   4 B  4d",
    ]
    assert world.said == [
        "15 B in 4 blobs, 2 caches",
        "no cache needs 3 B: a prune deletes 0 B now",
        "later prunes delete 7 B more (1 cache would be retired now)",
    ]
    assert not [what for what, _ in world.store.log if what in ("put", "delete")]


def test_status_of_what_a_prune_would_refuse(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.store.write(MANIFESTS + "odd", b"")
    del world.store.objects[BLOBS + digest_of("four")]
    world.caching(as_json=True).status()

    document = json.loads(capsys.readouterr().out)
    assert document["unreadable"] == [{"name": "odd", "reason": "it is no JSON"}]
    assert [one["missing"] for one in document["caches"]] == [0, 1]
    assert document["caches"][1]["platform"] == "linux/arm64"


def test_a_prune_shows_and_deletes_nothing_by_itself(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    before = dict(world.store.objects)

    world.caching().prune()

    assert world.store.objects == before
    assert not [what for what, _ in world.store.log if what in ("put", "delete")]
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[:5] == ["gone", "main", "linux/arm64", "4d", "retire"]
    assert world.said == [
        "to retire: 1 of 2 caches; to delete now: 0 blobs, 0 B",
        "nothing was deleted: --yes does it",
    ]


def test_a_prune_tells_what_it_deletes(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.caching(act=True).prune()
    world.store.pass_time(WAIT)
    world.said.clear()
    capsys.readouterr()

    world.caching(act=True, as_json=True).prune()

    document = json.loads(capsys.readouterr().out)
    assert {one["digest"]: one["bytes"] for one in document["deleted"]} == {digest_of("two"): 3, digest_of("four"): 4}
    assert document["dry_run"] is False
    assert document["condemned"] == {"blobs": 0, "bytes": 0}
    assert f"deleted blobs/{digest_of('two')} (3 B)" in world.said
    assert world.said[-1] == "retired 0 caches, deleted 2 blobs, 7 B"
    assert lease.KEY not in world.store.objects


def test_a_prune_says_what_waits(world: World) -> None:
    world.caching(act=True, policy=replace(POLICY, unused=DAY)).prune()
    assert world.said[-2:] == [
        "retired 2 caches, deleted 0 blobs, 0 B",
        "condemned: 4 blobs, 15 B; a prune after a day or more deletes what is still not needed then",
    ]


def test_a_long_reading_renews_the_lease(world: World) -> None:
    for number in range(1000):
        world.store.write(BLOBS + digest_of(str(number)), b"")
    seen = 0

    def slow(what: str, key: str) -> None:
        nonlocal seen
        if (what, key) == ("list", BLOBS):
            world.store.pass_time(timedelta(seconds=2))
        seen += (what, key) == ("put", lease.KEY)

    world.store.before = slow
    world.caching(act=True).prune()
    assert seen > 1


def test_verify(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.caching().verify(deep=True, repair=False)
    assert world.said == ["all of 2 caches can be used"]
    del world.store.objects[BLOBS + digest_of("four")]
    with pytest.raises(ImagewrightError, match="1 of 2 caches cannot be used"):
        world.caching().verify(deep=False, repair=True)
    assert capsys.readouterr().out.splitlines()[-1].split()[0] == "gone@main@linux-arm64"

    world.caching(act=True, as_json=True).verify(deep=False, repair=True)

    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is True
    assert document["caches"][0]["deleted"] == ["manifests/gone@main@linux-arm64"]
    assert document["caches"][0]["blobs"] == [{"digest": digest_of("four"), "fault": "missing"}]
    assert world.store.names == {"app@main"}


def configure(project: Path, text: str) -> None:
    (project / "config").mkdir()
    (project / "config/images.yml").write_text(text)


@pytest.mark.parametrize(
    ("kind", "word"), [("registry", "in the registry"), ("inline", "in the images"), ("none", "nothing to do")]
)
def test_other_caches_are_told_in_words(project: Path, invoked: Invoke, kind: str, word: str) -> None:
    configure(project, f"cache: {{type: {kind}}}\n")
    done = invoked("cache", "status", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"schema": 1, "type": kind, "caches": []})
    assert word in done.stderr


def test_exit_codes(project: Path, invoked: Invoke) -> None:
    assert invoked("cache").returncode == 2
    wrong = invoked("cache", "clear")
    assert wrong.returncode == 2
    assert "`status`, `prune`" in wrong.stderr or "status, prune" in wrong.stderr
    configure(project, "cache: {type: s3, bucket: layers, endpoint_url: local}\n")
    never = invoked("cache", "status")
    assert (never.returncode, "invoke start s3" in never.stderr) == (3, True)


def test_a_store_that_is_away(project: Path, invoked: Invoke) -> None:
    configure(project, "cache: {type: s3, bucket: layers, endpoint_url: 'http://127.0.0.1:9'}\n")
    keys = {"AWS_ACCESS_KEY_ID": "AKIA-me", "AWS_SECRET_ACCESS_KEY": "s3cr3t", "AWS_EC2_METADATA_DISABLED": "true"}
    away = invoked("cache", "verify", more=keys)
    assert away.returncode == 3
    assert "s3://layers/: the store does not answer (EndpointConnectionError)" in away.stderr
    assert "s3cr3t" not in away.stderr + away.stdout
    home = {"HOME": str(project), "AWS_EC2_METADATA_DISABLED": "true"}
    without = invoked("cache", "verify", more=home)
    assert (without.returncode, "no keys for the store were found" in without.stderr) == (3, True)
