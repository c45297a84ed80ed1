"""The one door to docker and buildx.

python-on-whales makes the calls that it has the options for; `bake` streams no rawjson progress there, and `create`
knows no nodes, so these have command lines of our own, which call the plugin without docker where that is the same
(tools/buildx_plugin.py). No value of a secret is ever part of a command line: values travel in the environment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from imagewright.errors import EnvironmentMissingError
from imagewright.tools import buildx_inspect, buildx_plugin, buildx_store, process

if TYPE_CHECKING:
    from python_on_whales.components.buildx.cli_wrapper import BuildxCLI

BUILDX_HINT = (
    "install it (https://github.com/docker/buildx#installing), or set `builder.name: auto`: it is then built here"
)
DOCKER_HINT = "install the docker client, https://docs.docker.com/engine/install/"
_ENGINE_SECONDS = 5
_ASK_SECONDS = 120  # a node that must be started first pulls its image
_TRY_SECONDS = 60
# The bake files are made by this package from the user's own configuration: what they may read is not in question.
# And provenance in the metadata file would hold the values of all build arguments, secret ones too.
_BAKE_ENVIRONMENT = {"BUILDX_BAKE_ENTITLEMENTS_FS": "0", "BUILDX_METADATA_PROVENANCE": "disabled"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNode:
    """A member of a builder that is to be created."""

    endpoint: str | None  # "unix:///run/buildkit/buildkitd.sock", "tcp://host:1234", a docker context; None: buildx's
    name: str | None = None  # None: buildx numbers it
    platforms: tuple[str, ...] = ()  # that it builds for; empty: what it says itself
    options: Mapping[str, str] = field(default_factory=dict)  # the driver's
    config: Path | None = None  # a buildkitd.toml, for the drivers that start a BuildKit
    kubeconfig: Path | None = None  # whose current context is taken, for the driver "kubernetes"


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
    def default_host(self) -> str:
        """The engine of docker's default context."""
        return self._environ.get("DOCKER_HOST") or buildx_store.DEFAULT_HOST

    @property
    def default_buildkitd_config(self) -> Path:
        """The buildkitd.toml that buildx takes, where it is there, for a BuildKit that it starts."""
        return buildx_store.folder(self.config, self._environ) / "buildkitd.default.toml"

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
        if self.context == "default" and self.default_host.startswith("unix://"):
            return _ping(self.default_host.removeprefix("unix://"))
        try:
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
        key = self.default_host if context == "default" else context
        node = buildx_store.StoredNode(name=context, endpoint=key)
        engine = buildx_store.StoredBuilder(name=context, driver="docker", nodes=(node,))
        if named := self._environ.get("BUILDX_BUILDER"):
            return self.stored_builder(named) or engine
        return buildx_store.current(buildx_store.folder(self.config, self._environ), key) or engine

    def builder_drivers(self) -> Mapping[str, str]:
        """All builders, docker contexts among them, with their drivers; EnvironmentMissingError without buildx."""
        with _told():
            return {str(found.name): found.driver or "docker" for found in self._buildx().list()}

    def create_builder(self, name: str, nodes: Sequence[NewNode], *, driver: str = "remote") -> None:
        """Register a builder of one or more nodes, whole or not at all."""
        for number, node in enumerate(nodes):
            command = ["create", *(["--append"] if number else []), "--name", name, "--driver", driver]
            command += ["--node", node.name] if node.name else []
            command += ["--platform", ",".join(node.platforms)] if node.platforms else []
            for option in node.options.items():
                command += ["--driver-opt", _quoted("=".join(option))]
            command += ["--buildkitd-config", str(node.config)] if node.config else []
            command += [node.endpoint] if node.endpoint else []
            try:
                self._ask(*command, env={"KUBECONFIG": str(node.kubeconfig)} if node.kubeconfig else None)
            except EnvironmentMissingError:
                if number:
                    self.remove_builder(name)
                raise

    def remove_builder(self, name: str, *, keep_state: bool = False) -> None:
        """Forget a builder; a remote one goes on running. What was started for it ends.

        Its cache is lost then, unless `keep_state`: a node of the same name finds it again.
        """
        self._ask("rm", *(["--keep-state"] if keep_state else []), name)

    def inspect(self, name: str, *, bootstrap: bool = False) -> buildx_inspect.Inspected:
        """What a builder's nodes say, a tenth of a second where they answer; `bootstrap` starts what can be started."""
        return buildx_inspect.read(self._ask("inspect", *(["--bootstrap"] if bootstrap else []), name))

    def executes(self, builder: str, platform: str, program: bytes) -> bool | None:
        """Whether a builder can execute a program of this platform, by trying it; None where that cannot be told."""
        with tempfile.TemporaryDirectory(prefix="imagewright-") as folder:
            file = Path(folder, "program")
            file.write_bytes(program)
            file.chmod(0o755)
            Path(folder, "Dockerfile").write_text('FROM scratch\nCOPY program /\nRUN ["/program"]\n')
            buildx = self._plugin()
            command = [*buildx.args, "build", "--builder", builder, "--platform", platform]
            command += ["--no-cache", "--provenance=false", "--output", "type=cacheonly", "--progress", "plain", folder]
            try:
                tried = process.run(command, env=buildx.env, seconds=_TRY_SECONDS)
            except subprocess.TimeoutExpired:
                return None
        if tried.code == 0:
            return True
        return False if "exec format error" in tried.error_text else None

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
        on_start: Callable[[Callable[[], None]], None] = lambda _stop: None,
    ) -> int:
        """Build one target of a bake file; the exit code.

        `on_start` gets what ends this build alone: SIGINT, which buildx takes as "cancel".

        Each line of BuildKit's progress (rawjson) and of buildx's own text goes to `on_line` as it comes; the result
        (`containerimage.digest`) is written to `metadata`. CanceledError after `cancel`.
        """
        buildx = self._plugin()
        command = [*buildx.args, "bake", "--file", str(file), "--metadata-file", str(metadata)]
        command += ["--progress", "rawjson", "--builder", builder, target]
        started: list[subprocess.Popen[bytes]] = []

        def register(child: subprocess.Popen[bytes]) -> None:
            with self._lock:
                if self._canceled:
                    raise CanceledError
                self._running.add(child)
                started.append(child)
            on_start(partial(_signal, child, signal.SIGINT))

        environment = {**_BAKE_ENVIRONMENT, **(env or {}), **buildx.env}
        try:
            code = process.stream(command, on_line, cwd=cwd, env=environment, on_start=register)
        finally:
            with self._lock:
                self._running.difference_update(started)
                canceled = self._canceled
        if code and canceled:  # however it ended: killed, or cut off from its BuildKit
            raise CanceledError
        return code

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

    def _ask(self, *command: str, env: Mapping[str, str] | None = None) -> str:
        """What a command of buildx prints. EnvironmentMissingError where it fails, in buildx's words."""
        buildx = self._plugin()
        try:
            done = process.run([*buildx.args, *command], env={**(env or {}), **buildx.env}, seconds=_ASK_SECONDS)
        except subprocess.TimeoutExpired:
            raise EnvironmentMissingError(
                f"docker buildx {command[0]} does not end within {_ASK_SECONDS} seconds",
                hint="look whether all of the builder's nodes answer",
            ) from None
        if done.code:
            raise _refused(done.error_text)
        return done.text

    def _command(self) -> list[str]:
        """How docker is called. Not asked of python-on-whales, which takes a tenth of a second to import."""
        docker = shutil.which("docker", path=self._environ.get("PATH"))
        if docker is None:
            raise EnvironmentMissingError("docker is not installed", hint=DOCKER_HINT)
        return [docker, *(["--config", str(self._config)] if self._config else [])]

    def _plugin(self) -> buildx_plugin.Call:
        """How buildx is called."""
        docker, *options = self._command()
        return buildx_plugin.call(docker, options, config=self.config, environ=self._environ)

    @property
    def _config(self) -> Path | str | None:
        return self._given or self._environ.get("DOCKER_CONFIG")

    def _buildx(self) -> BuildxCLI:
        from python_on_whales.client_config import ClientConfig
        from python_on_whales.components.buildx.cli_wrapper import BuildxCLI

        return BuildxCLI(ClientConfig(config=self._config, client_type="docker"))


@contextmanager
def _told() -> Iterator[None]:
    """python-on-whales' errors in this package's words: its own would show the whole command line."""
    from python_on_whales.client_config import ClientNotFoundError
    from python_on_whales.exceptions import DockerException

    try:
        yield
    except ClientNotFoundError:
        raise EnvironmentMissingError("docker is not installed", hint=DOCKER_HINT) from None
    except DockerException as error:
        raise _refused(error.stderr or "") from None


def _refused(text: str) -> EnvironmentMissingError:
    if is_plugin_missing(text):
        return EnvironmentMissingError("docker has no buildx plugin", hint=BUILDX_HINT)
    return EnvironmentMissingError(f"docker buildx: {text.strip().removeprefix('ERROR: ')}")


def _quoted(field: str) -> str:
    """One field of a line of CSV, which is how buildx reads `--driver-opt`."""
    return '"' + field.replace('"', '""') + '"' if '"' in field or "," in field else field


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
