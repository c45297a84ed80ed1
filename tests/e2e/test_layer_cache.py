"""The layer cache outside the builder, on a builder that has forgotten everything, and on a store that fails."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.diamond import NAMES, configure, diamond, empty_builder, forget, kill, start
from tests.e2e.store_proxy import Store, before_store, blobs_written, manifests_read, signed, warnings

if TYPE_CHECKING:
    from tests.e2e.conftest import Inv, LocalEngine
    from tests.e2e.faults import Fault
    from tests.e2e.repository import Outcome, Repository

pytestmark = pytest.mark.e2e

WITHOUT = "the layer cache cannot be used, builds go on without it: "


@pytest.fixture
def store(engine: LocalEngine) -> Iterator[Store]:
    with before_store(engine) as found:
        yield found


@pytest.fixture
def repository(engine: LocalEngine, inv: Inv, base_image: str, tmp_path: Path) -> Repository:
    return diamond(tmp_path / "project", engine, inv, base_image)


def cached(outcome: Outcome) -> Mapping[str, tuple[int, int]]:
    """The steps that came from a cache, and all, by image."""
    return {one["name"]: (one["cached_steps"], one["steps"]) for one in outcome.document["images"]}


def all_cached(outcome: Outcome) -> bool:
    return all(found == steps for found, steps in cached(outcome).values())


PUSH = {"before": "0" * 40, "forced": False}


def in_actions(r: Repository, event: str, ref: str, **payload: Any) -> dict[str, str]:
    """GitHub Actions' variables."""
    file = r.root.parent / f"{event}.json"
    file.write_text(json.dumps({"repository": {"default_branch": "main", "full_name": "me/images"}, **payload}))
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": event,
        "GITHUB_EVENT_PATH": str(file),
        "GITHUB_REF": ref,
        "GITHUB_SHA": r.git("rev-parse", "HEAD"),
    }


def test_another_machine_builds_nothing_again(repository: Repository, store: Store) -> None:
    r = repository
    configure(r, store.settings(endpoint_url="local"))
    first = r.build("all", env=in_actions(r, "push", "refs/heads/main", **PUSH))
    assert not any(found for found, _ in cached(first).values())
    assert set(store.manifests()) == {f"{name}@main" for name in NAMES}

    empty_builder(r.engine)
    second = r.build("all", env=in_actions(r, "push", "refs/heads/main", **PUSH))
    assert all_cached(second), cached(second)
    assert second.digests() == first.digests()
    assert warnings(second.stderr) == []

    # A branch reads what the default branch wrote, of the image and of its parents, and writes for itself.
    empty_builder(r.engine)
    again = ("FROM BASE AS same", "COPY right.txt /base.txt", "RUN test -s /base.txt")
    r.dockerfile("child", *again, "FROM PREFIX/base", "COPY --from=same /base.txt /child.txt")
    r.commit()
    before = store.manifests()
    branch = r.build("top,child", env=in_actions(r, "push", "refs/heads/feature", **PUSH))
    steps = cached(branch)
    assert {name: found == all_steps for name, (found, all_steps) in steps.items()} == {
        **dict.fromkeys(NAMES, True),
        "child": False,
    }
    assert steps["child"][0] == 2, "the steps that its parent's cache has"
    after = store.manifests()
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {f"{name}@feature" for name in (*NAMES, "child")}

    # A pull request from a fork reads, and writes nothing.
    head = r.git("rev-parse", "HEAD")
    pull_request = {
        "number": 7,
        "head": {"ref": "theirs", "sha": head, "repo": {"full_name": "somebody/images"}},
        "base": {"ref": "main", "sha": head, "repo": {"full_name": "me/images"}},
    }
    r.write("right.txt", f"{r.prefix} theirs\n")
    r.commit()
    theirs = r.build("top", env=in_actions(r, "pull_request", "refs/pull/7/merge", pull_request=pull_request))
    assert "read, and not written: a pull request from a fork writes no cache" in theirs.stderr
    assert store.manifests() == after


@pytest.mark.parametrize("kind", ["registry", "inline"])
def test_a_cache_in_the_registry(repository: Repository, kind: str) -> None:
    r = repository
    configure(r, f"cache: {{type: {kind}}}\ncleanup: {{keep: 1, max_share: 1.0}}\n")
    first = r.build("all", "--tag", "v1")
    layers = {name: r.layers(r.reference(name, "v1")) for name in NAMES}
    empty_builder(r.engine)
    second = r.build("all", "--tag", "v1")
    assert all_cached(second), cached(second)
    assert {name: r.layers(r.reference(name, "v1")) for name in NAMES} == layers
    if kind == "registry":  # BuildKit describes an inline cache in the image itself, and not always in the same words
        assert second.digests() == first.digests()
    kept = {name: [tag for tag in r.tags(name) if "cache" in tag] for name in NAMES}
    assert [len(tags) for tags in kept.values()] == [1 if kind == "registry" else 0] * 4

    if kind == "registry":
        r.build("all", "--tag", "v2")
        cleaned = r.invoke("cleanup", "--sort", "version", "--yes")
        assert cleaned.returncode == 0, cleaned.stderr
        assert set(r.tags("top")) == {"v2", *kept["top"]}
        assert {name: [tag for tag in r.tags(name) if "cache" in tag] for name in NAMES} == kept


def wrong_keys(store: Store) -> Mapping[str, str]:
    return {**store.env, "AWS_SECRET_ACCESS_KEY": "wr0ng-but-as-long-as-the-right-one-is"}


@pytest.fixture
def single(repository: Repository, store: Store) -> Repository:
    """One image with a layer worth keeping, and a file that can change behind it."""
    r = repository
    forget(r, *NAMES)
    r.dockerfile(
        "app",
        "FROM BASE",
        "RUN echo PREFIX && head -c 200000 /dev/urandom > /large",
        "COPY right.txt /",
        "RUN test $(cat /large | wc -c) = 200000",
    )
    configure(r, store.settings())
    return r


FAULTS: Mapping[str, tuple[Fault, Callable[[str, str], bool], str]] = {
    "500 to a read": ("500", manifests_read, r"HTTP 500"),
    "429 to all": ("429", signed, r"HTTP 429"),
    "reset": ("reset", signed, r"EOF|reset"),
    "full": ("507", blobs_written, r"HTTP 507"),
    "refused": ("403", blobs_written, r"HTTP 403"),
}


def test_a_store_that_fails_costs_the_build_a_warning(single: Repository, store: Store) -> None:
    r = single
    for number, (name, (fault, which, reason)) in enumerate(FAULTS.items()):
        r.write("right.txt", f"{number}\n")
        store.fail(fault, which)
        outcome = r.build("app", env=store.env)
        (warning,) = warnings(outcome.stderr)
        assert WITHOUT in warning, name
        assert _has(warning, reason), (name, warning)
        assert r.digest(r.reference("app")) == outcome["app"]["digest"]
    store.heal()
    store.delay(0.1)
    r.write("right.txt", "slow\n")
    assert warnings(r.build("app", env=store.env).stderr) == []
    assert set(store.manifests()) == {"app@main"}


def test_a_store_that_refuses_or_has_no_bucket(single: Repository, store: Store) -> None:
    r = single
    outcome = r.build("app", env=wrong_keys(store))
    (warning,) = warnings(outcome.stderr)
    assert _has(warning, "HTTP 403"), warning
    r.write("config/images.yml", r.root.joinpath("config/images.yml").read_text().replace('"layers"', '"nothere"'))
    (warning,) = warnings(r.build("app", env=store.env).stderr)
    assert _has(warning, "NoSuchBucket|bucket does not exist|HTTP 404"), warning


def test_a_store_that_is_not_there(single: Repository, store: Store, free_ports: Callable[[int], list[int]]) -> None:
    r = single
    address = f"http://127.0.0.1:{free_ports(1)[0]}"
    configure(r, store.settings(endpoint_url=address))
    (warning,) = warnings(r.build("app", env=store.env).stderr)
    assert f"{WITHOUT}{address} does not answer" in warning
    configure(r, store.settings(endpoint_url=address, required=True))
    refused = r.invoke("build", "app", "--json", env=store.env)
    assert refused.returncode == 3, refused.stderr
    assert f"`cache.required` is set: {address} does not answer" in refused.stderr


@pytest.mark.parametrize(
    ("fault", "which", "reason"),
    [("500", manifests_read, "HTTP 500"), ("507", blobs_written, "HTTP 507")],
    ids=["read", "write"],
)
def test_a_required_cache_that_fails_fails_the_build(
    single: Repository, store: Store, fault: Fault, which: Callable[[str, str], bool], reason: str
) -> None:
    r = single
    configure(r, store.settings(required=True))
    store.fail(fault, which)
    outcome = r.build("app", env=store.env, code=3)
    assert outcome["app"]["status"] == "failed"
    assert _has(outcome["app"]["error"], f"`cache.required` is set: .*{reason}"), outcome["app"]["error"]
    assert r.tags("app") == ()


def test_a_store_that_dies_in_the_middle(single: Repository, store: Store, engine: LocalEngine) -> None:
    r = single
    store.strike(lambda: kill("s3", engine), blobs_written)
    try:
        outcome = r.build("app", env=store.env)
    finally:
        start("s3", engine)
    assert len(warnings(outcome.stderr)) == 1, outcome.stderr
    assert store.manifests() == {}
    assert r.digest(r.reference("app")) == outcome["app"]["digest"]
    assert warnings(r.build("app", env=store.env).stderr) == []
    assert set(store.manifests()) == {"app@main"}


def test_a_blob_that_is_lost_is_written_anew(single: Repository, store: Store, engine: LocalEngine) -> None:
    r = single
    r.build("app", env=store.env)
    store.blobs()[0].unlink()
    r.write("right.txt", "changed\n")
    r.commit()
    empty_builder(engine)
    outcome = r.build("app", env=store.env)
    (warning,) = warnings(outcome.stderr)
    assert "the cache of app lacks a blob: it is built without, and its cache is written anew" in warning
    empty_builder(engine)
    again = r.build("app", env=store.env)
    assert all_cached(again), cached(again)
    assert again.digests() == outcome.digests()


def test_a_store_that_takes_the_question_and_never_answers(
    single: Repository, store: Store, engine: LocalEngine
) -> None:
    r = single
    release = Event()
    configure(r, store.settings(timeout="3s"))
    store.wait_for(release, manifests_read)
    try:
        outcome = r.build("app", env=store.env)
    finally:
        release.set()
    (warning,) = warnings(outcome.stderr)
    assert _has(warning, "its store said nothing for 3s"), warning
    assert r.digest(r.reference("app")) == outcome["app"]["digest"]


def _has(text: str, pattern: str) -> bool:
    return re.search(pattern, text, re.DOTALL) is not None


def test_keys_are_found_by_the_chain_of_aws_in_a_profile_of_a_file(
    repository: Repository, store: Store, tmp_path: Path
) -> None:
    r = repository
    configure(r, store.settings())
    keys = {key: value for key, value in store.env.items() if key.startswith("AWS_")}
    profile = "".join(f"{key.lower()} = {value}\n" for key, value in keys.items())
    (tmp_path / "credentials").write_text(f"[default]\naws_access_key_id = nobody\n[homelab]\n{profile}")
    outcome = r.build(
        "base", env={"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"), "AWS_PROFILE": "homelab"}
    )
    assert warnings(outcome.stderr) == []
    assert [name for name in store.manifests() if name.startswith("base@")]
    assert keys["AWS_SECRET_ACCESS_KEY"] not in outcome.stderr + outcome.stdout
