"""What the command line asks of one build, checked before anything is touched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagewright.errors import UsageError
from imagewright.tags.policy import given_tags

if TYPE_CHECKING:
    from imagewright.builds.bake import Output

PROGRESS = ("auto", "plain", "tty", "quiet")
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of `invoke build`, as values."""

    output: Output
    tags: tuple[str, ...]  # empty: the policy's
    platforms: tuple[str, ...]  # empty: the images' own
    build_args: tuple[tuple[str, str], ...]
    secret_build_args: tuple[str, ...]  # names whose values stay in the environment
    no_cache: bool
    builder: str | None
    progress: str
    allow_downgrade: bool = False  # whether aliases, latest and stable may go back to something older


def request(
    *,
    push: bool = True,
    load: bool = False,
    output: str | None = None,
    platform: str | None = None,
    tag: str | None = None,
    no_cache: bool = False,
    build_arg: Sequence[str] = (),
    builder: str | None = None,
    progress: str = "auto",
    allow_downgrade: bool = False,
) -> Request:
    """The options, read; UsageError for what contradicts itself or cannot be."""
    if progress not in PROGRESS:
        raise UsageError(f"--progress {progress!r} is not known", hint=f"one of: {', '.join(PROGRESS)}")
    platforms = tuple(dict.fromkeys(part.strip() for part in (platform or "").split(",") if part.strip()))
    for text in platforms:
        if not _PLATFORM.fullmatch(text):
            raise UsageError(f"--platform {text!r} is no platform", hint="for example linux/amd64,linux/arm64")
    values, secrets = [], []
    for argument in build_arg:
        key, equals, value = argument.partition("=")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
            raise UsageError(f"--build-arg {key!r} is no name of a build argument", hint="--build-arg NAME=VALUE")
        if equals:
            values.append((key, value))
        else:
            secrets.append(key)  # as docker does: a name alone takes the environment's value, which is never shown
    return Request(
        output=_output(push=push, load=load, output=output, platforms=platforms),
        tags=given_tags(tag) if tag else (),
        platforms=platforms,
        build_args=tuple(values),
        secret_build_args=tuple(secrets),
        no_cache=no_cache,
        builder=builder,
        progress=progress,
        allow_downgrade=allow_downgrade,
    )


def _output(*, push: bool, load: bool, output: str | None, platforms: Sequence[str]) -> Output:
    if load and output:
        raise UsageError("--load and --output are two answers to one question", hint="give one of them")
    if load and len(platforms) > 1:
        raise UsageError("--load takes one platform: a Docker engine holds no index", hint="use --output oci")
    if load:
        return "load"
    match output:
        case None:
            return "push" if push else "none"
        case "tar":
            return "tar"
        case "oci":
            return "oci"
        case _:
            raise UsageError(
                f"--output {output!r} is not known", hint="tar (dist/NAME/TAG/image.tar) or oci (a folder)"
            )
