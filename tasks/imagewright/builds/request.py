"""What the command line asks of one build, checked before anything is touched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagewright.errors import UsageError

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
    fail_fast: bool = False  # whether the first failure ends the run
    by_digest: bool = False  # whether what is pushed gets no tag: another machine joins it with other platforms
    digests: str = ""  # where that one finds it: a folder, or `registry`
    summary: str | None = None  # a file that gets the result as Markdown
    timeline: str | None = None  # a file that gets the page with the time line
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
    fail_fast: bool = False,
    push_by_digest: bool = False,
    digests: str | None = None,
    summary: str | None = None,
    timeline: str | None = None,
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
    if push_by_digest and (load or output or tag or not push):
        raise UsageError(
            "--push-by-digest pushes, and without tags: --load, --output, --no-push and --tag do not go with it",
            hint="give `--tag` to `invoke merge`, which joins what was pushed",
        )
    if digests and not push_by_digest:
        raise UsageError("--digests says where --push-by-digest tells what it pushed", hint="add --push-by-digest")
    return Request(
        output=_output(push=push, load=load, output=output, platforms=platforms),
        tags=_tags(tag) if tag else (),
        platforms=platforms,
        build_args=tuple(values),
        secret_build_args=tuple(secrets),
        no_cache=no_cache,
        builder=builder,
        progress=progress,
        fail_fast=fail_fast,
        by_digest=push_by_digest,
        digests=digests or "dist/digests",
        summary=summary,
        timeline=timeline,
        allow_downgrade=allow_downgrade,
    )


def _tags(text: str) -> tuple[str, ...]:
    from imagewright.tags.policy import given_tags

    return given_tags(text)


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
