"""What one image is called on one occasion: every tag with the rule that gives it, and those withheld with why."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imagewright.errors import UsageError
from imagewright.references import is_tag
from imagewright.tags.clashes import clashes as clashes
from imagewright.tags.drafts import drafts
from imagewright.tags.model import Kind, Naming, Tag, Withheld
from imagewright.tags.protection import check_given, look
from imagewright.tags.rules import effective
from imagewright.tags.values import has_build_metadata, version_of_git_tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagewright.config.tags_models import Tags
    from imagewright.tags.drafts import Draft
    from imagewright.tags.image import Named
    from imagewright.tags.model import Occasion
    from imagewright.tags.rules import Rule

_PLACES = 4
_FIRST: dict[Kind, int] = {"version": 0, "alias": 0, "fixed": 1, "moving": 2}


def name_image(image: Named, occasion: Occasion, settings: Tags) -> Naming:
    """All tags of the image, the one to refer to it by first.

    That is `dev` on a person's machine; in a CI the version, else what names the commit, else the rest. Aliases are
    all that a version has by itself, or within its family: whether the registry has a higher one is not asked here.
    There may be no tag at all, and `withheld` says why. ConfigError: a rule gives no legal tag; UsageError: the git
    tag is a version that no registry takes.
    """
    rules = effective(settings)
    found = drafts(image, occasion, rules, settings)
    if occasion.event.kind != "local":
        found = tuple(sorted(found, key=lambda draft: _FIRST[draft.kind]))
    own = {draft.tag for draft in found if draft.kind != "alias" and not draft.withheld}
    tags: dict[str, Tag] = {}
    withheld: dict[str, Withheld] = {}
    for draft in found:
        if draft.withheld:
            withheld.setdefault(draft.tag, Withheld(tag=draft.tag, rule=draft.rule, why=draft.withheld))
        elif draft.kind != "alias" or draft.tag not in own:
            tags.setdefault(draft.tag, _tag(draft))
    unread = _unread_git_tag(image, occasion, rules)
    left = [one for tag, one in withheld.items() if tag not in tags]
    shadowed = [
        Withheld(tag=draft.tag, rule=draft.rule, why=f"{draft.why}, but the image has a tag {draft.tag} of its own")
        for draft in found
        if draft.kind == "alias" and not draft.withheld and draft.tag in own
    ]
    return Naming(tags=tuple(tags.values()), withheld=(*left, *dict.fromkeys(shadowed), *unread))


def given_naming(image: Named, tags: Sequence[str], occasion: Occasion, settings: Tags) -> Naming:
    """The tags of the command line, in the place of the rules'. UsageError: this run may not give one of them."""
    suffixes = image.variant_suffixes
    check_given(tags, occasion, settings.protected, suffixes=suffixes)
    found = ((tag, look(tag, occasion, suffixes)) for tag in dict.fromkeys(tags))
    return Naming(
        tags=tuple(
            Tag(tag=tag, kind=kind, rule="given", why="the command line", version=tag if kind == "version" else None)
            for tag, kind in found
        )
    )


def places_to_look(image: Named, occasion: Occasion, settings: Tags) -> tuple[str, ...]:
    """The tags under which an earlier build of the image may be found, the most likely first, four at most.

    They are those that do not change with the commit: what this run itself would give, clean or not and protected or
    not, then those of the branch that a pull request goes to, those of the default branch, the version, and `latest`.
    """
    rules, event = effective(settings), occasion.event
    others = dict.fromkeys(name for name in (event.target_branch, event.default_branch) if name != event.branch)
    occasions = [
        occasion,
        *(
            replace(occasion, event=replace(event, kind="push", branch=name, tag=None, is_fork=False, commit=None))
            for name in others
            if name is not None
        ),
    ]
    found = [
        draft
        for one in occasions
        for draft in drafts(image, one, rules, settings)
        if draft.stays and draft.kind != "alias"
    ]
    found.sort(key=lambda draft: 2 if draft.bare == "latest" else int(draft.kind == "version"))
    return tuple(dict.fromkeys(draft.tag for draft in found))[:_PLACES]


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


def _tag(draft: Draft) -> Tag:
    return Tag(tag=draft.tag, kind=draft.kind, rule=draft.rule, why=draft.why, version=draft.version)


def _unread_git_tag(image: Named, occasion: Occasion, rules: Sequence[Rule]) -> tuple[Withheld, ...]:
    """The git tag of a release that gives no version. UsageError where it is one, but none that can be a tag."""
    event = occasion.event
    rule = next(
        (
            rule.name
            for rule in rules
            if rule.version_of == "git tag" and (rule.events is None or event.kind in rule.events)
        ),
        None,
    )
    if event.tag is None or rule is None or image.own_tag is not None or version_of_git_tag(event.tag):
        return ()
    if has_build_metadata(event.tag):
        bare = event.tag.partition("+")[0]
        raise UsageError(
            f"the git tag {event.tag} is no tag of an image: '+' is not allowed in one",
            hint=f"tag the commit {bare}, or say --git-tag {bare}",
        )
    return (Withheld(tag=event.tag, rule=rule, why=f"the git tag {event.tag} is no version, such as v1.2.3"),)
