"""The settings that environment variables give: `IMAGEWRIGHT_BUILDER_JOBS` is the file's `builder: {jobs: …}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imagewright.config.keys import Key, keys
from imagewright.config.models import Settings
from imagewright.config.problems import near
from imagewright.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "IMAGEWRIGHT_"

RESERVED: Mapping[str, str] = {
    "IMAGEWRIGHT_CACHE_DIR": "Where built programs and base images are kept; the default is the XDG cache folder.",
    "IMAGEWRIGHT_STATE_DIR": "Where the local services keep their state; the default is the XDG state folder.",
    "IMAGEWRIGHT_LOGIN_USER": "The user that `invoke login` logs in.",
    "IMAGEWRIGHT_LOGIN_PASSWORD": "The password or token that `invoke login` uses.",
}
"""Variables with this prefix that are no settings of the file."""


def variables() -> dict[str, Key]:
    """The variable of each setting that is a scalar or a list of scalars; mappings are the file's alone."""
    return {variable(key.path): key for key in keys(Settings) if _is_settable(key)}


def variable(path: tuple[str, ...]) -> str:
    """`("builder", "jobs")` is `IMAGEWRIGHT_BUILDER_JOBS`."""
    return PREFIX + "_".join(path).upper()


def overlay(values: Any, environ: Mapping[str, str]) -> tuple[Any, dict[tuple[str, ...], str], list[ConfigError]]:
    """The file's values under those of the environment, the variable behind each path, and what is wrong.

    A list is separated by commas; an empty variable counts as not set, as CI systems set it for what has no value.
    """
    given = {name: text.strip() for name, text in environ.items() if name.startswith(PREFIX) and name not in RESERVED}
    if not given:
        return values, {}, []
    known = variables()
    sources: dict[tuple[str, ...], str] = {}
    problems: list[ConfigError] = []
    for name, text in sorted(given.items()):
        if name not in known:
            hint = near(name, [*known, *RESERVED], prefix=PREFIX) or "docs/configuration.md lists all variables"
            problems.append(ConfigError("no such setting", where=f"environment {name}", hint=hint))
        elif text:
            key = known[name]
            value = split(text) if key.is_list else text
            values = _with(values, key.path, value)
            sources[key.path] = name
    return values, sources, problems


def split(text: str) -> list[str]:
    """The items of a list that is written with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _is_settable(key: Key) -> bool:
    return (key.is_scalar or key.is_list) and all(part.isidentifier() for part in key.path)


def _with(values: Any, path: tuple[str, ...], value: object) -> Any:
    """A copy with the value at the path; where the file has no mapping on the way, the file's own error stays."""
    if not path:
        return value
    if values is None:
        values = {}
    if not isinstance(values, dict):
        return values
    return {**values, path[0]: _with(values.get(path[0]), path[1:], value)}
