"""Which sources of ADD, and which named contexts, are fetched (dfgitutil/git_ref.go, gitutil/git_url.go)."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

_PROTOCOL = re.compile(r"([a-zA-Z0-9]+)://")
_SCP = re.compile(r"[a-zA-Z0-9\-_]+@[a-zA-Z0-9\-.]+:(.*?)(?:\?(.*?))?(?:#(.*))?", re.DOTALL)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def remote_kind(source: str) -> Literal["git", "http"] | None:
    """How a source is fetched; None for a path. `github.com/o/r.git` without a scheme is a path."""
    if ":" not in source or source.startswith(("./", "../", "github.com/")):
        return None
    protocol = _PROTOCOL.match(source)
    if protocol is None:
        return "git" if _SCP.fullmatch(source) else None
    scheme = protocol[1].lower()
    if scheme in ("git", "ssh"):
        return "git"
    if scheme in ("http", "https"):
        try:
            if unquote(urlsplit(source).path).endswith(".git"):
                return "git"
        except ValueError:
            return None
        return "http" if source.startswith(("http://", "https://")) else None
    return None


def is_pinned(source: str, checksum: str = "") -> bool:
    """Whether a remote source can never be something else: it carries a checksum, or a whole commit."""
    if checksum:
        return True
    if remote_kind(source) != "git":
        return False
    scp = None if _PROTOCOL.match(source) else _SCP.fullmatch(source)
    query, fragment = (scp[2] or "", scp[3] or "") if scp else urlsplit(source)[3:5]
    options = parse_qs(query)
    if options.get("checksum") or options.get("commit"):
        return True
    reference = options.get("ref", [fragment.partition(":")[0]])[0]
    return bool(_COMMIT.fullmatch(reference))
