"""Image references, as docker and BuildKit spell them (github.com/distribution/reference, `normalize.go`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

DOCKER_HUB = "docker.io"

_DOMAIN = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])"
    r"(?::[0-9]+)?"
)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


class InvalidReferenceError(ValueError):
    """The text is no image reference; the message says why."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A normalized reference: `debian` is `docker.io` + `library/debian`, and no tag is not yet `latest`."""

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    @lru_cache(10_000)
    def parse(cls, text: str) -> Reference:
        """Read any spelling of a reference; InvalidReferenceError where docker would refuse it."""
        rest, _, digest = text.partition("@")
        if "@" in text and not _DIGEST.fullmatch(digest):
            raise InvalidReferenceError(f"{text!r}: {digest!r} is no digest")
        domain, slash, remainder = rest.partition("/")
        if not slash or not ("." in domain or ":" in domain or domain == "localhost" or domain != domain.lower()):
            domain, remainder = DOCKER_HUB, rest
        if domain == "index.docker.io":
            domain = DOCKER_HUB
        path, colon, tag = remainder.partition(":")
        if domain == DOCKER_HUB and "/" not in path:
            path = f"library/{path}"
        if not _DOMAIN.fullmatch(domain):
            raise InvalidReferenceError(f"{text!r}: {domain!r} is no registry host")
        if not _PATH.fullmatch(path) or len(domain) + 1 + len(path) > 255:
            raise InvalidReferenceError(f"{text!r}: {path!r} is no repository name")
        if colon and not _TAG.fullmatch(tag):
            raise InvalidReferenceError(f"{text!r}: {tag!r} is no tag")
        return cls(domain, path, tag if colon else None, digest or None)

    @property
    def repository(self) -> str:
        """`domain/path`, without tag and digest."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_repository(self) -> str:
        """The repository as people write it: `debian` for `docker.io/library/debian`."""
        if self.domain != DOCKER_HUB:
            return self.repository
        return self.path.removeprefix("library/") if self.path.count("/") == 1 else self.path

    @property
    def is_loopback(self) -> bool:
        """Whether the registry is this machine: docker and BuildKit then speak plain HTTP."""
        host = self.domain.rpartition(":")[0] if re.search(r":\d+$", self.domain) else self.domain
        return host in {"localhost", "[::1]"} or host.startswith("127.")

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def is_repository_path(name: str) -> bool:
    """Whether `name` may stand behind the registry's host (OCI distribution spec, `<name>`)."""
    return bool(_PATH.fullmatch(name))


def is_tag(tag: str) -> bool:
    """Whether `tag` is a legal tag (OCI distribution spec, `<reference>` as a tag)."""
    return bool(_TAG.fullmatch(tag))


def is_digest(text: str) -> bool:
    """Whether `text` is a digest that can be checked (OCI image spec, descriptor.md#registered-algorithms)."""
    return bool(_DIGEST.fullmatch(text))
