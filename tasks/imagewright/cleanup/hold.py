"""What stays whatever the rules say: protected by name or by digest, and in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagewright.cleanup.uses import used
from imagewright.config.tag_patterns import fitting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagewright.cleanup.mark import Graph
    from imagewright.cleanup.model import Picture, Policy, Use

IN_USE = "in use"


@dataclass(frozen=True, slots=True)
class Choice:
    """What becomes of a tag, or of a manifest without one, and which rule says so."""

    keep: bool
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Held:
    """Choices to keep, by tag and by digest. A digest's holds for all of its tags: they are one image."""

    tags: dict[str, Choice]
    digests: dict[str, Choice]
    own: frozenset[str]  # tags that are protected by their own name

    def by(self, tag: str, digest: str) -> Choice | None:
        """The one that decides: the tag's own, else its image's."""
        return self.tags.get(tag) or self.digests.get(digest)


def held(picture: Picture, policy: Policy, uses: Sequence[Use], graph: Graph) -> Held:
    """All that is protected or in use, and the indexes over what is: they are what was deployed."""
    in_use = used(uses, picture.repository)
    globs = (*policy.protect, *policy.usual)
    tags: dict[str, Choice] = {}
    digests: dict[str, Choice] = {}
    for digest in policy.protect:
        if digest in picture.manifests:
            digests.setdefault(digest, Choice(True, f"protect {digest[:19]}", "its digest is protected"))
    for tag in sorted(picture.tags):
        digest = picture.tags[tag]
        if pattern := fitting(tag, globs):
            tags[tag] = Choice(True, f"protect {pattern}", "its tag is protected")
            digests.setdefault(digest, Choice(True, f"protect {pattern}", f"it is the same image as {tag}"))
    own = frozenset(tags)
    named: dict[str, str] = dict(in_use.digests)
    for tag, where in sorted(in_use.tags.items()):
        if tag in picture.tags:
            digest = picture.tags[tag]
            tags.setdefault(tag, Choice(True, IN_USE, f"needed by {where}"))
            digests.setdefault(digest, Choice(True, IN_USE, f"it is the same image as {tag}, needed by {where}"))
            named.setdefault(digest, where)
    for digest, where in sorted(named.items()):
        digests.setdefault(digest, Choice(True, IN_USE, f"needed by {where}"))
        for above in graph.above(digest):
            digests.setdefault(above, Choice(True, IN_USE, f"a part of it is needed by {where}"))
    return Held(tags, digests, own)
