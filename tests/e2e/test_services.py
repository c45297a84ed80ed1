"""The local services as they really are: started, used, killed and stopped through `invoke`."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import stat
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from imagewright.services import credentials, manager
from imagewright.services.records import Process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import Inv, LocalEngine

    SleepingBuild = Callable[[str], tuple[subprocess.Popen[bytes], int]]

BUILDER = "imagewright-tests"

pytestmark = pytest.mark.e2e


@pytest.fixture
def project(tmp_path: Path, engine: LocalEngine) -> Path:
    (tmp_path / "tasks.py").write_text("from imagewright import ns\n")
    return tmp_path


def services(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)["services"]}


def test_status_tells_what_runs(inv: Inv, project: Path, engine: LocalEngine) -> None:
    found = services(inv(project, "status", "--json"))

    assert {name: one["state"] for name, one in found.items()} == dict.fromkeys(
        ("registry", "s3", "buildkitd"), "running"
    )
    assert found["registry"]["address"] == engine.registry
    assert found["buildkitd"]["version"].startswith("v0.")
    assert all(Process.of(one["pid"]) for one in found.values())
    assert "unhealthy" not in inv(project, "status").stdout


def test_everything_listens_on_loopback_only(engine: LocalEngine, inv: Inv, project: Path) -> None:
    pids = {one["pid"] for one in services(inv(project, "status", "--json")).values()}
    inodes = {
        target.removeprefix("socket:[").removesuffix("]")
        for pid in pids
        for file in Path(f"/proc/{pid}/fd").iterdir()
        if (target := str(file.readlink())).startswith("socket:[")
    }
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path("/proc/net", table).read_text().splitlines()[1:]]
    listening = {row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes}

    assert listening == {"0100007F"}, "127.0.0.1, as /proc/net/tcp spells it"


def test_no_secret_stands_in_an_argument_or_a_readable_file(engine: LocalEngine, inv: Inv, project: Path) -> None:
    said = inv(project, "start")
    for name, one in services(inv(project, "status", "--json")).items():
        folder = engine.places.service(name)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        if known := credentials.read(folder):
            arguments = Path(f"/proc/{one['pid']}/cmdline").read_bytes()
            assert known.password.encode() not in arguments
            assert known.password not in said.stdout + said.stderr
            assert stat.S_IMODE((folder / "credentials.json").stat().st_mode) == 0o600


def test_the_registry_wants_the_password_and_docker_knows_it(engine: LocalEngine, tmp_path: Path) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"http://{engine.registry}/v2/_catalog")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")

    engine.build(tmp_path, "--push", "--tag", f"{engine.registry}/services/login:1")

    assert (
        f"{engine.registry}/services/login:1"
        in engine.docker("buildx", "imagetools", "inspect", f"{engine.registry}/services/login:1").stdout
    )


def test_a_base_image_comes_through_the_mirror_with_the_same_credentials(
    engine: LocalEngine, base_image: str, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {base_image}\nRUN echo mirrored-$((40 + 2)) > /out && cat /out\n")

    done = engine.build(tmp_path, "--no-cache")

    assert "mirrored-42" in done.stderr
    assert f"docker.io/library/{base_image}" in done.stderr


def test_the_s3_store_takes_the_layer_cache(engine: LocalEngine, base_image: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {base_image}\nRUN date > /when\n")
    keys = credentials.s3_environment(engine.places)
    store = (
        f"type=s3,region=us-east-1,bucket=layers,name=services,endpoint_url=http://127.0.0.1:{engine.places.s3_port}"
    )
    engine.build(tmp_path, "--cache-to", f"{store},mode=max,use_path_style=true", env=keys)

    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{engine.places.s3_port}",
        region_name="us-east-1",
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
    )
    stored = [entry["Key"] for entry in client.list_objects_v2(Bucket="layers")["Contents"]]
    assert "manifests/services" in stored
    assert any(key.startswith("blobs/sha256:") for key in stored)


@pytest.mark.parametrize("name", ["registry", "s3", "buildkitd"])
def test_a_killed_service_is_told_and_started_again_with_its_data(
    name: str, inv: Inv, project: Path, engine: LocalEngine
) -> None:
    before = services(inv(project, "status", "--json"))[name]
    os.kill(before["pid"], signal.SIGKILL)
    _wait_for_end(before["pid"])
    assert services(inv(project, "status", "--json"))[name]["state"] == "crashed"

    done = inv(project, "start", name)

    assert f"pid {before['pid']} is gone" in done.stderr
    after = services(inv(project, "status", "--json"))[name]
    assert after["state"] == "running"
    assert after["pid"] != before["pid"]
    assert after["address"] == before["address"]


@pytest.fixture
def sleeping_build(engine: LocalEngine, busybox: Path, tmp_path: Path) -> Iterator[SleepingBuild]:
    """Starts a build whose only step sleeps: the client's process, and the step's pid as the host sees it."""
    started: list[subprocess.Popen[bytes]] = []
    context, seconds = tmp_path / "context", f"31{os.getpid()}"
    context.mkdir()
    shutil.copy(busybox, context / "busybox")
    (context / "Dockerfile").write_text(f'FROM scratch\nCOPY busybox /\nRUN ["/busybox", "sleep", "{seconds}"]\n')

    def start(builder: str) -> tuple[subprocess.Popen[bytes], int]:
        process = subprocess.Popen(
            ["docker", "buildx", "build", "--builder", builder, "--no-cache", str(context)],
            env={**engine.env, "DOCKER_CONFIG": str(engine.docker_config)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        started.append(process)
        return process, _wait_for_process(f"/busybox\0sleep\0{seconds}\0")

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_build_step_does_not_outlive_buildkitd(
    end: str, inv: Inv, project: Path, engine: LocalEngine, sleeping_build: SleepingBuild, tmp_path: Path
) -> None:
    build, step = sleeping_build(BUILDER)
    if end == "stop":
        assert "waiting for it to finish" in inv(project, "stop", "buildkitd").stderr
        _wait_for_end(step)
    else:
        os.kill(services(inv(project, "status", "--json"))["buildkitd"]["pid"], signal.SIGKILL)
    assert build.wait(60) != 0

    assert inv(project, "start", "buildkitd").returncode == 0

    _wait_for_end(step)
    after = tmp_path / "after"
    after.mkdir()
    (after / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    engine.build(after)


@pytest.fixture
def others(inv: Inv, free_ports: Callable[[int], list[int]], tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a second set of services, stopped at the end."""
    registry_port, s3_port = free_ports(2)
    env = {
        "IMAGEWRIGHT_STATE_DIR": str(tmp_path / "state"),
        "IMAGEWRIGHT_REGISTRY": f"localhost:{registry_port}",
        "IMAGEWRIGHT_SERVICES_S3_PORT": str(s3_port),
        "DOCKER_CONFIG": str(tmp_path / "docker"),
    }
    yield env
    inv(tmp_path, "stop", "--purge", "--yes", env=env)


def test_stop_and_purge_end_and_remove_everything(
    inv: Inv, project: Path, others: dict[str, str], tmp_path: Path
) -> None:
    registry, state = others["IMAGEWRIGHT_REGISTRY"], tmp_path / "state/services"
    login = tmp_path / "docker/config.json"
    assert inv(project, "start", env=others).stderr.count("started") == 3
    pids = [one["pid"] for one in services(inv(project, "status", "--json", env=others)).values()]
    assert registry in login.read_text()

    shown = inv(project, "stop", "--purge", env=others)

    assert shown.returncode == 1
    assert str(state / "registry") in shown.stderr
    assert (state / "registry").exists()
    assert not any(Process.of(pid) for pid in pids)

    assert inv(project, "stop", "--purge", "--yes", env=others).returncode == 0

    assert not [file for file in state.iterdir() if file.is_dir()]
    assert registry not in login.read_text()


def test_purge_unmounts_what_a_killed_buildkitd_left(
    inv: Inv,
    project: Path,
    others: dict[str, str],
    engine: LocalEngine,
    sleeping_build: SleepingBuild,
    tmp_path: Path,
) -> None:
    assert inv(project, "start", "buildkitd", env=others).returncode == 0
    buildkitd = services(inv(project, "status", "--json", env=others))["buildkitd"]
    engine.docker("buildx", "create", "--name", "others", "--driver", "remote", buildkitd["address"])
    build, step = sleeping_build("others")
    os.kill(buildkitd["pid"], signal.SIGKILL)
    assert build.wait(60) != 0
    state = str(tmp_path / "state/services/buildkitd")
    assert state in Path("/proc/self/mountinfo").read_text(), "the step's root file system"

    done = inv(project, "stop", "buildkitd", "--purge", "--yes", env=others)

    assert done.returncode == 0, done.stderr
    _wait_for_end(step)
    assert state not in Path("/proc/self/mountinfo").read_text()
    assert not Path(state).exists()


def test_ensure_is_quick_where_all_runs(engine: LocalEngine) -> None:
    first = manager.ensure(manager.names("all"), engine.places, environ=engine.env, say=pytest.fail)
    assert manager.ensure(manager.names("all"), engine.places, environ=engine.env, say=pytest.fail) == first


def _wait_for_end(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        assert poll.poll(20_000), f"pid {pid} is still there"
    finally:
        os.close(descriptor)


def _wait_for_process(arguments: str) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    if (folder / "cmdline").read_bytes() == arguments.encode():
                        return int(folder.name)
                except OSError:
                    continue
        time.sleep(0.05)
    raise AssertionError(f"no process {arguments!r}")
