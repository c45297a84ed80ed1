"""The labels that every image gets, in the OCI image specification's words (annotations.md, pre-defined keys)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from imagewright.builds.plan import Head
from imagewright.images.model import Image

_PREFIX = "org.opencontainers.image."


def labels(image: Image, head: Head, *, source: str | None, tag: str) -> Mapping[str, str]:
    """Labels of one image, sorted by key.

    All comes from the commit and the configuration, nothing from the clock, so that a build repeats. Outside a git
    repository there is no revision and no date. The configuration's own labels win.
    """
    standard = {
        "title": image.title or image.name,
        "version": image.version or tag,
        "source": source,
        "revision": head.commit and f"{head.commit}{'-dirty' if head.dirty else ''}",
        "created": None
        if head.time is None
        else dt.datetime.fromtimestamp(head.time, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    found = {f"{_PREFIX}{key}": value for key, value in standard.items() if value}
    return dict(sorted({**found, **image.labels}.items()))
