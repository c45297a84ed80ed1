"""`invoke builder` and builds on a fleet: two BuildKit daemons, one of them behind TLS, and emulators."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imagewright.builds.executable import program
from imagewright.tools import apt
from tests.e2e.buildkitds import Buildkitd, Certificates, steps
from tests.e2e.emulators import emulated
from tests.e2e.repository import Repository

if TYPE_CHECKING:
    from tests.e2e.conftest import Inv, Isolated, LocalEngine

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def emulator(isolated: Isolated) -> Iterator[Path]:
    """Programs of arm64 run on this machine."""
    with emulated("arm64", isolated) as handler:
        yield handler


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(folder=tmp_path_factory.mktemp("tls") / "files")


@pytest.fixture(scope="module")
def arm(
    isolated: Isolated,
    certificates: Certificates,
    free_ports: Callable[[int], list[int]],
    on_disk: Callable[[], Path],
) -> Iterator[Buildkitd]:
    """A machine that says to be an arm64 one."""
    (port,) = free_ports(1)
    daemon = Buildkitd(
        folder=on_disk(),
        isolated=isolated,
        platform="linux/arm64",
        port=port,
        certificates=certificates,
    )
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture
def repository(engine: LocalEngine, inv: Inv, tmp_path: Path) -> Repository:
    (tmp_path / "project").mkdir()
    r = Repository(tmp_path / "project", engine, inv)
    for architecture in ("amd64", "arm64", "riscv64"):
        tiny = program(f"linux/{architecture}")
        assert tiny
        (r.root / f"tiny-{architecture}").write_bytes(tiny)
    return r


RUNS = ("FROM scratch", "ARG TARGETARCH", "COPY --chmod=755 tiny-$TARGETARCH /tiny")


def test_two_machines_build_an_index_each_its_own_platform(
    repository: Repository, arm: Buildkitd, certificates: Certificates, emulator: Path
) -> None:
    r = repository
    (r.root / "tls").symlink_to(certificates.folder)
    name = r.prefix.rpartition("/")[2]
    r.configure(
        f"""\
platforms: [linux/amd64, linux/arm64]
builder:
  name: {name}
  driver: remote
  nodes:
    - {{endpoint: "{r.engine.buildkitd}", platforms: [linux/amd64]}}
    - endpoint: tcp://127.0.0.1:{arm.port}
      name: arm
      platforms: [linux/arm64]
      tls: {{ca: tls/ca.pem, cert: tls/client.pem, key: tls/client.key, server_name: {certificates.name}}}
"""
    )
    mark = f"mark-of-{name}"
    r.dockerfile("app", *RUNS, f'RUN ["/tiny", "{mark}"]')

    early = r.invoke("build", "app")
    assert early.returncode == 3
    assert "`invoke builder` creates it" in early.stderr

    dry = r.invoke("builder", "--dry-run")
    assert (dry.returncode, f"builder {name} would be created" in dry.stderr) == (0, True)
    assert r.invoke("build", "app").returncode == 3, "a dry run made it"

    made = r.invoke("builder", "--json")
    assert made.returncode == 0, made.stderr
    document = json.loads(made.stdout)
    assert (document["action"], document["driver"]) == ("create", "remote")
    nodes = {node["name"]: node for node in document["nodes"]}
    assert {one: node["answers"] for one, node in nodes.items()} == {f"{name}0": True, "arm": True}
    assert nodes["arm"]["platforms"][0] == "linux/arm64"

    built = r.build("app")
    assert sorted(built["app"]["platforms"]) == ["linux/amd64", "linux/arm64"]
    assert sorted(r.images(r.reference("app"))) == ["linux/amd64", "linux/arm64"]
    assert [steps(arm.isolated, address).count(mark) for address in (r.engine.buildkitd, arm.address)] == [1, 1]

    again = json.loads(r.invoke("builder", "--json").stdout)
    assert (again["action"], again["differences"]) == ("none", [])
    removed = r.invoke("builder", "--remove")
    assert (removed.returncode, f"builder {name} was removed" in removed.stderr) == (0, True)
    assert arm.child is not None
    assert arm.child.poll() is None, "the daemon was ended, too"


def test_a_machine_with_another_authority_does_not_answer(
    repository: Repository, arm: Buildkitd, certificates: Certificates, tmp_path: Path
) -> None:
    r = repository
    other = Certificates(folder=r.root / "tls")
    name = r.prefix.rpartition("/")[2]
    tls = f"{{ca: tls/ca.pem, cert: tls/client.pem, key: tls/client.key, server_name: {other.name}}}"
    r.configure(
        f"builder:\n  name: {name}\n  driver: remote\n"
        f'  nodes: [{{endpoint: "tcp://127.0.0.1:{arm.port}", tls: {tls}}}]\n'
    )
    shown = r.invoke("builder", "--json")
    (node,) = json.loads(shown.stdout)["nodes"]
    assert not node["answers"]


def test_what_was_made_by_hand_is_not_replaced_unasked(repository: Repository, arm: Buildkitd) -> None:
    r = repository
    name = r.prefix.rpartition("/")[2]
    r.engine.docker("buildx", "create", "--name", name, "--driver", "remote", arm.address)

    def configure(platform: str, endpoint: str = arm.address) -> None:
        r.configure(
            f"builder:\n  name: {name}\n  driver: remote\n"
            f'  nodes: [{{endpoint: "{endpoint}", platforms: [{platform}]}}]\n'
        )

    configure("linux/arm64")
    refused = r.invoke("builder")
    assert refused.returncode == 1
    assert f"{name}0: platforms: none -> linux/arm64" in refused.stderr
    assert "--replace" in refused.stderr
    kept = r.engine.docker("buildx", "inspect", name).stdout
    assert "linux/arm64*" not in kept
    assert r.invoke("builder", "--remove").returncode == 1

    assert r.invoke("builder", "--replace").returncode == 0
    assert "linux/arm64*" in r.engine.docker("buildx", "inspect", name).stdout
    configure("linux/arm/v7")
    assert r.invoke("builder").returncode == 0, "what was made here is made anew"
    assert "linux/arm/v7*" in r.engine.docker("buildx", "inspect", name).stdout
    assert r.invoke("builder", "--remove").returncode == 0


def test_a_missing_emulator_is_told_before_the_build(
    repository: Repository, isolated: Isolated, on_disk: Callable[[], Path]
) -> None:
    r = repository
    daemon = Buildkitd(folder=on_disk(), isolated=isolated)
    name = r.prefix.rpartition("/")[2]
    r.configure(
        f"platforms: [linux/riscv64]\nbuilder:\n  name: {name}\n  driver: remote\n"
        f'  nodes: [{{endpoint: "{daemon.address}"}}]\n'
    )
    r.dockerfile("runs", *RUNS, 'RUN ["/tiny"]')
    r.dockerfile("copies", *RUNS)
    r.dockerfile(
        "crosses",
        "FROM --platform=$BUILDPLATFORM scratch AS made",
        "ARG BUILDARCH",
        "COPY --chmod=755 tiny-$BUILDARCH /tiny",
        'RUN ["/tiny"]',
        "FROM scratch",
        "COPY --from=made /tiny /",
    )
    with emulated("riscv64", isolated) as handler:
        handler.write_text("0")
        try:
            daemon.start()
            assert r.invoke("builder").returncode == 0
            refused = r.invoke("build", "all")
            assert refused.returncode == 3
            assert "no emulator for what it would run: runs for linux/riscv64" in refused.stderr
            assert "qemu-user-static" in refused.stderr
            assert r.digest(r.reference("copies")) is None, "a build was begun"
            r.build("copies,crosses")
            handler.write_text("1")
            r.build("all")  # the daemon that runs finds the emulator by itself
        finally:
            handler.write_text("1")
            daemon.stop()


def test_an_emulator_of_its_own_is_found_though_the_daemon_does_not_tell(
    repository: Repository, isolated: Isolated, on_disk: Callable[[], Path]
) -> None:
    r = repository
    name = r.prefix.rpartition("/")[2]
    qemu = apt.unpack(["qemu-user-static"], cache=isolated.places.tools, say=print) / "usr/bin/qemu-riscv64-static"
    programs = on_disk()
    (programs / "buildkit-qemu-riscv64").symlink_to(qemu)
    daemon = Buildkitd(folder=on_disk(), isolated=isolated, programs=programs)
    r.configure(
        f"platforms: [linux/riscv64]\nbuilder:\n  name: {name}\n  driver: remote\n"
        f'  nodes: [{{endpoint: "{daemon.address}"}}]\n'
    )
    r.dockerfile("runs", *RUNS, 'RUN ["/tiny"]')
    with emulated("riscv64", isolated) as handler:
        handler.write_text("0")
        try:
            daemon.start()
            assert r.invoke("builder").returncode == 0
            r.build("runs")
        finally:
            handler.write_text("1")
            daemon.stop()
