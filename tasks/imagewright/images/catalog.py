"""The images of a repository: what was found, with what the configuration says about it."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from imagewright.config.problems import combined, near
from imagewright.errors import ConfigError
from imagewright.images.model import BuildSecret, Image
from imagewright.images.selection import is_glob
from imagewright.references import InvalidReferenceError, Reference

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from imagewright.config.models import ImageSettings, Secret, Settings
    from imagewright.images.model import BuildSecret, Found

_WHERE = "config/images.yml"


def catalog(settings: Settings, found: Sequence[Found], *, host_platform: str) -> tuple[Image, ...]:
    """Each image with its settings resolved, in the order of `found`; nothing is looked up on disk.

    `host_platform` (`linux/amd64`) is built for where the configuration names no platform. ConfigError lists all of:
    settings or layer entries that match no image, an image in two layers, a repository that is no reference, a
    context outside of the repository.
    """
    names = {one.name: None for one in found}
    layers, problems = _layers(settings, names)
    problems += [_unknown(f"images.{name}", name, names) for name in settings.images if name not in names]
    images: list[Image] = []
    for one in found:
        try:
            images.append(_image(settings, one, settings.images.get(one.name), layers.get(one.name), host_platform))
        except ConfigError as problem:
            problems.append(problem)
    if problems:
        raise combined(problems)
    return tuple(images)


def _image(settings: Settings, found: Found, own: ImageSettings | None, layer: str | None, host_platform: str) -> Image:
    image = Image(
        name=found.name,
        repository=_repository(settings, found.name, own.repository if own else None),
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
        context=image.context if own.context is None else _context(found.name, own.context),
        platforms=own.platforms or image.platforms,
        target=own.target,
        build_args={name: value.replace("{registry}", settings.registry) for name, value in own.build_args.items()},
        secret_build_args=own.secret_build_args,
        contexts=own.contexts,
        secrets=tuple(map(_secret, own.secrets)),
        labels=own.labels,
        title=own.title or found.name,
        version=own.version,
        paths=(*image.paths, *own.paths),
        publishes=own.publishes,
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


def _unknown(key: str, word: str, names: Collection[str]) -> ConfigError:
    hint = near(word, names) or "`invoke list` shows the images there are"
    matched = "matches no image" if is_glob(word) else "is no image"
    return ConfigError(f"`{key}`: `{word}` {matched}", where=_WHERE, hint=hint)


def _repository(settings: Settings, name: str, own: str | None) -> str:
    template = settings.repository if own is None else own
    repository = template.replace("{registry}", settings.registry).replace("{name}", name)
    key = "`repository`" if own is None else f"`images.{name}.repository`"
    try:
        reference = Reference.parse(repository)
    except InvalidReferenceError as error:
        raise ConfigError(f"{key} gives no repository for the image `{name}`: {error}", where=_WHERE) from error
    if reference.tag or reference.digest:
        hint = "write the repository without tag and digest"
        raise ConfigError(f"{key} gives `{repository}`, which has a tag or a digest", where=_WHERE, hint=hint)
    return repository


def _context(name: str, written: str) -> str:
    context = posixpath.normpath(written)
    if context == ".." or context.startswith(("/", "../")):
        message = f"`images.{name}.context`: `{written}` lies outside of the repository"
        hint = "a context is a folder of the repository; others are named contexts, under `contexts`"
        raise ConfigError(message, where=_WHERE, hint=hint)
    return context


def _secret(secret: Secret) -> BuildSecret:
    if secret.env is not None:
        return BuildSecret(secret.id, "env", secret.env, secret.optional)
    return BuildSecret(secret.id, "src", secret.src or "", secret.optional)
