"""The files of all members, rendered: `dist/<name>/<tag>/Dockerfile`, and the test file where there is a template."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from imagewright.errors import DockerfileError
from imagewright.images.families.collect import Parent, find_parent, parents
from imagewright.images.families.model import Generated
from imagewright.images.families.render import Renderer

if TYPE_CHECKING:
    from imagewright.images.families.model import Family, Member

DOCKERFILE = "Dockerfile"
TEST = "test.yml"
SUFFIX = ".jinja2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """All that was made, by path; and of the images of which something could not be made, why."""

    files: Mapping[str, Generated] = field(default_factory=dict)
    broken: Mapping[str, DockerfileError] = field(default_factory=dict)


def generate(
    known: Sequence[Family],
    content: Callable[[str], bytes | None],
    *,
    registry: str,
    repositories: Mapping[str, str],
) -> Generation:
    """Render every member. `repositories` are those of all images and families, by name.

    ConfigError: a member extends what is not there, or itself by a detour. One broken template hides no other image.
    """
    families = {family.name: family for family in known}
    plain = [name for name in repositories if name not in families]
    above = parents(known, plain)

    def resolve(text: Any) -> str:
        return _reference(find_parent(str(text), families, plain), repositories)

    files: dict[str, Generated] = {}
    broken: dict[str, DockerfileError] = {}
    for family in known:
        renderer = Renderer(family.folder, content)
        for member in family.members:
            values: dict[str, Any] = {
                **member.versions,
                **member.variables,
                "versions": member.versions,
                "variables": member.variables,
                "name": member.family,
                "tag": member.tag,
                "version": member.version,
                "variant": member.variant or "",
                "suffix": member.suffix,
                "registry": registry,
                "repository": repositories[family.name],
                "resolve": resolve,
            }
            if member.variant is not None:
                values["parent"] = f"{repositories[family.name]}:{member.version}"
            if member.name in above:
                values["base"] = _reference(above[member.name], repositories)
            try:
                files |= _files_of(family, member, renderer, values)
            except DockerfileError as error:
                broken[member.name] = error
    return Generation(files=files, broken=broken)


def _reference(parent: Parent, repositories: Mapping[str, str]) -> str:
    return f"{repositories[parent.name]}:{parent.tag}" if parent.tag else repositories[parent.name]


def _files_of(family: Family, member: Member, renderer: Renderer, values: Mapping[str, Any]) -> Mapping[str, Generated]:
    names = [f"{DOCKERFILE}.{member.variant}{SUFFIX}"] if member.variant else []
    name = _chosen(renderer, member, member.template, [*names, f"{DOCKERFILE}{SUFFIX}"])
    if name is None:
        hint = f"write it, or name another one: `template` in {family.file}"
        raise DockerfileError(renderer.missing(f"{DOCKERFILE}{SUFFIX}"), where=member.template_where, hint=hint)
    names = [f"test.{member.variant}.yml{SUFFIX}"] if member.variant else []
    test = _chosen(renderer, member, member.test_template, [*names, f"{TEST}{SUFFIX}"])
    files: dict[str, Generated] = {}
    for file, template in ((DOCKERFILE, name), (TEST, test)):
        if template is not None:
            text, sources = renderer.render(template, values)
            files[f"{member.folder}/{file}"] = Generated(content=text.encode(), sources=(*sources, family.file))
    return files


def _chosen(renderer: Renderer, member: Member, explicit: str | None, names: Sequence[str]) -> str | None:
    """The template that is named, else the first of `names` that is there; DockerfileError: the named one is not."""
    if explicit is None:
        return next((name for name in names if renderer.path_of(name)), None)
    if renderer.path_of(explicit) is None:
        raise DockerfileError(renderer.missing(explicit), where=member.template_where)
    return explicit
