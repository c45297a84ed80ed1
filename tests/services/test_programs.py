from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imagewright.errors import EnvironmentMissingError
from imagewright.services import golang, programs

if TYPE_CHECKING:
    from imagewright.services.model import Provided


# `go build … -o DIR tool`, as far as the tests need it: $9 is DIR.
GO = 'mkdir -p "$9" && printf "#!/bin/sh\\necho {version}\\n" > "$9/{name}" && chmod +x "$9"/*'


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


class Machine:
    """A machine with the programs of one folder, and nothing built."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.tools = folder / "tools"
        self.environ = {"PATH": str(self.bin), "HOME": str(folder)}
        self.said: list[str] = []

    def provide(self, name: str) -> Provided:
        return programs.provide(name, tools=self.tools, environ=self.environ, say=self.said.append)

    def built(self, module: str, program: str) -> Path:
        return golang.module(module).folder(self.tools) / program


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setattr(programs, "_ADMIN_PATH", ())
    monkeypatch.setenv("PATH", f"{made.bin}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return made


def test_a_program_on_path_comes_first(machine: Machine) -> None:
    path = script(machine.bin / "registry", "echo registry github.com/distribution/distribution/v3 v3.2.1")
    script(machine.built("registry", "registry"), "echo v3.1.2")

    found = machine.provide("registry")

    assert (found.path, found.version, found.how) == (path, "v3.2.1", f"on PATH ({path})")


def test_one_built_before_serves_where_path_has_an_old_one(machine: Machine) -> None:
    script(machine.bin / "registry", "echo registry v2.8.3")
    built = script(machine.built("registry", "registry"), "echo v3.1.2")

    assert machine.provide("registry").path == built


def test_buildx_is_also_a_plugin_of_docker(machine: Machine) -> None:
    plugin = script(Path(machine.environ["HOME"]) / ".docker/cli-plugins/docker-buildx", "echo v0.20.0")

    assert machine.provide("buildx").path == plugin


@pytest.mark.parametrize("damage", ["", "\x7fELF", "#!/nonexistent/interpreter\n", "#!/bin/sh\nexit 7\n"])
def test_a_damaged_program_is_told_and_made_again(machine: Machine, damage: str) -> None:
    damaged = machine.built("versitygw", "versitygw")
    damaged.parent.mkdir(parents=True)
    damaged.write_text(damage)
    damaged.chmod(0o755)
    script(machine.bin / "go", GO.format(name="versitygw", version="v1.8.0"))

    found = machine.provide("versitygw")

    assert found.path == damaged
    assert found.version == "v1.8.0"
    assert any("is damaged, it is made again" in line for line in machine.said)


def test_where_no_way_leads_each_is_told(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(machine.bin))
    script(machine.bin / "registry", "echo registry v2.8.3")

    with pytest.raises(EnvironmentMissingError) as caught:
        machine.provide("registry")

    assert caught.value.exit_code == 3
    assert "on PATH: " in caught.value.message
    assert "is v2.8.3, and 3.0 is needed" in caught.value.message
    assert f"built before: not in {machine.tools}" in caught.value.message
    assert "built from Go modules: there is no `go` on PATH" in caught.value.message
    assert caught.value.hint


def test_a_failed_build_shows_what_go_said(machine: Machine) -> None:
    script(machine.bin / "go", 'echo "go: github.com/x/y@v1: reading proxy: 403 Forbidden" >&2; exit 1')

    with pytest.raises(EnvironmentMissingError, match="403 Forbidden"):
        machine.provide("registry")

    assert not list(machine.tools.rglob("registry/*/registry"))
    assert not list(machine.tools.rglob(".new-*")), "nothing half-made stays"


def test_two_builders_at_once_build_once(machine: Machine) -> None:
    count = machine.tools.parent / "count"
    script(
        machine.bin / "go",
        f"echo built >> {count}; {GO.format(name='registry', version='v3.1.2')}",
    )
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                machine.provide("registry")
                status = 0
            finally:
                os._exit(status)
        children.append(child)

    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
    assert count.read_text() == "built\n"


@pytest.mark.parametrize("name", ["buildkit", "buildx", "registry", "versitygw"])
def test_every_module_is_pinned_with_its_sums(name: str) -> None:
    module = golang.module(name)
    assert module.version.startswith("v")
    assert "tool" in (module.source / "go.mod").read_text()
    assert f" {module.version}/go.mod h1:" in (module.source / "go.sum").read_text()


@pytest.mark.skipif(not shutil.which("go"), reason="needs Go")
def test_the_sums_are_complete(tmp_path: Path) -> None:
    """`go build` must not need to write go.sum: it is read-only there."""
    import subprocess

    module = golang.module("registry")
    for name in ("go.mod", "go.sum"):
        (tmp_path / name).write_bytes((module.source / name).read_bytes())
    listed = subprocess.run(
        ["go", "list", "-mod=readonly", "-f", "{{.Version}}", "-m", "github.com/distribution/distribution/v3"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout.strip() == module.version
