"""From the choices to what goes: all that a kept manifest needs stays, and only what a doomed one had can go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from imagewright.cleanup.dates import dated, is_within
from imagewright.cleanup.hold import Choice
from imagewright.cleanup.mark import companion_of
from imagewright.cleanup.select import IMAGES, choose
from imagewright.config.durations import spoken

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from imagewright.cleanup.hold import Held
    from imagewright.cleanup.mark import Graph
    from imagewright.cleanup.model import Picture, Policy

_BEING_TAGGED = timedelta(hours=1)  # a build is pushed by its digest, and gets its tags afterwards
_SHARED = "shared"


@dataclass(frozen=True, slots=True)
class Doom:
    """One choice for each tag, and for each manifest without one; `manifests` are those that nothing kept needs."""

    tags: dict[str, Choice]
    untagged: dict[str, Choice]
    manifests: frozenset[str]


def doom(picture: Picture, policy: Policy, held: Held, graph: Graph, now: datetime, *, deletes_tags: bool) -> Doom:
    """Decide on all of the picture. Every tag must point to a manifest that was read.

    Where the registry deletes no single tag (`deletes_tags` is false), a tag whose manifest stays stays, too.
    """
    subjects = {tag: subject for tag in picture.tags if (subject := companion_of(tag, picture))}
    tags = {tag: choice for tag, digest in picture.tags.items() if (choice := held.by(tag, digest))}
    # A protected image's other tags do not go, but they take their image's place in the rank.
    ranked = [tag for tag in sorted(picture.tags) if tag not in subjects and tag not in held.own]
    chosen = choose(picture, policy, ranked, graph, now)
    tags |= {tag: choice for tag, choice in chosen.items() if tag not in tags}
    untagged = {digest: _untagged(digest, picture, policy, held, now) for digest in sorted(picture.untagged)}

    # Nothing can go that no doomed tag, or manifest without a tag, leads to: what was only read, or speaks about
    # something that was not, stays, and whatever it needs.
    seeds = {picture.tags[tag] for tag, choice in tags.items() if not choice.keep}
    seeds |= {digest for digest, choice in untagged.items() if choice and not choice.keep}
    seeds |= {picture.tags[tag] for tag, subject in subjects.items() if _is_left(picture.tags[tag], subject, picture)}
    reached = graph.closure(seeds)
    roots = (picture.manifests.keys() - reached) | held.digests.keys()
    roots |= {picture.tags[tag] for tag, choice in tags.items() if choice.keep}
    roots |= {digest for digest, choice in untagged.items() if choice and choice.keep}
    speaking = [(picture.tags[tag], subject) for tag, subject in subjects.items()]
    speaking += [(digest, one.subject) for digest, one in picture.manifests.items() if one.subject]
    roots |= {
        digest
        for digest, subject in speaking
        if subject not in picture.manifests and not _is_left(digest, subject, picture)
    }
    needed = graph.closure(roots)
    gone = frozenset(reached & picture.manifests.keys()) - needed

    for tag, subject in subjects.items():
        if tag not in tags:
            tags[tag] = _companion(picture.tags[tag], subject, picture, gone)
    settled = {digest: _settled(digest, choice, picture, gone) for digest, choice in untagged.items()}
    if not deletes_tags:
        stay = [tag for tag, choice in tags.items() if not choice.keep and picture.tags[tag] in needed]
        tags |= {tag: _shared(picture.tags[tag], tags, picture, graph) for tag in stay}
    return Doom(tags, settled, gone)


def _is_left(digest: str, subject: str, picture: Picture) -> bool:
    """Whether an earlier cleanup has deleted what a manifest speaks about, and was to delete the manifest, too."""
    return digest in picture.left and subject in picture.absent


def _untagged(digest: str, picture: Picture, policy: Policy, held: Held, now: datetime) -> Choice | None:
    """What becomes of a manifest that has no tag; None where that hangs on the one that it speaks about."""
    one = picture.manifests.get(digest)
    if found := held.digests.get(digest):
        return found
    if one is None:
        return Choice(True, "unknown", "it was not read")
    if one.subject is not None and not _is_left(digest, one.subject, picture):
        return None if one.subject in picture.manifests else _unknown(one.subject)
    if digest in picture.left:
        return Choice(False, "left over", "an earlier cleanup was to delete it, and did not come to its end")
    if policy.untagged is None:
        return Choice(True, "untagged", "manifests without a tag are kept")
    if one.kind not in IMAGES:
        return Choice(True, "no image", "it is no image")
    when = dated(one, now)
    if when is None:
        return Choice(True, "unknown date", "when it was made is not known")
    limit = max(policy.untagged, policy.grace, _BEING_TAGGED)
    if now - when < limit or is_within(one, now, policy.grace):
        return Choice(True, "untagged", f"without a tag, and younger than {spoken(limit)}")
    return Choice(False, "untagged", f"without a tag, and older than {spoken(limit)}")


def _settled(digest: str, choice: Choice | None, picture: Picture, gone: frozenset[str]) -> Choice:
    needed = Choice(True, _SHARED, "an image that is kept needs it")
    if choice is None:
        subject = picture.manifests[digest].subject or ""
        return needed if digest not in gone and subject in gone else _beside(subject, digest in gone)
    return needed if not choice.keep and digest not in gone else choice


def _beside(subject: str, goes: bool) -> Choice:
    return Choice(not goes, "with its image", f"it speaks about {subject[:19]}, which {'goes' if goes else 'is kept'}")


def _companion(digest: str, subject: str, picture: Picture, gone: frozenset[str]) -> Choice:
    if subject in picture.manifests:
        return _beside(subject, subject in gone)
    return _beside(subject, digest in gone) if _is_left(digest, subject, picture) else _unknown(subject)


def _unknown(subject: str) -> Choice:
    return Choice(True, "unknown", f"it speaks about {subject[:19]}, which was not read")


def _shared(digest: str, tags: Mapping[str, Choice], picture: Picture, graph: Graph) -> Choice:
    """Why a tag stays that could go alone if the registry knew how to."""
    others = sorted(tag for tag, to in picture.tags.items() if to == digest and tags[tag].keep)
    if others:
        why = f"it is the same image as {others[0]}"
    elif graph.parents(digest):
        why = "a kept image has it as a part"
    else:
        why = "a kept image needs it"
    return Choice(True, _SHARED, f"{why}, and this registry deletes no single tag")
