"""Which images a command is about: `app`, `app:1.2`, `base,app`, `'snap*'`, `all`, `python:3.13`."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from imagewright.config.problems import near
from imagewright.errors import UsageError
from imagewright.images.discover import EVERY_IMAGE
from imagewright.references import is_tag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from imagewright.images.model import Image

_HINT = "`invoke list` shows the images there are"


class Selected(NamedTuple):
    """An image that the user named, with the tag given behind it."""

    name: str
    tag: str | None = None


def is_glob(text: str) -> bool:
    """Whether the text stands for many names: it holds `*`, `?` or `[`."""
    return any(special in text for special in "*?[")


def select(names: str, images: Sequence[Image]) -> tuple[Selected, ...]:
    """What `names` means: items with commas, each a name, a glob or `all`, with `:TAG` where wanted.

    A family stands for all of its members, and with `:TAG` for the one that has this tag or alias; its tags can be
    globs, too. For other images `:TAG` is the tag that is wanted.

    The order is that of the items, within a glob that of `images`; what is named twice comes once, but the same image
    with two tags comes twice. UsageError lists every item that means nothing.
    """
    known = _Known(images)
    chosen: dict[Selected, None] = {}
    problems: list[str] = []
    for item in filter(None, map(str.strip, names.split(","))):
        try:
            chosen.update(dict.fromkeys(known.find(item)))
        except ValueError as problem:
            problems.append(str(problem))
    if problems:
        raise UsageError("\n".join(problems), hint=_HINT)
    if not chosen:
        raise UsageError("no image is named", hint=f"name one, or `{EVERY_IMAGE}`; {_HINT}")
    return tuple(chosen)


class _Known:
    """The images by the words that stand for them."""

    def __init__(self, images: Sequence[Image]) -> None:
        self._names: dict[str, list[Image]] = {}  # plain images, and the members of families by that of their family
        for image in images:
            self._names.setdefault(image.family or image.name, []).append(image)

    def find(self, item: str) -> Iterator[Selected]:
        """The images of one item; ValueError, whose text is for the user, where it means none."""
        name, colon, tag = item.partition(":")
        if name == EVERY_IMAGE or is_glob(name):
            found = [one for one in self._names if name == EVERY_IMAGE or fnmatchcase(one, name)]
        else:
            found = [name] if name in self._names else []
        if not found:
            suggestion = near(name, self._names)
            problem = f"no image matches `{name}`" if is_glob(name) else f"no image is called `{name}`"
            raise ValueError(f"{problem}: {suggestion}" if suggestion else problem)
        families = [one for one in found if self._names[one][0].family is not None]
        if colon and not is_tag(tag) and not (is_glob(tag) and len(families) == len(found)):
            raise ValueError(f"`{tag}` in `{item}` is no tag")
        chosen: list[Selected] = []
        for one in found:
            if one not in families:
                chosen.append(Selected(one, tag if colon else None))
            else:
                chosen += [Selected(member.name) for member in self._names[one] if not colon or _has(member, tag)]
        if not chosen:  # only where a tag of families is asked for
            tags = [each for one in found for member in self._names[one] for each in member.publishes]
            suggestion = near(tag, tags)
            problem = f"`{name}` has no tag `{tag}`" if not is_glob(name) else f"no image matches `{item}`"
            raise ValueError(f"{problem}: {suggestion}" if suggestion else problem)
        return iter(chosen)


def _has(member: Image, tag: str) -> bool:
    """Whether a member of a family is meant by a tag, an alias, or a glob of tags."""
    return fnmatchcase(member.own_tag or "", tag) if is_glob(tag) else tag in member.publishes
