"""Where the local services keep what they need, and where they listen."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imagewright.config.models import Settings

CACHE_VARIABLE = "IMAGEWRIGHT_CACHE_DIR"
STATE_VARIABLE = "IMAGEWRIGHT_STATE_DIR"
DEFAULT_REGISTRY = "localhost:5050"

_LOOPBACK = re.compile(r"(?P<host>localhost|127(?:\.\d+){3}|\[::1\])(?::(?P<port>\d+))?")
_SOCKET_PATH_BYTES = 104 - len(".otel")  # BuildKit's limit on every system, and its second socket beside the first


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The folders (XDG Base Directory Specification) and the loopback addresses of the local services."""

    cache: Path  # what can be made again: programs, by version
    state: Path  # what the services keep: data, logs, credentials
    registry: str = DEFAULT_REGISTRY  # host:port, as references spell it
    s3_port: int = 3900

    @classmethod
    def of(cls, settings: Settings, environ: Mapping[str, str], root: Path) -> Places:
        """The places that `settings` of the repository at `root` and the environment ask for.

        IMAGEWRIGHT_CACHE_DIR and IMAGEWRIGHT_STATE_DIR override the XDG folders, and the state's also the file.
        """
        home = Path(environ.get("HOME") or Path.home())
        state = environ.get(STATE_VARIABLE) or settings.services.state
        return cls(
            cache=cache_folder(environ),
            state=root / Path(state).expanduser() if state else _xdg(environ, "XDG_STATE_HOME", home / ".local/state"),
            registry=next(filter(None, map(_loopback, settings.registry)), DEFAULT_REGISTRY),
            s3_port=settings.services.s3_port,
        )

    @property
    def tools(self) -> Path:
        """Programs that were built: `<module>/<version>/<program>`."""
        return self.cache / "tools"

    def service(self, name: str) -> Path:
        """The folder of one service: its record, log, configuration, credentials and data."""
        return self.state / "services" / name

    def socket(self, name: str) -> Path:
        """A unix socket of a service: in its folder, or in a short one where the kernel's limit does not allow that."""
        path = self.service(name) / f"{name}.sock"
        if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES:
            return path
        short = sha256(os.fsencode(path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"imagewright-{os.getuid()}" / f"{short}.sock"

    @property
    def registry_port(self) -> int:
        """The port of `registry`; plain HTTP's where it names none."""
        port = self.registry.rpartition(":")[2]
        return int(port) if port.isdigit() else 80

    @property
    def registry_host(self) -> str:
        """The loopback address that the registry listens on."""
        host = self.registry.removesuffix(f":{self.registry_port}")
        return {"localhost": "127.0.0.1", "[::1]": "::1"}.get(host, host)


def cache_folder(environ: Mapping[str, str]) -> Path:
    """What can be made again is kept here, whatever the configuration says."""
    home = Path(environ.get("HOME") or Path.home())
    return Path(environ.get(CACHE_VARIABLE) or _xdg(environ, "XDG_CACHE_HOME", home / ".cache")).absolute()


def _xdg(environ: Mapping[str, str], variable: str, fallback: Path) -> Path:
    # The specification: a relative path in these variables is invalid and to be ignored.
    named = Path(environ.get(variable) or ".")
    return (named if named.is_absolute() else fallback) / "imagewright"


def _loopback(registry: str) -> str | None:
    host = registry.partition("/")[0]
    return host if _LOOPBACK.fullmatch(host) else None
