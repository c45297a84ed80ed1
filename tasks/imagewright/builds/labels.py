"""The labels that every image gets, in the OCI image specification's words (annotations.md, pre-defined keys)."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping

from imagewright.builds.plan import Head
from imagewright.changes.published import BASES, FINGERPRINT
from imagewright.images.model import Image

_PREFIX = "org.opencontainers.image."


def labels(
    image: Image,
    head: Head,
    *,
    source: str | None,
    tag: str,
    fingerprint: str | None = None,
    bases: Mapping[str, str] | None = None,
) -> Mapping[str, str]:
    """Labels of one image, sorted by key.

    All comes from the commit and the configuration, nothing from the clock, so that a build repeats. Outside a git
    repository there is no revision and no date. The configuration's own labels win. `fingerprint` is that of the
    image's inputs, by which a later run tells whether it is still the same; `bases` are the digests of the outside
    images that it is built on; there is a label for them even where there are none, since a label that an image does
    not have is the one of the image that it is built on.
    """
    standard = {
        "title": image.title or image.name,
        "version": image.version or tag,
        "source": source and web_address(source),
        "revision": head.revision,
        "created": None
        if head.time is None
        else dt.datetime.fromtimestamp(head.time, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    found = {f"{_PREFIX}{key}": value for key, value in standard.items() if value}
    recorded = json.dumps(dict(bases or {}), sort_keys=True, separators=(",", ":"))
    made_from = {FINGERPRINT: fingerprint, BASES: recorded} if fingerprint else {}
    return dict(sorted({**found, **image.labels, **made_from}.items()))


def web_address(remote: str) -> str:
    """Where a person finds the source, told from a remote: GHCR links an image to a repository by this alone.

    `git@host:me/images.git` and `ssh://git@host:22/me/images.git` are `https://host/me/images`; what is no address of
    a host is kept as it is.
    """
    found = re.fullmatch(
        r"(?:https?://|ssh://(?:[^@/]+@)?|[^@/:]+@)(?P<host>[^:/]+)(?::\d+(?=/))?[:/](?P<path>.+)", remote
    )
    if found is None:
        return remote
    port = re.match(r"https?://[^/]+?(:\d+)/", remote)
    scheme = "http" if remote.startswith("http://") else "https"
    path = found["path"].strip("/").removesuffix(".git")
    return f"{scheme}://{found['host']}{port[1] if port else ''}/{path}"
