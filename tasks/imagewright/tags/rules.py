"""The rules that give tags: the defaults, as data, under those of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from imagewright.tags.templates import Template

if TYPE_CHECKING:
    from imagewright.config.tags_models import TagRule, Tags

WORK = "work"
_ON_A_BRANCH = ("push", "manual", "schedule", "local")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. A condition that is None always holds; the words are those of the configuration's `when`."""

    name: str
    templates: tuple[Template, ...]
    aliases: bool = False
    events: tuple[str, ...] | None = None
    default_branch: bool | None = None
    branches: tuple[str, ...] | None = None
    git_tags: tuple[str, ...] | None = None
    images: tuple[str, ...] | None = None
    layers: tuple[str, ...] | None = None
    # Whose version `{version}` is: "any" is the git tag's where the run is about one, else the image's own.
    version_of: Literal["any", "git tag", "image"] = "any"
    without_git: bool = False  # holds also where there are no branches, because there is no git

    @property
    def is_for_work(self) -> bool:
        """Whether it is about work in progress, which no commit holds yet."""
        return self.name == WORK or self.events == ("local",)


def _rule(name: str, *templates: str, events: tuple[str, ...] | None = None, **more: object) -> Rule:
    return Rule(name=name, templates=tuple(map(Template.read, templates)), events=events, **more)  # type: ignore[arg-type]


DEFAULTS = (
    _rule(WORK, "dev", events=("local",)),
    _rule("release", "{version}", aliases=True, events=("tag", "manual", "local"), version_of="git tag"),
    _rule(
        "version",
        "{version}",
        aliases=True,
        events=("push", "manual", "local"),
        default_branch=True,
        version_of="image",
        without_git=True,
    ),
    # of every run but a pull request, whose commit is nobody's yet; also where nothing else is known of it
    _rule("commit", "sha-{sha7}", events=(*_ON_A_BRANCH, "tag", "merge-group", "unreadable")),
    _rule("pull-request", "pr-{pr}", "pr-{pr}-{sha7}", events=("pull-request",)),
    _rule("branch", "{branch}", events=_ON_A_BRANCH),
    _rule("latest", "latest", events=_ON_A_BRANCH, default_branch=True),
    _rule("layer", "{layer}-{sha7}", events=(*_ON_A_BRANCH, "tag")),
    _rule("layer-stable", "{layer}-stable", events=_ON_A_BRANCH, default_branch=True),
    _rule("date", "{date}", events=("schedule",)),
)


def effective(settings: Tags) -> tuple[Rule, ...]:
    """The rules that are switched on: the defaults in their order, those that replace them in place, new ones last."""
    own = {name: _read(name, rule) for name, rule in settings.rules.items()}
    rules = {rule.name: rule for rule in DEFAULTS} | own
    return tuple(rule for rule in rules.values() if rule.templates)


def _read(name: str, rule: TagRule) -> Rule:
    return Rule(
        name=name,
        templates=tuple(map(Template.read, rule.tags)),
        aliases=rule.aliases,
        events=rule.when.event,
        default_branch=rule.when.default_branch,
        branches=rule.when.branch,
        git_tags=rule.when.git_tag,
        images=rule.when.image,
        layers=rule.when.layer,
    )
