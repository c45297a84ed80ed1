"""The patterns of `discover`: a path of components, one of which holds `<name>`."""

from __future__ import annotations

NAME = "<name>"


def check_pattern(pattern: str) -> str:
    """The pattern itself; ValueError, whose text says what is wrong, when it can find nothing."""
    components = pattern.split("/")
    if pattern.startswith("/"):
        raise ValueError(f"`{pattern}` must be relative to the repository root")
    if any(part in {"", ".", ".."} for part in components):
        raise ValueError(f"`{pattern}` must be a plain path: no `.`, no `..`, no empty part")
    if pattern.count(NAME) != 1:
        raise ValueError(f"`{pattern}` must contain `{NAME}` exactly once, as in `Dockerfiles/Dockerfile.{NAME}`")
    if any("**" in part and part != "**" for part in components):
        raise ValueError(f"`{pattern}`: `**` must stand alone between slashes, as in `apps/**/Dockerfile.{NAME}`")
    if components[-1] == "**":
        raise ValueError(f"`{pattern}` must end in a file's name")
    return pattern
