"""The builder that the configuration describes, and the docker that knows it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from imagewright.builds.fleet import decide, describe, differences
from imagewright.errors import ImagewrightError
from imagewright.services.docker_config import docker_config
from imagewright.tools.docker import Docker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from imagewright.builds.fleet import Difference
    from imagewright.cli.project import Project

Deed = Literal["none", "create", "replace", "refused", "remove"]


def docker_with_buildx(project: Project) -> Docker:
    """The user's docker, or the same with the buildx that is kept here, which the first call makes."""
    return Docker(docker_config(project.places, environ=project.environ, say=project.say), project.environ)


class Fleet:
    """A builder to be, and what stands there of it."""

    def __init__(self, project: Project) -> None:
        """ConfigError for what cannot be made of the description."""
        self._places = project.places
        self.docker = docker_with_buildx(project)
        default = self.docker.default_buildkitd_config
        self.described = describe(
            project.settings.builder, project.root, default_config=default if default.is_file() else None
        )
        self.name = self.described.name
        self.stored = self.docker.stored_builder(self.name)

    def to_do(self, *, replace: bool, remove: bool) -> tuple[Deed, tuple[Difference, ...]]:
        """What is to be done, and what differs."""
        is_ours = self.stored is not None and self._remembered == self.stored.digest
        if remove:
            if self.stored and not is_ours and not replace:
                raise ImagewrightError(
                    f"builder {self.name} was not made by `invoke builder`, or was changed since",
                    hint=f"`--remove --replace` removes it all the same; so does `docker buildx rm {self.name}`",
                )
            return ("remove" if self.stored else "none"), ()
        host = self.docker.default_host
        found = differences(self.described, self.stored, docker_host=host) if self.stored else ()
        return decide(self.stored, found, is_ours=is_ours, replace=replace), found

    def do(self, action: Deed, found: Sequence[Difference]) -> None:
        """Do it, and remember what was made."""
        if action == "refused":
            listed = "\n".join(f"  {one}" for one in found)
            raise ImagewrightError(
                f"there is a builder {self.name} that `invoke builder` did not make, or that was changed since, and it "
                f"is another one than the configuration describes:\n{listed}",
                hint="`invoke builder --replace` makes it anew; or give yours another name (`builder.name`)",
            )
        if action in ("remove", "replace"):
            # the same node finds its cache again
            self.docker.remove_builder(self.name, keep_state=action == "replace" and self._keeps_state)
            self._record.unlink(missing_ok=True)
        if action in ("create", "replace"):
            self.docker.create_builder(self.name, self.described.nodes, driver=self.described.driver)
            made = self.docker.stored_builder(self.name)
            self._record.parent.mkdir(parents=True, exist_ok=True)
            self._record.write_text(json.dumps({"digest": made.digest if made else None}))

    @property
    def _keeps_state(self) -> bool:
        return self.stored is not None and self.stored.driver == self.described.driver == "docker-container"

    @property
    def _record(self) -> Path:
        return self._places.state / "builders" / f"{self.name}.json"

    @property
    def _remembered(self) -> str | None:
        try:
            return str(json.loads(self._record.read_bytes())["digest"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
