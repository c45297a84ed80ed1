"""Base images where Docker Hub cannot be reached: made from Debian's packages, served by the local registry.

The local buildkitd looks for Docker Hub's images in the local registry first (there they are called
`docker.io/library/debian`), so that `FROM debian:trixie-slim` stays as it is. Where Docker Hub can be reached nothing
is made, and what was made before is withdrawn. Images that somebody else put there are used and never touched.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagewright.bases.recipe import Recipe
from imagewright.bases.record import Record
from imagewright.errors import ConfigError, EnvironmentMissingError, RegistryError
from imagewright.references import DOCKER_HUB, InvalidReferenceError, Reference
from imagewright.tools.later import Later

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from imagewright.bases.mirror import Mirror, Served
    from imagewright.config.models import DebianBase

_FRESH_SECONDS = 24 * 60 * 60  # a younger root filesystem is not made anew, even when asked
_HUB = ("answers", DOCKER_HUB)


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """An outside base image that this repository's images use and `bases:` knows how to make."""

    reference: Reference
    settings: DebianBase

    @property
    def name(self) -> str:
        """As people write it, with its tag."""
        return f"{self.reference.familiar_repository}:{self.tag}"

    @property
    def repository(self) -> str:
        """The path on the local registry."""
        return self.reference.repository

    @property
    def tag(self) -> str:
        """The tag; `latest` where none is written."""
        return self.reference.tag or "latest"

    def recipe(self, platform: str) -> Recipe:
        """How it is made for a platform."""
        return Recipe(suite=self.settings.debootstrap, include=self.settings.include, platform=platform)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A base image that was made here, now or before, and that the local registry serves."""

    name: str
    digest: str
    packages: str  # the date of the newest package in it, YYYY-MM-DD


def ensure_bases(
    wanted: Iterable[str],
    bases: Mapping[str, DebianBase],
    *,
    platforms: Sequence[str],
    connect: Callable[[], AbstractContextManager[Mirror]],
    state: Path,
    cache: Path,
    say: Callable[[str], None],
    reachable: Callable[[str], bool],
    refresh: bool = False,
) -> tuple[Made, ...]:
    """See that the outside bases `wanted` (expanded references) can be had; those that are not Docker Hub's own.

    Does nothing where `bases` does not know them, or where Docker Hub is `reachable`. That answer, and what the local
    registry (`connect`, which starts nothing) was last seen to have, hold for ten minutes, so that the next call takes
    a millisecond; they are kept in `state`, which is the registry's own folder, so that they go when its data goes.
    `refresh` makes anew what is older than a day.

    EnvironmentMissingError where a base cannot be made on this machine, BuildError where making it fails.
    """
    chosen = choose(wanted, bases)
    if not chosen:
        return ()
    record = Record(state / "bases.json")
    answers = record.find(*_HUB)
    if answers is None:
        answers = reachable(DOCKER_HUB)
        if answers:
            _withdraw(chosen, connect, say)
            record.forget()
        record.remember(_HUB, answers)
    if answers:
        return ()
    made = []
    for base in chosen:
        recipes = {platform: base.recipe(platform) for platform in platforms}
        key = (base.name, *(f"{platform}={recipe.key}" for platform, recipe in sorted(recipes.items())))
        remembered = None if refresh else record.find(*key)
        if remembered is None:
            with connect() as mirror:
                served = _serve(base, recipes, mirror, cache=cache, say=say, refresh=refresh)
            remembered = [served.digest, served.packages] if served.is_ours else []
            record.remember(key, remembered)
        elif remembered:
            say(_reminder(base, remembered[1]))
        if remembered:
            made.append(Made(name=base.name, digest=remembered[0], packages=remembered[1]))
    return tuple(made)


def to_withdraw(
    wanted: Iterable[str],
    bases: Mapping[str, DebianBase],
    *,
    connect: Callable[[], AbstractContextManager[Mirror]],
    state: Path,
    reachable: Callable[[str], bool],
) -> frozenset[str]:
    """Those of `wanted` that were made here and that the next `ensure_bases` withdraws, as Docker Hub answers again."""
    from imagewright.bases.mirror import look

    found: dict[Reference, str] = {}
    for text in wanted:
        found.update({base.reference: text for base in choose([text], bases)})
    record = Record(state / "bases.json")
    if not found or record.find(*_HUB) is not None:  # it answers not, or what was made is withdrawn already
        return frozenset()
    if not reachable(DOCKER_HUB):
        record.remember(_HUB, False)
        return frozenset()
    with suppress(EnvironmentMissingError, RegistryError), connect() as mirror:
        served = {text: look(mirror, base.repository, base.tag or "latest") for base, text in found.items()}
        return frozenset(text for text, one in served.items() if one and one.is_ours)
    return frozenset()


def choose(wanted: Iterable[str], bases: Mapping[str, DebianBase]) -> list[Base]:
    """Those of `wanted` that `bases` knows, in the order of their names. ConfigError for a key that cannot be served.

    A reference with a digest is never among them: only the original has that digest.
    """
    known: dict[tuple[str, str], DebianBase] = {}
    for name, settings in bases.items():
        try:
            reference = Reference.parse(name)
        except InvalidReferenceError as error:
            raise ConfigError(str(error), where="bases") from error
        if reference.domain != DOCKER_HUB or reference.digest:
            raise ConfigError(f"{name}: only tags of Docker Hub's images can be served in their place", where="bases")
        known[reference.repository, reference.tag or "latest"] = settings
    found = {}
    for text in wanted:
        with suppress(InvalidReferenceError):  # the build tells it with the Dockerfile's line
            reference = Reference.parse(text)
            recipe = known.get((reference.repository, reference.tag or "latest"))
            if recipe and not reference.digest:
                base = Base(reference=reference, settings=recipe)
                found[base.name] = base
    return [found[name] for name in sorted(found)]


def docker_hub_answers(registry: str = DOCKER_HUB) -> bool:
    """Whether the registry answers within three seconds, whatever it answers."""
    from imagewright.registry.session import answers

    return answers(registry, within=3)


def asked_ahead(state: Path) -> Callable[[str], bool]:
    """`docker_hub_answers`, asked from now on: where it is out of reach, that takes a while to be known.

    `state` is that of `ensure_bases`: what is remembered there need not be asked.
    """
    if Record(state / "bases.json").find(*_HUB) is not None:
        return docker_hub_answers
    asked = Later(docker_hub_answers)
    return lambda _registry: asked.result()


def hint(reference: str) -> str:
    """What to do when Docker Hub's `reference` was not to be had and `bases` does not know it."""
    image = Reference.parse(reference)
    name = f"{image.familiar_repository}:{image.tag or 'latest'}"
    if image.path != "library/debian" or image.digest:
        return f"Docker Hub cannot be reached; the local registry is asked for {DOCKER_HUB}/{image.path}: push it there"
    version = (image.tag or "").removesuffix("-slim")
    suite = version if version in {"bookworm", "trixie", "forky", "sid"} else "trixie"
    return (
        "Docker Hub cannot be reached; the base can be made from Debian's packages, in config/images.yml:\n"
        f"    bases:\n      {name}: {{debootstrap: {suite}}}"
    )


def _serve(
    base: Base,
    recipes: Mapping[str, Recipe],
    mirror: Mirror,
    *,
    cache: Path,
    say: Callable[[str], None],
    refresh: bool,
) -> Served:
    """What the mirror has, or makes it."""
    from imagewright.bases.debian import make
    from imagewright.bases.mirror import dates_of, look, publish

    there = look(mirror, base.repository, base.tag)
    if there and not there.is_ours:
        say(f"{base.name} is taken from {mirror.host}/{base.repository}, where somebody put it")
        return there
    is_made = there is not None and all(there.keys.get(one) == recipe.key for one, recipe in recipes.items())
    if there and is_made and not refresh:
        say(_reminder(base, there.packages))
        return there
    if not is_made:
        say(f"Docker Hub cannot be reached: {base.name} is made from Debian's packages instead, as `bases:` says")
    wanted = {**{platform: base.recipe(platform) for platform in (there.keys if there else ())}, **recipes}
    max_age = _FRESH_SECONDS if refresh else math.inf
    made = {recipe: make(recipe, cache=cache, say=say, max_age=max_age) for _, recipe in sorted(wanted.items())}
    if there and is_made and there.dates == dates_of(made):
        say(_reminder(base, there.packages))  # nothing newer: compressing it again takes seconds
        return there
    served = publish(mirror, base.repository, base.tag, made)
    say(
        f"ATTENTION: {base.name} is not Docker Hub's image here. It was made from the packages of Debian "
        f"{base.settings.debootstrap} up to {served.packages} ({', '.join(served.keys)}) and lies in "
        f"{mirror.host}/{base.repository}, {served.digest}. Images that are built on it carry the label "
        "io.imagewright.base.origin. It is withdrawn when Docker Hub answers again."
    )
    return served


def _withdraw(
    bases: Iterable[Base], connect: Callable[[], AbstractContextManager[Mirror]], say: Callable[[str], None]
) -> None:
    from imagewright.bases.mirror import withdraw

    # A registry that does not answer hides nothing, and one that refuses us has nothing of ours.
    with suppress(EnvironmentMissingError, RegistryError), connect() as mirror:
        for base in bases:
            if withdraw(mirror, base.repository, base.tag):
                say(f"Docker Hub can be reached: the {base.name} that was made here is withdrawn")


def _reminder(base: Base, packages: str) -> str:
    return f"{base.name} is the one made here (Debian's packages up to {packages}): Docker Hub cannot be reached"
