"""What needs what: from a manifest to all that must stay while it stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.cleanup.names import subject_of_tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from imagewright.cleanup.model import Picture


class Graph:
    """The manifests of one picture, and who needs whom. A digest that was not read needs nothing that is known."""

    def __init__(self, picture: Picture) -> None:
        self._children: dict[str, tuple[str, ...]] = {}
        self._parents: dict[str, list[str]] = {}
        self._beside: dict[str, list[str]] = {}
        for digest, one in picture.manifests.items():
            self._children[digest] = one.children
            for child in one.children:
                self._parents.setdefault(child, []).append(digest)
            for attestation, about in one.attests.items():
                self._beside.setdefault(about, []).append(attestation)
            if one.subject is not None:
                self._beside.setdefault(one.subject, []).append(digest)
        for tag in picture.tags:
            if subject := companion_of(tag, picture):
                self._beside.setdefault(subject, []).append(picture.tags[tag])

    def closure(self, digests: Iterable[str]) -> frozenset[str]:
        """These, what they name, and what speaks about them: attestations, referrers, and what cosign put beside."""
        return self._reach(digests, self._children, self._beside)

    def parts(self, digest: str) -> frozenset[str]:
        """The manifest with all that it names, as a pull may ask for it."""
        return self._reach([digest], self._children)

    def above(self, digest: str) -> frozenset[str]:
        """All indexes that name it, directly or not; without itself."""
        return self._reach([digest], self._parents) - {digest}

    def parents(self, digest: str) -> tuple[str, ...]:
        """The indexes that name it themselves."""
        return tuple(self._parents.get(digest, ()))

    @staticmethod
    def _reach(start: Iterable[str], *edges: Mapping[str, Iterable[str]]) -> frozenset[str]:
        found = set(start)
        waiting = list(found)
        while waiting:
            digest = waiting.pop()
            for to in edges:
                new = set(to.get(digest, ())) - found
                found |= new
                waiting.extend(new)
        return frozenset(found)


def companion_of(tag: str, picture: Picture) -> str | None:
    """The digest that this tag is kept for, as signatures and lists of referrers are; None for a tag of its own.

    Some registries answer `sha256-<hex>` with the manifest sha256:<hex> itself: that is a tag like any other.
    """
    subject, digest = subject_of_tag(tag), picture.tags[tag]
    stored = picture.manifests.get(digest)
    if subject in (None, digest) or stored is None or stored.kind in ("cache", "unknown"):
        return None
    return subject
