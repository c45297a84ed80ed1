"""What a Dockerfile uses from outside itself: images, files of the contexts, remote sources.

BuildKit's dockerfile2llb/convert.go, `dispatchStages`, for each platform; the answers are joined.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from imagewright.errors import DockerfileError
from imagewright.images.dockerfile.syntax import is_foreign, names_build, names_target
from imagewright.images.dockerfile.walk import Walk
from imagewright.images.model import BaseConfig, Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from imagewright.images.dockerfile.syntax import Dockerfile

# The builder's own platform is not known when a plan is made, and the plan must not depend on who makes it.
_BUILD_PLATFORMS = ("linux/amd64", "linux/arm64")


def evaluate(
    dockerfile: Dockerfile,
    *,
    build_args: Mapping[str, str],
    target: str | None,
    platforms: Sequence[str],
    base: Callable[[str, str], BaseConfig | None],
    contexts: Mapping[str, str] | None = None,
    unknown_args: Sequence[str] = (),
) -> Reading:
    """The union over `platforms` of what the stages reached from `target` use.

    `base(reference, platform)` gives a base image's ENV and ONBUILD, or None where nobody knows them; a named context
    is asked for as `target:NAME` or `oci-layout://…`. `contexts` are the named contexts, `unknown_args` build args
    whose value is not to be known (secret ones). Of a foreign front end only this is said: it may read any file.
    DockerfileError for what BuildKit refuses.
    """

    def walked() -> Reading:
        return _walked(dockerfile, build_args, target, platforms, base, contexts or {}, tuple(unknown_args))

    if not is_foreign(dockerfile.syntax):
        return walked()
    # What the instructions mean is that front end's business. Where they make sense, they tell of images and triggers.
    found = Reading()
    if dockerfile.stages:
        with suppress(DockerfileError):
            found = walked()
    gives = {name: BaseConfig(complete=False, onbuild=config.onbuild) for name, config in found.gives.items()}
    return Reading(
        images=found.images,
        unknowns=((dockerfile.syntax_line, f"the front end {dockerfile.syntax} may read any file"),),
        syntax=dockerfile.syntax,
        stages=found.stages,
        unread_bases=found.unread_bases,
        gives=gives or {"": BaseConfig(complete=False)},
    )


def _walked(
    dockerfile: Dockerfile,
    build_args: Mapping[str, str],
    target: str | None,
    platforms: Sequence[str],
    base: Callable[[str, str], BaseConfig | None],
    contexts: Mapping[str, str],
    unknown_args: tuple[str, ...],
) -> Reading:
    targets = tuple(dict.fromkeys(platforms)) or _BUILD_PLATFORMS[:1]
    asked: dict[tuple[str, str], BaseConfig | None] = {}

    def ask(reference: str, platform: str) -> BaseConfig | None:
        key = (reference, platform)
        if key not in asked:
            asked[key] = base(reference, platform)
        return asked[key]

    tried: dict[tuple[str, str], Walk | DockerfileError] = {}

    def attempt(platform: str, build: str) -> Walk | DockerfileError:
        key = (platform, build)
        if key not in tried:
            try:
                tried[key] = Walk(dockerfile, build_args, unknown_args, target, platform, build, contexts, ask)
            except DockerfileError as error:
                tried[key] = error
        return tried[key]

    attempt(targets[0], targets[0])
    others = (*targets[1:], *_BUILD_PLATFORMS) if dockerfile.from_build else targets[1:]
    bases_differ = any("::" in name for name in contexts) or any(
        ask(reference, other) != ask(reference, targets[0]) for reference, _ in [*asked] for other in others
    )
    triggers = "\n".join(line for config in asked.values() if config for line in config.onbuild)
    by_build = dockerfile.by_build or names_build(triggers) or (dockerfile.from_build and bases_differ)
    by_target = dockerfile.by_target or by_build or names_target(triggers) or bases_differ
    builds = tuple(dict.fromkeys((*targets, *_BUILD_PLATFORMS))) if by_build else targets[:1]
    passes: list[Walk] = []
    for platform in targets if by_target else targets[:1]:
        attempts = [attempt(platform, build) for build in builds]
        walked = [one for one in attempts if isinstance(one, Walk)]
        errors = [one for one in attempts if isinstance(one, DockerfileError)]
        if not walked:
            raise errors[0]
        passes.extend(walked)  # a builder of a platform that is refused is not the one that will be asked
    return _join(passes, dockerfile.syntax)


def _join(passes: Sequence[Walk], syntax: str | None) -> Reading:
    gives: dict[str, BaseConfig] = {}
    for one in passes:
        gives[one.platform] = _both(gives[one.platform], one.gives) if one.platform in gives else one.gives
    if len(gives) == 1 or all(config == passes[0].gives for config in gives.values()):
        gives = {"": passes[0].gives if len(gives) > 1 else gives[passes[0].platform]}
    return Reading(
        images=tuple(dict.fromkeys(use for one in passes for use in one.images)),
        context=tuple(dict.fromkeys(use for one in passes for use in one.context)),
        remotes=tuple(dict.fromkeys(remote for one in passes for remote in one.remotes)),
        unknowns=tuple(dict.fromkeys(unknown for one in passes for unknown in one.unknowns)),
        syntax=syntax,
        stages=tuple(dict.fromkeys(label for _, label in sorted({s for one in passes for s in one.stages}))),
        unread_bases=tuple(dict.fromkeys(reference for one in passes for reference in one.unread)),
        gives=gives,
    )


def _both(one: BaseConfig, other: BaseConfig) -> BaseConfig:
    """What is given whichever platform builds: where the two differ, the value is not known."""
    if one == other:
        return one
    same = {name: value for name, value in one.env.items() if other.env.get(name) == value}
    differ = {*one.env, *other.env, *one.unknown, *other.unknown} - same.keys()
    return BaseConfig(
        env=same,
        unknown=tuple(sorted(differ)),
        complete=one.complete and other.complete,
        onbuild=tuple(dict.fromkeys((*one.onbuild, *other.onbuild))),
    )
