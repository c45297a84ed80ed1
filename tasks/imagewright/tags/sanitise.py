"""Names of branches as tags: legal, and never one tag for two names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from imagewright.references import is_tag

LONGEST = 128  # characters of a tag (OCI distribution spec, `<reference>` as a tag)
_DIGITS = 8
_ILLEGAL = re.compile(r"[^A-Za-z0-9_.-]+")
# A name that ends like ours would be taken for another's changed one; and like what ends in a commit.
_HASHED = re.compile(r"-[0-9a-f]{7,}$")

Reserved = Callable[[str], bool]


def sanitise(name: str, *, reserved: Reserved = lambda _: False, limit: int = LONGEST) -> str:
    """A legal tag of at most `limit` characters (24 or more) that no other name gives.

    A legal name stays as it is: giving its tag again changes nothing. What is not legal, too long, `reserved` for
    something else, or ends in a hash, is changed as little as may be, and the first digits of the SHA-256 of the true
    name are added: feature/a is feature-a-1d3e6b8f. Where that looks reserved, too, `branch-` is put before it.
    """
    if is_tag(name) and len(name) <= limit and not _HASHED.search(name) and not reserved(name):
        return name
    # git's names are bytes: those that are no UTF-8 come as surrogates
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    readable = _ILLEGAL.sub("-", name).strip(".-")
    for start in ("", "branch-"):
        plain = f"{start}{readable}"[: limit - _DIGITS - 1].rstrip(".-")
        tag = f"{plain}-{digest}"
        if plain and not reserved(tag):
            break
    return tag
