"""One image in a run: parts on several nodes, a cache that fails, a BuildKit that hangs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from imagewright.builds.attempt import Attempt
from imagewright.builds.builder import Builder
from imagewright.builds.caches import Mode, Warn
from imagewright.builds.job import Job, Part, RunOptions
from imagewright.builds.nodes import Node
from imagewright.builds.recovery import Recovery
from imagewright.builds.result import ImageResult
from imagewright.builds.run import execute
from imagewright.builds.tries import Siblings
from imagewright.errors import EnvironmentMissingError, RegistryError
from imagewright.tools.docker import CanceledError
from tests.builds.test_run import Recorder

DATA = Path(__file__).parent / "data"
BOX = Builder(name="box", driver="remote")
AMD, ARM = "linux/amd64", "linux/arm64"
PAIR = Builder(
    name="pair",
    driver="remote",
    nodes=(
        Node(name="a", endpoint="tcp://a:1", platforms=(AMD,)),
        Node(name="b", endpoint="tcp://b:1", platforms=(ARM,)),
    ),
)


@dataclass
class Door:
    """A docker that plays recordings: one after the other for each part, the last again."""

    plays: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by the part's label
    calls: list[Mapping[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    at_import: threading.Event = field(default_factory=threading.Event)

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
        call = json.loads(file.read_text())["target"][target]
        with self.lock:
            before = sum(one["label"] == call["label"] for one in self.calls)
            self.calls.append({**call, "env": dict(env or {})})
        plays = self.plays.get(call["label"], ["ok"])
        play = plays[min(before, len(plays) - 1)]
        if play in ("hang", "long"):
            stopped = threading.Event()
            on_start(stopped.set)
            name = "importing cache manifest from s3:1" if play == "hang" else "[1/1] RUN sleep 1000"
            vertex = {"digest": "d", "name": name, "started": "2026-01-01T00:00:00Z"}
            on_line(json.dumps({"vertexes": [vertex]}))
            assert stopped.wait(30)
            return 1
        if play == "canceled":
            raise CanceledError
        code = 0 if play in ("ok", "cachegone") else 1
        for line in (DATA / f"{play}.txt").read_text().splitlines():
            on_line(line)
        if code == 0:
            digest = f"sha256:{call['label'] or 'all'}"
            metadata.write_text(json.dumps({target: {"containerimage.digest": digest}}))
        return code

    def cancel(self) -> None:
        pass


@dataclass
class Cache:
    """Caches that do what they are told, and write down what they are told of."""

    modes: list[Mode] = field(default_factory=lambda: ["use"])  # the last again
    timeout: float = 0.0
    required: bool = False
    env: Mapping[str, str] = field(default_factory=lambda: {"AWS_SECRET_ACCESS_KEY": "s"})
    told: list[tuple[str, Sequence[str]]] = field(default_factory=list)
    hung: int = 0
    away: bool = False

    def mode(self, image: str, warn: Warn) -> Mode:
        if self.away:
            raise EnvironmentMissingError("the store is away")
        return self.modes.pop(0) if len(self.modes) > 1 else self.modes[0]

    def failed(self, image: str, errors: Sequence[str], warn: Warn, *, hangs: bool = False) -> None:
        self.told.append((image, errors))
        self.hung += hangs
        warn("the cache fails")


def job(*platforms: str) -> Job:
    return Job(name="app", parents=(), tags=("r/app:1",), platforms=platforms or (AMD,), repository="r/app")


def document(job: Job, digests: Mapping[str, str], part: Part) -> dict[str, Any]:
    call = {
        "context": ".",
        "dockerfile": "Dockerfile.app",
        "platforms": part.platforms,
        "label": part.label,
        "mode": part.cache,
    }
    return {"group": {"default": {"targets": ["app"]}}, "target": {"app": call}}


def run(
    tmp_path: Path, door: Door, *jobs: Job, builder: Builder = BOX, view: Recorder | None = None, **more: Any
) -> ImageResult:
    options: dict[str, Any] = {"root": tmp_path, "jobs": 2, "push": True, "pause": 0.0}
    options |= {key: more.pop(key) for key in ("retries", "push") if key in more}
    (result,) = execute(
        jobs or (job(),),
        bake=document,
        builder=builder,
        options=RunOptions(**options),
        view=view or Recorder(),
        docker=door,
        log_folder=tmp_path / "logs",
        **more,
    )
    return result


def joined(_job: Job, parts: Sequence[tuple[tuple[str, ...], str]]) -> str:
    return "+".join(f"{','.join(platforms)}={digest}" for platforms, digest in parts)


def test_each_node_builds_its_platforms_and_one_index_is_made_of_them(tmp_path: Path) -> None:
    door = Door()
    result = run(tmp_path, door, job(AMD, ARM), builder=PAIR, join=joined)
    assert sorted(call["label"] for call in door.calls) == [AMD, ARM]
    assert result.digest == f"{AMD}=sha256:{AMD}+{ARM}=sha256:{ARM}"
    assert {span.platform for span in result.spans[:-1]} == {AMD, ARM}
    assert result.spans[-1].name == "publishing the index of its platforms"
    log = (tmp_path / "logs/app.log").read_text()
    assert f"{AMD} [" in log
    assert f"{ARM} [" in log


def test_one_platform_is_one_part_on_any_builder(tmp_path: Path) -> None:
    door = Door()
    assert run(tmp_path, door, job(ARM), builder=PAIR, join=joined).digest == "sha256:all"
    assert [call["label"] for call in door.calls] == [""]


def test_what_is_not_pushed_is_left_to_buildx(tmp_path: Path) -> None:
    door = Door()
    run(tmp_path, door, job(AMD, ARM), builder=PAIR, join=joined, push=False)
    assert [call["platforms"] for call in door.calls] == [[AMD, ARM]]


def test_a_platform_that_fails_leaves_no_index_and_no_tag(tmp_path: Path) -> None:
    def never(*_: object) -> Any:
        raise AssertionError("half an index")

    result = run(tmp_path, Door({ARM: ["run"]}), job(AMD, ARM), builder=PAIR, join=never, publish=never)
    assert result.status == "failed"
    assert result.failure is not None
    assert result.failure.kind == "run"
    assert result.digest is None


def test_of_two_failures_the_one_is_shown_that_was_not_canceled(tmp_path: Path) -> None:
    result = run(tmp_path, Door({AMD: ["sigint"], ARM: ["run"]}), job(AMD, ARM), builder=PAIR, join=joined)
    assert result.failure is not None
    assert result.failure.kind == "run"


def test_an_index_that_cannot_be_made_is_the_images_failure(tmp_path: Path) -> None:
    def refused(*_: object) -> str:
        raise RegistryError("part of it is gone", where="r/app")

    result = run(tmp_path, Door(), job(AMD, ARM), builder=PAIR, join=refused)
    assert result.status == "failed"
    assert result.failure is not None
    assert "part of it is gone" in str(result.failure.error)


def test_a_part_is_retried_alone(tmp_path: Path) -> None:
    door = Door({ARM: ["push500", "ok"]})
    assert run(tmp_path, door, job(AMD, ARM), builder=PAIR, join=joined).status == "built"
    assert sorted(call["label"] for call in door.calls) == [AMD, ARM, ARM]


def test_without_a_cache_no_keys_are_given(tmp_path: Path) -> None:
    door = Door()
    run(tmp_path, door, caches=Cache(["off"]))
    assert [(call["mode"], call["env"]) for call in door.calls] == [("off", {})]


def test_with_one_buildx_finds_its_keys(tmp_path: Path) -> None:
    door = Door()
    run(tmp_path, door, caches=Cache())
    assert [(call["mode"], call["env"]) for call in door.calls] == [("use", {"AWS_SECRET_ACCESS_KEY": "s"})]


@pytest.mark.parametrize("recording", ["cachelostblob", "cacheblob500", "cachekey"])
def test_a_build_that_its_cache_fails_is_done_again_without(tmp_path: Path, recording: str) -> None:
    door, cache, view = Door({"": [recording, "ok"]}), Cache(["use", "off"]), Recorder()
    result = run(tmp_path, door, caches=cache, retries=0, view=view)
    assert result.status == "built"
    assert [call["mode"] for call in door.calls] == ["use", "off"]
    assert [image for image, _ in cache.told] == ["app"]
    assert "warned: the cache fails" in view.told


def test_a_cache_that_is_away_is_told_of_and_the_build_stands(tmp_path: Path) -> None:
    door, cache = Door({"": ["cachegone"]}), Cache()
    assert run(tmp_path, door, caches=cache).status == "built"
    assert len(door.calls) == 1
    ((_, errors),) = cache.told
    assert all("connection refused" in error for error in errors)


@pytest.mark.parametrize("recording", ["cachegone", "cacheblob500"])
def test_a_required_cache_that_fails_is_the_builds_failure(tmp_path: Path, recording: str) -> None:
    door = Door({"": [recording]})
    result = run(tmp_path, door, caches=Cache(required=True))
    assert result.status == "failed"
    assert result.failure is not None
    assert result.failure.kind == "cache"
    assert result.failure.error.exit_code == 3
    assert len(door.calls) == 1


def test_a_failing_step_is_not_tried_again_because_of_its_cache(tmp_path: Path) -> None:
    door = Door({"": ["run"]})
    assert run(tmp_path, door, caches=Cache()).status == "failed"
    assert len(door.calls) == 1


def test_what_waits_for_a_cache_in_vain_is_stopped_and_buildkit_restarted(tmp_path: Path) -> None:
    door, cache = Door({"": ["hang", "ok"]}), Cache(["use", "off"], timeout=0.05)
    restarts: list[None] = []
    result = run(tmp_path, door, caches=cache, recovery=Recovery(lambda: restarts.append(None)))
    assert result.status == "built"
    assert len(restarts) == 1
    assert [errors for _, errors in cache.told] == [("its store said nothing for 0s",)]
    assert cache.hung == 1


def test_a_buildkit_that_is_not_ours_is_not_restarted_and_the_failure_says_what_to_do(tmp_path: Path) -> None:
    door = Door({"": ["hang"]})
    result = run(tmp_path, door, caches=Cache(timeout=0.05))
    assert len(door.calls) == 1
    assert result.failure is not None
    assert result.failure.kind == "builder"
    assert "restart its BuildKit" in (result.failure.hint or "")


def test_what_a_restart_ended_is_done_again(tmp_path: Path) -> None:
    recovery = Recovery(lambda: None)

    class Restarted(Door):
        def bake(self, *args: Any, **more: Any) -> int:
            code = super().bake(*args, **more)
            if len(self.calls) == 1:
                recovery.run(0)
            return code

    door = Restarted({"": ["killed", "ok"]})
    assert run(tmp_path, door, recovery=recovery, retries=0).status == "built"
    assert len(door.calls) == 2


def test_builds_that_hang_together_restart_once() -> None:
    restarts: list[None] = []
    recovery = Recovery(lambda: restarts.append(None))
    assert [recovery.run(0), recovery.run(0), recovery.run(1)] == [True, True, True]
    assert len(restarts) == 2


def test_a_build_that_could_not_start_any_more_is_canceled(tmp_path: Path) -> None:
    result = run(tmp_path, Door({"": ["canceled"]}))
    assert result.failure is not None
    assert result.failure.kind == "canceled"


def test_a_part_that_fails_ends_the_other_parts(tmp_path: Path) -> None:
    door = Door({AMD: ["long"], ARM: ["run"]})
    result = run(tmp_path, door, job(AMD, ARM), builder=PAIR, join=joined)
    assert result.failure is not None
    assert result.failure.kind == "run"
    assert len(door.calls) == 2


def test_a_part_that_has_yet_to_start_is_ended_too() -> None:
    siblings, attempt = Siblings(), Attempt(str, lambda _progress, _events: None)
    ended: list[None] = []
    siblings.halt()
    siblings.add(attempt)
    attempt.on_start(lambda: ended.append(None))
    assert len(ended) == 1


@pytest.mark.parametrize("where", ["mode", "bake", "restart"])
def test_an_error_around_a_build_is_its_end_and_no_other_ones(tmp_path: Path, where: str) -> None:
    def bake(job: Job, digests: Mapping[str, str], part: Part) -> dict[str, Any]:
        if where == "bake" and job.name == "app":
            raise RegistryError("it cannot be asked", where="r/app")
        return {**document(job, digests, part), "group": {"default": {"targets": ["app"]}}}

    def restart() -> None:
        raise EnvironmentMissingError("it does not come back")

    class Choosy(Cache):
        def mode(self, image: str, warn: Warn) -> Mode:
            self.away = where == "mode" and image == "app"
            return super().mode(image, warn)

    hang = ["hang"] if where == "restart" else ["ok"]
    other = replace(job(), name="other", tags=("r/other:1",))
    results = execute(
        [job(), other],
        bake=bake,
        builder=BOX,
        options=RunOptions(root=tmp_path, jobs=1, push=True, pause=0.0),
        view=Recorder(),
        docker=Door({"": [*hang, "ok"]}),
        log_folder=tmp_path / "logs",
        caches=Choosy(timeout=0.05 if where == "restart" else 0.0),
        recovery=Recovery(restart),
    )
    assert [(one.name, one.status) for one in results] == [("app", "failed"), ("other", "built")]
    failure = results[0].failure
    assert failure is not None
    kinds = {"mode": ("cache", 3), "bake": ("unknown", 1), "restart": ("builder", 3)}
    assert (failure.kind, failure.error.exit_code) == kinds[where]


def test_a_build_that_a_restart_cut_waits_until_it_is_over() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def restart() -> None:
        begun.set()
        assert may_end.wait(30)

    recovery = Recovery(restart)
    thread = threading.Thread(target=recovery.run, args=(0,))
    thread.start()
    assert begun.wait(30)
    seen: list[bool] = []
    other = threading.Thread(target=lambda: seen.append(recovery.since(0)))
    other.start()
    may_end.set()
    other.join(30)
    thread.join(30)
    assert seen == [True]


def test_what_is_written_to_a_cache_may_take_its_time() -> None:
    ended: list[None] = []
    attempt = Attempt(str, lambda _progress, _events: None)
    attempt.on_start(lambda: ended.append(None))
    vertex = {"digest": "d", "name": "[app] exporting cache to Amazon S3", "started": "2026-01-01T00:00:00Z"}
    attempt.on_line(json.dumps({"vertexes": [vertex]}))
    attempt.heard -= 599
    attempt.give_up(1.0)
    assert not ended
    attempt.heard -= 2
    attempt.give_up(1.0)
    assert len(ended) == 1
    assert not attempt.hangs


def gone(*, is_local: bool) -> Builder:
    """A builder on whose socket nobody listens."""
    return Builder(
        name="imagewright", driver="remote", is_local=is_local, nodes=(Node(name="n", endpoint="unix:///nobody"),)
    )


def test_a_buildkit_that_went_away_is_brought_back_and_the_build_tried_again(tmp_path: Path) -> None:
    restarts: list[None] = []
    recovery = Recovery(lambda: restarts.append(None))
    door = Door({"": ["killed", "ok"]})
    assert run(tmp_path, door, builder=gone(is_local=True), recovery=recovery).status == "built"
    assert len(restarts) == 1


def test_it_is_brought_back_once(tmp_path: Path) -> None:
    restarts: list[None] = []
    recovery = Recovery(lambda: restarts.append(None))
    door = Door({"": ["killed"]})
    assert run(tmp_path, door, builder=gone(is_local=True), recovery=recovery, retries=5).status == "failed"
    assert len(restarts) == 1


def test_a_builder_that_broke_the_connection_is_asked_again_and_not_restarted(tmp_path: Path) -> None:
    def never() -> None:
        raise AssertionError("others may build there")

    door = Door({"": ["killed", "ok"]})
    assert run(tmp_path, door, recovery=Recovery(never)).status == "built"


def test_a_dead_socket_of_another_builder_is_not_waited_for(tmp_path: Path) -> None:
    door = Door({"": ["killed", "ok"]})
    assert run(tmp_path, door, builder=gone(is_local=False)).status == "failed"
    assert len(door.calls) == 1
