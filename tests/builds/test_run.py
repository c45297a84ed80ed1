from __future__ import annotations

import errno
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from imagewright.builds.builder import Builder
from imagewright.builds.job import Job, Part, RunOptions
from imagewright.builds.progress import Event, Progress
from imagewright.builds.publication import Publication, Publish, Unpublished
from imagewright.builds.result import ImageResult, exit_code
from imagewright.builds.run import execute
from imagewright.errors import EnvironmentMissingError, RegistryError

DATA = Path(__file__).parent / "data"
BOX = Builder(name="box", driver="remote")


class FakeDoor:
    """A docker whose bake calls play what they are told: an exit code, and the lines of a recording."""

    def __init__(self, **plays: Sequence[tuple[int, str]]) -> None:
        self.plays = {name: list(play) for name, play in plays.items()}
        self.documents: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str, Path, Mapping[str, str]]] = []
        self.files: list[Path] = []
        self.canceled = False
        self.hook: Callable[[str], None] = lambda _target: None

    def bake(
        self,
        file: Path,
        target: str,
        *,
        builder: str,
        metadata: Path,
        on_line: Callable[[str], None],
        cwd: Path,
        env: Mapping[str, str] | None = None,
        on_start: Callable[[Callable[[], None]], None] = lambda _stop: None,
    ) -> int:
        self.calls.append((target, builder, cwd, dict(env or {})))
        self.files += [file, metadata]
        self.documents[target] = json.loads(file.read_text())
        self.hook(target)
        play = self.plays.get(target)
        code, recording = play.pop(0) if play else (0, "ok")
        for line in (DATA / f"{recording}.txt").read_text().splitlines():
            on_line(line)
        if code == 0:
            metadata.write_text(json.dumps({target: {"containerimage.digest": f"sha256:{target}"}}))
        return code

    def cancel(self) -> None:
        self.canceled = True


class Recorder:
    """A view that writes down what it is told, and by whom."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.threads: set[int] = set()
        self.closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.closed = True

    def note(self, text: str) -> None:
        self.threads.add(threading.get_ident())
        if text not in self.told:
            self.told.append(text)

    def begin(self, names: Sequence[str]) -> None:
        self.threads.add(threading.get_ident())

    def started(self, name: str) -> None:
        self.note(f"{name} started")

    def progressed(self, name: str, progress: Progress, events: Sequence[Event]) -> None:
        self.note(f"{name} progressed")

    def retrying(self, name: str, why: str, seconds: float) -> None:
        self.note(f"{name} retrying in {seconds}")

    def warned(self, text: str) -> None:
        self.note(f"warned: {text}")

    def ended(self, result: ImageResult) -> None:
        self.note(f"{result.name} {result.status}")

    def tick(self) -> None:
        self.threads.add(threading.get_ident())

    def finish(self, results: Sequence[ImageResult], seconds: float) -> None:
        raise AssertionError("the caller's to call")


def a_job(name: str, *parents: str) -> Job:
    repository = f"localhost:5050/{name}"
    return Job(
        name=name, parents=parents, tags=(f"{repository}:dev",), platforms=("linux/amd64",), repository=repository
    )


def a_document(job: Job, digests: Mapping[str, str], part: Part) -> dict[str, Any]:
    target = {"context": ".", "dockerfile": f"images/Dockerfile.{job.name}", "args": dict(digests)}
    name = job.name.replace("/", "_")
    return {"group": {"default": {"targets": [name]}}, "target": {name: target}}


def executed(tmp_path: Path, door: FakeDoor, view: Recorder, *jobs: Job, **options: Any) -> list[ImageResult]:
    publish: Publish | None = options.pop("publish", None)
    defaults: dict[str, Any] = {"root": tmp_path, "jobs": 2, "push": True, "pause": 0.0}
    return list(
        execute(
            jobs,
            bake=a_document,
            builder=BOX,
            options=RunOptions(**{**defaults, **options}),
            view=view,
            docker=door,
            log_folder=tmp_path / "logs",
            publish=publish,
        )
    )


def test_a_child_is_built_from_the_digest_of_its_parent(tmp_path: Path) -> None:
    door, view = FakeDoor(), Recorder()
    results = executed(tmp_path, door, view, a_job("app", "base"), a_job("base"), env={"TOKEN": "x"})
    assert [(result.name, result.status, result.digest) for result in results] == [
        ("app", "built", "sha256:app"),
        ("base", "built", "sha256:base"),
    ]
    assert [call[0] for call in door.calls] == ["base", "app"]
    assert door.calls[0] == ("base", "box", tmp_path, {"TOKEN": "x"})
    assert door.documents["app"]["target"]["app"]["args"] == {"base": "sha256:base"}
    assert door.documents["base"]["target"]["base"]["args"] == {}
    assert (results[0].steps, results[0].cached_steps) == (4, 0)
    assert view.told == [
        "base started", "base progressed", "base built", "app started", "app progressed", "app built",
    ]  # fmt: skip
    assert view.threads == {threading.get_ident()}
    assert view.closed


def test_tags_are_put_when_an_image_is_built_and_before_its_children_begin(tmp_path: Path) -> None:
    told: list[str] = []
    door = FakeDoor()
    door.hook = lambda target: told.append(f"bake {target}")

    def publish(job: Job, digest: str) -> Publication:
        told.append(f"publish {job.name} {digest}")
        return Publication(tags=job.tags)

    executed(tmp_path, door, Recorder(), a_job("base"), a_job("app", "base"), publish=publish)
    assert told == ["bake base", "publish base sha256:base", "bake app", "publish app sha256:app"]


def test_what_cannot_be_published_has_failed_and_nothing_is_built_on_it(tmp_path: Path) -> None:
    def publish(job: Job, _digest: str) -> Publication:
        if job.name == "base":
            raise RegistryError("the tag is locked", where="localhost:5050/base:1.2", hint="unlock it")
        return Publication(tags=job.tags)

    base, app, other = executed(
        tmp_path, FakeDoor(), Recorder(), a_job("base"), a_job("app", "base"), a_job("other"), publish=publish
    )
    assert (base.status, base.digest, base.tags) == ("failed", "sha256:base", ())
    assert base.failure is not None
    assert "built, and not published: the tag is locked" in str(base.failure.error)
    assert (app.status, app.because) == ("skipped", "parent base failed")
    assert other.status == "built"


def test_what_has_a_digest_is_published_and_not_built(tmp_path: Path) -> None:
    door, put = FakeDoor(), []

    def publish(job: Job, digest: str) -> Publication:
        put.append((job.name, digest))
        return Publication(tags=job.tags)

    job = replace(a_job("app"), digest="sha256:known")
    (result,) = executed(tmp_path, door, Recorder(), job, publish=publish)
    assert (result.status, result.digest, result.tags) == ("reused", "sha256:known", job.tags)
    assert put == [("app", "sha256:known")]
    assert door.calls == []


def test_another_registry_that_fails_is_named_and_stops_nothing(tmp_path: Path) -> None:
    missing = Unpublished(registry="nas:5000", error="connection refused")

    def publish(job: Job, _digest: str) -> Publication:
        return Publication(tags=job.tags[:1], unpublished=(missing,) if job.name == "base" else ())

    base, app = executed(tmp_path, FakeDoor(), Recorder(), a_job("base"), a_job("app", "base"), publish=publish)
    assert (base.status, base.unpublished, app.status) == ("built", (missing,), "built")
    assert exit_code((base, app)) == 1
    assert exit_code((app,)) == 0


def test_without_a_push_parents_are_linked(tmp_path: Path) -> None:
    door = FakeDoor()
    executed(tmp_path, door, Recorder(), a_job("base"), a_job("app", "base"), push=False)
    assert door.documents["app"]["target"]["app"]["args"] == {}


def test_a_failure_skips_its_dependents_and_nothing_else(tmp_path: Path) -> None:
    door = FakeDoor(bad=[(1, "run")])
    results = executed(
        tmp_path, door, Recorder(), a_job("bad"), a_job("good"), a_job("child", "bad", "good"), a_job("last", "child")
    )
    assert {result.name: result.status for result in results} == {
        "bad": "failed", "good": "built", "child": "skipped", "last": "skipped",
    }  # fmt: skip
    bad, _, child, last = results
    assert bad.failure is not None
    assert bad.failure.exit_code == 7
    assert (child.because, last.because) == ("parent bad failed", "parent child was skipped: bad failed")


def test_the_failure_names_the_dockerfile_by_its_path(tmp_path: Path) -> None:
    result, *_ = executed(tmp_path, FakeDoor(run=[(1, "run")]), Recorder(), a_job("run"))
    assert result.failure is not None
    assert result.failure.where == "images/Dockerfile.run:4"


def test_a_transient_failure_is_tried_again(tmp_path: Path) -> None:
    door, view = FakeDoor(app=[(1, "push500"), (1, "pushreset"), (0, "ok")]), Recorder()
    (result,) = executed(tmp_path, door, view, a_job("app"), retries=2)
    assert result.status == "built"
    assert len(door.calls) == 3
    assert "app retrying in 0.0" in view.told
    log = Path(str(result.log)).read_text()
    assert "--- the registry has an error of its own: next try" in log
    assert "--- the connection was reset: next try" in log


@pytest.mark.parametrize(("recording", "calls"), [("push500", 2), ("run", 1), ("pushauth", 1)])
def test_retries_end_and_only_help_where_they_can(tmp_path: Path, recording: str, calls: int) -> None:
    door = FakeDoor(app=[(1, recording)] * 5)
    (result,) = executed(tmp_path, door, Recorder(), a_job("app"), retries=1)
    assert result.status == "failed"
    assert len(door.calls) == calls


def test_no_more_than_so_many_at_once(tmp_path: Path) -> None:
    together, lock = [0, 0], threading.Lock()
    pair = threading.Barrier(2)
    door = FakeDoor()

    def hook(_target: str) -> None:
        with lock:
            together[0] += 1
            together[1] = max(together)
        pair.wait(10)  # both places are in use at the same time
        with lock:
            together[0] -= 1

    door.hook = hook
    executed(tmp_path, door, Recorder(), *(a_job(f"i{number}") for number in range(6)), jobs=2)
    assert together == [0, 2]


def test_the_log_has_everything_and_no_secret(tmp_path: Path) -> None:
    door = FakeDoor(app=[(1, "run")], team_web=[(0, "ok")])
    app, web = executed(tmp_path, door, Recorder(), a_job("app"), a_job("team/web"), secrets=("two", "line 2"))
    log = Path(str(app.log)).read_text()
    assert "[build 2/2] one" in log
    assert "ERROR: failed to solve" in log
    assert "two" not in log
    assert app.failure is not None
    assert "two" not in repr(app.failure)
    assert "***" in app.failure.output
    assert web.log == str(tmp_path / "logs/team/web.log")
    assert "[build 2/4] ***" in Path(str(web.log)).read_text()


def test_a_push_without_a_digest_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagewright.builds.tries._digest", lambda _metadata, _target: None)
    (result,) = executed(tmp_path, FakeDoor(), Recorder(), a_job("app"))
    assert result.failure is not None
    assert "digest" in result.failure.message
    (result,) = executed(tmp_path, FakeDoor(), Recorder(), a_job("app"), push=False)
    assert (result.status, result.digest) == ("built", None)


def test_the_temporary_files_are_gone_after_a_run_and_after_a_crash(tmp_path: Path) -> None:
    door, view = FakeDoor(), Recorder()
    executed(tmp_path, door, view, a_job("app"))

    def crash(_target: str) -> None:
        raise OSError("disk on fire")

    door.hook = crash
    with pytest.raises(OSError, match="disk on fire"):
        executed(tmp_path, door, view, a_job("app"), a_job("web"))
    assert door.canceled
    assert view.closed
    assert len(door.files) >= 4
    assert not any(file.parent.exists() for file in door.files)


def test_a_full_disk_is_told_in_words(tmp_path: Path) -> None:
    door = FakeDoor()

    def full(_target: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/x/app.json")  # noqa: S108

    door.hook = full
    with pytest.raises(EnvironmentMissingError, match=r"^/tmp/x/app\.json: No space left on device"):
        executed(tmp_path, door, Recorder(), a_job("app"))


FAKE_DOCKER = """#!/bin/sh
echo "$$" >> "$PIDS"
sleep 300 &
echo "$!" >> "$PIDS"
echo "up" >> "$UP"
wait
"""

DRIVER = """
import sys
from pathlib import Path
from imagewright.builds.builder import Builder
from imagewright.builds.job import Job, RunOptions
from imagewright.builds.run import execute
from imagewright.builds.view import make_view
from imagewright.tools.docker import Docker

root = Path(sys.argv[1])
jobs = [Job(name=n, parents=(), tags=(f"r/{n}:1",), platforms=(), repository=f"r/{n}") for n in ("a", "b", "c")]
try:
    execute(
        jobs,
        bake=lambda job, digests, part: {"group": {"default": {"targets": [job.name]}}, "target": {job.name: {}}},
        builder=Builder(name="box", driver="remote"),
        options=RunOptions(root=root, jobs=2, push=True),
        view=make_view("plain", sys.stderr, {}),
        docker=Docker(),
        log_folder=root / "logs",
    )
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text(FAKE_DOCKER)
    docker.chmod(0o755)
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    os.mkfifo(tmp_path / "up")
    env = {
        **os.environ,
        "PATH": f"{docker.parent}:{os.environ['PATH']}",
        "TMPDIR": str(scratch),
        "PIDS": str(tmp_path / "pids"),
        "UP": str(tmp_path / "up"),
    }
    run = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path)],
        env=env,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _wait_for_lines(tmp_path / "up", 2)
        assert list(scratch.iterdir())
        run.send_signal(number)
        _, told = run.communicate(timeout=30)
    finally:
        run.kill()
        run.wait()
    assert run.returncode == 130
    assert "Traceback" not in told
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 4  # the third job never began
    assert not [pid for pid in pids if _is_alive(pid)]
    assert list(scratch.iterdir()) == []


def _wait_for_lines(fifo: Path, count: int) -> None:
    # Opened for writing, too, so that it does not end when one writer does.
    with os.fdopen(os.open(fifo, os.O_RDWR), "rb", buffering=0) as stream:
        for _ in range(count):
            ready, _, _ = select.select([stream], [], [], 30)
            assert ready, "no child has started"
            stream.readline()


def _is_alive(pid: int) -> bool:
    """Whether a process outlives ten seconds; one that was just killed takes a moment to go."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        return not select.select([handle], [], [], 10)[0]
    finally:
        os.close(handle)


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    code = """
import os, signal
from imagewright.builds.run import _terminable
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with _terminable():
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
"""
    subprocess.run([sys.executable, "-c", code], check=True)
