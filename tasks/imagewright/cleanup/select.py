"""Which tags the rules keep: ranked by image, the newest first, each tag decided by the first rule that fits it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from imagewright.cleanup.dates import Order, dated, is_within, place
from imagewright.cleanup.hold import Choice
from imagewright.config.durations import spoken
from imagewright.config.tag_patterns import fitting

if TYPE_CHECKING:
    from imagewright.cleanup.mark import Graph
    from imagewright.cleanup.model import Picture, Policy, Rule

IMAGES = ("image", "index")
NO_RULE = Choice(True, "no rule", "no rule fits it")
_NO_DATE = Choice(True, "unknown date", "when it was made is not known")
_LACKS = {"date": "date", "version": "version", "parts": "number"}


def choose(
    picture: Picture, policy: Policy, candidates: Iterable[str], graph: Graph, now: datetime
) -> dict[str, Choice]:
    """What the rules make of these tags, which have names of their own, and are not protected by them.

    Whatever is not known to be an image is kept, and takes nobody's place.
    """
    choices: dict[str, Choice] = {}
    groups: list[list[str]] = [[] for _ in policy.rules]
    for tag in candidates:
        kind = picture.manifests[picture.tags[tag]].kind
        if kind not in IMAGES:
            choices[tag] = Choice(True, "no image", f"it is no image, but {_called(kind)}")
        elif policy.only and not fitting(tag, policy.only):
            choices[tag] = Choice(True, "only", f"only {', '.join(policy.only)} may be deleted")
        elif (number := deciding(policy.rules, tag)) is None:
            choices[tag] = NO_RULE
        else:
            groups[number].append(tag)
    for rule, tags in zip(policy.rules, groups, strict=True):
        choices |= _Group.of(rule, tags, picture, policy.grace, graph, now).choices(tags)
    return choices


def deciding(rules: Sequence[Rule], tag: str) -> int | None:
    """The first rule that fits the tag, by its number."""
    return next((number for number, rule in enumerate(rules) if fitting(tag, rule.tags)), None)


def _called(kind: str) -> str:
    known = {"cache": "a build cache", "artifact": "an artifact", "referrer": "what speaks about another"}
    return known.get(kind, "something unknown")


@dataclass(frozen=True, slots=True)
class _Group:
    """The images of one rule's tags: those in no other of them stand in a rank, their parts stand where they do."""

    rule: Rule
    picture: Picture
    grace: timedelta
    now: datetime
    ranks: Mapping[str, int]  # digest: from 1, the newest; one that cannot be told has none
    heads: Mapping[str, tuple[str, ...]]  # digest: the images of this rule that it is a part of, or itself

    @classmethod
    def of(
        cls, rule: Rule, tags: Sequence[str], picture: Picture, grace: timedelta, graph: Graph, now: datetime
    ) -> _Group:
        names: dict[str, list[str]] = {}
        for tag in tags:
            names.setdefault(picture.tags[tag], []).append(tag)
        above = {digest: graph.above(digest) & names.keys() for digest in names}
        heads = {
            digest: tuple(sorted(one for one in over if not above[one])) or (digest,) for digest, over in above.items()
        }
        # An image is as new as the newest of its parts that the rule has tags of: when a run that was broken off left
        # only that one behind, it must not stand before others that were kept.
        places: dict[str, Order] = {}
        for digest, tags_of in names.items():
            where = place(rule.sort, tags_of, dated(picture.manifests[digest], now), digest)
            if where is not None:
                places |= {head: max(where, places.get(head, where)) for head in heads[digest]}
        ranked = [digest for digest in places if dated(picture.manifests[digest], now)]
        ranked.sort(key=lambda digest: (places[digest], digest), reverse=True)
        ranks = {digest: number for number, digest in enumerate(ranked, start=1)}
        return cls(rule, picture, grace, now, ranks, heads)

    def choices(self, tags: Iterable[str]) -> dict[str, Choice]:
        """One choice a tag; all tags of one image that this rule decides have the same."""
        made = {digest: self._choice(digest) for digest in self.heads}
        return {tag: made[self.picture.tags[tag]] for tag in tags}

    def _choice(self, digest: str) -> Choice:
        if digest in self.heads[digest]:
            return self._alone(digest)
        # A part of an image, such as one platform of it, is kept with any of the images that have it.
        whole = [self._alone(head) for head in self.heads[digest]]
        kept = next((choice for choice in whole if choice.keep), None)
        if kept is not None:
            return Choice(True, kept.rule, f"a part of an image that is kept: {kept.reason}")
        own = self._by_age(digest)
        return own or Choice(False, whole[0].rule, f"a part of an image that goes: {whole[0].reason}")

    def _alone(self, digest: str) -> Choice:
        if by_age := self._by_age(digest):
            return by_age
        rule, rank = self.rule, self.ranks.get(digest)
        if rule.keep is not None and rank is None:
            return Choice(True, f"unknown {rule.sort}", f"its tags have no {_LACKS[rule.sort]} to rank it by")
        reasons = []
        if rule.keep is not None:
            reasons.append(f"number {rank} of {len(self.ranks)} by {rule.sort}, {rule.keep} are kept")
            if rank is not None and rank <= rule.keep:
                return Choice(True, rule.name, reasons[0])
        if rule.younger is not None:
            reasons.append(f"older than {spoken(rule.younger)}")
        # A rule without any limit lets nothing go.
        return Choice(not reasons, rule.name, "; ".join(reasons) or "the rule has no limit")

    def _by_age(self, digest: str) -> Choice | None:
        """What is kept whatever else it is ranked by."""
        rule, one = self.rule, self.picture.manifests[digest]
        if rule.forever:
            return Choice(True, rule.name, "kept for ever")
        when = dated(one, self.now)
        if when is None:
            return _NO_DATE
        if is_within(one, self.now, self.grace):
            return Choice(True, "grace", f"pushed or made within {spoken(self.grace)}")
        if rule.younger is not None and self.now - when < rule.younger:
            return Choice(True, rule.name, f"younger than {spoken(rule.younger)}")
        return None
