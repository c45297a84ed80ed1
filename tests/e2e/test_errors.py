"""Everything that goes wrong for reasons of the user's own: a message that helps, the right exit code, no traceback."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imagewright.services import manager
from imagewright.services.places import Places
from tests.e2e.processes import processes
from tests.e2e.repository import Repository

if TYPE_CHECKING:
    from tests.e2e.conftest import Inv, LocalEngine

pytestmark = pytest.mark.e2e


@pytest.fixture
def repository(engine: LocalEngine, inv: Inv, base_image: str, tmp_path: Path) -> Repository:
    (tmp_path / "project").mkdir()
    return Repository(tmp_path / "project", engine, inv, base_image)


@pytest.fixture
def ready(repository: Repository) -> Repository:
    """A repository in which `app` would build."""
    repository.dockerfile("app", "FROM scratch", "COPY tasks.py /")
    return repository


def refused(repository: Repository, *args: str, code: int, env: dict[str, str] | None = None) -> str:
    """What `invoke ARGS` says on standard error when it ends with `code`; it says nothing on standard output."""
    done = repository.invoke(*args, env=env)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert "bug of imagewright" not in done.stderr
    return done.stderr


def test_no_dockerfiles_folder(repository: Repository) -> None:
    said = refused(repository, "build", "app", code=2)
    assert f"error: {repository.root}: no Dockerfiles folder" in said
    assert "`invoke new NAME`" in said


def test_an_unknown_image(repository: Repository) -> None:
    for name in ("snapcast", "snapclient"):
        repository.dockerfile(name, "FROM scratch", "COPY tasks.py /")
    said = refused(repository, "build", "snapcats,nothing-like-it*", code=2)
    assert "no image is called `snapcats`" in said
    assert "snapcast" in said.partition("snapcats")[2]
    assert "no image matches `nothing-like-it*`" in said
    assert "`invoke list`" in said


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("registry: [unclosed\n", r"config/images\.yml:\d+", "expected"),
        ("registyr: ghcr.io/me\n", r"config/images\.yml:1\b", "registry"),
        ("images:\n  app:\n    plattforms: [linux/amd64]\n", r"config/images\.yml:3\b", "platforms"),
        ("images:\n  apq: {}\n", r"config/images\.yml", "`apq`"),
    ],
)
def test_a_wrong_configuration(ready: Repository, text: str, place: str, words: str) -> None:
    ready.write("config/images.yml", text)
    said = refused(ready, "build", "app", code=2)
    assert re.search(place, said), said
    assert words in said


def test_a_dockerfile_that_does_not_parse_does_not_hide_the_others(ready: Repository) -> None:
    ready.dockerfile("broken", "FROM scratch", "", "COPPY a /")
    ready.dockerfile("child", "FROM PREFIX/broken", "COPY tasks.py /")
    for name in ("broken", "child", "all"):
        said = ready.invoke("build", name).stderr
        assert "error: Dockerfiles/Dockerfile.broken:3: " in said
        assert "COPPY" in said
    statuses = {one["name"]: one["status"] for one in ready.build("all", code=1).document["images"]}
    assert statuses == {"app": "built", "broken": "failed", "child": "skipped"}
    assert [one["status"] for one in ready.build("child", code=1).document["images"]] == ["failed", "skipped"]
    listed = ready.invoke("list", "--json")
    assert [one["name"] for one in json.loads(listed.stdout)["images"]] == ["app", "broken", "child"]
    assert "Dockerfiles/Dockerfile.broken:3: " in listed.stderr


def test_a_cycle(ready: Repository) -> None:
    ready.dockerfile("one", "FROM PREFIX/three")
    ready.dockerfile("two", "FROM scratch", "COPY --from=PREFIX/one / /")
    ready.dockerfile("three", "FROM PREFIX/two")
    said = refused(ready, "build", "app", code=2)
    assert "one -> two -> three -> one" in said
    assert "Dockerfiles/Dockerfile.two:2: two uses one" in said


def test_two_dockerfiles_for_one_name(ready: Repository) -> None:
    ready.configure("discover: [Dockerfiles/Dockerfile.<name>, 'images/<name>/Dockerfile']\n")
    ready.write("images/app/Dockerfile", "FROM scratch\n")
    said = refused(ready, "build", "app", code=2)
    assert "Dockerfiles/Dockerfile.app and images/app/Dockerfile" in said


def test_a_command_that_fails(repository: Repository) -> None:
    repository.dockerfile(
        "app",
        "FROM BASE AS compiled",
        "RUN true",
        "RUN for number in $(seq 30); do echo said $number; done; exit 4",
        "FROM scratch",
        "COPY --from=compiled / /",
    )
    said = refused(repository, "build", "app", code=1)
    assert "error: Dockerfiles/Dockerfile.app:3: app: failed with exit code 4 (stage compiled, " in said
    shown = re.findall(r"\| said (\d+)$", said, re.MULTILINE)
    assert shown == [str(number) for number in range(11, 31)]
    (log,) = re.findall(r"the full log: (\S+)", said)
    assert "said 1\n" in Path(log).read_text()


def test_a_base_image_that_is_not_there(repository: Repository) -> None:
    repository.dockerfile("app", "FROM PREFIX/nothing:1")
    said = refused(repository, "build", "app", code=1)
    assert f"base image {repository.prefix}/nothing:1 was not found" in said
    assert "Dockerfiles/Dockerfile.app:1" in said


def test_a_registry_that_cannot_be_reached(ready: Repository, free_ports: Callable[[int], list[int]]) -> None:
    host = f"localhost:{free_ports(1)[0]}"
    ready.configure(f"images:\n  app: {{repository: '{host}/app'}}\nbuilder: {{retries: 0}}\n")
    said = refused(ready, "build", "app", code=3)
    assert f"registry {host} cannot be reached: connection refused" in " ".join(said.split())
    assert "is the registry up" in said


def test_a_registry_that_refuses_the_credentials(ready: Repository, tmp_path: Path) -> None:
    # The same registry under a name that the product does not know: the password that docker has for it is wrong.
    host = f"127.0.0.1:{ready.engine.places.registry_port}"
    ready.configure(f"images:\n  app: {{repository: '{host}/app'}}\n")
    stranger = tmp_path / "stranger"
    shutil.copytree(ready.engine.env["DOCKER_CONFIG"], stranger, symlinks=True)
    wrong = base64.b64encode(b"somebody:wr0ng-password").decode()
    (stranger / "config.json").write_text(json.dumps({"auths": {host: {"auth": wrong}}}))
    said = refused(ready, "build", "app", code=1, env={"DOCKER_CONFIG": str(stranger)})
    assert f"{host} refuses the push of {host}/app" in said
    assert f"`invoke login {host}`" in said
    assert "wr0ng" not in said
    assert wrong not in said


def test_no_such_builder(ready: Repository) -> None:
    said = refused(
        ready, "build", "app", "--builder", "nosuch", code=3, env={"DOCKER_CONFIG": str(ready.engine.docker_config)}
    )
    assert "error: there is no builder nosuch" in said
    assert "builder.name: auto" in said


def test_a_builder_that_nobody_answers_for(ready: Repository, tmp_path: Path) -> None:
    config = tmp_path / "docker"
    shutil.copytree(ready.engine.docker_config, config, symlinks=True)
    env = {"DOCKER_CONFIG": str(config)}
    ready.engine.docker("buildx", "create", "--name", "gone", "--driver", "remote", f"unix://{tmp_path}/gone", env=env)
    said = refused(ready, "build", "app", "--builder", "gone", code=3, env=env)
    assert f"builder gone does not answer at unix://{tmp_path}/gone" in said


def test_no_docker(ready: Repository, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").symlink_to(str(shutil.which("git")))
    said = refused(ready, "build", "app", code=3, env={"PATH": str(tmp_path / "bin")})
    assert "docker is not installed" in said


def test_a_load_without_an_engine(ready: Repository, tmp_path: Path) -> None:
    said = refused(ready, "build", "app", "--load", code=3, env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert "error: there is no Docker engine to load images into" in said
    assert "--output oci" in said


def test_a_secret_without_a_value(ready: Repository) -> None:
    ready.configure("images:\n  app: {secrets: [{id: npm, env: NPM_TOKEN}]}\n")
    said = refused(ready, "build", "app", code=2)
    assert "secret of app" in said
    assert "NPM_TOKEN" in said
    ready.configure("images:\n  app: {secrets: [{id: npm, src: nothere.txt}]}\n")
    said = refused(ready, "build", "app", code=1)
    assert "nothere.txt" in said


def test_archives_that_cannot_be_written(ready: Repository) -> None:
    ready.write("dist", "in the way")
    said = refused(ready, "build", "app", "--output", "tar", code=3)
    assert f"error: {ready.root}/dist: archives cannot be written" in said


def test_git_without_a_commit(ready: Repository) -> None:
    ready.git("init", "-q")
    assert ready.build("app")["app"]["tags"] == [ready.reference("app")]


@pytest.fixture
def tiny(engine: LocalEngine, tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own, of 48 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    folder = tmp_path / "tiny"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=0700", "tmpfs", folder], check=True)
    yield folder
    places = Places(cache=engine.places.cache, state=folder, registry=engine.registry)
    manager.stop("buildkitd", places, say=lambda _text: None)
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_while_building(repository: Repository, busybox: Path, tiny: Path) -> None:
    shutil.copy(busybox, repository.root / "busybox")
    repository.dockerfile(
        "app",
        "FROM scratch",
        "COPY busybox /bin/sh",
        'SHELL ["/bin/sh", "-c"]',
        "RUN dd if=/dev/zero of=/big bs=1M count=100",
    )
    said = refused(repository, "build", "app", "--no-push", code=3, env={"IMAGEWRIGHT_STATE_DIR": str(tiny)})
    assert "the disk of builder" in said
    assert "no space left on device" in said
    assert "prune" in said


def wait_until(condition: Callable[[], object], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_nothing_running(repository: Repository, number: signal.Signals) -> None:
    r = repository
    mark = f"4{time.monotonic_ns() % 10**9}"
    for number_of, name in enumerate(("one", "two")):  # BuildKit would run one command that two images share once
        r.dockerfile(name, "FROM BASE", f"RUN sleep {mark}{number_of}")
    r.dockerfile("child", "FROM PREFIX/one", "COPY --from=PREFIX/two / /")

    def services() -> dict[str, object]:
        return {one.name: (one.state, one.pid) for one in manager.status(r.engine.places, environ=r.engine.env)}

    before = services()
    run = subprocess.Popen(
        [sys.executable, "-m", "invoke", "build", "all", "--json"],
        cwd=r.root,
        env={**r.engine.env, "IMAGEWRIGHT_BUILDER_JOBS": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group of its own, as a shell gives it to a command: Ctrl-C reaches all of it
    )
    try:
        wait_until(lambda: len(processes(f"sleep {mark}")) >= 2, "both images at work")
        os.killpg(run.pid, number)
        stdout, stderr = run.communicate(timeout=30)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.communicate()
    assert (run.returncode, stdout) == (130, ""), stderr
    assert "Traceback" not in stderr
    assert stderr.rstrip().endswith("interrupted")
    wait_until(lambda: not processes(mark), "the commands of the builds end")
    assert not [pid for pid in processes("buildx bake") if is_ours(pid, r.root)]
    assert services() == before
    for name in ("one", "two", "child"):
        assert r.digest(r.reference(name)) is None


def is_ours(pid: int, folder: Path) -> bool:
    try:
        return (Path("/proc") / str(pid) / "cwd").readlink() == folder
    except OSError:  # it has ended
        return False
