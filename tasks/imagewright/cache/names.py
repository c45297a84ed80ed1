"""What the cache of an image is called: `app@main`, and `app@main@linux-arm64` where platforms build apart.

The store holds one manifest of BuildKit's under such a name. A name can be read back, so that a prune knows whose cache
it has before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"(?P<image>[^@]+)@(?P<scope>[A-Za-z0-9_][A-Za-z0-9_.-]*)(?:@(?P<platform>[a-z0-9]+-[a-z0-9_-]+))?")


@dataclass(frozen=True, slots=True, order=True)
class CacheName:
    """The cache of one image, as one scope (a branch, mostly) writes it."""

    image: str
    scope: str
    platform: str | None = None  # "linux/arm64": the only one that it is of

    def __str__(self) -> str:
        parts = (self.image, self.scope, *((self.platform.replace("/", "-"),) if self.platform else ()))
        return "@".join(parts)


def parse_name(text: str) -> CacheName | None:
    """The name, read; None for what this package would not have written."""
    found = _NAME.fullmatch(text)
    if found is None:
        return None
    platform = found["platform"]
    return CacheName(found["image"], found["scope"], platform.replace("-", "/", 2) if platform else None)
