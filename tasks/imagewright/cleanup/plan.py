"""What becomes of a repository: the choices, what follows from them, and where the plan is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imagewright.cleanup.dates import dated, natural
from imagewright.cleanup.doom import Doom, doom
from imagewright.cleanup.hold import Choice, held
from imagewright.cleanup.mark import Graph, companion_of
from imagewright.cleanup.model import RepositoryPlan, Verdict
from imagewright.cleanup.order import in_order
from imagewright.cleanup.refuse import refusal, unread
from imagewright.cleanup.unmatched import unmatched

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from imagewright.cleanup.model import Picture, Policy, Stored, Use

_UNREAD = Choice(True, "unread", "not all of the repository could be read")


def plan_repository(
    picture: Picture, policy: Policy, uses: Sequence[Use] = (), *, now: datetime, deletes_tags: bool
) -> RepositoryPlan:
    """The plan for one repository: pure, and the same for the same values.

    `deletes_tags`: whether the registry can delete a tag and leave its manifest. Where it cannot, all tags of a digest
    go with it or none. UsageError where a use is no reference.
    """
    # The registry's clock and this machine's: with the earlier one images are younger.
    now = min(now, picture.taken)
    graph = Graph(picture)
    problem = unread(picture, uses)
    if problem:
        # What fits nothing is not known either.
        policy = replace(policy, rules=(), protect=(), only=())
        nothing = Doom(dict.fromkeys(picture.tags, _UNREAD), dict.fromkeys(picture.untagged, _UNREAD), frozenset())
        verdicts = _verdicts(picture, nothing, graph, now)
        return _plan(picture, policy, verdicts, frozenset(), problem)
    decided = doom(picture, policy, held(picture, policy, uses, graph), graph, now, deletes_tags=deletes_tags)
    verdicts = _verdicts(picture, decided, graph, now)
    return _plan(picture, policy, verdicts, decided.manifests, refusal(picture, policy, verdicts, decided.manifests))


def _plan(
    picture: Picture, policy: Policy, verdicts: tuple[Verdict, ...], gone: frozenset[str], refused: str | None
) -> RepositoryPlan:
    doomed = [verdict.tag for verdict in verdicts if verdict.tag is not None and not verdict.keep]
    doomed.sort(key=lambda tag: (companion_of(tag, picture) is not None, tag))
    return RepositoryPlan(
        repository=picture.repository,
        verdicts=verdicts,
        manifests=() if refused else in_order(gone, picture),
        tags=() if refused else tuple(doomed),
        freed=_freed(picture, gone),
        refused=refused,
        unmatched=unmatched(picture, policy),
        roots={verdict.tag: verdict.digest for verdict in verdicts if verdict.tag is not None and verdict.keep},
    )


def _verdicts(picture: Picture, decided: Doom, graph: Graph, now: datetime) -> tuple[Verdict, ...]:
    """All tags in natural order, then what has none."""
    sizes: dict[str, int] = {}
    for digest in {*picture.tags.values(), *decided.untagged}:
        parts = (picture.manifests[part] for part in graph.parts(digest) if part in picture.manifests)
        sizes[digest] = sum(_blobs(*parts).values())

    def verdict(tag: str | None, digest: str, choice: Choice) -> Verdict:
        one = picture.manifests.get(digest)
        return Verdict(
            tag=tag,
            digest=digest,
            keep=choice.keep,
            rule=choice.rule,
            reason=choice.reason,
            dated=dated(one, now) if one else None,
            size=sizes[digest],
        )

    tags = sorted(picture.tags, key=lambda tag: (natural(tag), tag))
    return (
        *(verdict(tag, picture.tags[tag], decided.tags[tag]) for tag in tags),
        *(verdict(None, digest, decided.untagged[digest]) for digest in sorted(decided.untagged)),
    )


def _freed(picture: Picture, gone: frozenset[str]) -> int:
    kept = _blobs(*(one for digest, one in picture.manifests.items() if digest not in gone))
    return sum(
        size for blob, size in _blobs(*(picture.manifests[digest] for digest in gone)).items() if blob not in kept
    )


def _blobs(*manifests: Stored) -> Mapping[str, int]:
    return {blob: size for one in manifests for blob, size in one.blobs.items()}
