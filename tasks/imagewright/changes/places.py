"""Where an earlier build of an image may be published, and what is found there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from imagewright.errors import RegistryError

if TYPE_CHECKING:
    from imagewright.changes.published import Answer

Ask = Callable[[Mapping[str, str]], Mapping[str, "Answer"]]
"""What stands at each full reference, by the keys (`changes.published.look_up`)."""


class Places(NamedTuple):
    """Full references of one image, the most likely first."""

    own: tuple[str, ...]  # moved by this branch, pull request or work tree alone: what stands there is its last build
    others: tuple[str, ...] = ()  # of the default branch and of releases: content that may be the same


class Find(NamedTuple):
    """What the registry has of one image."""

    reference: str  # where `answer` stands
    answer: Answer  # with the fingerprint that was looked for; else the first there is, a refusal, or nothing
    last: Answer  # what stands at the first of its own places that holds anything
    is_same: bool = False  # whether `answer` has that fingerprint


def find(places: Mapping[str, Places], fingerprints: Mapping[str, str | None], ask: Ask) -> Mapping[str, Find]:
    """Look for each image, place by place, until its fingerprint is found; one round of requests for each place.

    EnvironmentMissingError: the registry cannot be reached.
    """
    found: dict[str, Find] = {}
    seen: dict[str, list[tuple[str, Answer]]] = {name: [] for name in places}
    for turn in range(max((len(one.own) + len(one.others) for one in places.values()), default=0)):
        wanted = {
            name: references[turn]
            for name, one in places.items()
            if name not in found and turn < len(references := (*one.own, *one.others))
        }
        if not wanted:
            break
        for name, answer in ask(wanted).items():
            seen[name].append((wanted[name], answer))
            if _fingerprint(answer) is not None and _fingerprint(answer) == fingerprints.get(name):
                found[name] = Find(reference=wanted[name], answer=answer, last=_last(seen, places, name), is_same=True)
    return {name: found.get(name) or _best(seen, places, name) for name in places}


def _best(seen: Mapping[str, list[tuple[str, Answer]]], places: Mapping[str, Places], name: str) -> Find:
    def rank(item: tuple[str, Answer]) -> int:
        return 2 if item[1] is None else 1 if isinstance(item[1], RegistryError) else 0

    reference, answer = min(seen[name], key=rank)  # the first of the best
    return Find(reference=reference, answer=answer, last=_last(seen, places, name))


def _last(seen: Mapping[str, list[tuple[str, Answer]]], places: Mapping[str, Places], name: str) -> Answer:
    own = [answer for reference, answer in seen[name] if reference in places[name].own]
    return next((answer for answer in own if answer is not None), None)


def _fingerprint(answer: Answer) -> str | None:
    return None if answer is None or isinstance(answer, RegistryError) else answer.fingerprint
