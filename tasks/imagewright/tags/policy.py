"""Which tags a build gets when the command line names none."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from imagewright.errors import UsageError
from imagewright.references import is_tag

WORK_TAG = "dev"
_SHORT = 7  # hexadecimal digits of a commit in a tag


def default_tags(commit: str | None, *, dirty: bool) -> tuple[str, ...]:
    """`dev` always, and `sha-<7>` where the work tree is exactly a commit: then the name tells the content."""
    return (WORK_TAG,) if commit is None or dirty else (WORK_TAG, f"sha-{commit[:_SHORT]}")


def own_tags(tags: Sequence[str], publishes: Sequence[str]) -> tuple[str, ...]:
    """The tags of an image that gives out only some in its repository: with `base-*`, `dev` is `base-dev`."""
    plain = (glob[:-1] for glob in publishes if glob.endswith("*") and not any(char in glob[:-1] for char in "*?["))
    prefix = next(plain, "")
    return tuple(tag if any(fnmatchcase(tag, glob) for glob in publishes) else f"{prefix}{tag}" for tag in tags)


def given_tags(text: str) -> tuple[str, ...]:
    """The tags of `--tag A,B`; a UsageError for one that no registry would take."""
    tags = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for tag in tags:
        if not is_tag(tag):
            raise UsageError(
                f"{tag!r} is no legal tag",
                hint="a tag has 1 to 128 letters, digits, '_', '.' and '-', and starts with none of the last two",
            )
    return tags
