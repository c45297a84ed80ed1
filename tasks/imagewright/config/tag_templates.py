"""The templates of `tags.rules`: what a tag may be written as. `{branch}-{sha7}`."""

from __future__ import annotations

import re

PLACEHOLDERS = ("sha", "sha7", "branch", "pr", "git_tag", "version", "date", "layer", "name")

_PART = re.compile(r"\{([^{}]*)\}|([{}])|([^{}]+)")
_LEGAL = re.compile(r"[A-Za-z0-9_.-]+")
_LONGEST = 128
_GLOB = re.compile(r"[A-Za-z0-9_.*?\[\]!-]+")

Part = tuple[str, bool]  # a text, and whether it is the name of a placeholder


def parts(template: str) -> tuple[Part, ...]:
    """The literal texts and the placeholders of a template that was checked, in order."""
    found = _PART.findall(template)
    return tuple((name, True) if name else (literal, False) for name, _, literal in found)


def check_tag_template(template: str) -> str:
    """The template itself; ValueError, whose text says what is wrong, where no tag could come of it."""
    if not template:
        raise ValueError("a tag must not be empty")
    for name, brace, literal in _PART.findall(template):
        if brace:
            raise ValueError(f"`{template}`: `{brace}` stands alone; a placeholder is written `{{branch}}`")
        if literal and not _LEGAL.fullmatch(literal):
            odd = next(char for char in literal if not _LEGAL.fullmatch(char))
            raise ValueError(f"`{template}`: {odd!r} is no character of a tag, which has letters, digits, `_.-`")
        if not literal and name not in PLACEHOLDERS:
            raise ValueError(f"`{{{name}}}` in `{template}` means nothing; {_known()} are known")
    if template[0] in ".-":
        raise ValueError(f"`{template}`: a tag starts with a letter, a digit or `_`")
    literals = sum(len(text) for text, is_name in parts(template) if not is_name)
    if literals > _LONGEST:
        raise ValueError(f"`{template[:20]}…` has {literals} characters: a tag has {_LONGEST} at most")
    return template


def check_tag_glob(glob: str) -> str:
    """The glob itself; ValueError where it fits no tag."""
    if not _GLOB.fullmatch(glob):
        raise ValueError(f"`{glob}` fits no tag, which has letters, digits, `_.-`; `*`, `?` and `[...]` are globs")
    return glob


def check_version(version: str) -> str:
    """A version as it is published; ValueError where it is no tag."""
    if not _LEGAL.fullmatch(version) or version[0] in ".-" or len(version) > _LONGEST:
        hint = "; `+build` is no legal tag: leave it out" if "+" in version else ""
        raise ValueError(f"`{version}` is no tag, which has 1 to {_LONGEST} letters, digits, `_.-`{hint}")
    return version


def _known() -> str:
    return ", ".join(f"`{{{name}}}`" for name in PLACEHOLDERS)
