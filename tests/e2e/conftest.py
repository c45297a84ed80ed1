"""The real buildkitd, registry and S3 store, once for each test process, through the product's own code.

Everything that they keep is in a temporary folder and on free ports; only the programs, which take minutes to build,
come from the user's cache folder. Each process of pytest-xdist has services of its own.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from imagewright.config.models import Settings
from imagewright.services import manager
from imagewright.services.docker_config import docker_config
from imagewright.services.places import Places
from imagewright.tools import apt
from tests.e2e.registries import Served, program_of
from tests.forks import Forks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

BUILDER = "imagewright-tests"
BASE_IMAGE = "busybox:latest"
BASE_DOCKERFILE = """\
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
CMD ["sh"]
"""


@dataclass(frozen=True, kw_only=True)
class Isolated:
    """An environment in which nothing of the user's is seen or changed, but for the cache of built programs."""

    places: Places
    env: Mapping[str, str]  # for child processes: complete

    @property
    def registry(self) -> str:
        """`localhost:PORT`; the environment says so, too, and so overrides a project's configuration."""
        return self.places.registry


@dataclass(frozen=True, kw_only=True)
class LocalEngine(Isolated):
    """The services, running."""

    buildkitd: str  # unix:///…
    docker_config: Path

    def docker(
        self, *args: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The docker client with buildx, logged in to the registry; fails the test where docker fails."""
        done = subprocess.run(
            ["docker", *args],
            cwd=cwd,
            env={**self.env, "DOCKER_CONFIG": str(self.docker_config), **(env or {})},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"docker {' '.join(args)}\n{done.stdout}\n{done.stderr}"
        return done

    def build(
        self, context: Path, *args: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`docker buildx build` on the local buildkitd, without the product: to prepare what a test needs."""
        return self.docker("buildx", "build", "--builder", BUILDER, "--progress", "plain", *args, str(context), env=env)


class Inv(Protocol):
    """Runs `invoke` in a project, in the isolated environment."""

    def __call__(
        self, project: Path, *args: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="session")
def tell(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Says something at once, also while pytest captures: building the programs takes minutes the first time."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            sys.stderr.write(f"\n{text}")
            sys.stderr.flush()

    return say


@pytest.fixture(scope="session")
def on_disk() -> Iterator[Callable[[], Path]]:
    """New folders on the disk, whatever `tmp_path` is on: what daemons keep is large, and has mounts in it."""
    made: list[Path] = []

    def make() -> Path:
        made.append(Path(tempfile.mkdtemp(prefix="imagewright-e2e-")))
        return made[-1]

    yield make
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def isolated() -> Iterator[Isolated]:
    """Folders and free ports of this test process's own."""
    user = Places.of(Settings(), os.environ, Path.cwd())
    with tempfile.TemporaryDirectory(prefix="imagewright-e2e-") as folder:
        root = Path(folder)
        registry_port, s3_port = _free_ports(2)
        places = Places(cache=user.cache, state=root / "state", registry=f"localhost:{registry_port}", s3_port=s3_port)
        scrubbed = ("AWS_", "BUILDX_", "CI_", "DOCKER_", "GIT_", "GITHUB_", "GITLAB_", "IMAGEWRIGHT_", "INVOKE_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(scrubbed)}
        env = kept | {
            "IMAGEWRIGHT_CACHE_DIR": str(places.cache),
            "IMAGEWRIGHT_STATE_DIR": str(places.state),
            "IMAGEWRIGHT_REGISTRY": places.registry,
            "IMAGEWRIGHT_SERVICES_S3_PORT": str(places.s3_port),
            "DOCKER_CONFIG": str(root / "docker"),
            "BUILDKIT_HOST": f"unix://{root / 'none.sock'}",  # a buildkitd of the machine's is not ours to use
        }
        yield Isolated(places=places, env=env)
        for name in manager.names(manager.ALL):  # also what a failed test left
            manager.stop(name, places, say=lambda _text: None)
            manager.remove(name, places, environ=env, say=lambda _text: None)


@pytest.fixture(scope="session")
def engine(isolated: Isolated, tell: Callable[[str], None]) -> LocalEngine:
    """All services running and healthy, docker logged in and able to build; ended with the test process."""
    running = {
        one.name: one
        for one in manager.ensure(manager.names(manager.ALL), isolated.places, environ=isolated.env, say=tell)
    }
    ours = docker_config(isolated.places, environ=isolated.env, say=tell) or Path(isolated.env["DOCKER_CONFIG"])
    made = LocalEngine(
        places=isolated.places, env=isolated.env, buildkitd=running["buildkitd"].address, docker_config=ours
    )
    made.docker("buildx", "create", "--name", BUILDER, "--driver", "remote", made.buildkitd)
    return made


@pytest.fixture(scope="session")
def busybox(isolated: Isolated, tell: Callable[[str], None]) -> Path:
    """Debian's static busybox: a whole userland in one file."""
    tree = apt.unpack(["busybox-static"], cache=isolated.places.tools, say=tell)
    return next(file for file in (tree / "bin/busybox", tree / "usr/bin/busybox") if file.exists())


@pytest.fixture(scope="session")
def base_image(engine: LocalEngine, busybox: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base with a shell, for `FROM`, served by the mirror as if it came from Docker Hub."""
    context = tmp_path_factory.mktemp("base")
    shutil.copy(busybox, context / "busybox")
    (context / "Dockerfile").write_text(BASE_DOCKERFILE)
    engine.build(context, "--provenance=false", "--push", "--tag", f"{engine.registry}/docker.io/library/{BASE_IMAGE}")
    return BASE_IMAGE


@pytest.fixture(scope="session")
def inv(isolated: Isolated, forks: Forks) -> Inv:
    """`inv(project, "build", "app")`: the finished process, with its output as text."""

    def run(project: Path, *args: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return forks.invoke(*args, cwd=project, env={**isolated.env, **(env or {})})

    return run


@pytest.fixture(scope="session")
def free_ports() -> Callable[[int], list[int]]:
    """`free_ports(2)`: loopback ports on which nothing listens now."""
    return _free_ports


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def serve(
    tmp_path_factory: pytest.TempPathFactory, free_ports: Callable[[int], list[int]], tell: Callable[[str], None]
) -> Iterator[Callable[..., Served]]:
    """`serve(3)`: a new registry of that generation; `deletes=False` switches deletion off."""
    places = Places.of(Settings(), os.environ, Path.cwd())
    started: list[Served] = []

    def one(generation: int, *, deletes: bool = True) -> Served:
        host = f"127.0.0.1:{free_ports(1)[0]}"
        folder = tmp_path_factory.mktemp("registry")
        served = Served(program_of(generation, places, tell), folder, host, deletes=deletes)
        started.append(served)
        served.start()
        return served

    yield one
    for served in started:
        served.kill()
        shutil.rmtree(served.folder)
