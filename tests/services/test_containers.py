"""The way by a Docker engine, with a door that notes what is asked of it: no engine runs where the tests run."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from imagewright.errors import EnvironmentMissingError
from imagewright.services import buildkitd, manager, programs, registry, s3
from imagewright.services.containers import DockerEngine
from imagewright.services.model import Container, Secrets
from imagewright.services.places import Places
from imagewright.services.programs import Program, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.services.conftest import Sandbox

ECHO = "echo"
SECRETS = Secrets("user", "password-of-the-service")


class FakeEngine:
    def __init__(self, refusal: str | None = None) -> None:
        self.refusal = refusal
        self.healthy = True
        self.running: dict[str, tuple[Container, Path, tuple[str, int] | None]] = {}

    def run(self, name: str, container: Container, folder: Path, listen: tuple[str, int] | None) -> str:
        if self.refusal:
            raise Unavailable(self.refusal)
        self.running[name] = (container, folder, listen)
        return name

    def alive(self, container: str) -> bool:
        return container in self.running and self.healthy

    def succeeds(self, container: str, command: Sequence[str]) -> bool:
        return self.alive(container) and self.healthy

    def output(self, container: str) -> str:
        return "cannot mount /sys"

    def remove(self, container: str) -> bool:
        return self.running.pop(container, None) is not None


@pytest.fixture
def no_program(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """No way but a container, which answers at once."""
    monkeypatch.setattr(programs, "PROGRAMS", {"echod": Program(name="echod", module="registry")})
    sandbox.environ["PATH"] = os.defpath
    monkeypatch.setenv("PATH", "/nonexistent")
    answering = replace(manager.SERVICES[ECHO], answers=lambda _places: True)  # type: ignore[attr-defined]
    monkeypatch.setattr(manager, "SERVICES", {ECHO: answering})
    return sandbox


def test_a_container_serves_where_there_is_no_program(no_program: Sandbox) -> None:
    engine = FakeEngine()

    running = manager.start(
        ECHO, no_program.places, environ=no_program.environ, say=no_program.said.append, engine=engine
    )

    _, folder, listen = engine.running["imagewright-echo"]
    assert (running.pid, running.how, running.version) == (None, "container of example/echod:2", "2")
    assert listen == ("127.0.0.1", no_program.places.s3_port)
    assert (folder / "data").is_dir()
    assert no_program.ensure() == running
    (status,) = manager.status(no_program.places, environ=no_program.environ, engine=engine)
    assert (status.state, status.version) == ("running", "2")

    assert manager.stop(ECHO, no_program.places, say=no_program.said.append, engine=engine)
    assert not engine.running
    assert not manager.stop(ECHO, no_program.places, say=no_program.said.append, engine=engine)


def test_without_an_engine_the_list_of_ways_says_so(no_program: Sandbox) -> None:
    with pytest.raises(EnvironmentMissingError, match="container: no Docker engine answers"):
        manager.start(
            ECHO,
            no_program.places,
            environ=no_program.environ,
            say=no_program.said.append,
            engine=FakeEngine("no Docker engine answers"),
        )


def test_an_engine_that_is_not_there_or_not_here_is_unavailable(tmp_path: Path) -> None:
    for host, reason in [
        (f"unix://{tmp_path}/none.sock", "no Docker engine answers at unix://"),
        ("tcp://build.example:2376", "on another machine"),
    ]:
        engine = DockerEngine({**os.environ, "DOCKER_HOST": host, "DOCKER_CONFIG": str(tmp_path)})
        with pytest.raises(Unavailable, match=reason):
            engine.run("imagewright-echo", Container(image="example/echod:2"), tmp_path, None)


def test_without_root_buildkitd_is_a_container_or_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    places = Places(cache=tmp_path / "cache", state=tmp_path / "state")
    environ = {"PATH": "/nonexistent", "HOME": str(tmp_path), "BUILDKIT_HOST": "unix:///nonexistent"}
    said: list[str] = []

    with pytest.raises(EnvironmentMissingError, match="needs root; without it, use rootless Docker"):
        manager.start("buildkitd", places, environ=environ, say=said.append, engine=FakeEngine("no engine"))

    engine = FakeEngine()
    running = manager.start("buildkitd", places, environ=environ, say=said.append, engine=engine)
    assert running.address == "docker-container://imagewright-buildkitd"
    assert engine.running["imagewright-buildkitd"][0].privileged
    assert manager.ensure(["buildkitd"], places, environ=environ, say=pytest.fail, engine=engine) == (running,)
    engine.running.clear()  # as `docker stop` does
    assert manager.ensure(["buildkitd"], places, environ=environ, say=said.append, engine=engine) == (running,)
    assert engine.running


def test_a_container_that_fails_is_removed_and_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    environ = {"PATH": "/nonexistent", "HOME": str(tmp_path), "BUILDKIT_HOST": "unix:///nonexistent"}
    engine = FakeEngine()
    engine.healthy = False

    with pytest.raises(EnvironmentMissingError, match="cannot mount /sys"):
        manager.start(
            "buildkitd", Places(cache=tmp_path, state=tmp_path), environ=environ, say=pytest.fail, engine=engine
        )

    assert not engine.running


@pytest.mark.parametrize("service", [registry.SERVICE, s3.SERVICE, buildkitd.SERVICE], ids=lambda service: service.name)
def test_what_a_container_is_given(service: object, tmp_path: Path) -> None:
    places = Places(cache=tmp_path, state=tmp_path)
    container = service.container(places, SECRETS)  # type: ignore[attr-defined]

    assert ":" in container.image, "the version is named"
    assert SECRETS.password not in " ".join(container.args)
    assert set(container.mounts) <= {*container.files, "data"}
    assert (container.port is None) == container.privileged, "published on loopback, or reached through docker alone"
