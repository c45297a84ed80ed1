"""Whether a registry is still as its plan found it, as far as the plan hangs on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.cleanup.mark import Graph, companion_of

if TYPE_CHECKING:
    from imagewright.cleanup.model import Picture, RepositoryPlan


def drift(plan: RepositoryPlan, picture: Picture) -> tuple[str, ...]:
    """Why the plan must not be carried out on what `picture` shows; empty where it may.

    What the plan deletes may be gone already: then it was begun before. A new tag is no reason where it needs nothing
    that the plan deletes, and speaks about nothing of that: what has just been signed is wanted by somebody.
    """
    if plan.repository != picture.repository:
        return (f"it is about {plan.repository}, and not about {picture.repository}",)
    found = [f"not all of {picture.repository} could be read: {problem}" for problem in picture.problems]
    decided = {verdict.tag: verdict.digest for verdict in plan.verdicts if verdict.tag is not None}
    for tag, digest in decided.items():
        now = picture.tags.get(tag)
        if now is None and tag in plan.roots:
            found.append(f"{tag} is to be kept, and is gone")
        elif now not in (None, digest):
            found.append(f"{tag} has moved from {digest[:19]} to {now}")
    doomed = frozenset(plan.manifests)
    graph = Graph(picture)
    for tag, digest in sorted(picture.tags.items()):
        if tag not in decided and digest not in doomed and doomed & graph.closure([digest]):
            found.append(f"{tag} is new, and needs what would be deleted")
    about = _spoken_about(plan, picture, graph)
    found += [f"{what} is new, and speaks about {subject[:19]}" for what, subject in about if subject in doomed]
    needed = _needed(plan, picture)
    found += [needed[digest] for digest in plan.manifests if digest in needed]
    return tuple(dict.fromkeys(found))


def _spoken_about(plan: RepositoryPlan, picture: Picture, graph: Graph) -> list[tuple[str, str]]:
    """What came after the plan and speaks about others, such as signatures: by name, with what it speaks about."""
    decided = {verdict.tag for verdict in plan.verdicts}
    known = {*plan.manifests, *(verdict.digest for verdict in plan.verdicts)}
    # What names others has been there for as long as they have been named.
    known |= {part for verdict in plan.verdicts if verdict.keep for part in graph.parts(verdict.digest)}
    tags = ((tag, companion_of(tag, picture)) for tag in sorted(picture.tags) if tag not in decided)
    manifests = ((one.digest[:19], one.subject) for one in picture.manifests.values() if one.digest not in known)
    return [(what, subject) for what, subject in (*tags, *manifests) if subject]


def _needed(plan: RepositoryPlan, picture: Picture) -> dict[str, str]:
    """Who, beside what the plan deletes, points to a manifest."""
    tags, doomed = frozenset(plan.tags), frozenset(plan.manifests)
    found: dict[str, str] = {}
    for tag, digest in sorted(picture.tags.items()):
        if tag not in tags:
            found.setdefault(digest, f"{tag} points to {digest[:19]}")
    for above, one in sorted(picture.manifests.items()):
        for child in one.children if above not in doomed else ():
            found.setdefault(child, f"the index {above[:19]} has {child[:19]} as a part")
    return found
