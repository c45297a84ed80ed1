"""Two images must never be called the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.config.problems import combined
from imagewright.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imagewright.tags.image import Named
    from imagewright.tags.model import Naming, Tag


def clashes(namings: Iterable[tuple[Named, Naming]]) -> ConfigError | None:
    """Every reference that two images would be pushed to, whatever is in them; None where there is none.

    Members of one family share aliases by right: which of them has one is settled by their versions, and a member's
    own tag wins over another's alias.
    """
    taken: dict[str, tuple[Named, Tag]] = {}
    problems: dict[tuple[str, str], ConfigError] = {}
    for image, naming in namings:
        for tag in naming.tags:
            reference = f"{image.repository}:{tag.tag}"
            other, theirs = taken.setdefault(reference, (image, tag))
            if other is image or other.name == image.name or _is_settled(other, theirs, image, tag):
                if theirs.kind == "alias" and tag.kind != "alias":
                    taken[reference] = (image, tag)
                continue
            problems.setdefault((other.name, image.name), _problem(reference, other, theirs, image, tag))
    return combined(list(problems.values())) if problems else None


def _is_settled(other: Named, theirs: Tag, image: Named, tag: Tag) -> bool:
    is_family = other.own_tag is not None and image.own_tag is not None and _family(other) == _family(image)
    return is_family and "alias" in (theirs.kind, tag.kind)


def _family(image: Named) -> str:
    return image.name.partition(":")[0]


def _problem(reference: str, other: Named, theirs: Tag, image: Named, tag: Tag) -> ConfigError:
    if "given" in (theirs.rule, tag.rule):
        hint = "give each image its own: `NAME:TAG,NAME:TAG`"
    elif "alias" in (theirs.kind, tag.kind):
        hint = "set `aliases: none` for one of them, or give each its own `repository` or `publishes`"
    else:
        hint = f'give each its own `repository` under `images`, or `publishes: ["{image.name}-*"]`'
    rules = f"the rule `{tag.rule}`" if tag.rule == theirs.rule else f"the rules `{theirs.rule}` and `{tag.rule}`"
    kinds = ", as an alias" if "alias" in (theirs.kind, tag.kind) else ""
    return ConfigError(
        f"the images `{other.name}` and `{image.name}` would both be {reference}{kinds}, by {rules}",
        where="config/images.yml",
        hint=hint,
    )
