"""Whether a registry is still as its plan found it, as far as the plan hangs on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.cleanup.mark import Graph

if TYPE_CHECKING:
    from imagewright.cleanup.model import Picture, RepositoryPlan


def drift(plan: RepositoryPlan, picture: Picture) -> tuple[str, ...]:
    """Why the plan must not be carried out on what `picture` shows; empty where it may.

    What the plan deletes may be gone already: then it was begun before. A new tag is no reason where it needs nothing
    that the plan deletes.
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
    needed = _needed(plan, picture)
    found += [needed[digest] for digest in plan.manifests if digest in needed]
    return tuple(dict.fromkeys(found))


def blocked(digest: str, plan: RepositoryPlan, picture: Picture) -> str | None:
    """Why this manifest must not be deleted, whatever the plan says; None where nobody else needs it.

    To be asked right before a deletion by digest, with what the registry has at that moment.
    """
    if digest not in plan.manifests:
        return f"{digest[:19]} is not in the plan"
    return _needed(plan, picture).get(digest)


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
