"""`invoke new NAME`: the first Dockerfile of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.cli.project import Project
from imagewright.cli.show import write
from imagewright.cli.task import task
from imagewright.errors import ConfigError, UsageError
from imagewright.references import InvalidReferenceError, Reference, is_repository_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from invoke.context import Context

    from imagewright.images.model import Image

DEFAULT_BASE = "debian:trixie-slim"


@task(
    help={
        "name": "The image's name: small letters and digits, joined by - . or _",
        "base": "What it is built FROM: a Debian or Ubuntu image with its tag, or the name of an image here.",
        "force": "Overwrite the Dockerfile that is there.",
    }
)
def new(c: Context, name: str, base: str = DEFAULT_BASE, force: bool = False) -> None:
    """Write a small sound Dockerfile for a new image: pinned base, no package lists, not root."""
    from imagewright.images.template import dockerfile

    project = Project.open(c)
    place = place_for(name, project.settings.discover)
    known = images_so_far(project)
    if any(image.family == name for image in known.values()):
        raise UsageError(f"the image {name} is there already, as a family", hint="add a tag to its image.yml")
    if name in known and known[name].dockerfile != place:
        raise UsageError(f"the image {name} is there already", where=known[name].dockerfile)
    if (project.root / place).exists() and not force:
        raise UsageError("is there already", where=place, hint="choose another name, or overwrite it with --force")
    source = reference(known[base]) if base in known else pinned(base)
    write(project.root / place, dockerfile(name, source, reset_user=base in known))
    project.say(f"{place} is written. Change it to your needs, then: invoke build {name}")


def place_for(name: str, patterns: Sequence[str]) -> str:
    """Where the Dockerfile of a new image goes, relative to the root: the first pattern that says it all."""
    from imagewright.images.discover import EVERY_IMAGE

    if not is_repository_path(name) or "/" in name or name == EVERY_IMAGE:
        hint = "small letters and digits, joined by `-`, `.` or `_`, for example my-app"
        raise UsageError(f"{name!r} cannot be an image's name", hint=hint)
    for pattern in patterns:
        if not set("*?[") & set(pattern) and not pattern.endswith((".yml", ".yaml")):
            return pattern.replace("<name>", name)
    raise UsageError("no `discover` pattern says where a new Dockerfile goes", hint="write it by hand, where one fits")


def pinned(base: str) -> str:
    """The base as given; UsageError where it is no reference, or one that means another image every month."""
    try:
        reference = Reference.parse(base)
    except InvalidReferenceError as error:
        raise UsageError(str(error), hint=f"for example --base {DEFAULT_BASE}") from error
    if reference.digest is None and reference.tag in {None, "latest"}:
        hint = f"name a release, for example --base {DEFAULT_BASE}"
        raise UsageError(f"the base {base} changes without notice", hint=hint)
    return base


def reference(image: Image) -> str:
    """How another Dockerfile here names an image."""
    return f"{image.repository}:{image.own_tag}" if image.own_tag else image.repository


def images_so_far(project: Project) -> Mapping[str, Image]:
    """The images by name; none where the first one is about to be made, or where `invoke list` has to complain."""
    try:
        return project.by_name
    except ConfigError:
        return {}
