"""Patterns of a policy that decide nothing: a misspelled one protects nothing, and nobody would know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.cleanup.select import deciding
from imagewright.config.tag_patterns import fitting
from imagewright.references import is_digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imagewright.cleanup.model import Picture, Policy


def unmatched(picture: Picture, policy: Policy) -> tuple[str, ...]:
    """As they are written, with what they belong to; those that protect by default, and `*`, may fit nothing.

    A pattern of a rule counts as matching only by tags that no rule before it decides.
    """
    found = [f"protect {text}" for text in policy.protect if not _protects(text, picture)]
    found += [f"only {glob}" for glob in policy.only if not _fits(glob, picture.tags)]
    left: list[list[str]] = [[] for _ in policy.rules]
    for tag in picture.tags:
        number = deciding(policy.rules, tag)
        if number is not None:
            left[number].append(tag)
    for rule, tags in zip(policy.rules, left, strict=True):
        found += [f"{rule.name}: {glob}" for glob in rule.tags if glob != "*" and not _fits(glob, tags)]
    return tuple(dict.fromkeys(found))


def _protects(text: str, picture: Picture) -> bool:
    return text in picture.manifests if is_digest(text) else _fits(text, picture.tags)


def _fits(glob: str, tags: Iterable[str]) -> bool:
    return any(fitting(tag, (glob,)) for tag in tags)
