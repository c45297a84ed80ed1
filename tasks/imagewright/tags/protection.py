"""Which tags a run may not move: what users pull belongs to the default branch and to releases."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from imagewright.errors import UsageError
from imagewright.events.trust import restriction
from imagewright.tags.model import Kind, Occasion
from imagewright.tags.rules import Rule
from imagewright.tags.sanitise import LONGEST, Reserved, sanitise

_OTHERS = ("dev", "sha-*", "pr-*")
_ALWAYS = (*_OTHERS, "latest", "stable", "*-stable")
_COMMIT = re.compile(r"(?:^|-)([0-9a-f]{7,64})$")


def is_version(text: str, suffixes: Collection[str] = ()) -> bool:
    """Whether a tag is, or may be, a version or the alias of one."""
    from imagewright.tags.versions import parse

    return parse(text, "parts", suffixes=suffixes) is not None


def restricted(occasion: Occasion) -> str | None:
    """Why this run may not move what is protected, in words that can stand before a verb; None where it may."""
    if held := restriction(occasion.event):
        return held
    if occasion.is_elsewhere:
        return f"commit {(occasion.commit or '')[:7]}, which is not the one that the CI was started for,"
    return None


def reserved(rules: tuple[Rule, ...], protected: Sequence[str], *, is_default_branch: bool) -> Reserved:
    """Whether a branch's name looks like a tag that something else gives.

    The default branch may have a name that is protected (`stable`), or that a rule gives: that is for its sake.
    """
    return _is_others if is_default_branch else _reserved(rules, tuple(protected))


def _is_others(name: str) -> bool:
    return matches(name, _OTHERS) or is_version(name)


@lru_cache(16)
def _reserved(rules: tuple[Rule, ...], protected: tuple[str, ...]) -> Reserved:
    found = (template.pattern() for rule in rules for template in rule.templates)
    patterns = re.compile("|".join(f"(?:{pattern})" for pattern in found if pattern) or r"(?!)", re.DOTALL)
    globs = (*_ALWAYS, *protected)

    def is_reserved(name: str) -> bool:
        return matches(name, globs) or is_version(name) or patterns.fullmatch(name) is not None

    return is_reserved


def matches(name: str, globs: Collection[str]) -> bool:
    """Whether one of the globs fits."""
    return any(fnmatchcase(name, glob) for glob in globs)


def refusal(
    tag: str,
    kind: Kind,
    occasion: Occasion,
    protected: Collection[str],
    *,
    bare: str | None = None,
    suffixes: Collection[str] = (),
) -> str | None:
    """Why this run may not give the tag, for people; None where it may.

    `bare` is the tag without what tells the images of one repository apart, `suffixes` are those of declared variants.
    """
    who = restricted(occasion)
    if who is None:
        return None
    names = {tag, tag if bare is None else bare}
    if any(matches(name, protected) for name in names):
        return f"{who} never moves {tag}"
    if kind in ("version", "alias") or (kind == "moving" and is_version(bare or tag, suffixes)):
        return f"{who} never gives a version"
    if kind == "moving" and not names.isdisjoint(default_tags(occasion)):
        return f"{who} never moves {tag}: it is the default branch's"
    return None


def default_tags(occasion: Occasion) -> frozenset[str]:
    """What the default branch is called as a tag; where nobody knows which one it is, the usual ones."""
    name = occasion.event.default_branch
    return frozenset([sanitise(name, reserved=_is_others)] if name else ["main", "master"])


def check_given(
    tags: Sequence[str], occasion: Occasion, protected: Collection[str], *, suffixes: Collection[str] = ()
) -> None:
    """UsageError for tags of the command line that this run may not give."""
    event = occasion.event
    for tag in tags:
        why = refusal(
            tag,
            look(tag, occasion, suffixes),
            occasion,
            protected,
            suffixes=suffixes,
        )
        if why is None and (who := restricted(occasion)) and _names_another_commit(tag, occasion):
            why = f"{who} never moves {tag}: it names another commit"
        if why is None:
            continue
        hint = "tags of a release are given on the default branch, or for a git tag"
        if event.host == "local" and event.kind == "local":
            name = event.default_branch or "main"
            hint = f"`--branch {name}` says by hand that this is what {name} is to be"
        raise UsageError(f"the tag {tag} is protected: {why}", hint=hint)


def look(tag: str, occasion: Occasion, suffixes: Collection[str] = ()) -> Kind:
    """What a tag that was given by hand looks like."""
    found = _COMMIT.search(tag)
    if found and any(commit and commit.startswith(found[1]) for commit in (occasion.commit, occasion.named_commit)):
        return "fixed"
    return "version" if is_version(tag, suffixes) else "moving"


def _names_another_commit(tag: str, occasion: Occasion) -> bool:
    return tag.startswith("sha-") and len(tag) <= LONGEST and look(tag, occasion) != "fixed"
