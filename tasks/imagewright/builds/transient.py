"""Which failures are worth another try: what went wrong between machines, and may well go right a moment later.

The texts are those of buildkit 0.33, buildx 0.37, git, and of Go's net and net/http, which these pass on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imagewright.builds.failure import Kind

# (what it is called, how the error says it)
_TRANSIENT = (
    (
        "the registry has an error of its own",
        r"\b50[0234] (Internal Server Error|Bad Gateway|Service Unavailable|Gateway)",
    ),
    ("the registry has an error of its own", r"failed to push \S+: (unknown|unavailable)\b"),
    ("the registry asks for a pause", r"\b429 Too Many Requests|toomanyrequests"),
    # of `ADD https://…`, and of git
    ("the server has an error of its own", r"(invalid response status|requested URL returned error:) 50[0234]\b"),
    ("the server asks for a pause", r"(invalid response status|requested URL returned error:) 429\b"),
    ("nobody listens there at the moment", r"connect: connection refused|Failed to connect to \S+ port \d+"),
    ("the connection was reset", r"connection reset by peer|broken pipe"),
    ("the connection ended early", r"\bEOF\b|http: server closed idle connection|stream error: .*\bINTERNAL_ERROR\b"),
    # SERVFAIL mostly, and glibc's EAI_AGAIN; "no such host" is an answer, and stays
    ("names cannot be resolved at the moment", r"server misbehaving|Temporary failure in name resolution"),
    ("the TLS handshake timed out", r"TLS handshake timeout"),
    ("the network timed out", r"i/o timeout|Client\.Timeout exceeded|net/http: request canceled"),
    ("somebody else holds a lock", r"\blocked for \S+.*: unavailable|database is locked|lock contention"),
)
_RETRIED: frozenset[Kind] = frozenset({"registry", "unreachable", "unknown"})

# A connection that could not be made says "Error while dialing", or "authentication handshake failed".
_CUT_OFF = re.compile(
    r"error reading from server|transport is closing|closing transport due to|failed to write client preface"
)


def why_again(kind: Kind, error: str) -> str | None:
    """Why trying again may help; None where it will not. `error` is BuildKit's own text.

    A builder whose connection broke may have to be started again first, or be gone (`Builder.listens`): buildx waits
    20 seconds for one that does not listen.
    """
    if kind == "builder":
        return "the connection to the builder broke" if is_cut_off(error) else None
    if kind not in _RETRIED:
        return None
    return next((name for name, pattern in _TRANSIENT if re.search(pattern, error)), None)


def is_cut_off(error: str) -> bool:
    """Whether a connection to BuildKit broke that had been made."""
    return _CUT_OFF.search(error) is not None
