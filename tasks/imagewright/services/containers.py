"""Services as containers, where a Docker engine runs on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from imagewright.errors import EnvironmentMissingError
from imagewright.services import credentials
from imagewright.services.processes import TAIL_LINES
from imagewright.services.programs import Unavailable
from imagewright.tools.process import Completed, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from imagewright.services.model import Container


class Engine(Protocol):
    """What is asked of a Docker engine."""

    def run(self, name: str, container: Container, folder: Path, listen: tuple[str, int] | None) -> str:
        """Start a container in the background, its port published at `listen`; its id. Unavailable where it cannot."""

    def alive(self, container: str) -> bool:
        """Whether this container runs."""

    def succeeds(self, container: str, command: Sequence[str]) -> bool:
        """Whether a command succeeds inside it."""

    def output(self, container: str) -> str:
        """The last lines of what it printed."""

    def remove(self, container: str) -> bool:
        """Stop and remove this container; False where it was gone."""


class DockerEngine:
    """The engine of docker's current context."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def run(self, name: str, container: Container, folder: Path, listen: tuple[str, int] | None) -> str:
        """Pull the image where it is missing, and start it."""
        self._require_local()
        from python_on_whales import DockerClient
        from python_on_whales.exceptions import DockerException, NoSuchContainer

        client = DockerClient()
        env_file = folder / "container.env"
        credentials.write_private(env_file, "".join(f"{key}={value}\n" for key, value in container.env.items()))
        try:
            client.container.remove(name, force=True)  # one of the same name that a crash left
        except NoSuchContainer:
            pass
        except DockerException as error:
            raise Unavailable(f"docker rm {name}: {_said(error)}") from error
        try:
            started = client.container.run(
                container.image,
                list(container.args),
                detach=True,
                name=name,
                env_files=[env_file],
                publish=[(f"{listen[0]}:{listen[1]}", container.port)] if listen and container.port else [],
                volumes=[(str(folder / source), target) for source, target in container.mounts.items()],
                privileged=container.privileged,
                networks=["host"] if container.privileged else [],
            )
        except DockerException as error:
            raise Unavailable(f"docker run {container.image}: {_said(error)}") from error
        return str(started.id)

    def alive(self, container: str) -> bool:
        """Ask the engine."""
        from python_on_whales import DockerClient
        from python_on_whales.exceptions import DockerException

        try:
            return bool(DockerClient().container.inspect(container).state.running)
        except DockerException:
            return False

    def succeeds(self, container: str, command: Sequence[str]) -> bool:
        """`docker exec`."""
        from python_on_whales import DockerClient
        from python_on_whales.exceptions import DockerException

        try:
            DockerClient().container.execute(container, list(command))
        except DockerException:
            return False
        return True

    def output(self, container: str) -> str:
        """`docker logs`."""
        from python_on_whales import DockerClient
        from python_on_whales.exceptions import DockerException

        try:
            return str(DockerClient().container.logs(container, tail=TAIL_LINES))
        except DockerException as error:
            return _said(error)

    def remove(self, container: str) -> bool:
        """SIGTERM, ten seconds, SIGKILL, by docker itself; the data is in folders of ours and stays."""
        from python_on_whales import DockerClient
        from python_on_whales.exceptions import NoSuchContainer

        client = DockerClient()
        try:
            client.container.stop(container)
            client.container.remove(container)
        except NoSuchContainer:
            return False
        return True

    def _require_local(self) -> None:
        try:
            host = self._ask("context", "inspect", "--format", "{{.Endpoints.docker.Host}}").text
            answers = self._ask("version", "--format", "{{.Server.Version}}").code == 0
        except EnvironmentMissingError as error:
            raise Unavailable(error.message) from error
        if not host.startswith("unix://"):
            raise Unavailable(f"the Docker engine is on another machine ({host})")
        if not answers:
            raise Unavailable(f"no Docker engine answers at {host}")

    def _ask(self, *args: str) -> Completed:
        return run(["docker", *args], env=self._environ)


def _said(error: Exception) -> str:
    return next((line for line in reversed(str(error).splitlines()) if line.strip(" '`")), type(error).__name__)
