from __future__ import annotations

import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from imagewright.builds.emulation import Kind, Missing, Wanted, is_able, missing, require_emulators
from imagewright.builds.executable import program
from imagewright.builds.nodes import Node
from imagewright.errors import EnvironmentMissingError


def node(*found: str, named: Sequence[str] = ()) -> Node:
    return Node(name="n", endpoint=f"tcp://{'-'.join(named)}:1", platforms=tuple(named), found=found)


def wants(name: str, *platforms: str) -> Wanted:
    return Wanted(name=name, runs={platform: frozenset({platform}) for platform in platforms})


def test_what_a_node_runs_by_itself_or_says_that_it_can_is_not_missing() -> None:
    nodes = (node("linux/amd64", "linux/arm64"),)
    images = [wants("a", "linux/amd64", "linux/386"), wants("b", "linux/arm64", "linux/arm/v7")]
    assert missing(images, nodes) == ()
    assert is_able(nodes, "linux/386")
    assert not is_able(nodes, "linux/riscv64")


def test_what_is_missing_is_told_by_platform_with_its_images() -> None:
    found = missing([wants("a", "linux/arm64/v8"), wants("b", "linux/arm64", "linux/s390x")], (node("linux/amd64"),))
    assert found == (
        Missing(platform="linux/arm64", images=("a", "b")),
        Missing(platform="linux/s390x", images=("b",)),
    )


def test_what_executes_nothing_needs_nothing() -> None:
    assert missing([Wanted(name="a", runs={"linux/arm64": frozenset()})], (node("linux/amd64"),)) == ()


def test_the_node_that_builds_is_the_one_that_counts() -> None:
    fleet = (node("linux/amd64"), node("linux/amd64", named=["linux/arm64"]))
    assert missing([wants("a", "linux/amd64", "linux/arm64")], fleet) == ()
    assert [one.platform for one in missing([wants("a", "linux/riscv64")], fleet)] == ["linux/riscv64"]
    # the first node builds for arm64, and the other would be able to
    assert missing([wants("a", "linux/arm64")], (node("linux/amd64", named=["linux/arm64"]), node("linux/arm64"))) == ()


def test_a_stage_of_another_platform_counts_for_itself() -> None:
    wanted = Wanted(name="a", runs={"linux/amd64": frozenset({"linux/arm64"})})
    assert missing([wanted], (node("linux/amd64"),)) == (Missing(platform="linux/arm64", images=("a",)),)


@pytest.mark.parametrize(
    ("kind", "mend"),
    [
        ("local", "apt-get install qemu-user-static binfmt-support"),
        ("docker", "docker run --privileged --rm tonistiigi/binfmt --install arm64"),
        ("docker-container", "tonistiigi/binfmt --install arm64"),
        ("remote", "a node for linux/arm64"),
        ("kubernetes", "qemu.install=true"),
    ],
)
def test_what_mends_it_is_told_for_each_kind_of_builder(kind: Kind, mend: str) -> None:
    lacking = [Missing(platform="linux/arm64", images=tuple("abcdefg"))]
    with pytest.raises(EnvironmentMissingError, match="a, b, c, d, e and 2 more for linux/arm64") as caught:
        require_emulators(lacking, kind=kind, executes=lambda _platform: False)
    assert mend in str(caught.value.hint)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("answers", [{}, {"linux/arm64": True}, {"linux/arm64": None}])
def test_what_the_builder_executes_when_it_is_tried_or_what_cannot_be_told_is_no_error(
    answers: Mapping[str, bool | None],
) -> None:
    lacking = [Missing(platform="linux/arm64", images=("a",))]
    require_emulators(lacking, kind="remote", executes=answers.get)


def test_a_program_of_this_machine_runs_and_ends_with_zero(tmp_path: Path) -> None:
    for architecture in ("amd64", "386"):
        tiny = program(f"linux/{architecture}")
        assert tiny
        file = tmp_path / architecture
        file.write_bytes(tiny)
        file.chmod(0o755)
        assert subprocess.run([file]).returncode == 0


@pytest.mark.parametrize(
    ("platform", "machine", "order"),
    [
        ("linux/amd64", 62, "<"),
        ("linux/arm64/v8", 183, "<"),
        ("linux/arm/v7", 40, "<"),
        ("linux/riscv64", 243, "<"),
        ("linux/ppc64le", 21, "<"),
        ("linux/s390x", 22, ">"),
    ],
)
def test_a_program_is_an_elf_file_of_its_machine(platform: str, machine: int, order: str) -> None:
    tiny = program(platform)
    assert tiny
    assert tiny[:4] == b"\x7fELF"
    assert struct.unpack(f"{order}H", tiny[18:20]) == (machine,)


def test_no_program_is_made_up() -> None:
    assert program("linux/mips64le") is None
    assert program("windows/amd64") is None
