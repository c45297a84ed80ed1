"""Whether a service answers, and who holds a port: plain sockets, so that asking costs a millisecond."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SECONDS = 2.0
# RFC 9113, 3.4: the client's preface is this line and a SETTINGS frame; the server's first frame is its SETTINGS.
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_HTTP2_FRAME_HEADER_BYTES = 9
_HTTP2_SETTINGS = 4
_LISTEN = "0A"  # TCP_LISTEN, as /proc/net/tcp prints it


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an HTTP response; header names in lower case."""

    status: int
    headers: Mapping[str, str]


def http(
    host: str, port: int, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
) -> Answer | None:
    """What a server answers to `GET path`; None where nothing listens, or what listens does not speak HTTP."""
    sent = {"Host": f"{host}:{port}", "User-Agent": "imagewright", "Connection": "close", **(headers or {})}
    request = "".join([f"{method} {path} HTTP/1.1\r\n", *(f"{name}: {sent[name]}\r\n" for name in sent), "\r\n"])
    try:
        with socket.create_connection((host, port), timeout=_SECONDS) as connection:
            connection.sendall(request.encode())
            head = b""
            while b"\r\n\r\n" not in head and (data := connection.recv(4096)):
                head += data
    except OSError:
        return None
    first, *lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    code = rest.partition(" ")[0]
    if not version.startswith("HTTP/1.") or not code.isdigit():
        return None
    headers = dict(line.split(":", 1) for line in lines if ":" in line)
    return Answer(int(code), {name.strip().lower(): value.strip() for name, value in headers.items()})


def grpc(path: Path) -> bool:
    """Whether a gRPC server answers on a unix socket: it sends its HTTP/2 settings."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(str(path))
            connection.sendall(_HTTP2_PREFACE)
            frame = b""
            while len(frame) < _HTTP2_FRAME_HEADER_BYTES and (data := connection.recv(64)):
                frame += data
    except OSError:
        return False
    return len(frame) >= _HTTP2_FRAME_HEADER_BYTES and frame[3] == _HTTP2_SETTINGS


def listening(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection((host, port), timeout=_SECONDS).close()
    except OSError:
        return False
    return True


def holder(port: int) -> str | None:
    """Who listens on a TCP port, `nginx (pid 812)`; None where /proc does not tell (another user's process)."""
    sockets = {f"socket:[{inode}]" for inode in _listeners(port)}
    for process in Path("/proc").iterdir() if sockets else ():
        if not process.name.isdigit():
            continue
        try:
            if any(str(file.readlink()) in sockets for file in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue  # it ended meanwhile, or is not ours to look at
    return None


def _listeners(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        try:
            rows = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:  # proc_pid_net(5): sl, local address:port in hex, remote, state, ..., inode
            fields = row.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]
