"""Why an image is built, as data."""

from __future__ import annotations

from typing import NamedTuple


class Reason(NamedTuple):
    """One cause.

    `kind` is one of: file, dockerfile, ignore-file, config, parent, base, added, forced, needed, missing,
    unknown. `path` is
    a file of the repository where one is the cause, `line` the line of the Dockerfile that makes it one (1-based),
    `parent` the image where that is the cause.
    """

    kind: str
    detail: str
    path: str | None = None
    line: int | None = None
    parent: str | None = None
