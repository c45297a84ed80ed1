"""What the command line of `invoke build` and `build-changed` says, checked before anything is touched."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

from imagewright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imagewright.builds.bake import Output
    from imagewright.builds.request import Request

_PROGRESS = ("auto", "plain", "tty", "quiet")


def building(body: Callable[..., None]) -> Callable[..., None]:
    """A task's body that hands its `options` to `request`: Invoke finds those of `request` beside its own."""
    own = inspect.signature(body)
    named = (one for one in own.parameters.values() if one.kind is not one.VAR_KEYWORD)
    asked = inspect.signature(request).parameters.values()
    body.__signature__ = own.replace(parameters=[*named, *asked])  # type: ignore[attr-defined]
    return body


def request(
    *,
    push: bool = True,
    load: bool = False,
    output: str | None = None,
    platform: str | None = None,
    tag: str | None = None,
    no_cache: bool = False,
    build_arg: Sequence[str] | None = None,  # Invoke takes another default's own type for that of the values
    builder: str | None = None,
    progress: str = "auto",
    jobs: str | None = None,  # text: what is no number gets our words, not a traceback of Invoke's
    fail_fast: bool = False,
    push_by_digest: bool = False,
    digests: str | None = None,
    summary: str | None = None,
    timeline: str | None = None,
    allow_downgrade: bool = False,
) -> Request:
    """The options, read; UsageError for what contradicts itself or cannot be.

    Names and defaults are those of the command line: `building` makes a task's options of this signature.
    """
    from imagewright.builds.request import Request

    if progress not in _PROGRESS:
        raise UsageError(f"--progress {progress!r} is not known", hint=f"one of: {', '.join(_PROGRESS)}")
    platforms = tuple(dict.fromkeys(part.strip() for part in (platform or "").split(",") if part.strip()))
    for text in platforms:
        if not re.fullmatch(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?", text):
            raise UsageError(f"--platform {text!r} is no platform", hint="for example linux/amd64,linux/arm64")
    values, secrets = [], []
    for argument in build_arg or ():
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
        jobs=None if jobs is None else _jobs(jobs),
        fail_fast=fail_fast,
        by_digest=push_by_digest,
        digests=digests or "dist/digests",
        summary=summary,
        timeline=timeline,
        allow_downgrade=allow_downgrade,
    )


def _jobs(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise UsageError(
            f"--jobs {text!r} is no number of images", hint="a whole number: 1 builds one image after the other"
        )
    return int(text)


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
