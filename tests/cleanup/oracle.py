"""What a plan must say, found the slow way: each question is asked of all manifests, until nothing changes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from imagewright.cleanup.model import Picture, Policy, Rule, Use
from imagewright.tags.versions import parse

_BESIDE = re.compile(r"sha256-([0-9a-f]{64})(\.sig|\.att|\.sbom)?")


@dataclass
class Answer:
    kept: set[str]
    gone: set[str]
    untagged_gone: set[str]


def fits(tag: str, globs: Sequence[str]) -> bool:
    def regex(glob: str) -> str:
        return re.escape(glob).replace(r"\*", ".*").replace(r"\?", ".")

    return any(re.fullmatch(regex(glob), tag) for glob in globs)


class Oracle:
    def __init__(self, picture: Picture, policy: Policy, uses: Sequence[Use], now: datetime) -> None:
        self.picture, self.policy, self.uses = picture, policy, uses
        self.now = min(now, picture.taken)
        self.own = {tag for tag in picture.tags if fits(tag, [*policy.protect, *policy.usual])}
        self.used_tags, self.used_digests = self._used()
        self.companions = {tag: of for tag in picture.tags if (of := self._companion(tag))}
        self.held = self._held()

    def _used(self) -> tuple[set[str], set[str]]:
        tags, digests = set(), set()
        for use in self.uses:
            name, _, pinned = use.reference.rpartition("@") if "sha256:" in use.reference else (use.reference, "", "")
            if pinned:
                digests.add(pinned)
            if name == self.picture.repository and not pinned:
                tags.add("latest")
            elif name.startswith(f"{self.picture.repository}:"):
                tags.add(name.removeprefix(f"{self.picture.repository}:"))
        tags &= set(self.picture.tags)
        return tags, digests | {self.picture.tags[tag] for tag in tags}

    def _companion(self, tag: str) -> str | None:
        found = _BESIDE.fullmatch(tag)
        subject = found and f"sha256:{found[1]}"
        kind = self.picture.manifests[self.picture.tags[tag]].kind
        return subject if subject and subject != self.picture.tags[tag] and kind not in {"cache", "unknown"} else None

    def contains(self, outer: str, inner: str) -> bool:
        stored = self.picture.manifests.get(outer)
        return stored is not None and any(child == inner or self.contains(child, inner) for child in stored.children)

    def _held(self) -> set[str]:
        protected = {self.picture.tags[tag] for tag in self.own}
        protected |= {text for text in self.policy.protect if text in self.picture.manifests}
        over = {outer for outer in self.picture.manifests for inner in self.used_digests if self.contains(outer, inner)}
        return protected | self.used_digests | over

    def date(self, digest: str) -> datetime | None:
        stored = self.picture.manifests[digest]
        when = stored.pushed if stored.pushed is not None else stored.created
        if when is None or when < datetime(2013, 3, 20, tzinfo=UTC) or when > self.now:
            return None
        return when

    def in_grace(self, digest: str) -> bool:
        stored = self.picture.manifests[digest]
        ages = [self.now - when for when in (stored.pushed, stored.created) if when is not None and when <= self.now]
        return any(age < self.policy.grace for age in ages)

    def group(self, number: int) -> dict[str, set[str]]:
        """The images that a rule ranks, each with its tags."""
        found: dict[str, set[str]] = {}
        for tag, digest in self.picture.tags.items():
            if tag in self.own or tag in self.companions:
                continue
            if self.picture.manifests[digest].kind not in {"image", "index"}:
                continue
            if self.policy.only and not fits(tag, self.policy.only):
                continue
            first = next((at for at, rule in enumerate(self.policy.rules) if fits(tag, rule.tags)), None)
            if first == number:
                found.setdefault(digest, set()).add(tag)
        return found

    def newer(self, rule: Rule, group: dict[str, set[str]], one: str, other: str) -> bool:
        """Whether `one` is ranked before `other`."""
        return (self.score(rule, group, one), one) > (self.score(rule, group, other), other)

    def score(self, rule: Rule, group: dict[str, set[str]], head: str) -> tuple[object, ...]:
        members = [one for one in group if one == head or self.contains(head, one)]
        scores = [score for one in members if (score := self.own_score(rule, group, one)) is not None]
        return max(scores)

    def own_score(self, rule: Rule, group: dict[str, set[str]], one: str) -> tuple[object, ...] | None:
        when = self.date(one)
        versions = [version for tag in group[one] if (version := parse(tag, "parts"))]
        words = [
            [(1, part) if not part.isdigit() else (0, int(part)) for part in re.findall(r"\d+|\D+", tag)]
            for tag in group[one]
        ]
        tie = ([max(versions)] if versions else [], max(words), one)
        if rule.sort == "date":
            return None if when is None else ([when], *tie)
        dates = [] if when is None else [when]
        if rule.sort == "version":
            return (max(versions).rank, dates, *tie) if versions else None
        numbers = max([int(part) for part in re.findall(r"\d+", tag)] for tag in group[one])
        return (numbers, dates, *tie) if numbers else None

    def rule_keeps(self, number: int, digest: str) -> bool:
        rule, group = self.policy.rules[number], self.group(number)
        heads = [one for one in group if not any(self.contains(other, one) for other in group)]

        def by_age(one: str) -> bool:
            when = self.date(one)
            young = rule.younger is not None and when is not None and when > self.now - rule.younger
            return rule.forever or when is None or self.in_grace(one) or young

        def ranked(one: str) -> bool:
            # What has no date is kept whatever else it could be ranked by, and takes nobody's place.
            members = [other for other in group if other == one or self.contains(one, other)]
            return self.date(one) is not None and any(self.own_score(rule, group, other) for other in members)

        def alone(one: str) -> bool:
            if by_age(one):
                return True
            if rule.keep is None:
                return rule.younger is None
            if not ranked(one):
                return True
            before = [other for other in heads if ranked(other) and self.newer(rule, group, other, one)]
            return len(before) < rule.keep

        if digest in heads:
            return alone(digest)
        return by_age(digest) or any(alone(head) for head in heads if self.contains(head, digest))

    def tag_keeps(self, tag: str) -> bool:
        digest = self.picture.tags[tag]
        if tag in self.own or tag in self.used_tags or digest in self.held:
            return True
        for number in range(len(self.policy.rules)):
            if tag in self.group(number).get(digest, ()):
                return self.rule_keeps(number, digest)
        return True

    def untagged_keeps(self, digest: str) -> bool | None:
        stored = self.picture.manifests[digest]
        if digest in self.held:
            return True
        if stored.subject is not None:
            return None if stored.subject in self.picture.manifests else True
        when = self.date(digest)
        if self.policy.untagged is None or stored.kind not in {"image", "index"} or when is None:
            return True
        return self.now - when < max(self.policy.untagged, timedelta(hours=1)) or self.in_grace(digest)

    def needed_by(self, digest: str, alive: set[str]) -> bool:
        """Whether one of these needs it: as a part, or because it speaks about them."""
        manifests = self.picture.manifests
        if any(digest in manifests[one].children for one in alive if one in manifests):
            return True
        if manifests[digest].subject in alive:
            return True
        if any(
            digest == one and about in alive for index in manifests.values() for one, about in index.attests.items()
        ):
            return True
        return any(self.picture.tags[tag] == digest and of in alive for tag, of in self.companions.items())

    def answer(self, *, deletes_tags: bool) -> Answer:
        manifests, tags = self.picture.manifests, self.picture.tags
        kept = {tag for tag in tags if tag not in self.companions and self.tag_keeps(tag)}
        kept |= {tag for tag in self.companions if tag in self.own | self.used_tags or tags[tag] in self.held}
        loose = {one: self.untagged_keeps(one) for one in self.picture.untagged}
        doomed = {tags[tag] for tag in tags if tag not in kept and tag not in self.companions}
        doomed |= {one for one, keeps in loose.items() if keeps is False}
        while True:
            more = {one for one in manifests if one not in doomed and self.needed_by(one, doomed)}
            if not more:
                break
            doomed |= more
        alive = set(manifests) - doomed
        alive |= {tags[tag] for tag in kept} | {one for one, keeps in loose.items() if keeps}
        alive |= {one for one in self.held if one in manifests}
        alive |= {tags[tag] for tag, of in self.companions.items() if of not in manifests}
        alive |= {one for one, stored in manifests.items() if stored.subject and stored.subject not in manifests}
        while True:
            more = {one for one in manifests if one not in alive and self.needed_by(one, alive)}
            if not more:
                break
            alive |= more
        gone = set(manifests) - alive
        kept |= {tag for tag, of in self.companions.items() if of not in gone}
        if not deletes_tags:
            kept |= {tag for tag in tags if tags[tag] in alive}
        return Answer(kept, gone, {one for one in self.picture.untagged if one in gone})
