"""Who executes the builds: a buildx builder that is there, or a local buildkitd that is started for it."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from imagewright.builds.nodes import Node, parts
from imagewright.errors import EnvironmentMissingError, UsageError
from imagewright.platforms import normal, runs
from imagewright.tools.buildx_inspect import Inspected
from imagewright.tools.buildx_store import StoredBuilder
from imagewright.tools.docker import BUILDX_HINT, NewNode
from imagewright.tools.docker import Docker as DockerDoor

if TYPE_CHECKING:
    from imagewright.services.places import Places

AUTO = "auto"
LOCAL = "imagewright"  # what the local buildkitd is called among buildx's builders
_CONNECT_SECONDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """A buildx builder. `docker_config` is the folder that docker must be given to find it; None is the user's own."""

    name: str
    driver: str  # "docker" is the engine's own, others are "docker-container", "remote", "kubernetes"
    docker_config: Path | None = None
    nodes: tuple[Node, ...] = ()  # none where nothing is known of them yet
    is_local: bool = False  # whether it is the buildkitd that is started here, and so ours to configure and to restart

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where its nodes are."""
        return tuple(node.endpoint for node in self.nodes)

    @property
    def listens(self) -> bool:
        """Whether none of its nodes is known to be gone: a unix socket that nobody listens on."""
        return all(map(_answers, self.endpoints))

    def parts(self, platforms: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """The platforms of one image as its nodes share them out, each part built by one; one part for one node."""
        return parts(self.nodes, platforms)

    def require(self, *, output: str, platforms: Sequence[str]) -> None:
        """UsageError for what the engine's own builder cannot do: an index of platforms, an OCI archive.

        It can where the engine keeps its images in containerd's store, which nothing cheap tells: then name the
        builder in the configuration.
        """
        if self.driver != "docker":
            return
        what = "an OCI archive" if output in ("oci", "tar") else "an image for several platforms"
        if output in ("oci", "tar") or len(platforms) > 1:
            raise UsageError(
                f"builder {self.name} is the docker engine's own, and cannot make {what}",
                hint="`docker buildx create --use` makes one that can; or set `builder.name` in the configuration",
            )


class Docker(Protocol):
    """What is asked of docker here."""

    def engine_running(self) -> bool:
        """Whether an engine answers."""

    def current_builder(self) -> StoredBuilder:
        """The one that buildx takes by itself."""

    def stored_builder(self, name: str) -> StoredBuilder | None:
        """One that was created before."""

    def builder_drivers(self) -> Mapping[str, str]:
        """All, with their drivers."""

    def create_builder(self, name: str, nodes: Sequence[NewNode], *, driver: str = "remote") -> None:
        """Register one."""

    def remove_builder(self, name: str) -> None:
        """Forget one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """The local buildkitd: where it listens, and the docker that knows buildx (`config` None: the user's own)."""

    endpoint: str  # "unix:///…/buildkitd.sock"
    config: Path | None
    docker: Docker


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """The docker configuration of this package's own, where it keeps a buildx."""

    config: Path
    docker: Docker


def resolve(
    name: str,
    places: Places,
    *,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    described: str | None = None,
) -> Builder:
    """The builder that the configuration's `builder.name` or `--builder` means, ready to build.

    `described` is the name of the one whose `nodes` the configuration has: `invoke builder` creates it.

    `auto` is docker's current builder where an engine runs and docker has buildx, and then nothing is started; else,
    and where that is the current one, the local buildkitd, which is started where it does not run. It is what its
    names mean, too (`is_local_name`). EnvironmentMissingError where there is no such
    builder, its socket does not answer, or the local one cannot be started.
    """
    from imagewright.services.docker_config import docker_config
    from imagewright.services.docker_folders import buildx_plugin
    from imagewright.services.manager import ensure

    docker = DockerDoor(environ=environ)

    def local() -> Local:
        (running,) = ensure(["buildkitd"], places, environ=environ, say=say)
        config = docker_config(places, environ=environ, say=say)
        return Local(endpoint=running.address, config=config, docker=DockerDoor(config, environ))

    def has_buildx() -> bool:
        return buildx_plugin(environ) is not None or docker.buildx_version() is not None

    def own() -> Own | None:
        if next(places.state.glob("docker-*"), None) is None:  # it would be made here
            return None
        config = docker_config(places, environ=environ, say=say)
        return Own(config=config, docker=DockerDoor(config, environ)) if config else None

    return choose(name, docker=docker, local=local, has_buildx=has_buildx, own=own, described=described)


def choose(
    name: str,
    *,
    docker: Docker,
    local: Callable[[], Local],
    has_buildx: Callable[[], bool],
    own: Callable[[], Own | None] = lambda: None,
    described: str | None = None,
) -> Builder:
    """`resolve`, with everything that it asks given."""
    if name == AUTO:
        if docker.engine_running() and has_buildx():
            current = docker.current_builder()
            return _local(local()) if _looks_local(current) else _checked(current)
        return _local(local())
    if is_local_name(name):
        return _local(local())
    stored = docker.stored_builder(name)
    if stored:
        return _checked(stored)
    drivers: Mapping[str, str] = {}
    if has_buildx():
        drivers = docker.builder_drivers()
    elif (ours := own()) and (stored := ours.docker.stored_builder(name)):
        return _checked(stored, ours.config)
    elif name != described:
        raise EnvironmentMissingError(f"builder {name} needs docker's buildx plugin", hint=BUILDX_HINT)
    if name not in drivers:
        if name == described:
            raise EnvironmentMissingError(
                f"there is no builder {name} yet", hint="`invoke builder` creates it as the configuration has it"
            )
        raise EnvironmentMissingError(
            f"there is no builder {name}", hint=f"there are: {', '.join(sorted(drivers))}; or `builder.name: auto`"
        )
    return Builder(name=name, driver=drivers[name])


def informed(builder: Builder, platforms: Iterable[str], *, host: str, ask: Callable[[str], Inspected]) -> Builder:
    """The builder, with what its nodes say that they can run where that matters; `ask` is docker's `inspect`.

    Asking takes a tenth of a second. It is not done where all `platforms` were named for nodes, or where the single
    node is on this machine (`host`) and builds for nothing else.
    """
    if all(_is_known(builder, platform, host) for platform in platforms):
        return builder
    said = ask(builder.name)
    by_name = {node.name: node.platforms for node in said.nodes if node.platforms}
    if builder.nodes and builder.driver != "kubernetes":  # whose nodes are pods, of names of their own
        nodes = tuple(replace(node, found=by_name.get(node.name)) for node in builder.nodes)
    else:
        nodes = tuple(Node(name=node.name, endpoint=node.endpoint, found=node.platforms) for node in said.nodes)
    return replace(builder, nodes=nodes)


def _is_known(builder: Builder, platform: str, host: str) -> bool:
    if any(normal(platform) in map(normal, node.platforms) for node in builder.nodes):
        return True
    is_here = len(builder.nodes) == 1 and builder.nodes[0].endpoint.startswith("unix://")
    return is_here and normal(platform) in runs(host)


def would_be_local(name: str, *, environ: Mapping[str, str]) -> bool:
    """Whether `resolve` would give the local buildkitd; nothing is started to find out."""
    from imagewright.services.docker_folders import buildx_plugin

    docker = DockerDoor(environ=environ)

    def has_buildx() -> bool:
        return buildx_plugin(environ) is not None or docker.buildx_version() is not None

    return is_local(name, docker=docker, has_buildx=has_buildx)


def is_local(name: str, *, docker: Docker, has_buildx: Callable[[], bool]) -> bool:
    """`would_be_local`, with everything that it asks given."""
    if name == AUTO and docker.engine_running() and has_buildx():
        return _looks_local(docker.current_builder())
    return name == AUTO or is_local_name(name)


def is_local_name(name: str) -> bool:
    """Whether the local buildkitd is registered by such a name; `imagewright-fleet` is anybody's."""
    return re.fullmatch(rf"{LOCAL}(-[0-9a-f]{{8}})?", name) is not None


def _looks_local(stored: StoredBuilder) -> bool:
    is_here = stored.driver == "remote" and all(endpoint.startswith("unix://") for endpoint in stored.endpoints)
    return is_here and is_local_name(stored.name)


def _checked(stored: StoredBuilder, config: Path | None = None) -> Builder:
    # buildx itself waits 20 seconds for a socket that nobody listens on.
    for endpoint in stored.endpoints:
        if stored.driver == "remote" and not _answers(endpoint):
            raise EnvironmentMissingError(
                f"builder {stored.name} does not answer at {endpoint}",
                hint=f"start its buildkitd, or `docker buildx rm {stored.name}` and `builder.name: auto`",
            )
    return _builder(stored, config)


def _builder(stored: StoredBuilder, config: Path | None) -> Builder:
    nodes = tuple(Node(name=node.name, endpoint=node.endpoint, platforms=node.platforms) for node in stored.nodes)
    return Builder(name=stored.name, driver=stored.driver, docker_config=config, nodes=nodes)


def _local(local: Local) -> Builder:
    """The local buildkitd, registered once. Another one of that name that answers is somebody's, and stays."""
    name = LOCAL
    stored = local.docker.stored_builder(name)
    if stored and stored.endpoints != (local.endpoint,) and all(map(_answers, stored.endpoints)):
        name = f"{LOCAL}-{sha256(local.endpoint.encode()).hexdigest()[:8]}"
        stored = local.docker.stored_builder(name)
    if stored is None or stored.driver != "remote" or stored.endpoints != (local.endpoint,):
        if stored:
            local.docker.remove_builder(name)
        local.docker.create_builder(name, [NewNode(endpoint=local.endpoint)])
    node = Node(name=f"{name}0", endpoint=local.endpoint)
    return Builder(name=name, driver="remote", docker_config=local.config, nodes=(node,), is_local=True)


def _answers(endpoint: str) -> bool:
    """Whether somebody listens on a unix socket; other endpoints are left to buildx, which knows their TLS."""
    scheme, _, path = endpoint.partition("://")
    if scheme != "unix":
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_CONNECT_SECONDS)
        return connection.connect_ex(os.fsencode(path)) == 0
