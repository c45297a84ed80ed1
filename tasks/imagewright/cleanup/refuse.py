"""Where a plan is refused: what was not read, and what looks like a mistake. Each says how to overrule it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.cleanup.mark import companion_of
from imagewright.cleanup.select import IMAGES
from imagewright.cleanup.uses import used

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from imagewright.cleanup.model import Picture, Policy, Use, Verdict


def unread(picture: Picture, uses: Sequence[Use]) -> str | None:
    """What of the repository is not known; None where all of it is."""
    problems = list(picture.problems)
    problems += [
        f"{tag}: its manifest was not read"
        for tag, digest in sorted(picture.tags.items())
        if digest not in picture.manifests
    ]
    known = picture.manifests.keys() | picture.absent
    problems += [
        f"{where} names {digest}, which was not looked for"
        for digest, where in sorted(used(uses, picture.repository).pinned.items())
        if digest not in known
    ]
    if not problems:
        return None
    more = f", and {len(problems) - 1} more like it" if len(problems) > 1 else ""
    return f"not all of it could be read: {problems[0]}{more}"


def refusal(picture: Picture, policy: Policy, verdicts: Sequence[Verdict], manifests: Collection[str]) -> str | None:
    """The breaker that stops this plan, the first of several; None where it may go on."""
    doomed = [verdict for verdict in verdicts if not verdict.keep]
    if not doomed:
        return None
    if any(rule.keep == 0 for rule in policy.rules) and not policy.allow_keep_zero:
        return "keep 0 keeps no image: say `--allow-keep-zero` if that is meant"
    images = {
        digest
        for tag, digest in picture.tags.items()
        if picture.manifests[digest].kind in IMAGES and not companion_of(tag, picture)
    }
    kept = {verdict.digest for verdict in verdicts if verdict.keep and verdict.tag is not None}
    if images and not images & kept and not policy.allow_empty:
        return "no image would keep a tag: say `--allow-empty` if that is meant"
    lost = len(images.intersection(manifests))
    if images and lost / len(images) > policy.max_share:
        share = -(-lost * 100 // len(images)) / 100
        return (
            f"{lost} of {len(images)} images would go, a greater share than {policy.max_share:g}: "
            f"say `--max-share {share:g}` if that is meant"
        )
    number = len([verdict for verdict in doomed if verdict.tag is not None]) + len(manifests)
    if policy.max_delete is not None and number > policy.max_delete:
        return (
            f"{number} tags and manifests would go, more than {policy.max_delete}: "
            f"say `--max-delete {number}` if that is meant"
        )
    return None
