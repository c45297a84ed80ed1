"""The images of a repository: what was found, with what the configuration says about it."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from imagewright.config.problems import combined, near
from imagewright.errors import ConfigError
from imagewright.images.model import BuildSecret, Found, Image
from imagewright.images.selection import is_glob
from imagewright.references import InvalidReferenceError, Reference

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from imagewright.config.models import ImageSettings, Secret, Settings
    from imagewright.images.families.model import Family, Member
    from imagewright.images.model import Found

_WHERE = "config/images.yml"
_OCI = "org.opencontainers.image."
_VERSION_LABEL = "io.imagewright.version."  # and the name of what the version is of


def catalog(
    settings: Settings, found: Sequence[Found], *, host_platform: str, families: Sequence[Family] = ()
) -> tuple[Image, ...]:
    """Each image with its settings resolved, in the order of `found`; nothing is looked up on disk.

    The members of `families` come after them. What the settings say of a family holds for all of its members, unless
    its own file says otherwise.

    `host_platform` (`linux/amd64`) is built for where the configuration names no platform. ConfigError lists all of:
    settings, layer entries or rules for tags that match nothing, an image in two layers, a repository that is no
    reference, a context outside of the repository.
    """
    names = dict.fromkeys([*(one.name for one in found), *(family.name for family in families)])
    layers, problems = _layers(settings, names)
    problems += [_unknown(f"images.{name}", name, names) for name in settings.images if name not in names]
    problems += _conditions(settings, names)
    images: list[Image] = []
    for one in found:
        try:
            images.append(_image(settings, one, settings.images.get(one.name), layers.get(one.name), host_platform))
        except ConfigError as problem:
            problems.append(problem)
    for family in families:
        try:
            images += _members(settings, family, layers.get(family.name), host_platform)
        except ConfigError as problem:
            problems.append(problem)
    if problems:
        raise combined(problems)
    return tuple(images)


def _members(settings: Settings, family: Family, layer: str | None, host_platform: str) -> list[Image]:
    own = settings.images.get(family.name)
    for key in ("version", "publishes"):
        if own and getattr(own, key):
            message = f"`images.{family.name}.{key}`: the tags of a family are what {family.file} says"
            raise ConfigError(message, where=_WHERE, hint="take it out")
    found = Found(name=family.name, dockerfile=family.file, context=family.folder or ".", pattern="")
    image = _image(settings, found, own, layer, host_platform)
    held: dict[str, list[str]] = {}
    for alias, tag in family.aliases.items():
        held.setdefault(tag, []).append(alias)
    return [_member(settings, family, one, image, tuple(held.get(one.tag, ()))) for one in family.members]


def _member(settings: Settings, family: Family, member: Member, image: Image, aliases: tuple[str, ...]) -> Image:
    said = member.build
    is_latest = member.tag == family.latest
    standard = {"description": member.description, "licenses": member.licenses}
    labels = {f"{_OCI}{key}": text for key, text in standard.items() if text}
    labels |= {
        f"{_VERSION_LABEL}{name}": text for name, text in member.versions.items() if text and isinstance(text, str)
    }
    given = said.get("build_args", {})
    args = {name: value.replace("{registry}", settings.registry[0]) for name, value in given.items()}
    return replace(
        image,
        name=member.name,
        dockerfile=f"{member.folder}/Dockerfile",
        context=_context("`context`", said["context"], member.where) if "context" in said else image.context,
        platforms=said.get("platforms") or image.platforms,
        target=said.get("target", image.target),
        build_args={**image.build_args, **args},
        secret_build_args=said.get("secret_build_args", image.secret_build_args),
        contexts={**image.contexts, **said.get("contexts", {})},
        secrets=tuple(map(_secret, said["secrets"])) if "secrets" in said else image.secrets,
        labels={**labels, **image.labels, **said.get("labels", {})},
        version=member.tag,
        paths=(*image.paths, *said.get("paths", ())),
        publishes=(member.tag, *aliases, *(["latest"] if is_latest else [])),
        alias_strategy=family.strategy,
        family=family.name,
        own_tag=member.tag,
        variant_suffixes=family.suffixes,
        aliases=aliases,
        is_latest=is_latest,
    )


def _image(settings: Settings, found: Found, own: ImageSettings | None, layer: str | None, host_platform: str) -> Image:
    repository, *copies = _repositories(settings, found.name, own.repository if own else None)
    image = Image(
        name=found.name,
        repository=repository,
        copies=tuple(copies),
        dockerfile=found.dockerfile,
        context=found.context,
        layer=layer,
        platforms=settings.platforms or (host_platform,),
        title=found.name,
        paths=settings.layers[layer].paths if layer is not None else (),
    )
    if own is None:
        return image
    return replace(
        image,
        context=image.context if own.context is None else _context(f"`images.{found.name}.context`", own.context),
        platforms=own.platforms or image.platforms,
        target=own.target,
        build_args={name: value.replace("{registry}", settings.registry[0]) for name, value in own.build_args.items()},
        secret_build_args=own.secret_build_args,
        contexts=own.contexts,
        secrets=tuple(map(_secret, own.secrets)),
        labels=own.labels,
        title=own.title or found.name,
        version=own.version,
        paths=(*image.paths, *own.paths),
        publishes=own.publishes,
        alias_strategy=own.aliases,
    )


def _layers(settings: Settings, names: Collection[str]) -> tuple[dict[str, str], list[ConfigError]]:
    """The layer of each image that is in one."""
    layers: dict[str, str] = {}
    problems: list[ConfigError] = []
    for layer, section in settings.layers.items():
        for entry in section.images:
            members = [name for name in names if fnmatchcase(name, entry)] if is_glob(entry) else [entry]
            if not members or members[0] not in names:
                problems.append(_unknown(f"layers.{layer}.images", entry, names))
                continue
            for name in members:
                if layers.setdefault(name, layer) != layer:
                    message = f"the image `{name}` is in two layers, `{layers[name]}` and `{layer}` (by `{entry}`)"
                    problems.append(ConfigError(message, where=_WHERE, hint="an image is in one layer at most"))
    return layers, problems


def _conditions(settings: Settings, names: Collection[str]) -> list[ConfigError]:
    """What rules for tags say of images and layers that there are not: such a rule would never give a tag."""
    problems: list[ConfigError] = []
    for rule, section in settings.tags.rules.items():
        key = f"tags.rules.{rule}.when"
        for entry in section.when.image or ():
            family = entry.partition(":")[0]  # of `python:3.13.7`, or all of it
            if not any(fnmatchcase(name, family) for name in names):
                problems += [_unknown(f"{key}.image", entry, names)]
        for entry in section.when.layer or ():
            if not any(fnmatchcase(layer, entry) for layer in settings.layers):
                hint = near(entry, settings.layers) or "layers are named under `layers`"
                problems += [ConfigError(f"`{key}.layer`: there is no layer `{entry}`", where=_WHERE, hint=hint)]
    return problems


def repository_of(settings: Settings, name: str) -> str:
    """The repository of an image or family; ConfigError where the settings give none."""
    own = settings.images.get(name)
    return _repository(settings, settings.registry[0], name, own.repository if own else None)


def _unknown(key: str, word: str, names: Collection[str]) -> ConfigError:
    hint = near(word, names) or "`invoke list` shows the images there are"
    matched = "matches no image" if is_glob(word) else "is no image"
    return ConfigError(f"`{key}`: `{word}` {matched}", where=_WHERE, hint=hint)


def _repositories(settings: Settings, name: str, own: str | None) -> Sequence[str]:
    """The image's repository in each registry; one where the template names its registry itself."""
    return tuple(dict.fromkeys(_repository(settings, registry, name, own) for registry in settings.registry))


def _repository(settings: Settings, registry: str, name: str, own: str | None) -> str:
    template = settings.repository if own is None else own
    repository = template.replace("{registry}", registry).replace("{name}", name)
    key = "`repository`" if own is None else f"`images.{name}.repository`"
    try:
        reference = Reference.parse(repository)
    except InvalidReferenceError as error:
        raise ConfigError(f"{key} gives no repository for the image `{name}`: {error}", where=_WHERE) from error
    if reference.tag or reference.digest:
        hint = "write the repository without tag and digest"
        raise ConfigError(f"{key} gives `{repository}`, which has a tag or a digest", where=_WHERE, hint=hint)
    return repository


def _context(key: str, written: str, where: str = _WHERE) -> str:
    context = posixpath.normpath(written)
    if context == ".." or context.startswith(("/", "../")):
        message = f"{key}: `{written}` lies outside of the repository"
        hint = "a context is a folder of the repository; others are named contexts, under `contexts`"
        raise ConfigError(message, where=where, hint=hint)
    return context


def _secret(secret: Secret) -> BuildSecret:
    if secret.env is not None:
        return BuildSecret(secret.id, "env", secret.env, secret.optional)
    return BuildSecret(secret.id, "src", secret.src or "", secret.optional)
