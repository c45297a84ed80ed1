"""Each check's verdicts, told by a machine that answers as it is told; and the real one."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from imagewright.errors import EnvironmentMissingError, RegistryError
from imagewright.services import doctor
from imagewright.services.doctor import GIB, Check, Machine, Needs, examine
from imagewright.services.machine import ThisMachine
from imagewright.services.places import Places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

REMOTE = Needs(registry="ghcr.io", local_registry=False)


@dataclass
class ToldMachine:
    """A Debian machine with nothing but git, unless told otherwise."""

    programs: set[str] = field(default_factory=lambda: {"git", "docker", "apt-get"})
    docker_engine: str | None = None
    builders: set[str] = field(default_factory=set)
    here: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)
    registries: dict[str, bool | Exception] = field(default_factory=dict)
    logins: set[str] = field(default_factory=set)
    free: float = 100 * GIB
    qemu: set[str] = field(default_factory=set)
    root: bool = True

    def python(self) -> str:
        return "3.13.0 (/usr/bin/python3)"

    def program(self, *argv: str) -> str | None:
        return f"{argv[0]} 1.0 (/usr/bin/{argv[0]})" if argv[0] in self.programs else None

    def engine(self) -> str | None:
        return self.docker_engine

    def builder(self, name: str) -> bool:
        return name in self.builders

    def provided(self, name: str) -> str | None:
        return f"v1.0.0, on PATH (/usr/bin/{name})" if name in self.here else None

    def running(self, service: str) -> str | None:
        return f"unix:///{service}.sock" if service in self.services else None

    def login_needed(self, registry: str) -> bool:
        answer = self.registries.get(registry, EnvironmentMissingError("no route to host"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def logged_in(self, registry: str) -> bool:
        return registry in self.logins

    def free_bytes(self) -> int:
        return int(self.free)

    def emulators(self) -> frozenset[str]:
        return frozenset(self.qemu)

    def is_root(self) -> bool:
        return self.root


def verdicts(check: Callable[[Machine, Needs], Iterable[Check]], machine: Machine, needs: Needs) -> list[str]:
    found = list(check(machine, needs))
    assert all(one.mend for one in found if one.verdict != "ok"), "what is not there can be mended"
    assert all(one.mend is None for one in found if one.verdict == "ok")
    return [f"{one.name}: {one.verdict}" for one in found]


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (ToldMachine(docker_engine="28.2"), ["builder: ok"]),
        (ToldMachine(services={"buildkitd"}), ["builder: ok"]),
        (ToldMachine(here={"buildkitd", "runc"}), ["builder: ok", "runc: ok"]),
        (ToldMachine(here={"buildkitd"}), ["builder: ok", "runc: warning"]),
        (ToldMachine(here={"buildkitd"}, programs={"git"}), ["builder: ok", "runc: missing"]),
        (ToldMachine(programs={"go", "apt-get"}), ["builder: warning", "runc: warning"]),
        (ToldMachine(), ["builder: missing", "runc: warning"]),
        (ToldMachine(here={"buildkitd", "runc"}, root=False), ["builder: missing"]),
    ],
)
def test_the_builder_that_auto_means(machine: ToldMachine, expected: list[str]) -> None:
    assert verdicts(doctor.builder, machine, Needs()) == expected


@pytest.mark.parametrize(("known", "expected"), [({"farm"}, ["builder: ok"]), (set(), ["builder: missing"])])
def test_a_named_builder_has_to_be_known_to_buildx(known: set[str], expected: list[str]) -> None:
    assert verdicts(doctor.builder, ToldMachine(builders=known, docker_engine="28"), Needs(builder="farm")) == expected


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (ToldMachine(services={"registry"}), ["registry: ok"]),
        (ToldMachine(here={"registry"}), ["registry: ok"]),
        (ToldMachine(docker_engine="28"), ["registry: ok"]),
        (ToldMachine(programs={"go"}), ["registry: warning"]),
        (ToldMachine(), ["registry: missing"]),
    ],
)
def test_the_local_registry(machine: ToldMachine, expected: list[str]) -> None:
    assert verdicts(doctor.registry, machine, Needs()) == expected


@pytest.mark.parametrize(
    ("answer", "logins", "expected"),
    [
        (True, {"ghcr.io"}, ["registry: ok", "credentials: ok"]),
        (True, set(), ["registry: ok", "credentials: missing"]),
        (False, set(), ["registry: ok", "credentials: warning"]),
        (RegistryError("401: bad password"), {"ghcr.io"}, ["registry: ok", "credentials: missing"]),
        (EnvironmentMissingError("no route"), {"ghcr.io"}, ["registry: missing"]),
    ],
)
def test_a_remote_registry_and_its_credentials(answer: bool | Exception, logins: set[str], expected: list[str]) -> None:
    machine = ToldMachine(registries={"ghcr.io": answer}, logins=logins)
    assert verdicts(doctor.registry, machine, REMOTE) == expected


@pytest.mark.parametrize(
    ("machine", "bases", "expected"),
    [
        (ToldMachine(registries={"docker.io": True}), False, ["base images: ok"]),
        (ToldMachine(), False, ["base images: warning"]),
        (ToldMachine(), True, ["base images: ok"]),
        (ToldMachine(programs={"mmdebstrap"}), True, ["base images: ok"]),
        (ToldMachine(programs=set()), True, ["base images: missing"]),
    ],
)
def test_base_images(machine: ToldMachine, bases: bool, expected: list[str]) -> None:
    assert verdicts(doctor.base_images, machine, Needs(bases=bases)) == expected


@pytest.mark.parametrize(("gib", "expected"), [(10, "ok"), (9.9, "warning"), (2, "warning"), (1.9, "missing")])
def test_disk_space(gib: float, expected: str) -> None:
    assert verdicts(doctor.disk, ToldMachine(free=gib * GIB), Needs()) == [f"disk space: {expected}"]


@pytest.mark.parametrize(
    ("platforms", "qemu", "expected"),
    [
        ({"linux/amd64", "linux/386"}, set(), []),
        ({"linux/amd64", "linux/arm64"}, {"aarch64"}, ["emulators: ok"]),
        ({"linux/arm64", "linux/arm/v7"}, {"aarch64"}, ["emulators: missing"]),
    ],
)
def test_emulators_for_foreign_platforms(platforms: set[str], qemu: set[str], expected: list[str]) -> None:
    needs = Needs(platforms=frozenset(platforms))
    assert verdicts(doctor.emulators, ToldMachine(qemu=qemu), needs) == expected
    assert verdicts(doctor.emulators, ToldMachine(), Needs(platforms=needs.platforms, builder="farm")) == []


@pytest.mark.parametrize("program", ["git", "docker"])
def test_programs_that_nothing_replaces(program: str) -> None:
    check = getattr(doctor, program)
    (found,) = check(ToldMachine(programs=set()), Needs())
    assert (found.verdict, found.found) == ("missing", "not found")
    (found,) = check(ToldMachine(), Needs())
    assert (found.verdict, found.found) == ("ok", f"{program} 1.0 (/usr/bin/{program})")


def test_all_checks_together_keep_their_order() -> None:
    machine = ToldMachine(docker_engine="28", here={"buildx"}, registries={"docker.io": True})
    found = examine(machine, Needs(), seconds=30)
    names = [check.name for check in found]
    assert names == [
        "python",
        "git",
        "docker client",
        "buildx plugin",
        "builder",
        "registry",
        "base images",
        "disk space",
    ]
    assert {check.verdict for check in found} == {"ok"}


def test_a_check_without_an_answer_is_a_warning_and_holds_nothing_up() -> None:
    never = threading.Event()

    def the_network(_machine: Machine, _needs: Needs) -> list[Check]:
        never.wait(60)
        return []

    found = examine(ToldMachine(), Needs(), seconds=0.2, checks=[the_network, doctor.python])
    never.set()
    assert [(check.name, check.verdict) for check in found] == [("the network", "warning"), ("python", "ok")]
    assert found[0].found == "no answer within 0.2 s"


def test_a_bug_in_a_check_is_not_swallowed() -> None:
    def broken(_machine: Machine, _needs: Needs) -> list[Check]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        examine(ToldMachine(), Needs(), seconds=30, checks=[broken])


def script(folder: Path, name: str, body: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


def test_the_real_machine_looks_at_path_disk_and_services(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    script(programs, "buildkitd", "echo 'buildkitd github.com/moby/buildkit v0.33.0'")
    script(programs, "git", "echo git version 9.9; echo more")
    script(programs, "broken", "exit 3")
    places = Places(cache=tmp_path / "no/cache", state=tmp_path / "no/state", registry="localhost:1")
    machine = ThisMachine(places, {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"})
    assert machine.program("git", "--version") == f"git version 9.9 ({programs}/git)"
    assert machine.program("broken") is machine.program("not-a-program") is None
    assert machine.provided("buildkitd") == f"v0.33.0, on PATH ({programs}/buildkitd)"
    assert machine.running("registry") is None
    assert machine.free_bytes() > 0
    assert not (tmp_path / "no").exists()  # looking makes nothing
    with pytest.raises(EnvironmentMissingError):
        machine.login_needed("localhost:1")


def test_a_program_that_hangs_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagewright.services.machine._SECONDS", 0.2)
    script(tmp_path / "bin", "git", "sleep 60; echo git version 9.9")  # which is what it would be waited for
    machine = ThisMachine(Places(cache=tmp_path, state=tmp_path), {"PATH": f"{tmp_path}/bin"})
    assert machine.program("git", "--version") is None


def test_looking_for_a_program_builds_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "bin", "go", f"touch {tmp_path}/built; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/bin:/usr/bin")
    machine = ThisMachine(Places(cache=tmp_path / "cache", state=tmp_path), {"PATH": f"{tmp_path}/bin"})
    assert machine.provided("versitygw") is None
    assert not (tmp_path / "built").exists()
