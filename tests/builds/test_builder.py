from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from imagewright.builds.builder import Builder, Local, Own, choose, informed, is_local
from imagewright.builds.nodes import Node
from imagewright.errors import EnvironmentMissingError, UsageError
from imagewright.tools.buildx_inspect import Inspected, InspectedNode
from imagewright.tools.buildx_store import StoredBuilder, StoredNode
from imagewright.tools.docker import NewNode

SAID = ("linux/amd64", "linux/arm64")


class FakeDocker:
    """A docker that knows builders."""

    def __init__(self, *, engine: bool = False, stored: Sequence[StoredBuilder] = ()) -> None:
        self.engine = engine
        self.stored = {builder.name: builder for builder in stored}
        self.made: list[tuple[str, tuple[str, ...]]] = []

    def engine_running(self) -> bool:
        return self.engine

    def current_builder(self) -> StoredBuilder:
        return StoredBuilder(name="default", driver="docker", nodes=(StoredNode(name="default", endpoint="default"),))

    def stored_builder(self, name: str) -> StoredBuilder | None:
        return self.stored.get(name)

    def builder_drivers(self) -> Mapping[str, str]:
        return {"default": "docker", **{name: builder.driver for name, builder in self.stored.items()}}

    def create_builder(self, name: str, nodes: Sequence[NewNode], *, driver: str = "remote") -> None:
        assert name not in self.stored
        endpoints = tuple(str(node.endpoint) for node in nodes)
        self.made.append((name, endpoints))
        self.stored[name] = replace(remote(name, *endpoints), driver=driver)

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
    nodes = tuple(StoredNode(name=f"{name}{at}", endpoint=endpoint) for at, endpoint in enumerate(endpoints))
    return StoredBuilder(name=name, driver="remote", nodes=nodes)


def never() -> Local:
    raise AssertionError("nothing is to be started")


def chosen(
    name: str,
    docker: FakeDocker,
    local: Local | None = None,
    *,
    buildx: bool = True,
    own: Own | None = None,
    described: str | None = None,
) -> Builder:
    return choose(
        name,
        docker=docker,
        local=(lambda: local) if local else never,
        has_buildx=lambda: buildx,
        own=lambda: own,
        described=described,
    )


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
        ("imagewright-0a1b2c3d", True, True, True),  # where another one has that name
        ("imagewright-fleet", True, True, False),
        ("imagewright2", False, False, False),
        ("mine", False, False, False),
    ],
)
def test_whether_it_would_be_the_local_one_is_known_before(name: str, engine: bool, buildx: bool, local: bool) -> None:
    assert is_local(name, docker=FakeDocker(engine=engine), has_buildx=lambda: buildx) is local


@pytest.mark.parametrize(
    ("current", "local"),
    [
        (remote("imagewright", "unix:///b.sock"), True),
        (remote("imagewright", "tcp://a:1"), False),
        (remote("imagewright-fleet", "tcp://a:1"), False),
        (replace(remote("imagewright", "tcp://a:1"), driver="docker-container"), False),
    ],
)
def test_the_local_one_may_be_dockers_current_builder(current: StoredBuilder, local: bool) -> None:
    class Current(FakeDocker):
        def current_builder(self) -> StoredBuilder:
            return current

    docker = Current(engine=True)
    assert is_local("auto", docker=docker, has_buildx=lambda: True) is local
    ours = Local(endpoint="unix:///b.sock", config=None, docker=FakeDocker(stored=[current]))
    builder = chosen("auto", docker, ours if local else None)
    assert (builder.name, builder.is_local) == (current.name, local)


def test_a_name_that_begins_like_the_local_ones_is_anybodys(sockets: tuple[str, str]) -> None:
    builder = chosen("imagewright-fleet", FakeDocker(stored=[remote("imagewright-fleet", *sockets)]))
    assert (builder.endpoints, builder.is_local) == (sockets, False)


def test_a_builder_whose_socket_is_dead_does_not_listen(tmp_path: Path, sockets: tuple[str, str]) -> None:
    def listens(*endpoints: str) -> bool:
        nodes = tuple(Node(name=endpoint, endpoint=endpoint) for endpoint in endpoints)
        return Builder(name="b", driver="remote", nodes=nodes).listens

    assert listens(*sockets)
    assert listens("tcp://192.0.2.1:1", "docker-container://x")  # nobody can tell
    assert not listens(sockets[0], f"unix://{tmp_path}/gone.sock")


@pytest.mark.parametrize(("engine", "buildx"), [(False, True), (True, False)])
def test_auto_is_the_local_buildkitd_without_an_engine_or_its_buildx(engine: bool, buildx: bool) -> None:
    ours = FakeDocker()
    local = Local(endpoint="unix:///b.sock", config=Path("/c"), docker=ours)
    builder = chosen("auto", FakeDocker(engine=engine), local, buildx=buildx)
    node = Node(name="imagewright0", endpoint="unix:///b.sock")
    assert builder == Builder(
        name="imagewright", driver="remote", docker_config=Path("/c"), nodes=(node,), is_local=True
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
    assert re.fullmatch("imagewright-[0-9a-f]{8}", first.name)
    assert first.is_local
    assert is_local(first.name, docker=ours, has_buildx=lambda: True)
    assert ours.made == [(first.name, (sockets[1],))]
    assert ours.stored["imagewright"].endpoints == (sockets[0],)


def test_a_named_builder_is_taken(sockets: tuple[str, str]) -> None:
    docker = FakeDocker(stored=[remote("fleet", *sockets)])
    nodes = tuple(Node(name=f"fleet{at}", endpoint=endpoint) for at, endpoint in enumerate(sockets))
    assert chosen("fleet", docker) == Builder(name="fleet", driver="remote", nodes=nodes)
    assert chosen("fleet", docker).endpoints == sockets
    assert chosen("default", docker).driver == "docker"


def test_a_named_builder_that_is_not_there_is_an_error_with_those_that_are() -> None:
    docker = FakeDocker(stored=[remote("fleet", "tcp://x:1")])
    with pytest.raises(EnvironmentMissingError, match=r"there is no builder flet\n.*default, fleet") as caught:
        chosen("flet", docker)
    assert caught.value.exit_code == 3


def test_a_named_builder_without_buildx() -> None:
    with pytest.raises(EnvironmentMissingError, match="buildx plugin"):
        chosen("fleet", FakeDocker(), buildx=False)


@pytest.mark.parametrize("buildx", [True, False])
def test_a_described_builder_that_was_not_made_yet_is_told_how(buildx: bool) -> None:
    with pytest.raises(EnvironmentMissingError, match=r"no builder fleet yet\n.*`invoke builder` creates it") as caught:
        chosen("fleet", FakeDocker(), buildx=buildx, described="fleet")
    assert caught.value.exit_code == 3
    with pytest.raises(EnvironmentMissingError) as other:
        chosen("other", FakeDocker(), buildx=buildx, described="fleet")
    assert "invoke builder" not in str(other.value)


def test_a_builder_that_was_made_with_our_own_buildx_is_found(sockets: tuple[str, str]) -> None:
    ours = Own(config=Path("/c"), docker=FakeDocker(stored=[remote("fleet", *sockets)]))
    builder = chosen("fleet", FakeDocker(), buildx=False, own=ours, described="fleet")
    assert (builder.endpoints, builder.docker_config) == (sockets, Path("/c"))


def test_the_nodes_are_asked_only_where_that_tells_something() -> None:
    def ask(name: str) -> Inspected:
        asked.append(name)
        return Inspected(name=name, driver="remote", nodes=(InspectedNode(name="n0", endpoint="?", platforms=SAID),))

    asked: list[str] = []
    here = Node(name="n0", endpoint="unix:///a.sock")
    far = Node(name="n0", endpoint="tcp://a:1")
    named = Node(name="arm", endpoint="tcp://b:1", platforms=("linux/arm64",))
    for nodes, platforms, asks in (
        ([here], ["linux/amd64", "linux/386"], False),
        ([here], ["linux/amd64", "linux/arm64"], True),
        ([far], ["linux/amd64"], True),
        ([named], ["linux/arm64/v8"], False),
        ([here, named], ["linux/arm64"], False),
        ([here, named], ["linux/amd64"], True),
        ([], ["linux/amd64"], True),
        ([], [], False),
    ):
        asked.clear()
        builder = Builder(name="b", driver="remote", nodes=tuple(nodes))
        known = informed(builder, platforms, host="linux/amd64", ask=ask)
        assert bool(asked) is asks, (nodes, platforms)
        assert (known is builder) is not asks
        if asks:
            assert next(node for node in known.nodes if node.name == "n0").found == SAID


def test_the_pods_of_kubernetes_are_its_nodes() -> None:
    pods = tuple(InspectedNode(name=f"pod-{at}", endpoint="", platforms=SAID) for at in range(2))
    builder = Builder(name="k", driver="kubernetes", nodes=(Node(name="k0", endpoint="kubernetes:///k"),))
    known = informed(
        builder, SAID, host="linux/amd64", ask=lambda name: Inspected(name=name, driver="kubernetes", nodes=pods)
    )
    assert [node.name for node in known.nodes] == ["pod-0", "pod-1"]


def test_a_builder_shares_out_platforms_among_its_nodes() -> None:
    nodes = [Node(name=name, endpoint=name, platforms=(f"linux/{name}",)) for name in ("amd64", "arm64")]
    builder = Builder(name="b", driver="remote", nodes=tuple(nodes))
    assert builder.parts(["linux/amd64", "linux/arm64"]) == (("linux/amd64",), ("linux/arm64",))
    assert Builder(name="b", driver="docker").parts(["linux/amd64"]) == (("linux/amd64",),)


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
