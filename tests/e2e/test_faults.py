"""Runs in which something fails, ends or is in the way: what is left of them, and that the next run makes it good."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.diamond import NAMES, configure, diamond, empty_builder, forget, kill
from tests.e2e.faults import Proxy, Strike, proxy
from tests.e2e.processes import processes
from tests.e2e.registries import Served
from tests.e2e.repository import Outcome, Repository

if TYPE_CHECKING:
    from tests.e2e.conftest import Inv, LocalEngine
    from tests.e2e.faults import Fault

pytestmark = pytest.mark.e2e

_NUMBERS = count(1)


@pytest.fixture
def repository(engine: LocalEngine, inv: Inv, base_image: str, tmp_path: Path) -> Repository:
    return diamond(tmp_path / "project", engine, inv, base_image)


@pytest.fixture(scope="module")
def served(serve: Callable[[int], Served]) -> Served:
    """A registry without a password, for a proxy to stand before."""
    return serve(3)


@dataclass(frozen=True)
class Way:
    """A diamond that is published through a proxy."""

    repository: Repository
    proxy: Proxy

    def tags(self) -> dict[str, tuple[str, ...]]:
        """The tags of each image."""
        return {name: self.repository.tags(name) for name in NAMES}

    def layers(self, name: str, digest: str) -> set[str]:
        """The digests of an image's filesystem layers, as blobs."""
        path = self.repository.reference(name).removesuffix(":dev").partition("/")[2]
        url = f"http://{self.proxy.upstream}/v2/{path}/manifests/{digest}"
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        with urllib.request.urlopen(urllib.request.Request(url, headers=accept)) as answer:
            return {layer["digest"] for layer in json.load(answer)["layers"]}

    def asked(self, since: int = 0) -> list[tuple[str, str]]:
        """The requests, from that number on: methods and paths."""
        return [(method, path) for method, path, _ in self.proxy.log[since:]]


@pytest.fixture
def way(engine: LocalEngine, inv: Inv, base_image: str, served: Served, tmp_path: Path) -> Iterator[Way]:
    with proxy(served.host) as between:
        prefix = f"{between.host}/way-{next(_NUMBERS)}"
        yield Way(diamond(tmp_path / "project", engine, inv, base_image, prefix), between)


def by_digest(method: str, path: str) -> bool:
    return method == "PUT" and "/manifests/sha256:" in path


def by_tag(method: str, path: str) -> bool:
    return method == "PUT" and "/manifests/" in path and "sha256:" not in path


def test_a_member_that_fails_takes_along_what_stands_on_it_and_nothing_else(repository: Repository) -> None:
    r = repository
    r.dockerfile("left", "FROM PREFIX/base", "RUN echo why-it-broke PREFIX && exit 3")
    r.commit()
    outcome = r.build("all", code=1)
    assert {name: outcome[name]["status"] for name in NAMES} == {
        "base": "built", "left": "failed", "right": "built", "top": "skipped",
    }  # fmt: skip
    assert outcome["top"]["because"] == "parent left failed"
    assert "Dockerfile.left:2" in outcome["left"]["error"]
    assert "why-it-broke" in outcome["left"]["error"]
    assert outcome.document["ok"] is False
    assert re.search(r"^.*\btop\b.*parent left failed", outcome.stderr, re.MULTILINE), outcome.stderr
    assert {name: bool(r.tags(name)) for name in NAMES} == {"base": True, "left": False, "right": True, "top": False}


def test_fail_fast_stops_what_is_at_work(repository: Repository) -> None:
    r = repository
    forget(r, *NAMES)
    mark = f"600.{time.monotonic_ns() % 10**9}"
    shared = "--mount=type=cache,id=PREFIX,target=/shared"
    r.dockerfile("bad", "FROM BASE", f"RUN {shared} until [ -e /shared/begun ]; do sleep 0.05; done; exit 3")
    r.dockerfile("endless", "FROM BASE", f"RUN {shared} touch /shared/begun && sleep {mark}")
    r.dockerfile("later", "FROM BASE", "COPY right.txt /")
    begin = time.monotonic()
    done = r.invoke("build", "all", "--fail-fast", "--json", env={"IMAGEWRIGHT_BUILDER_JOBS": "2"})
    assert done.returncode == 1
    assert time.monotonic() - begin < 120
    outcome = Outcome(code=1, stdout=done.stdout, stderr=done.stderr)
    assert {name: (outcome[name]["status"], outcome[name]["because"]) for name in ("bad", "endless", "later")} == {
        "bad": ("failed", None),
        "endless": ("skipped", "stopped: another image failed, and --fail-fast is set"),
        "later": ("skipped", "bad failed, and --fail-fast is set"),
    }
    assert [r.tags(name) for name in ("bad", "endless", "later")] == [()] * 3
    while processes(mark):  # BuildKit ends it in its own time
        assert time.monotonic() - begin < 120
        time.sleep(0.02)


def test_what_took_longest_goes_first_the_next_time(repository: Repository) -> None:
    r = repository
    forget(r, *NAMES)
    r.dockerfile("a", "FROM BASE", "COPY right.txt /")
    r.dockerfile("b", "FROM BASE", "RUN sleep 1 && echo PREFIX")
    r.dockerfile("c", "FROM scratch", "COPY right.txt /")
    r.dockerfile("d", "FROM PREFIX/c", "COPY right.txt /d")
    env = {"IMAGEWRIGHT_BUILDER_JOBS": "1"}

    def order(outcome: Outcome) -> list[str]:
        return re.findall(r"^[\d:]+ (\w): started$", outcome.stderr, re.MULTILINE)

    first = r.build("all", "--progress", "plain", env=env)
    assert order(first) == ["c", "a", "b", "d"], "nothing is known: the longest path by its images, then by name"
    history = Path(first["a"]["log"]).with_name("history.json")
    known = json.loads(history.read_text())
    assert set(known) == set("abcd")
    assert known["b"]["seconds"] >= 1
    for name, seconds in {"a": 2.0, "b": 5.0, "c": 1.0, "d": 3.0}.items():  # this machine's own vary
        known[name]["seconds"] = seconds
    history.write_text(json.dumps(known))
    assert order(r.build("all", "--progress", "plain", env=env)) == ["b", "c", "d", "a"]


def manifest_of_left(method: str, path: str) -> bool:
    return by_digest(method, path) and "/left/" in path


@dataclass
class Run:
    """`invoke build all --json`, at work."""

    process: subprocess.Popen[str]

    def ended(self) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        stdout, stderr = self.process.communicate(timeout=120)
        assert "Traceback" not in stderr, stderr
        return self.process.returncode, stdout, stderr


@pytest.fixture
def begin() -> Iterator[Callable[[Repository], Run]]:
    """Starts a run; it is ended with the test."""
    begun: list[Run] = []

    def one(r: Repository) -> Run:
        process = subprocess.Popen(
            [sys.executable, "-m", "invoke", "build", "all", "--json"],
            cwd=r.root,
            env=dict(r.engine.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        begun.append(Run(process))
        return begun[-1]

    yield one
    for run in begun:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.communicate()


def undisturbed(r: Repository) -> object:
    """The digests that a builder which knows nothing makes, with nothing of the images tagged before."""
    for name in NAMES:
        for tag in r.tags(name):
            r.delete_tag(name, tag)
    empty_builder(r.engine)
    return r.build("all").digests()


NO_RETRIES = {"IMAGEWRIGHT_BUILDER_RETRIES": "0"}


def test_a_buildkitd_that_is_killed_is_started_again_and_the_build_with_it(way: Way) -> None:
    r = way.repository
    r.dockerfile("left", "FROM PREFIX/base", f"RUN wget -q -O /dev/null http://{way.proxy.host}/v2/?{r.root.name}")
    r.commit()
    strike = Strike(lambda: kill("buildkitd", r.engine), lambda _method, path: path.endswith(f"?{r.root.name}"))
    way.proxy.before = strike
    again = r.build("all").digests()
    assert strike.done
    assert {name: r.digest(r.reference(name)) for name in NAMES} == again


def test_buildkitd_killed_in_the_middle_of_a_build(way: Way) -> None:
    r = way.repository
    r.dockerfile("left", "FROM PREFIX/base", f"RUN wget -q -O /dev/null http://{way.proxy.host}/v2/?{r.root.name}")
    r.commit()
    strike = Strike(lambda: kill("buildkitd", r.engine), lambda _method, path: path.endswith(f"?{r.root.name}"))
    way.proxy.before = strike
    outcome = r.build("all", code=3, env=NO_RETRIES)
    assert strike.done
    assert "builder imagewright went away while it built" in outcome["left"]["error"]
    assert outcome["top"]["status"] == "skipped"
    assert not way.tags()["left"]
    assert not way.tags()["top"]
    again = r.build("all").digests()
    assert {name: r.digest(r.reference(name)) for name in NAMES} == again


def test_buildkitd_killed_in_the_middle_of_a_push(way: Way) -> None:
    r = way.repository
    strike = Strike(lambda: kill("buildkitd", r.engine), manifest_of_left)
    way.proxy.before = strike
    outcome = r.build("all", code=3, env=NO_RETRIES)
    assert strike.done
    assert "builder imagewright went away" in outcome["left"]["error"]
    assert not way.tags()["left"]
    assert not way.tags()["top"]
    again = r.build("all").digests()
    assert {name: r.digest(r.reference(name)) for name in NAMES} == again
    assert again == undisturbed(r)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_run_itself_ended_in_the_middle_of_a_push(
    way: Way, begin: Callable[[Repository], Run], number: signal.Signals
) -> None:
    r = way.repository
    run: list[Run] = []
    strike = Strike(lambda: os.kill(run[0].process.pid, number), manifest_of_left)
    way.proxy.before = strike
    run.append(begin(r))
    code, stdout, stderr = run[0].ended()
    assert strike.done
    assert (code, stdout) == (130 if number == signal.SIGINT else -signal.SIGKILL, "")
    if number == signal.SIGINT:
        assert stderr.rstrip().endswith("interrupted")
        assert not [pid for pid in processes("buildx bake") if is_in(pid, r.root)]
    assert not way.tags()["left"]
    assert not way.tags()["top"]
    again = r.build("all").digests()
    assert {name: r.digest(r.reference(name)) for name in NAMES} == again


def is_in(pid: int, folder: Path) -> bool:
    try:
        return (Path("/proc") / str(pid) / "cwd").readlink() == folder
    except OSError:  # it has ended
        return False


@pytest.mark.parametrize("fault", ["429", "500", "reset"])
def test_a_registry_that_fails_once_is_asked_again(way: Way, fault: Fault) -> None:
    r = way.repository
    left: dict[str, Callable[[str, str], bool]] = {
        "an upload": lambda method, path: method == "POST" and "/right/" in path,
        "a manifest": manifest_of_left,
        "a tag": lambda method, path: by_tag(method, path) and "/top/" in path,
    }

    def choose(method: str, path: str) -> Fault | None:
        for name, which in left.items():
            if which(method, path):
                del left[name]
                return fault
        return None

    way.proxy.choose = choose
    outcome = r.build("all")
    assert not left, f"never met: {', '.join(left)}"
    assert {name: r.digest(r.reference(name)) for name in NAMES} == outcome.digests()


def test_a_slow_registry_is_waited_for(way: Way) -> None:
    way.proxy.before = lambda _method, _path: time.sleep(0.05)
    assert {one["status"] for one in way.repository.build("all").document["images"]} == {"built"}


def test_a_registry_that_goes_on_failing_is_named(way: Way) -> None:
    r = way.repository
    configure(r, "builder: {retries: 0}\n")  # BuildKit's own take seven seconds
    which = {"/left/": by_digest, "/right/": by_tag}
    way.proxy.choose = lambda method, path: (
        "500" if any(name in path and is_meant(method, path) for name, is_meant in which.items()) else None
    )
    outcome = r.build("left,right", "--tag", "one", code=1)
    for name in ("left", "right"):
        assert way.proxy.host in outcome[name]["error"]
        assert "500" in outcome[name]["error"]
        assert not way.tags()[name]
    assert f"{way.proxy.host} answers 500 Internal Server Error to the push of" in outcome["left"]["error"]
    assert "it is built, and not published" in outcome["right"]["error"]
    assert outcome["base"]["status"] == "built"
    way.proxy.choose = lambda _method, _path: None
    assert all(r.digest(one["reference"]) == one["digest"] for one in r.build("left,right").document["images"])


def test_requests_grow_with_the_images_by_a_small_number_each(way: Way) -> None:
    r = way.repository
    forget(r, *NAMES)
    built: dict[int, int] = {}
    compared: dict[int, int] = {}
    for number in (2, 4):
        for one in range(number):
            r.dockerfile(f"flat{one}", "FROM scratch", f"COPY right.txt /{one}")
        r.commit()
        r.build("all")
        since = len(way.proxy.log)
        again = r.build("all")
        assert all(one["cached_steps"] == one["steps"] for one in again.document["images"])
        built[number] = len(way.proxy.log) - since
        since = len(way.proxy.log)
        assert r.invoke("build-changed", "--since", "registry").returncode == 0
        compared[number] = len(way.proxy.log) - since
    tags = len(again["flat0"]["tags"])
    assert tags == 4
    # What is published is read (manifest, configuration). BuildKit looks for both blobs and the manifest. Then the
    # manifest is read, and each tag looked at twice.
    assert built[4] - built[2] <= 2 * (2 + 3 + 1 + 2 * tags)
    assert compared[4] - compared[2] <= 2


def test_a_parent_that_is_there_is_not_pulled(way: Way) -> None:
    r = way.repository
    forget(r, *NAMES)
    (r.root / "large").write_bytes(os.urandom(300_000))
    r.dockerfile("base", "FROM BASE", "COPY large /")
    r.dockerfile("app", "FROM PREFIX/base", "COPY --link right.txt /")
    r.commit()
    first = r.build("all")
    empty_builder(r.engine)
    r.write("right.txt", "changed\n")
    r.commit()
    since = len(way.proxy.log)
    done = r.invoke("build-changed", "--since", "HEAD~1", "--json")
    assert done.returncode == 0, done.stderr
    outcome = Outcome(code=0, stdout=done.stdout, stderr=done.stderr)
    assert (outcome["base"]["status"], outcome["app"]["status"]) == ("reused", "built")
    assert outcome["base"]["digest"] == first["base"]["digest"]
    pulled = {path.rpartition("/")[2] for method, path in way.asked(since) if method == "GET" and "/blobs/" in path}
    assert not pulled & way.layers("base", str(first["base"]["digest"]))
