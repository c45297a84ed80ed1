from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagewright.errors import EnvironmentMissingError
from imagewright.tools.docker import CanceledError, Docker, Node, is_plugin_missing

FAKE = r"""#!/bin/sh
printf '%s\n' "$*" >> "$FAKE_LOG"
case "$*" in
  *"buildx ls"*) cat "$FAKE_LS" ;;
  *"buildx version"*) echo 'github.com/docker/buildx v0.37.0 abc' ;;
  *"buildx create"*) echo two ;;
  *"buildx bake"*)
    echo "provenance=$BUILDX_METADATA_PROVENANCE entitlements=$BUILDX_BAKE_ENTITLEMENTS_FS token=$TOKEN in=$PWD" >&2
    if [ -n "$FAKE_FIFO" ]; then echo up >&2; read -r _ < "$FAKE_FIFO"; fi
    echo 'ERROR: no' >&2
    exit 7 ;;
esac
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker on PATH that writes down how it was called."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(FAKE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "calls"))
    monkeypatch.setenv("FAKE_LS", str(tmp_path / "ls"))
    return tmp_path


@pytest.fixture
def no_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def engine_socket(tmp_path: Path) -> Iterator[str]:
    """Somebody who answers one request like an engine."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(100).startswith(b"GET /_ping ")
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nOK")

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"unix://{path}"
        thread.join(5)


def test_bake_streams_every_line_and_gives_the_exit_code(fake: Path) -> None:
    lines: list[str] = []
    docker = Docker(fake / "config")
    code = docker.bake(
        fake / "bake.json",
        "app",
        builder="b",
        metadata=fake / "meta.json",
        on_line=lines.append,
        cwd=fake,
        env={"TOKEN": "s3cret"},
    )
    assert code == 7
    assert lines == [f"provenance=disabled entitlements=0 token=s3cret in={fake}", "ERROR: no"]
    files = f"--file {fake}/bake.json --metadata-file {fake}/meta.json"
    assert (fake / "calls").read_text() == (
        f"--config {fake}/config buildx bake {files} --progress rawjson --builder b app\n"
    )


def test_cancel_ends_what_runs_and_lets_nothing_start(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(fake / "fifo")
    monkeypatch.setenv("FAKE_FIFO", str(fake / "fifo"))
    docker = Docker()
    up = threading.Event()
    codes: list[int] = []

    def on_line(line: str) -> None:
        if line == "up":
            up.set()

    def bake() -> int:
        return docker.bake(fake / "f", "app", builder="b", metadata=fake / "m", cwd=fake, on_line=on_line)

    worker = threading.Thread(target=lambda: codes.append(bake()))
    worker.start()
    assert up.wait(10)
    docker.cancel()
    worker.join(10)
    assert codes == [-2]  # SIGINT
    with pytest.raises(CanceledError):
        bake()


def test_without_docker_everything_says_so(no_docker: None, tmp_path: Path) -> None:
    docker = Docker(environ={"DOCKER_HOST": "tcp://127.0.0.1:1"})
    assert docker.buildx_version() is None
    assert not docker.engine_running()
    with pytest.raises(EnvironmentMissingError, match="docker is not installed"):
        docker.builder_drivers()
    with pytest.raises(EnvironmentMissingError, match="docker is not installed"):
        docker.bake(tmp_path, "x", builder="b", metadata=tmp_path, on_line=print, cwd=tmp_path)


def test_a_docker_without_buildx_says_so(fake: Path) -> None:
    (fake / "bin/docker").write_text('#!/bin/sh\necho "docker: unknown command: docker buildx" >&2\nexit 1\n')
    assert Docker().buildx_version() is None
    with pytest.raises(EnvironmentMissingError, match="no buildx plugin"):
        Docker().create_builder("x", [Node(endpoint="unix:///x")])


def test_another_error_of_buildx_is_told_without_its_command_line(fake: Path) -> None:
    (fake / "bin/docker").write_text('#!/bin/sh\necho "ERROR: existing instance for \\"x\\"" >&2\nexit 1\n')
    with pytest.raises(EnvironmentMissingError, match=r'^docker buildx: existing instance for "x"$'):
        Docker().create_builder("x", [Node(endpoint="unix:///x")])


def test_builders_are_listed_and_made_by_python_on_whales(fake: Path) -> None:
    rows = [{"Name": "default", "Driver": ""}, {"Name": "two", "Driver": "remote"}]
    (fake / "ls").write_text("\n".join(map(json.dumps, rows)))
    docker = Docker()
    assert docker.builder_drivers() == {"default": "docker", "two": "remote"}
    assert docker.buildx_version() == "github.com/docker/buildx v0.37.0 abc"
    docker.create_builder(
        "two", [Node(endpoint="unix:///a"), Node(endpoint="tcp://b:1", platforms=("linux/arm64", "linux/arm/v7"))]
    )
    docker.remove_builder("two")
    calls = (fake / "calls").read_text().splitlines()
    assert [call for call in calls if call.split()[1] in ("create", "rm")] == [
        "buildx create --driver remote --name two unix:///a",
        "buildx create --append --platform linux/arm64,linux/arm/v7 --driver remote --name two tcp://b:1",
        "buildx rm two",
    ]


def test_an_engine_that_answers_is_running(engine_socket: str, tmp_path: Path) -> None:
    assert Docker(tmp_path, {"DOCKER_HOST": engine_socket}).engine_running()


def test_an_engine_that_does_not_answer_is_not(tmp_path: Path) -> None:
    assert not Docker(tmp_path, {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}).engine_running()


@pytest.mark.parametrize(
    ("config", "environ", "context"),
    [
        ("{}", {}, "default"),
        ('{"currentContext": "desktop"}', {}, "desktop"),
        ('{"currentContext": "desktop"}', {"DOCKER_CONTEXT": "ci"}, "ci"),
        ('{"currentContext": "desktop"}', {"DOCKER_CONTEXT": "ci", "DOCKER_HOST": "tcp://x:1"}, "default"),
        ("{broken", {}, "default"),
        ("[]", {}, "default"),
    ],
)
def test_the_context_is_found_as_docker_does(
    tmp_path: Path, config: str, environ: dict[str, str], context: str
) -> None:
    (tmp_path / "config.json").write_text(config)
    docker = Docker(tmp_path, environ)
    assert docker.context == context
    assert docker.current_builder().driver == "docker"
    assert docker.current_builder().name == context


def test_buildx_builder_names_the_current_builder(tmp_path: Path) -> None:
    instance = {"Name": "mine", "Driver": "docker-container", "Nodes": [{"Endpoint": "default"}]}
    (tmp_path / "buildx/instances").mkdir(parents=True)
    (tmp_path / "buildx/instances/mine").write_text(json.dumps(instance))
    assert Docker(tmp_path, {"BUILDX_BUILDER": "mine"}).current_builder().driver == "docker-container"


def test_signs_of_a_missing_plugin() -> None:
    assert is_plugin_missing("unknown flag: --file\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]")
    assert not is_plugin_missing("unknown flag: --metadata-file")  # a buildx that is too old says so itself


def test_a_build_loads_one_module_of_python_on_whales_and_the_rest_still_imports() -> None:
    code = """
import sys
import imagewright.tools.docker as door
assert not {"python_on_whales", "pydantic"} & set(sys.modules)
door.Docker()._client()
assert "python_on_whales.client_config" in sys.modules
assert "python_on_whales.components" not in sys.modules
from python_on_whales import DockerClient
from python_on_whales.client_config import ClientConfig
assert type(door.Docker()._client()) is ClientConfig
assert isinstance(DockerClient().client_config, ClientConfig)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_threads_that_start_together_import_it_once() -> None:
    code = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
import imagewright.tools.docker as door
sys.setswitchinterval(1e-6)
barrier = threading.Barrier(8)
def client():
    barrier.wait()
    return door.Docker()._client()
with ThreadPoolExecutor(8) as pool:
    found = [future.result() for future in [pool.submit(client) for _ in range(8)]]
assert len({type(one) for one in found}) == 1
assert "python_on_whales" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
