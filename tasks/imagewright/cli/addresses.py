"""Which repositories and tags the words of `promote`, `retag` and `mirror` stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagewright.config.problems import near
from imagewright.errors import UsageError
from imagewright.references import DOCKER_HUB, InvalidReferenceError, Reference, is_repository_path, is_tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from imagewright.images.model import Image

_LEGAL = "a tag has 1 to 128 letters, digits, '_', '.' and '-', and starts with none of the last two"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An image by its name or reference: what it is called in one or more repositories."""

    repositories: tuple[str, ...]  # "ghcr.io/me/app"; the first is its own, the others are its copies
    tag: str | None = None
    digest: str | None = None
    image: Image | None = None

    @property
    def reference(self) -> str:
        """What a registry is asked for; a digest is more than a tag."""
        return self.digest or self.tag or ""

    @property
    def text(self) -> str:
        """The full reference in its own repository."""
        return f"{self.repositories[0]}@{self.digest}" if self.digest else f"{self.repositories[0]}:{self.tag}"


class Addresses:
    """The words of one project."""

    def __init__(self, images: Iterable[Image], registries: Sequence[str]) -> None:
        self._registries = tuple(registries)
        self._names: dict[str, Image] = {}
        self._repositories: dict[str, Image] = {}
        for image in images:
            self._names.setdefault(image.family or image.name, image)
            self._repositories.setdefault(image.repository, image)

    def source(self, text: str) -> Address:
        """`app:dev`, `app@sha256:…`, `python:3.13.7` or `ghcr.io/me/app:dev`; UsageError where it is none of these."""
        found = self._named(text)
        if found is None:
            name = _split(text)[0]
            if not _has_host(name):
                hint = near(name, self._names) or "`invoke list` shows the images there are"
                raise UsageError(f"no image is called `{name}`", hint=f"{hint}; or give HOST/REPOSITORY:TAG")
            found = _reference(text)
        if not found.reference:
            raise UsageError(f"`{text}` names no tag", hint=f"`{text}:TAG`, or `{text}@sha256:…`")
        return found

    def targets(self, text: str, source: Address) -> tuple[tuple[str, str, Image | None], ...]:
        """Repository, tag and image of each target in `stable,app:1.2,ghcr.io/me/app:1.2`, each once."""
        found: dict[tuple[str, str], Image | None] = {}
        for item in filter(None, (part.strip() for part in text.split(","))):
            address = self._target(item, source)
            found.update({(repository, address.tag or ""): address.image for repository in address.repositories})
        if not found:
            raise UsageError("no tag is named")
        return tuple((repository, tag, image) for (repository, tag), image in found.items())

    def mirrored(self, source: Reference, to: str) -> tuple[tuple[str, str], ...]:
        """Where a copy of an outside image goes: repository and tag in each registry of the configuration."""
        tag = source.tag or ("" if source.digest else "latest")
        if to:
            name, given, digest = _split(to)
            if digest:
                raise UsageError(f"`{to}` is a digest: a copy is given a tag")
            tag = given or tag
            if _has_host(name):
                where: tuple[str, ...] = (_reference(to).repositories[0],)
            else:
                where = tuple(f"{registry}/{_path(name)}" for registry in self._registries)
        else:
            where = tuple(f"{registry}/{mirror_path(source)}" for registry in self._registries)
        if not tag:
            raise UsageError(f"`{source}` has no tag that its copy could have", hint="`--to NAME:TAG` says one")
        _require_tag(tag)
        return tuple((repository, tag) for repository in where)

    def _target(self, item: str, source: Address) -> Address:
        if not any(special in item for special in ":/@"):
            _require_tag(item)
            return Address(repositories=source.repositories, tag=item, image=source.image)
        found = self._named(item)
        if found is None:
            name, tag, digest = _split(item)
            if _has_host(name):
                found = _reference(item)
            else:
                places = tuple(f"{registry}/{_path(name)}" for registry in self._registries)
                found = Address(repositories=places, tag=tag, digest=digest)
        if found.digest or not found.tag:
            raise UsageError(f"`{item}` is no target: a tag is needed", hint="TAG, NAME:TAG or HOST/REPOSITORY:TAG")
        _require_tag(found.tag)
        return found

    def _named(self, text: str) -> Address | None:
        """An image of the project, by its name, that of its family, or its repository."""
        name, tag, digest = _split(text)
        image = self._names.get(name) or self._repositories.get(name)
        if image is None:
            return None
        repositories = (image.repository, *image.copies)
        if digest:
            _reference(f"{image.repository}@{digest}")  # says so where it is none
        if tag:
            _require_tag(tag)
        return Address(repositories=repositories, tag=tag, digest=digest, image=image)


def mirror_path(source: Reference) -> str:
    """The path of a copy: the whole name of the original, so that no two originals share one.

    `docker.io/library/debian` is where the local buildkitd looks for `debian`; a port is no part of a path.
    """
    return f"{source.domain.lower().replace(':', '_').strip('[]')}/{source.path}"


def _split(text: str) -> tuple[str, str | None, str | None]:
    """Name, tag and digest, as they are written."""
    rest, _, digest = text.partition("@")
    folder, slash, last = rest.rpartition("/")
    last, _, tag = last.partition(":")
    return f"{folder}{slash}{last}", tag or None, digest or None


def _has_host(name: str) -> bool:
    host, slash, _ = name.partition("/")
    return bool(slash) and ("." in host or ":" in host or host == "localhost")


def _reference(text: str) -> Address:
    try:
        found = Reference.parse(text)
    except InvalidReferenceError as error:
        raise UsageError(str(error)) from error
    return Address(repositories=(found.repository,), tag=found.tag, digest=found.digest)


def outside(text: str) -> Reference:
    """The image that `mirror` copies; `debian` is Docker Hub's, as for docker."""
    try:
        return Reference.parse(text)
    except InvalidReferenceError as error:
        raise UsageError(str(error), hint=f"for example debian:trixie-slim, or {DOCKER_HUB}/library/debian") from error


def _path(name: str) -> str:
    if not is_repository_path(name):
        raise UsageError(
            f"`{name}` is no repository name", hint="small letters, digits, and `.`, `_`, `-`, `/` between"
        )
    return name


def _require_tag(tag: str) -> None:
    if not is_tag(tag):
        raise UsageError(f"{tag!r} is no legal tag", hint=_LEGAL)
