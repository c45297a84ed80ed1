"""Which images are built, and which are taken from the registry as they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagewright.changes.reason import Reason
from imagewright.errors import RegistryError

if TYPE_CHECKING:
    from imagewright.changes.decide import Decision
    from imagewright.changes.published import Answer, Published
    from imagewright.images.graph import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is done to the images: `built`, with why, and `reused`, as the registry has them."""

    built: Mapping[str, tuple[Reason, ...]]
    reused: Mapping[str, Published]


def select(
    start: Iterable[str],
    decisions: Mapping[str, Decision],
    graph: Graph,
    usable: Callable[[Collection[str]], Mapping[str, Published | str]],
    *,
    wanted: Iterable[str] = (),
) -> Selection:
    """Build `start` and what it needs: its changed ancestors, and the unchanged parents that cannot be reused.

    What is `wanted` is in the registry or is built, too. `usable` gives for the names of unchanged images what the
    registry has, or why that is of no use. It is asked once a level, for all of them together, and never where nothing
    is built or wanted.
    """
    built: dict[str, tuple[Reason, ...]] = {name: decisions[name].reasons for name in start}
    reused: dict[str, Published] = {}
    ahead = dict.fromkeys(built)
    asked = dict.fromkeys(wanted)
    while ahead or asked:
        needed = (*asked, *(parent for name in ahead for parent in graph.parents(name)))
        parents = {name: None for name in needed if name not in built and name not in reused}
        asked = {}
        changed = {name: decisions[name].reasons for name in parents if decisions[name].changed}
        unchanged = [name for name in parents if name not in changed]
        answers = usable(unchanged) if unchanged else {}
        missing: dict[str, tuple[Reason, ...]] = {}
        for name in unchanged:
            answer = answers[name]
            if isinstance(answer, str):
                missing[name] = (Reason(kind="missing", detail=answer),)
            else:
                reused[name] = answer
        built |= changed | missing
        ahead = dict.fromkeys((*changed, *missing))
    return Selection(built={name: built[name] for name in graph.order() if name in built}, reused=reused)


def judge(answer: Answer, *, reference: str, fingerprint: str | None, platforms: Collection[str]) -> Published | str:
    """What the registry said of an unchanged parent, or why it cannot be built upon."""
    if answer is None:
        return f"{reference} is not in the registry"
    if isinstance(answer, RegistryError):
        return f"{reference} cannot be used: {answer}"
    if not answer.covers(platforms):
        return f"{reference} is there for {', '.join(answer.platforms)} only"
    if answer.fingerprint is not None and answer.fingerprint != fingerprint:
        return f"{reference} was made from other inputs"
    return answer
