"""Whole runs with the real docker client, buildx, buildkitd and registry."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from imagewright.builds.builder import Builder, resolve
from imagewright.builds.job import Job, Part, RunOptions
from imagewright.builds.result import ImageResult
from imagewright.builds.run import execute
from imagewright.builds.views.log import Log
from imagewright.builds.views.plain import PlainView
from imagewright.errors import EnvironmentMissingError
from imagewright.tools.docker import Docker

if TYPE_CHECKING:
    from conftest import LocalEngine  # type: ignore[import-not-found]

pytestmark = pytest.mark.e2e


class Bench:
    """Dockerfiles in a folder, and the means to build them."""

    def __init__(self, root: Path, engine: LocalEngine, base: str) -> None:
        self.root = root
        self.engine = engine
        self.base = base
        self.stream = io.StringIO()
        self.builder = resolve("auto", engine.places, environ=engine.env, say=print)

    def job(self, name: str, dockerfile: str, *parents: str) -> Job:
        (self.root / f"Dockerfile.{name}").write_text(dockerfile.replace("BASE", self.base))
        repository = f"{self.engine.registry}/{self.root.name.lower().replace('_', '-')}/{name}"
        return Job(name=name, parents=parents, tags=(f"{repository}:1",), platforms=(), repository=repository)

    def run(
        self, *jobs: Job, targets: Mapping[str, Mapping[str, Any]] | None = None, **options: Any
    ) -> Sequence[ImageResult]:
        by_name = {job.name: job for job in jobs}

        def bake(job: Job, digests: Mapping[str, str], part: Part) -> Mapping[str, Any]:
            target = {
                "context": ".",
                "dockerfile": f"Dockerfile.{job.name}",
                "tags": list(job.tags),
                "contexts": {
                    name: f"docker-image://{by_name[name].repository}@{digest}" for name, digest in digests.items()
                },
                "attest": ["type=provenance,disabled=true"],
                "output": ["type=registry"],
                **(targets or {}).get(job.name, {}),
            }
            document = {"group": {"default": {"targets": [job.name]}}, "target": {job.name: target}}
            variables: dict[str, Any] = {name: {} for name in options.get("env", {})}
            return {**document, "variable": variables} if variables else document

        return execute(
            jobs,
            bake=bake,
            builder=self.builder,
            options=RunOptions(root=self.root, jobs=2, push=True, **options),
            view=PlainView(Log(self.stream), steps=True),
            docker=Docker(self.builder.docker_config, self.engine.env),
            log_folder=self.root / "logs",
        )

    def pushed(self, job: Job) -> str:
        """The digest that the registry has for the job's tag."""
        shown = self.engine.docker("buildx", "imagetools", "inspect", job.tags[0], "--format", "{{.Manifest.Digest}}")
        return str(shown.stdout.strip())


@pytest.fixture
def bench(engine: LocalEngine, base_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    for name in ("DOCKER_CONFIG", "BUILDKIT_HOST"):
        monkeypatch.setenv(name, engine.env[name])
    return Bench(tmp_path, engine, base_image)


def test_parent_and_child_are_pushed_and_again_nothing_is_done(bench: Bench) -> None:
    base = bench.job("base", "FROM BASE\nRUN echo from-base > /mark\n")
    app = bench.job("app", "FROM base\nRUN grep -q from-base /mark && echo child > /child\n", "base")
    first = bench.run(app, base)
    assert [(result.name, result.status) for result in first] == [("app", "built"), ("base", "built")]
    assert [result.digest for result in first] == [bench.pushed(app), bench.pushed(base)]
    assert "RUN grep -q from-base /mark" in Path(str(first[0].log)).read_text()
    again = bench.run(app, base)
    assert [result.digest for result in again] == [result.digest for result in first]
    assert all(result.cached_steps >= 1 for result in again)


def test_a_failing_member_of_a_diamond(bench: Bench) -> None:
    jobs = [
        bench.job("top", "FROM BASE\nRUN echo top > /top\n"),
        bench.job("left", "FROM top\n\nRUN echo why-it-broke && exit 3\n", "top"),
        bench.job("right", "FROM top\nRUN echo right > /right\n", "top"),
        bench.job("bottom", "FROM left\nCOPY --from=right /right /\n", "left", "right"),
    ]
    top, left, right, bottom = bench.run(*jobs)
    assert [one.status for one in (top, left, right, bottom)] == ["built", "failed", "built", "skipped"]
    assert left.failure is not None
    assert left.failure.where == "Dockerfile.left:3"
    assert left.failure.exit_code == 3
    assert "why-it-broke" in left.failure.output
    assert bottom.because == "parent left failed"
    assert right.digest == bench.pushed(jobs[2])


def test_a_secret_build_argument_comes_from_the_environment_and_is_seen_nowhere(bench: Bench) -> None:
    job = bench.job("app", 'FROM BASE\nARG TOKEN\nRUN test "$TOKEN" = "s3cr et" && echo "it is $TOKEN"\n')
    target = {"args": {"TOKEN": "${TOKEN}"}}
    (result,) = bench.run(job, targets={"app": target}, env={"TOKEN": "s3cr et"}, secrets=("s3cr et",))
    assert result.status == "built", result.failure
    log = Path(str(result.log)).read_text()
    assert "it is ***" in log
    assert "s3cr et" not in log
    assert "s3cr et" not in bench.stream.getvalue()


@pytest.mark.parametrize(
    ("dockerfile", "target", "kind"),
    [
        ("FROM REGISTRY/nothing:1\n", {}, "base"),
        ("FROM BASE\nCOPY nothere /\n", {}, "source"),
        ("FROM BASE\nRUNN x\n", {}, "dockerfile"),
        ("FROM localhost:1/x\n", {}, "unreachable"),
        ("FROM BASE\n", {"tags": ["localhost:1/x:1"]}, "unreachable"),
        ("FROM BASE\nRUN --mount=type=secret,id=t,required=true true\n", {}, "secret"),
    ],
)
def test_failures_that_have_a_name(bench: Bench, dockerfile: str, target: Mapping[str, Any], kind: str) -> None:
    job = bench.job("app", dockerfile.replace("REGISTRY", bench.engine.registry))
    (result,) = bench.run(job, targets={"app": target}, pause=0.0)
    assert result.failure is not None
    assert result.failure.kind == kind, result.failure


def test_credentials_that_are_refused(bench: Bench, tmp_path: Path) -> None:
    job = bench.job("app", "FROM BASE\nRUN true\n")
    stranger = tmp_path / "stranger"
    plugins = Path(bench.engine.docker_config) / "cli-plugins"
    stranger.mkdir()
    (stranger / "cli-plugins").symlink_to(plugins)
    docker = Docker(stranger, bench.engine.env)
    docker.create_builder("stranger", [_node(bench.engine.buildkitd)])
    bench.builder = Builder(name="stranger", driver="remote", docker_config=stranger)
    (result,) = bench.run(job)
    assert result.failure is not None
    assert result.failure.kind == "credentials"
    assert result.failure.hint == f"`invoke login {bench.engine.registry}`"


def _node(endpoint: str) -> Any:
    from imagewright.tools.docker import NewNode

    return NewNode(endpoint=endpoint)


def test_the_local_builder_is_found_again_without_a_program(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **_: Any) -> Any:
        pytest.fail(f"started: {args}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    again = resolve("auto", bench.engine.places, environ=bench.engine.env, say=print)
    assert again == bench.builder
    assert bench.builder.driver == "remote"


def test_a_builder_that_is_not_there(bench: Bench, tell: Callable[[str], None]) -> None:
    env = {**bench.engine.env, "DOCKER_CONFIG": str(bench.engine.docker_config)}
    with pytest.raises(EnvironmentMissingError, match="there is no builder nosuch"):
        resolve("nosuch", bench.engine.places, environ=env, say=tell)
