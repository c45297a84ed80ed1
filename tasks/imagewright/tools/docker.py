"""The one door to docker and buildx.

python-on-whales makes every call; where its API lacks an option (`bake` streams no rawjson progress), its own command
line is the base of ours. No value of a secret is ever part of a command line: values travel in the environment.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from imagewright.errors import EnvironmentMissingError
from imagewright.tools import buildx_store, process

if TYPE_CHECKING:
    from python_on_whales.client_config import ClientConfig
    from python_on_whales.components.buildx.cli_wrapper import BuildxCLI

BUILDX_HINT = (
    "install it (https://github.com/docker/buildx#installing), or set `builder.name: auto`: it is then built here"
)
_ENGINE_SECONDS = 5
# The bake files are made by this package from the user's own configuration: what they may read is not in question.
# And provenance in the metadata file would hold the values of all build arguments, secret ones too.
_BAKE_ENVIRONMENT = {"BUILDX_BAKE_ENTITLEMENTS_FS": "0", "BUILDX_METADATA_PROVENANCE": "disabled"}
_IMPORT = Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A member of a builder: where it is, and what it builds for (empty: what it says itself)."""

    endpoint: str  # "unix:///run/buildkit/buildkitd.sock", "tcp://host:1234"
    platforms: tuple[str, ...] = ()


class CanceledError(Exception):
    """The run was ended from outside before this build could start."""


class Docker:
    """docker with one configuration folder (None: the user's own). The children that `bake` starts can be ended."""

    def __init__(self, config: Path | None = None, environ: Mapping[str, str] = os.environ) -> None:
        self._given = config
        self._environ = environ
        self._running: set[subprocess.Popen[bytes]] = set()
        self._canceled = False
        self._lock = Lock()

    @property
    def config(self) -> Path:
        """docker's configuration folder."""
        home = Path(self._environ.get("HOME") or Path.home())
        return self._given or Path(self._environ.get("DOCKER_CONFIG") or home / ".docker")

    @property
    def context(self) -> str:
        """The docker context in use (docker/cli, cli/command/cli.go, `resolveContextName`)."""
        if self._environ.get("DOCKER_HOST"):
            return "default"
        if named := self._environ.get("DOCKER_CONTEXT"):
            return named
        try:
            return str(json.loads((self.config / "config.json").read_bytes()).get("currentContext") or "default")
        except (OSError, ValueError, AttributeError):
            return "default"

    def engine_running(self) -> bool:
        """Whether a docker engine answers: a millisecond for one on a unix socket of this machine."""
        host = self._environ.get("DOCKER_HOST") or buildx_store.DEFAULT_HOST
        if self.context == "default" and host.startswith("unix://"):
            return _ping(host.removeprefix("unix://"))
        try:
            with _told():
                command = [*self._command(), "version", "--format", "{{.Server.Version}}"]
            return process.run(command, seconds=_ENGINE_SECONDS).code == 0
        except (EnvironmentMissingError, subprocess.TimeoutExpired):
            return False

    def buildx_version(self) -> str | None:
        """`github.com/docker/buildx v0.37.0 …`; None where docker or its buildx plugin is missing."""
        try:
            with _told():
                return self._buildx().version()
        except EnvironmentMissingError:
            return None

    def stored_builder(self, name: str) -> buildx_store.StoredBuilder | None:
        """A builder that was created before, from buildx's own files."""
        return buildx_store.find(buildx_store.folder(self.config, self._environ), name)

    def current_builder(self) -> buildx_store.StoredBuilder:
        """The builder that buildx takes when none is named."""
        context = self.context
        engine = buildx_store.StoredBuilder(name=context, driver="docker", endpoints=(context,))
        if named := self._environ.get("BUILDX_BUILDER"):
            return self.stored_builder(named) or engine
        key = (self._environ.get("DOCKER_HOST") or buildx_store.DEFAULT_HOST) if context == "default" else context
        return buildx_store.current(buildx_store.folder(self.config, self._environ), key) or engine

    def builder_drivers(self) -> Mapping[str, str]:
        """All builders, docker contexts among them, with their drivers; EnvironmentMissingError without buildx."""
        with _told():
            return {str(found.name): found.driver or "docker" for found in self._buildx().list()}

    def create_builder(self, name: str, nodes: Sequence[Node], *, driver: str = "remote") -> None:
        """Register a builder of one or more nodes."""
        with _told():
            for number, node in enumerate(nodes):
                self._buildx().create(
                    node.endpoint,
                    name=name,
                    driver=driver,
                    platforms=list(node.platforms) or None,
                    append=number > 0,
                )

    def remove_builder(self, name: str) -> None:
        """Forget a builder; a remote one goes on running."""
        with _told():
            self._buildx().remove(name)

    def bake(
        self,
        file: Path,
        target: str,
        *,
        builder: str,
        metadata: Path,
        on_line: Callable[[str], None],
        cwd: Path,
        env: Mapping[str, str] | None = None,
    ) -> int:
        """Build one target of a bake file; the exit code.

        Each line of BuildKit's progress (rawjson) and of buildx's own text goes to `on_line` as it comes; the result
        (`containerimage.digest`) is written to `metadata`. CanceledError after `cancel`.
        """
        with _told():
            command = [*self._command(), "buildx", "bake", "--file", str(file), "--metadata-file", str(metadata)]
        command += ["--progress", "rawjson", "--builder", builder, target]
        started: list[subprocess.Popen[bytes]] = []

        def register(child: subprocess.Popen[bytes]) -> None:
            with self._lock:
                if self._canceled:
                    raise CanceledError
                self._running.add(child)
                started.append(child)

        environment = {**_BAKE_ENVIRONMENT, **(env or {})}
        try:
            return process.stream(command, on_line, cwd=cwd, env=environment, on_start=register)
        finally:
            with self._lock:
                self._running.difference_update(started)

    def cancel(self) -> None:
        """End every build that runs, and let none start any more: SIGINT to all, and SIGKILL to what stays."""
        with self._lock:
            self._canceled = True
            children = tuple(self._running)
        for child in children:
            _signal(child, signal.SIGINT)
        try:
            for child in children:
                process.end(child)
        finally:  # after a second Ctrl-C the others are not waited for
            for child in children:
                _signal(child, signal.SIGKILL)

    def _command(self) -> list[str]:
        return [str(part) for part in self._client().docker_cmd]

    def _buildx(self) -> BuildxCLI:
        from python_on_whales.components.buildx.cli_wrapper import BuildxCLI

        return BuildxCLI(self._client())

    def _client(self) -> ClientConfig:
        config = self._given or self._environ.get("DOCKER_CONFIG")
        made: ClientConfig = _client_module().ClientConfig(config=config, client_type="docker")
        return made


@cache
def _client_module() -> Any:
    """python-on-whales' builder of command lines, without the 0.1 s that the rest of the package takes to import.

    Its `__init__` imports all components with their pydantic models; a build needs none of them. So this one module is
    imported below the package, found but not run. The package itself can still be imported later, as if nothing was.
    """
    package, name = "python_on_whales", "python_on_whales.client_config"
    with _IMPORT:  # builds come here in threads of their own, and must not see each other's half of it
        if name in sys.modules:
            return sys.modules[name]
        spec = None if package in sys.modules else importlib.util.find_spec(package)
        if spec is not None:
            sys.modules[package] = importlib.util.module_from_spec(spec)
        try:
            return importlib.import_module(name)
        finally:
            if spec is not None:
                del sys.modules[package]


@contextmanager
def _told() -> Iterator[None]:
    """python-on-whales' errors in this package's words: its own would show the whole command line."""
    module = _client_module()
    try:
        yield
    except module.ClientNotFoundError:
        raise EnvironmentMissingError(
            "docker is not installed", hint="install the docker client, https://docs.docker.com/engine/install/"
        ) from None
    except module.utils.DockerException as error:
        text = (error.stderr or "").strip()
        if is_plugin_missing(text):
            raise EnvironmentMissingError("docker has no buildx plugin", hint=BUILDX_HINT) from None
        raise EnvironmentMissingError(f"docker buildx: {text.removeprefix('ERROR: ')}") from None


def is_plugin_missing(text: str) -> bool:
    """Whether this is how docker says that it has no buildx plugin."""
    # An old docker takes the plugin's options for its own (`unknown flag: --file`), and shows its own usage.
    signs = r"unknown command: docker buildx|Usage:\s+docker \[OPTIONS\] COMMAND|'buildx' is not a docker command"
    return re.search(signs, text) is not None


def _ping(path: str) -> bool:
    """GET /_ping of the Engine API."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ENGINE_SECONDS)
        try:
            connection.connect(path)
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(64)
        except OSError:
            return False


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, number)
