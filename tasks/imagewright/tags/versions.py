"""Versions as people write them in tags: read, and put in order. Comparison is numeric, by part: 1.10 is above 1.9.

    v    3.13.7   -rc1   -semantic
    mark parts    pre    suffix

Two strategies, beside `none`, in which nothing is a version:

`parts`    any number of parts, as written (2025.09, 1.2.3.4). A pre-release starts with a word that says so (-rc1,
           -beta.2, 3.14.0a1, -SNAPSHOT), or is what `git describe` says of a commit behind a tag (-5-g0123abc). All
           else behind the parts is the suffix of a variant.
`semver`   semver.org 2.0.0, through the semver package: all that is behind a hyphen and no declared suffix is a
           pre-release.

A suffix is taken whole, with the numbers in it: 17.6-pgvector0.8.2 is version 17.6 of the variant -pgvector0.8.2, as
17.6-alpine3.20 is of -alpine3.20. These numbers are another program's, and whoever wrote 17-pgvector0.8.2 asked for it.

A single number is a version (9), and so is a date (20251121), which is compared with dates only. A longer number is
none (a commit of digits, the id of a run), and with a suffix it is one only where that is declared: 123-add-login is a
branch.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from imagewright.references import is_tag

Strategy = Literal["parts", "semver", "none"]
Key = tuple[int, int, str]  # of a piece of text: numbers by value, before words
_Read = tuple[tuple[str, ...], str, str, tuple[int | Key, ...]]  # parts, pre-release, suffix, order of the pre-release

_MARKED = re.compile(r"([vV]?)([0-9].*)")
_STAGES = (("dev", "snapshot", "nightly"), ("alpha", "a"), ("beta", "b"), ("m",), ("pre", "preview"), ("rc",))
_STAGE = {word: stage for stage, words in enumerate(_STAGES) for word in words}
# A word ends where no letter follows, and one letter needs a number: -alpine, -devel, -rclone and -b are variants.
_PARTS = re.compile(
    r"""
    (?P<parts> [0-9]+ (?:\.[0-9]+)* )
    (?P<pre>   [._-]? (?:alpha|beta|rc|preview|pre|dev|snapshot|nightly) (?![A-Za-z]) [A-Za-z0-9.]* (?:-[0-9]+)?
             | [._-]? [abm]\.?[0-9]+ (?:\.[0-9]+)*
             | -[0-9]+-g[0-9a-f]{7,40}
    )?
    (?P<suffix> [_-][A-Za-z0-9][A-Za-z0-9._-]* )?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PARTIAL = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))?")
_WORD_BEFORE = re.compile(r"-[a-z]{2}", re.IGNORECASE)
_DATE = re.compile(r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")
_LONGEST_NUMBER = 5  # digits of a version of one part; commits have 7 or more
_PIECES = re.compile(r"[0-9]+|[A-Za-z]+")
_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_RELEASE: tuple[int | Key, ...] = (1,)  # above all pre-releases, which start with a 0


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Version:
    """A version, ordered: lower ones first, a pre-release before its release.

    The order is total: what is numerically equal (1.2 and 1.2.0, 1.02 and 1.2) stands in the order of its length and
    text. `rank` alone says what is higher.
    """

    rank: tuple[tuple[int, ...], tuple[int | Key, ...]]  # numbers without the zeros at their end; pre-release
    key: tuple[int, str]  # parts and text: breaks ties
    text: str = field(compare=False)
    mark: str = field(compare=False)  # "v", "V" or ""
    parts: tuple[str, ...] = field(compare=False)  # as written: ("2025", "09")
    pre: str = field(compare=False)  # with what separates it: "-rc1", "a1"; "" of a release
    suffix: str = field(compare=False)  # "-semantic", "" without

    @property
    def is_prerelease(self) -> bool:
        """Whether it comes before a release, and takes no alias."""
        return bool(self.pre)

    @property
    def is_date(self) -> bool:
        """Whether it is a day in one number (20251121)."""
        return len(self.parts) == 1 and len(self.parts[0]) > _LONGEST_NUMBER

    @property
    def flavour(self) -> str:
        """The suffix without its numbers: -pgvector0.8.1 and -pgvector0.8.2 are the same thing in two editions."""
        return _NUMBERS.sub("#", self.suffix)

    @property
    def edition(self) -> tuple[Key, ...]:
        """The suffix in order, by its numbers: -alpine3.9 before -alpine3.20."""
        return _pieces(self.suffix)


def parse(text: str, strategy: Strategy, *, suffixes: Collection[str] = (), partial: bool = False) -> Version | None:
    """Read a tag as a version; None where it is none: latest, main, sha-abc1234, pr-7, abc1234, 1.2.3+build.

    `suffixes` are those of declared variants, as written ("-semantic"): they are never a pre-release, also -dev. The
    longest one that fits is taken. `partial` reads the aliases of `semver`, too: 1.2 and 1. In `parts` these are
    versions anyway.
    """
    marked = _MARKED.fullmatch(text)
    if strategy == "none" or marked is None or not is_tag(text):
        return None  # the cheap look comes first: most tags of a busy registry are commits
    mark, bare = marked.groups()
    for suffix in (*_declared(bare, suffixes), ""):
        base = bare[: len(bare) - len(suffix)]
        read = _read_parts(base) if strategy == "parts" else _read_semver(base, partial=partial)
        if read is not None:
            parts, pre, own_suffix, order = read
            numbers = [int(part) for part in parts]
            while numbers and not numbers[-1]:
                numbers.pop()
            return Version(
                rank=(tuple(numbers), order),
                key=(len(parts), text),
                text=text,
                mark=mark,
                parts=parts,
                pre=pre,
                suffix=own_suffix + suffix,
            )
    return None


def _declared(bare: str, suffixes: Collection[str]) -> list[str]:
    """The suffixes that the text ends with, the longest first; one without a separator would cut a number in two."""
    return sorted((one for one in suffixes if one[:1] in {"-", "_"} and bare.endswith(one)), key=len, reverse=True)


def _read_parts(base: str) -> _Read | None:
    found = _PARTS.fullmatch(base)
    if found is None:
        return None
    written, pre, suffix = found.group("parts"), found.group("pre") or "", found.group("suffix") or ""
    parts = tuple(written.split("."))
    if len(parts) == 1 and (
        suffix
        or (pre and not _WORD_BEFORE.match(pre))  # 9b1 and 5-b123456 are commits as well
        or (len(written) > _LONGEST_NUMBER and not _DATE.fullmatch(written))
    ):
        return None
    if not pre:
        return parts, "", suffix, _RELEASE
    return parts, pre, suffix, (0, *_pieces(pre))


def _read_semver(base: str, *, partial: bool) -> _Read | None:
    if partial and _PARTIAL.fullmatch(base):
        parts = tuple(base.split("."))
        return None if len(parts) == 1 and len(base) > _LONGEST_NUMBER else (parts, "", "", _RELEASE)
    import semver  # here: only those who choose the strategy pay for it

    try:
        found = semver.Version.parse(base)
    except ValueError:
        return None
    parts = (str(found.major), str(found.minor), str(found.patch))
    if not found.prerelease:
        return parts, "", "", _RELEASE
    # Precedence, semver.org section 11: numbers below words, each field by itself, the shorter list first.
    fields = ((0, int(one), "") if one.isdecimal() else (1, 0, one) for one in found.prerelease.split("."))
    return parts, f"-{found.prerelease}", "", (0, *fields)


def _pieces(text: str) -> tuple[Key, ...]:
    """Numbers by value; words of a pre-release by their stage, however it is spelt, all others by their letters."""
    return tuple(
        (0, int(word), "") if word.isdecimal() else (1, _STAGE[word], "") if word in _STAGE else (1, -1, word)
        for word in map(str.lower, _PIECES.findall(text))
    )
