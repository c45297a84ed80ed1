"""All families of a repository: their aliases settled, and what each member is built on found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagewright.config.problems import combined, near
from imagewright.errors import ConfigError
from imagewright.images.families.model import LATEST, Family
from imagewright.images.families.read import Read, folder_of, read

if TYPE_CHECKING:
    from imagewright.images.families.model import Member, Strategy, VersionRules
    from imagewright.images.model import Found


@dataclass(frozen=True, slots=True)
class Parent:
    """What a member is built on: another member, or (with what is written behind its colon) a plain image."""

    name: str
    tag: str | None
    member: Member | None


def families(
    found: Sequence[Found],
    content: Callable[[str], bytes | None],
    strategy: Callable[[str], Strategy],
    rules: VersionRules,
) -> tuple[Family, ...]:
    """The families of these files, in their order; `strategy` says how a family's versions are compared by default.

    ConfigError lists what is wrong in all of the files.
    """
    made: list[Family] = []
    problems: list[ConfigError] = []
    for one in found:
        try:
            file = read(one, content(one.dockerfile))
        except ConfigError as problem:
            problems.append(problem)
            continue
        problems += file.problems
        made.append(_settled(file, file.strategy or strategy(file.name), rules))
    if problems:
        raise combined(problems)
    return tuple(made)


def _settled(file: Read, strategy: Strategy, rules: VersionRules) -> Family:
    tags = {member.tag: member for member in file.members}
    explicit = {alias: tag for alias, (tag, _) in file.explicit.items()}
    given, shadowed = rules.aliases(tags, strategy, suffixes=file.suffixes, explicit=explicit)
    notices = [
        f"{tags[alias].where}: `{alias}` is a tag of its own, and so no alias of `{version}`"
        for alias, version in shadowed.items()
        if alias in tags
    ]
    aliases = {**given, **explicit}
    latest = aliases.pop(LATEST, None)
    if latest is None and LATEST not in tags:
        latest = rules.latest([member.tag for member in file.members if member.variant is None], strategy)
    return Family(
        name=file.name,
        file=file.file,
        folder=folder_of(file.file),
        members=file.members,
        suffixes=file.suffixes,
        strategy=strategy,
        aliases=aliases,
        latest=latest,
        notices=tuple(notices),
    )


def find_parent(text: str, known: Mapping[str, Family], plain: Iterable[str]) -> Parent:
    """What `base:2025.09`, or `base`, means; ConfigError without a place where it means nothing."""
    name, colon, tag = text.partition(":")
    family = known.get(name)
    if family is None:
        if name in (plain := tuple(plain)):
            return Parent(name, tag if colon else None, None)
        hint = near(name, [*known, *plain]) or "an image of another registry stands in the template: FROM debian:13"
        raise ConfigError(f"no image of this repository is called `{name}`", hint=hint)
    member = family.find(tag if colon else None)
    if member is None and not colon:
        raise ConfigError(f"`{name}` has no latest version", hint=f"name a tag of it, as in `{name}:TAG`")
    if member is None:
        hint = near(tag, [*family.by_tag, *family.aliases]) or f"its tags stand in {family.file}"
        raise ConfigError(f"`{name}` has no tag `{tag}`", hint=hint)
    return Parent(name, member.tag, member)


def parents(known: Sequence[Family], plain: Iterable[str]) -> Mapping[str, Parent]:
    """What each member that `extends` something is built on, by the member's name.

    ConfigError: an image or a tag that there is not, and members that extend each other in a circle.
    """
    by_name = {family.name: family for family in known}
    plain = tuple(plain)
    found: dict[str, Parent] = {}
    problems: dict[str, ConfigError] = {}
    for member in (member for family in known for member in family.members):
        if member.extends is None:
            continue
        try:
            found[member.name] = find_parent(member.extends, by_name, plain)
        except ConfigError as problem:
            # what is said for the whole family is wrong once, and not once a tag
            told = f"`extends: {member.extends}`: {problem.message}"
            problems.setdefault(
                f"{member.extends_where} {told}", ConfigError(told, where=member.extends_where, hint=problem.hint)
            )
    if problems:
        raise combined(list(problems.values()))
    _refuse_circles(known, found)
    return found


def _refuse_circles(known: Sequence[Family], found: Mapping[str, Parent]) -> None:
    done: set[str] = set()
    for start in (member for family in known for member in family.members):
        way: dict[str, Member] = {}
        here: Member | None = start
        while here is not None and here.name not in done:
            if here.name in way:
                ring = list(way.values())[list(way).index(here.name) :]
                chain = " -> ".join([one.name for one in ring] + [here.name])
                lines = "\n  ".join(f"{one.extends_where}: {one.name} extends {one.extends}" for one in ring)
                raise ConfigError(
                    f"images extend each other in a circle: {chain}", where=here.extends_where, hint=lines
                )
            way[here.name] = here
            parent = found.get(here.name)
            here = parent.member if parent else None
        done.update(way)
