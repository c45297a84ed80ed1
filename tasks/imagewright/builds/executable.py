"""The smallest programs there are: they end with 0, and so tell whether a machine executes those of a platform.

The file: System V ABI, chapters 4 and 5 (ELF header, program header); the system calls: Linux, `exit`.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_PAGE = 0x10000
_BASE = 0x400000


class _Machine(NamedTuple):
    number: int  # e_machine
    bits: int
    code: str  # exit(0), in hexadecimal
    flags: int = 0  # e_flags
    big: bool = False


_MACHINES = {
    "386": _Machine(3, 32, "31db b801000000 cd80"),
    "amd64": _Machine(62, 64, "31ff b83c000000 0f05"),
    "arm": _Machine(40, 32, "0000a0e3 0170a0e3 000000ef", 0x05000000),
    "arm64": _Machine(183, 64, "000080d2 a80b80d2 010000d4"),
    "ppc64le": _Machine(21, 64, "01000038 00006038 02000044", 2),
    "riscv64": _Machine(243, 64, "13050000 9308d005 73000000"),
    "s390x": _Machine(22, 64, "a7290000 0a01", big=True),
}


def program(platform: str) -> bytes | None:
    """A static program for Linux of this platform's architecture; None where none is known."""
    system, architecture, *_ = platform.split("/")
    machine = _MACHINES.get(architecture)
    if system != "linux" or machine is None:
        return None
    code = bytes.fromhex(machine.code)
    order = ">" if machine.big else "<"
    is_64 = machine.bits == 64
    header, entry = (64, 56) if is_64 else (52, 32)
    start = header + entry
    size = start + len(code)
    ident = b"\x7fELF" + bytes([2 if is_64 else 1, 2 if machine.big else 1, 1]) + bytes(9)
    word = "Q" if is_64 else "I"
    head = struct.pack(
        f"{order}HHI{word}{word}{word}IHHHHHH",
        *(2, machine.number, 1, _BASE + start, header, 0, machine.flags, header, entry, 1, 0, 0, 0),
    )
    load, executable = 1, 5
    if is_64:
        segment = struct.pack(f"{order}IIQQQQQQ", load, executable, 0, _BASE, _BASE, size, size, _PAGE)
    else:
        segment = struct.pack(f"{order}IIIIIIII", load, 0, _BASE, _BASE, size, size, executable, _PAGE)
    return ident + head + segment + code
