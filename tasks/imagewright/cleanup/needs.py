"""What has to stay at this moment of a cleanup: whatever something leads to that is not going, or is still there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imagewright.cleanup.names import subject_of_tag

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from imagewright.cleanup.look import Look
    from imagewright.cleanup.model import Stored


@dataclass(slots=True)
class Needs:
    """Held against what the registry has by the last look."""

    approved: Mapping[str, str]  # tag that is to go: the digest that it had when the plan was made
    doomed: Collection[str]  # digests that are to go
    pictured: Mapping[str, str]  # all tags that there were, with their digests
    look: Look
    staying: set[str] = field(default_factory=set)  # digests that stay after all
    waiting: frozenset[str] = field(init=False)  # tags not yet tried: those that are there after that are to stay
    _known: tuple[object, frozenset[str]] | None = None

    def __post_init__(self) -> None:
        """All of the tags are still to be tried."""
        self.waiting = frozenset(self.approved)

    def held(self) -> frozenset[str]:
        """All that something leads to that is not of the plan, or of the plan and still there."""
        look = self.look
        state = (look.version, len(self.staying), len(self.waiting))
        if self._known and self._known[0] == state:
            return self._known[1]
        doomed = set(self.doomed) - self.staying
        roots = {digest for digest in look.manifests if digest not in doomed} | look.news() | self.staying
        for tag, digest in look.tags.items():
            if self.approved.get(tag) != digest or tag not in self.waiting:
                roots.add(digest)
        found = held(look.manifests, self._tags, roots)
        self._known = (state, found)
        return found

    def beside(self) -> tuple[frozenset[str], frozenset[str]]:
        """The tags that are there for other manifests, and all that they lead to: both go after those manifests."""
        tags = {tag for tag, digest in self.approved.items() if subject_of_tag(tag) not in (None, digest)}
        return frozenset(tags), held(self.look.manifests, self._tags, {self.approved[tag] for tag in tags})

    def who(self, digest: str) -> str:
        """Why a manifest stays that is held."""
        tags = sorted(tag for tag, target in self.look.tags.items() if target == digest and tag not in self.waiting)
        if tags:
            return f"the tag {tags[0]} points to it now"
        over = [one.digest for one in self.look.manifests.values() if digest in one.children]
        return f"{over[0]} names it, and stays" if over else "it speaks about something that stays"

    @property
    def _tags(self) -> Mapping[str, str]:
        return {**self.pictured, **self.look.tags}


def held(manifests: Mapping[str, Stored], tags: Mapping[str, str], roots: Iterable[str]) -> frozenset[str]:
    """All that has to stay for `roots` to be whole: what they name, and what speaks about any of that."""
    leads: dict[str, list[str]] = {digest: list(one.children) for digest, one in manifests.items()}
    for digest, one in manifests.items():
        if one.subject:
            leads.setdefault(one.subject, []).append(digest)
        for attestation, about in one.attests.items():
            leads.setdefault(about, []).append(attestation)
    for tag, digest in tags.items():
        if subject := subject_of_tag(tag):
            leads.setdefault(subject, []).append(digest)
    found: set[str] = set()
    level = set(roots)
    while level:
        found |= level
        level = {other for digest in level for other in leads.get(digest, ())} - found
    return frozenset(found)
