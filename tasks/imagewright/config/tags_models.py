"""The settings of `tags:`: what images are called."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from imagewright.config.sections import AliasStrategy, EventKind, Or, Section, TagGlob, TagTemplate


class TagCondition(Section):
    """When a rule gives its tags; everything that is said must hold."""

    event: tuple[EventKind, ...] | None = Field(
        default=None, min_length=1, description="The kinds of event that it is about."
    )
    default_branch: bool | None = Field(
        default=None,
        description="Whether the run is about the default branch itself (`true`) or not (`false`).",
    )
    branch: tuple[str, ...] | None = Field(default=None, min_length=1, description="Globs of branches.")
    git_tag: tuple[str, ...] | None = Field(default=None, min_length=1, description="Globs of git tags.")
    image: tuple[str, ...] | None = Field(default=None, min_length=1, description="Names or globs of images.")
    layer: tuple[str, ...] | None = Field(default=None, min_length=1, description="Names or globs of layers.")


class TagRule(Section):
    """One way to tags. A rule that is switched off (`false`) has none."""

    tags: tuple[TagTemplate, ...] = Field(
        min_length=1,
        description="Templates: `{sha}`, `{sha7}`, `{branch}`, `{pr}`, `{git_tag}`, `{version}`, `{date}`, `{layer}`, "
        "`{name}`. One whose value is not there gives no tag.",
    )
    aliases: bool = Field(
        default=False, description="Whether the versions that it gives take their aliases: 1.2.3 is 1.2 and 1, too."
    )
    when: TagCondition = Field(default=TagCondition(), description="When it applies; the default is always.")


def _switched_off(given: object) -> object:
    return TagRule.model_construct(tags=()) if given is False or given == "false" else given


class Tags(Section):
    """What images are called."""

    rules: dict[str, Annotated[TagRule, BeforeValidator(_switched_off), Or(const=False)]] = Field(
        default={},
        description="Rules by name. One with the name of a default rule replaces it, `false` switches it off; "
        "[tags.md](tags.md) lists the defaults.",
    )
    aliases: AliasStrategy = Field(
        default="parts",
        description="How versions are compared: `parts` (numbers between dots, as many as there are), `semver`, or "
        "`none`: no aliases.",
    )
    immutable: bool = Field(
        default=True, description="Whether a version tag that is published is never given other content."
    )
    protected: tuple[TagGlob, ...] = Field(
        default=("latest", "stable", "*-stable"),
        description="Globs of tags that pull requests, forks and feature branches can never move, beside versions and "
        "their aliases and the default branch's own tag.",
    )
