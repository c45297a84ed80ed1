from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from imagewright.builds.builder import Builder, Local, choose, is_local
from imagewright.errors import EnvironmentMissingError, UsageError
from imagewright.tools.buildx_store import StoredBuilder
from imagewright.tools.docker import Node


class FakeDocker:
    """A docker that knows builders."""

    def __init__(self, *, engine: bool = False, stored: Sequence[StoredBuilder] = ()) -> None:
        self.engine = engine
        self.stored = {builder.name: builder for builder in stored}
        self.made: list[tuple[str, tuple[str, ...]]] = []

    def engine_running(self) -> bool:
        return self.engine

    def current_builder(self) -> StoredBuilder:
        return StoredBuilder(name="default", driver="docker", endpoints=("default",))

    def stored_builder(self, name: str) -> StoredBuilder | None:
        return self.stored.get(name)

    def builder_drivers(self) -> Mapping[str, str]:
        return {"default": "docker", **{name: builder.driver for name, builder in self.stored.items()}}

    def create_builder(self, name: str, nodes: Sequence[Node], *, driver: str = "remote") -> None:
        assert name not in self.stored
        endpoints = tuple(node.endpoint for node in nodes)
        self.made.append((name, endpoints))
        self.stored[name] = StoredBuilder(name=name, driver=driver, endpoints=endpoints)

    def remove_builder(self, name: str) -> None:
        del self.stored[name]


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two endpoints on which somebody listens."""
    with ExitStack() as stack:
        found = []
        for name in ("one", "two"):
            server = stack.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(str(tmp_path / name))
            server.listen()
            found.append(f"unix://{tmp_path / name}")
        yield found[0], found[1]


def remote(name: str, *endpoints: str) -> StoredBuilder:
    return StoredBuilder(name=name, driver="remote", endpoints=endpoints)


def never() -> Local:
    raise AssertionError("nothing is to be started")


def chosen(name: str, docker: FakeDocker, local: Local | None = None, *, buildx: bool = True) -> Builder:
    return choose(name, docker=docker, local=(lambda: local) if local else never, has_buildx=lambda: buildx)


def test_auto_takes_the_engines_builder_and_starts_nothing() -> None:
    builder = chosen("auto", FakeDocker(engine=True))
    assert (builder.name, builder.driver, builder.docker_config) == ("default", "docker", None)


@pytest.mark.parametrize(
    ("name", "engine", "buildx", "local"),
    [
        ("auto", False, True, True),
        ("auto", True, False, True),
        ("auto", True, True, False),  # docker's current builder
        ("imagewright", True, True, True),
        ("mine", False, False, False),
    ],
)
def test_whether_it_would_be_the_local_one_is_known_before(name: str, engine: bool, buildx: bool, local: bool) -> None:
    assert is_local(name, docker=FakeDocker(engine=engine), has_buildx=lambda: buildx) is local


def test_the_local_one_may_be_dockers_current_builder() -> None:
    class Current(FakeDocker):
        def current_builder(self) -> StoredBuilder:
            return remote("imagewright", "unix:///b.sock")

    assert is_local("auto", docker=Current(engine=True), has_buildx=lambda: True)


@pytest.mark.parametrize(("engine", "buildx"), [(False, True), (True, False)])
def test_auto_is_the_local_buildkitd_without_an_engine_or_its_buildx(engine: bool, buildx: bool) -> None:
    ours = FakeDocker()
    local = Local(endpoint="unix:///b.sock", config=Path("/c"), docker=ours)
    builder = chosen("auto", FakeDocker(engine=engine), local, buildx=buildx)
    assert builder == Builder(
        name="imagewright", driver="remote", docker_config=Path("/c"), endpoints=("unix:///b.sock",)
    )
    assert ours.made == [("imagewright", ("unix:///b.sock",))]


def test_the_local_builder_is_registered_once() -> None:
    local = Local(
        endpoint="unix:///b.sock", config=None, docker=FakeDocker(stored=[remote("imagewright", "unix:///b.sock")])
    )
    assert chosen("auto", FakeDocker(), local) == chosen("imagewright", FakeDocker(), local)
    assert isinstance(local.docker, FakeDocker)
    assert local.docker.made == []


def test_a_dead_one_of_the_same_name_is_replaced(tmp_path: Path, sockets: tuple[str, str]) -> None:
    ours = FakeDocker(stored=[remote("imagewright", f"unix://{tmp_path}/gone.sock")])
    assert chosen("auto", FakeDocker(), Local(endpoint=sockets[0], config=None, docker=ours)).name == "imagewright"
    assert ours.made == [("imagewright", (sockets[0],))]


def test_a_living_one_of_the_same_name_is_left_alone(sockets: tuple[str, str]) -> None:
    ours = FakeDocker(stored=[remote("imagewright", sockets[0])])
    local = Local(endpoint=sockets[1], config=None, docker=ours)
    first, second = chosen("auto", FakeDocker(), local), chosen("auto", FakeDocker(), local)
    assert first == second
    assert first.name.startswith("imagewright-")
    assert ours.made == [(first.name, (sockets[1],))]
    assert ours.stored["imagewright"].endpoints == (sockets[0],)


def test_a_named_builder_is_taken(sockets: tuple[str, str]) -> None:
    docker = FakeDocker(stored=[remote("fleet", *sockets)])
    assert chosen("fleet", docker) == Builder(name="fleet", driver="remote", endpoints=sockets)
    assert chosen("default", docker).driver == "docker"


def test_a_named_builder_that_is_not_there_is_an_error_with_those_that_are() -> None:
    docker = FakeDocker(stored=[remote("fleet", "tcp://x:1")])
    with pytest.raises(EnvironmentMissingError, match=r"there is no builder flet\n.*default, fleet") as caught:
        chosen("flet", docker)
    assert caught.value.exit_code == 3


def test_a_named_builder_without_buildx() -> None:
    with pytest.raises(EnvironmentMissingError, match="buildx plugin"):
        chosen("fleet", FakeDocker(), buildx=False)


def test_a_builder_whose_socket_is_dead_is_told_at_once(tmp_path: Path) -> None:
    docker = FakeDocker(stored=[remote("fleet", f"unix://{tmp_path}/gone.sock")])
    with pytest.raises(EnvironmentMissingError, match="fleet does not answer at unix://"):
        chosen("fleet", docker)


def test_what_the_engines_own_builder_cannot_do() -> None:
    builder = Builder(name="default", driver="docker")
    builder.require(output="push", platforms=["linux/amd64"])
    with pytest.raises(UsageError, match="several platforms"):
        builder.require(output="push", platforms=["linux/amd64", "linux/arm64"])
    with pytest.raises(UsageError, match="OCI archive"):
        builder.require(output="oci", platforms=["linux/amd64"])
    Builder(name="b", driver="remote").require(output="oci", platforms=["linux/amd64", "linux/arm64"])
