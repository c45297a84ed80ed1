"""QEMU for programs of another architecture: the machine's own, or Debian's, registered for as long as a test runs."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from imagewright.builds.executable import program
from imagewright.tools import apt

if TYPE_CHECKING:
    from tests.e2e.conftest import Isolated

_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_CPU = {"arm64": ("aarch64", 183), "riscv64": ("riscv64", 243)}  # QEMU's name, and e_machine
# A little-endian ELF file of 64 bits for one machine, executable or shared (qemu, scripts/qemu-binfmt-conf.sh).
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00" + r"\xff" * 8 + r"\xfe\xff\xff\xff"
_MAGIC = r"\x7fELF\x02\x01\x01" + r"\x00" * 9 + r"\x02\x00"


@contextmanager
def emulated(architecture: str, isolated: Isolated) -> Iterator[Path]:
    """The kernel's handler for programs of this architecture, which run as long as it has `1` in it.

    AssertionError where they do not: what needs them is not to be skipped.
    """
    cpu, machine = _CPU[architecture]
    found = _BINFMT / f"qemu-{cpu}"
    if found.exists():
        assert _runs(architecture), f"{found} is registered, and a program of {architecture} does not run"
        yield found
        return
    if not (_BINFMT / "register").exists():
        _run("mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT))
    qemu = apt.unpack(["qemu-user-static"], cache=isolated.places.tools, say=print) / f"usr/bin/qemu-{cpu}-static"
    handler = _BINFMT / f"imagewright-tests-{cpu}"
    magic = _MAGIC + rf"\x{machine:02x}\x00"
    (_BINFMT / "register").write_text(f":{handler.name}:M::{magic}:{_MASK}:{qemu}:F")  # F: containers need no QEMU
    try:
        assert _runs(architecture), f"QEMU is registered, and a program of {architecture} does not run"
        yield handler
    finally:
        handler.write_text("-1")


def _runs(architecture: str) -> bool:
    tiny = program(f"linux/{architecture}")
    assert tiny
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "tiny")
        file.write_bytes(tiny)
        file.chmod(0o755)
        try:
            return subprocess.run([file]).returncode == 0
        except OSError:
            return False


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
