"""Which program reads the Dockerfile: BuildKit's own, or another one that a `# syntax=` line names."""

from __future__ import annotations

from imagewright.references import DOCKER_HUB, InvalidReferenceError, Reference

_OFFICIAL = frozenset({"docker/dockerfile", "docker/dockerfile-upstream"})


def is_foreign(syntax: str | None) -> bool:
    """Whether the front end is another one than docker/dockerfile: it may read anything."""
    if syntax is None:
        return False
    try:
        reference = Reference.parse(syntax)
    except InvalidReferenceError:
        return True
    return reference.domain != DOCKER_HUB or reference.path not in _OFFICIAL
