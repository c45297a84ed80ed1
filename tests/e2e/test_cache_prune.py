"""`invoke cache` on a real S3 store, with caches that a real BuildKit has written and reads."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from imagewright.cache import condemned
from imagewright.cache.lease import Lease
from imagewright.cache.look import look
from imagewright.cache.retire import Policy
from imagewright.cache.store import connect
from imagewright.cache.verify import verify
from imagewright.errors import ImagewrightError
from imagewright.services import credentials
from imagewright.services.s3 import BUCKET
from tests.cache.pruning import prune
from tests.e2e.conftest import BUILDER

if TYPE_CHECKING:
    from imagewright.cache.store import S3Store
    from tests.e2e.conftest import Inv, LocalEngine

pytestmark = pytest.mark.e2e

DAY = 86_400.0
SECOND = timedelta(seconds=1)
# How long builds and prunes go at it; a longer run by hand shows more.
SECONDS = float(os.environ.get("CACHE_PRUNE_SECONDS", "28"))
LETTERS = {"app": "abcdef", "base": "ABCDEF"}
# The manifest is read at the start; what it names is needed when the last step begins, two seconds later.
SLOW = """\
FROM BASE AS slow
COPY new /
RUN sleep 2
FROM scratch
COPY FIRST /
COPY SECOND /
COPY --from=slow /new /
"""
WAIT = 9 * SECOND
_numbers = itertools.count()


@dataclass
class Site:
    """A project with a prefix of its own in the local store."""

    engine: LocalEngine
    inv: Inv
    root: Path
    base: str
    prefix: str = field(default_factory=lambda: f"prune-{next(_numbers)}/")

    def __post_init__(self) -> None:
        (self.root / "Dockerfiles").mkdir(parents=True)
        (self.root / "config").mkdir()
        (self.root / "tasks.py").write_text("from imagewright import ns\n")
        (self.root / "Dockerfiles/Dockerfile.app").write_text("FROM scratch\n")
        text = f"cache: {{type: s3, bucket: {BUCKET}, endpoint_url: local, prefix: {self.prefix}}}\n"
        (self.root / "config/images.yml").write_text(text)

    @property
    def keys(self) -> dict[str, str]:
        return credentials.s3_environment(self.engine.places)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.engine.places.s3_port}"

    @property
    def files(self) -> Path:
        """Where the store keeps the objects: each is a file."""
        return self.engine.places.service("s3") / "data" / BUCKET / self.prefix

    def store(self) -> S3Store:
        return connect(BUCKET, self.prefix, region="us-east-1", endpoint=self.endpoint, keys=self.keys)

    def context(self, name: str, *layers: str) -> Path:
        """A build whose filesystem layers are the same wherever and whenever it runs."""
        folder = self.root / "contexts" / name
        folder.mkdir(parents=True, exist_ok=True)
        for layer in layers:
            (folder / layer).write_text(layer * 1000)
            os.utime(folder / layer, (DAY, DAY))
        (folder / "Dockerfile").write_text("\n".join(["FROM scratch", *(f"COPY {one} /" for one in layers), ""]))
        return folder

    def args(self, name: str, more: str = "mode=max") -> list[str]:
        place = f"type=s3,region=us-east-1,bucket={BUCKET},prefix={self.prefix},name={name}"
        place += f",endpoint_url={self.endpoint},use_path_style=true"
        return [f"--cache-to={place},{more}", f"--cache-from={place}"]

    def build(self, name: str, *layers: str) -> None:
        self.engine.build(self.context(name, *layers), *self.args(name), env=self.keys)

    def run(self, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = self.inv(self.root, "cache", *args)
        assert done.returncode == code, done.stdout + done.stderr
        secret = self.keys["AWS_SECRET_ACCESS_KEY"]
        assert secret not in done.stdout + done.stderr
        return done

    def json(self, *args: str, code: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run(*args, "--json", code=code).stdout)
        return found

    def pass_days(self, days: float) -> None:
        """All that was written is older by so much, and so is the record of what is condemned."""
        for file in self.files.rglob("*"):
            if file.is_file():
                when = file.stat().st_mtime - days * DAY
                os.utime(file, (when, when))
        store = self.store()
        if record := store.get(condemned.KEY):
            document = json.loads(record.body)
            for group in document["condemned"]:
                group["since"] -= days * DAY
                group["blobs"] = {digest: seconds - days * DAY for digest, seconds in group["blobs"].items()}
            store.put(condemned.KEY, json.dumps(document).encode(), etag=record.etag)

    def blobs(self) -> set[str]:
        return {file.name for file in (self.files / "blobs").glob("*")}

    def manifests(self) -> set[str]:
        return {file.name for file in (self.files / "manifests").glob("*")}


@pytest.fixture
def site(engine: LocalEngine, inv: Inv, tmp_path: Path, base_image: str) -> Site:
    return Site(engine=engine, inv=inv, root=tmp_path / "project", base=base_image)


def test_what_builds_leave_is_shown_condemned_and_deleted(site: Site) -> None:
    site.build("app@main", "one", "two")
    site.build("app@dev", "one", "three")
    site.build("old@main", "four")

    status = site.json("status")
    sizes = {one["name"]: one for one in status["caches"]}
    assert set(sizes) == {"app@main", "app@dev", "old@main"}
    assert sizes["app@main"]["shared"] == sizes["app@dev"]["shared"] > 0
    assert sizes["app@main"]["own"] > 0
    assert sizes["old@main"]["shared"] == 0
    assert status["total"]["blobs"] == len(site.blobs()) == 4
    assert status["unneeded"] == {"blobs": 0, "bytes": 0}
    before = site.blobs()
    site.pass_days(4)
    site.build("app@dev", "one", "five")
    assert "nothing was deleted: --yes does it" in site.run("prune").stderr
    assert site.manifests() == {"app@main", "app@dev", "old@main"}

    first = site.json("prune", "--yes")
    assert first["retired"] == ["old@main"], "there is no image of that name"
    assert first["deleted"] == []
    assert first["condemned"]["blobs"] == 2
    assert len(site.blobs()) == 5
    site.pass_days(0.9)
    assert site.json("prune", "--yes")["deleted"] == []
    site.pass_days(0.2)
    again = site.run("prune", "--yes")
    assert again.stderr.count("deleted blobs/sha256:") == 2
    assert len(site.blobs()) == 3
    assert len(before & site.blobs()) == 2
    assert "all of 2 caches can be used" in site.run("verify", "--deep").stderr
    assert not (site.files / "imagewright/lease.json").exists()


def test_the_oldest_caches_go_beyond_a_budget(site: Site) -> None:
    for name in ("one", "two", "three"):
        site.build(f"app@{name}", name, "common")
        if name != "three":
            site.pass_days(1)
    total = site.json("status")["total"]["bytes"]

    found = site.json("prune", f"--budget={total - 1}B", "--yes")

    assert found["retired"] == ["app@one"]
    assert site.manifests() == {"app@two", "app@three"}


def test_a_cache_that_lacks_a_blob_is_found_and_removed(site: Site) -> None:
    site.build("app@main", "one", "two")
    site.build("app@dev", "one", "three")
    site.build("app@ill", "four")
    mine = {one["blob"] for one in json.loads((site.files / "manifests/app@main").read_text())["layers"]}
    others = {one["blob"] for one in json.loads((site.files / "manifests/app@dev").read_text())["layers"]}
    (lost,) = mine - others
    (site.files / "blobs" / lost).unlink()
    (ill,) = {one["blob"] for one in json.loads((site.files / "manifests/app@ill").read_text())["layers"]}
    content = bytearray((site.files / "blobs" / ill).read_bytes())
    content[-1] ^= 1
    (site.files / "blobs" / ill).write_bytes(content)

    found = site.json("verify", code=1)
    assert [(one["name"], one["blobs"]) for one in found["caches"]] == [
        ("app@main", [{"digest": lost, "fault": "missing"}])
    ]
    deep = site.run("verify", "--deep", code=1)
    assert "app@ill" in deep.stdout
    assert "of 1 blobs 1 of the wrong content" in deep.stdout
    site.run("verify", "--repair", code=1)
    assert site.manifests() == {"app@main", "app@dev", "app@ill"}, "--yes was not given"

    assert "deleted manifests/app@main" in site.run("verify", "--deep", "--repair", "--yes").stderr

    assert site.manifests() == {"app@dev"}
    assert ill not in site.blobs()
    site.run("verify", "--deep")
    (site.files / "manifests/app@odd").write_text("half")
    assert "nobody can tell what this cache needs: it is no JSON" in site.run("prune", "--yes", code=1).stderr
    site.run("verify", "--repair", "--yes")
    assert site.manifests() == {"app@dev"}


def test_one_prune_at_a_time_and_none_by_those_who_may_not(site: Site) -> None:
    site.build("app@main", "one")
    with Lease(site.store()):
        assert "another prune of this store is running (by " in site.run("prune", "--yes", code=1).stderr
    site.run("prune", "--yes")
    wrong = {**site.keys, "AWS_SECRET_ACCESS_KEY": "s3cr3t" * 6}
    with pytest.raises(ImagewrightError, match="the store refuses: SignatureDoesNotMatch") as refused:
        look(connect(BUCKET, site.prefix, region="us-east-1", endpoint=site.endpoint, keys=wrong))
    assert "s3cr3t" not in str(refused.value)
    with pytest.raises(ImagewrightError, match="there is no bucket nowhere"):
        look(connect("nowhere", "", region="us-east-1", endpoint=site.endpoint, keys=site.keys))


def test_the_store_keeps_conditions(site: Site) -> None:
    store = site.store()
    etag = store.put("x", b"1", etag=None)
    for wrong in (None, '"0123456789abcdef0123456789abcdef"'):
        with pytest.raises(ImagewrightError, match="somebody else has written this object"):
            store.put("x", b"2", etag=wrong)
    store.put("x", b"3", etag=etag)
    head = store.head("x")
    assert head is not None
    assert not store.delete("x", head.modified - 5 * SECOND)
    assert store.get("x") is not None
    assert store.delete("x", head.modified)
    assert (store.get("x"), store.head("x"), store.digest("x")) == (None, None, None)
    assert store.delete("x", head.modified), "it is gone"
    assert abs(store.now().timestamp() - time.time()) < 5


@dataclass
class Builder:
    """Builds one image again and again from its cache in the store, on an engine whose own cache is emptied."""

    site: Site
    name: str
    until: float
    ended: list[tuple[float, str]] = field(default_factory=list)  # seconds and errors

    def run(self) -> None:
        dice = random.Random(self.name)  # noqa: S311 - the same builds each time
        letters = list(LETTERS[self.name])  # no other builder keeps these
        folder, start = self.site.context(self.name, *letters), time.monotonic()
        for number in itertools.count():
            if time.monotonic() > self.until:
                return
            # Letters come and go: what is condemned is needed again now and then.
            window = int((time.monotonic() - start) / 8) * 2 % len(letters)
            first, second = letters[window : window + 2] if dice.random() < 0.9 else dice.sample(letters, 2)
            (folder / "new").write_text(f"{self.name} {number}")
            text = SLOW.replace("BASE", self.site.base).replace("FIRST", first).replace("SECOND", second)
            (folder / "Dockerfile").write_text(text)
            self._build(folder, dice.choice(["main", "dev"]))

    def _build(self, folder: Path, scope: str) -> None:
        # What the scope's last build left is read; two seconds stand for the 24 hours of `touch_refresh`.
        args = self.site.args(f"{self.name}@{scope}", "mode=min,touch_refresh=2s,ignore-error=true")
        start = time.monotonic()
        try:
            self.site.engine.build(folder, *args, env=self.site.keys)
        except AssertionError as error:
            self.ended.append((time.monotonic() - start, str(error)))
        else:
            self.ended.append((time.monotonic() - start, ""))


def test_no_build_ever_misses_a_blob(site: Site, record_property: Any) -> None:
    """Builds and prunes at once, with seconds in the place of days."""
    policy = Policy(unused=6 * SECOND, grace=9 * SECOND, wait=WAIT)
    until = time.monotonic() + SECONDS
    builders = [Builder(site, name, until) for name in LETTERS]
    store, blobs, caches = site.store(), 0, 0
    with ThreadPoolExecutor(len(builders)) as pool:
        running = [pool.submit(one.run) for one in builders]
        # Now and then all caches are retired, while builds have read them.
        for one in itertools.cycle((policy, policy, replace(policy, budget=1))):
            if all(builds.done() for builds in running):
                break
            done = prune(store, images=("app", "base"), policy=one)
            blobs, caches = blobs + len(done.blobs), caches + len(done.caches)
            site.engine.docker("buildx", "prune", "--builder", BUILDER, "--all", "--force")
    ended = [build for one in builders for build in one.ended]

    in_time = [error for seconds, error in ended if seconds < WAIT.total_seconds()]
    assert [error for error in in_time if error] == []
    assert verify(store, look(store)) == []
    record_property("builds beside prunes", f"{len(in_time)} (the slowest {max(ended)[0]:.1f} s)")
    record_property("deleted meanwhile", f"{blobs} blobs, {caches} caches")
    assert blobs, "nothing was deleted: nothing was shown"
    assert caches
