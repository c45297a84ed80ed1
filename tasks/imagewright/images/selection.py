"""Which images a command is about: `app`, `app:1.2`, `base,app`, `'snap*'`, `all`."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from imagewright.config.problems import near
from imagewright.errors import UsageError
from imagewright.images.discover import EVERY_IMAGE
from imagewright.references import is_tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagewright.images.model import Image

_HINT = "`invoke list` shows the images there are"


@dataclass(frozen=True, slots=True)
class Selected:
    """An image that the user named, with the tag given behind it."""

    name: str
    tag: str | None = None


def is_glob(text: str) -> bool:
    """Whether the text stands for many names: it holds `*`, `?` or `[`."""
    return any(special in text for special in "*?[")


def select(names: str, images: Sequence[Image]) -> tuple[Selected, ...]:
    """What `names` means: items with commas, each a name, a glob or `all`, with `:TAG` where wanted.

    The order is that of the items, within a glob that of `images`; what is named twice comes once, but the same image
    with two tags comes twice. UsageError lists every item that means nothing.
    """
    known = {image.name: None for image in images}
    chosen: dict[Selected, None] = {}
    problems: list[str] = []
    for item in filter(None, map(str.strip, names.split(","))):
        name, colon, tag = item.partition(":")
        if name == EVERY_IMAGE or is_glob(name):
            found = list(known) if name == EVERY_IMAGE else [one for one in known if fnmatchcase(one, name)]
        else:
            found = [name] if name in known else []
        if not found:
            suggestion = near(name, known)
            problem = f"no image matches `{name}`" if is_glob(name) else f"no image is called `{name}`"
            problems.append(f"{problem}: {suggestion}" if suggestion else problem)
        elif colon and not is_tag(tag):
            problems.append(f"`{tag}` in `{item}` is no tag")
        chosen.update(dict.fromkeys(Selected(one, tag if colon else None) for one in found))
    if problems:
        raise UsageError("\n".join(problems), hint=_HINT)
    if not chosen:
        raise UsageError("no image is named", hint=f"name one, or `{EVERY_IMAGE}`; {_HINT}")
    return tuple(chosen)
