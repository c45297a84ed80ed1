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
from imagewright.tools.docker import CanceledError, Docker, NewNode, is_plugin_missing

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
    ends: list[type[Exception]] = []

    def on_line(line: str) -> None:
        if line == "up":
            up.set()

    def bake() -> int:
        return docker.bake(fake / "f", "app", builder="b", metadata=fake / "m", cwd=fake, on_line=on_line)

    def build() -> None:
        try:
            bake()
        except CanceledError as error:
            ends.append(type(error))

    worker = threading.Thread(target=build)
    worker.start()
    assert up.wait(10)
    docker.cancel()
    worker.join(10)
    assert ends == [CanceledError]
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
        Docker().create_builder("x", [NewNode(endpoint="unix:///x")])


def test_another_error_of_buildx_is_told_without_its_command_line(fake: Path) -> None:
    (fake / "bin/docker").write_text('#!/bin/sh\necho "ERROR: existing instance for \\"x\\"" >&2\nexit 1\n')
    with pytest.raises(EnvironmentMissingError, match=r'^docker buildx: existing instance for "x"$'):
        Docker().create_builder("x", [NewNode(endpoint="unix:///x")])


def test_builders_are_listed_and_made(fake: Path) -> None:
    rows = [{"Name": "default", "Driver": ""}, {"Name": "two", "Driver": "remote"}]
    (fake / "ls").write_text("\n".join(map(json.dumps, rows)))
    docker = Docker()
    assert docker.builder_drivers() == {"default": "docker", "two": "remote"}
    assert docker.buildx_version() == "github.com/docker/buildx v0.37.0 abc"
    docker.create_builder(
        "two", [NewNode(endpoint="unix:///a"), NewNode(endpoint="tcp://b:1", platforms=("linux/arm64", "linux/arm/v7"))]
    )
    docker.remove_builder("two")
    calls = (fake / "calls").read_text().splitlines()
    assert [call for call in calls if call.split()[1] in ("create", "rm")] == [
        "buildx create --name two --driver remote unix:///a",
        "buildx create --append --name two --driver remote --platform linux/arm64,linux/arm/v7 tcp://b:1",
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


def test_a_build_loads_nothing_of_python_on_whales(fake: Path) -> None:
    code = """
import sys
from pathlib import Path
import imagewright.tools.docker as door
said = []
door.Docker().bake(Path("f"), "t", builder="b", metadata=Path("m"), on_line=said.append, cwd=Path("."))
assert not {"python_on_whales", "pydantic"} & set(sys.modules)
"""
    (fake / "bin/docker").write_text("#!/bin/sh\nexit 0\n")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=fake)


def test_without_docker_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentMissingError, match="docker is not installed"):
        Docker().inspect("box")
    assert Docker().buildx_version() is None


@pytest.mark.parametrize(
    ("script", "answer"),
    [
        ("exit 0", True),
        ("echo 'exec /program: exec format error' >&2; exit 1", False),
        ("echo 'ERROR: no space left on device' >&2; exit 1", None),
    ],
)
def test_a_program_is_tried_on_the_builder(fake: Path, script: str, answer: bool | None) -> None:
    (fake / "bin/docker").write_text(f'#!/bin/sh\nfor last; do :; done\ncat "$last/program"\necho "$*"\n{script}\n')
    assert Docker().executes("b", "linux/arm64", b"\x7fELF") is answer


def test_the_nodes_that_a_builder_has_are_read(fake: Path) -> None:
    (fake / "said").write_text("Name: b\nDriver: remote\n\nNodes:\nName: b0\nStatus: running\n")
    (fake / "bin/docker").write_text(f'#!/bin/sh\necho "$*" >> "$FAKE_LOG"\ncat {fake}/said\n')
    assert [node.status for node in Docker().inspect("b").nodes] == ["running"]
    Docker().inspect("b", bootstrap=True)
    assert (fake / "calls").read_text().splitlines() == ["buildx inspect b", "buildx inspect --bootstrap b"]


def test_the_cache_of_a_node_is_kept_where_that_is_asked(fake: Path) -> None:
    Docker().remove_builder("b", keep_state=True)
    assert (fake / "calls").read_text() == "buildx rm --keep-state b\n"
