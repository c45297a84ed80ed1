"""Every tag that the rules would give an image on one occasion, those that this run may not give among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from imagewright.tags.protection import is_version, matches, refusal, reserved, restricted
from imagewright.tags.sanitise import LONGEST, Reserved
from imagewright.tags.values import default_branch, values, version, why

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagewright.config.tags_models import Tags
    from imagewright.tags.image import Named
    from imagewright.tags.model import Kind, Occasion
    from imagewright.tags.rules import Rule
    from imagewright.tags.templates import Template

UNCOMMITTED = "the work tree differs from its commit"
_NO_COMMIT = "there is no commit yet"
_NEVER_DEFAULT = ("pull-request", "merge-group", "unreadable")  # they are shown what only the default branch gives


class Draft(NamedTuple):
    """One tag. `bare` lacks what tells the images of one repository apart."""

    tag: str
    bare: str
    kind: Kind
    rule: str
    why: str
    version: str | None = None
    stays: bool = False  # neither the commit nor the day is in it
    withheld: str | None = None


class _Ground(NamedTuple):
    """What all tags of one image on one occasion share."""

    image: Named
    occasion: Occasion
    settings: Tags
    reserved: Reserved
    prefix: str
    values: dict[str, str]
    restricted: bool


def drafts(image: Named, occasion: Occasion, rules: tuple[Rule, ...], settings: Tags) -> tuple[Draft, ...]:
    """All of them, in the order of the rules, each version before its aliases. ConfigError: one is no legal tag."""
    protected = tuple(settings.protected)
    ground = _Ground(
        image=image,
        occasion=occasion,
        settings=settings,
        reserved=reserved(rules, protected, is_default_branch=occasion.is_default_branch),
        prefix=f"{image.own_tag}-" if image.own_tag else shared_prefix(image.publishes),
        values=values(image, occasion),
        restricted=restricted(occasion) is not None,
    )
    return tuple(draft for rule in rules for draft in _of_rule(rule, ground))


def _of_rule(rule: Rule, ground: _Ground) -> Iterator[Draft]:
    occasion = ground.occasion
    if not _is_about(rule, ground.image):
        return
    only_default = None
    if not _holds(rule, occasion):
        events = (*rule.events, *_NEVER_DEFAULT) if rule.events else None
        if not (rule.default_branch and occasion.has_git and _holds(replace(rule, events=events), occasion, near=True)):
            return
        only_default = f"only {default_branch(occasion)}, gives it"
    for template in rule.templates:
        if _is_for_member(template, rule, ground):
            filled = ground.values
            if "version" in template.names and (own := version(ground.image, occasion.event.tag, rule)):
                filled = {**filled, "version": own}
            room = LONGEST - (0 if _is_own(template, rule, ground) else len(ground.prefix))
            bare = template.render(filled, rule=rule.name, reserved=ground.reserved, room=room)
            if bare is not None:
                yield from _with_aliases(_draft(bare, template, rule, ground, only_default), rule, ground)


def _draft(bare: str, template: Template, rule: Rule, ground: _Ground, only_default: str | None) -> Draft:
    image, occasion = ground.image, ground.occasion
    kind = _kind(bare, template, image)
    if image.own_tag:
        tag = bare if _is_own(template, rule, ground) else f"{ground.prefix}{bare}"
    else:
        tag = own_tag(bare, image.publishes)
    withheld = _refused(tag, bare, kind, ground) or only_default
    if withheld is None and not (rule.is_for_work and not template.holds_commit):
        withheld = _uncommitted(occasion)
    return Draft(
        tag=tag,
        bare=bare,
        kind=kind,
        rule=rule.name,
        why=why(template, rule, image, occasion),
        version=bare if kind == "version" else None,
        stays=not template.holds_commit and "date" not in template.names,
        withheld=withheld,
    )


def _refused(tag: str, bare: str, kind: Kind, ground: _Ground) -> str | None:
    if not ground.restricted:
        return None
    suffixes = ground.image.variant_suffixes
    return refusal(tag, kind, ground.occasion, ground.settings.protected, bare=bare, suffixes=suffixes)


def _uncommitted(occasion: Occasion) -> str | None:
    if occasion.dirty:
        return UNCOMMITTED
    return _NO_COMMIT if occasion.has_git and occasion.commit is None else None


def _with_aliases(draft: Draft, rule: Rule, ground: _Ground) -> Iterator[Draft]:
    yield draft
    if not rule.aliases or draft.kind != "version":
        return
    image = ground.image
    if image.own_tag is not None:
        found = image.aliases if draft.bare == image.own_tag else ()
    else:
        from imagewright.tags.aliases import prefixes
        from imagewright.tags.versions import parse

        strategy = image.alias_strategy or ground.settings.aliases
        parsed = parse(draft.bare, strategy, suffixes=image.variant_suffixes)
        found = prefixes(parsed) if parsed else ()
    for alias in found:
        tag = alias if image.own_tag else own_tag(alias, image.publishes)
        # a family may say that a member is `stable`, too, which is protected by its name
        held = draft.withheld or _refused(tag, alias, "alias", ground)
        yield draft._replace(tag=tag, bare=alias, kind="alias", why=f"alias of {draft.tag}", withheld=held)


def _kind(bare: str, template: Template, image: Named) -> Kind:
    if template.holds_commit:
        return "fixed"
    if "version" in template.names:
        return "version"
    if "git_tag" in template.names:
        return "version" if is_version(bare, image.variant_suffixes) else "fixed"
    return "moving"


def _is_about(rule: Rule, image: Named) -> bool:
    family = image.name.partition(":")[0]
    if rule.images is not None and not (matches(image.name, rule.images) or matches(family, rule.images)):
        return False
    return rule.layers is None or (image.layer is not None and matches(image.layer, rule.layers))


def _holds(rule: Rule, occasion: Occasion, *, near: bool = False) -> bool:
    """Whether the rule applies; `near`: whether it would on the default branch."""
    event = occasion.event
    is_default = occasion.is_default_branch or (
        rule.without_git and not occasion.has_git and restricted(occasion) is None
    )
    return (
        (rule.events is None or event.kind in rule.events)
        and (near or rule.default_branch is None or rule.default_branch == is_default)
        and (rule.branches is None or (event.branch is not None and matches(event.branch, rule.branches)))
        and (rule.git_tags is None or (event.tag is not None and matches(event.tag, rule.git_tags)))
    )


def _is_for_member(template: Template, rule: Rule, ground: _Ground) -> bool:
    """Whether a member of a family gets what an image by itself would get.

    Tags of the default branch itself are about the family as a whole: only the member has them that is its latest.
    """
    if ground.image.own_tag is None or "version" in template.names:
        return True
    if "layer" in template.names:
        return False
    if rule.default_branch and not template.holds_commit:
        return ground.image.is_latest
    return "branch" not in template.names or template.holds_commit or not ground.occasion.is_default_branch


def _is_own(template: Template, rule: Rule, ground: _Ground) -> bool:
    """Whether a member's tag stands by itself, without the member's own tag before it."""
    if ground.image.own_tag is None:
        return False
    return "version" in template.names or bool(rule.default_branch and not template.holds_commit)


def own_tag(tag: str, publishes: Sequence[str]) -> str:
    """The tag of an image that gives out only some in its repository: with `base-*`, `dev` is `base-dev`."""
    return tag if matches(tag, publishes) else f"{shared_prefix(publishes)}{tag}"


def shared_prefix(publishes: Sequence[str]) -> str:
    """What an image puts before its tags in a repository that it shares: with `base-*` that is `base-`."""
    plain = (glob[:-1] for glob in publishes if glob.endswith("*") and not any(char in glob[:-1] for char in "*?["))
    return next(plain, "")
