"""The settings of `cleanup:`: what is kept in the registry, and what may be deleted."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from imagewright.config.sections import (
    Duration,
    Protection,
    RegistryHost,
    RegistryKind,
    RepositoryPattern,
    Section,
    SomeTime,
    Sort,
    TagPattern,
)


class CleanupRule(Section):
    """How long the tags that match are kept."""

    tags: tuple[TagPattern, ...] = Field(
        default=("*",), min_length=1, description="Globs of tags; a tag is decided by the first rule that fits it."
    )
    keep: int | None = Field(
        default=None, ge=1, description="So many newest images are kept; several tags on one image count once."
    )
    younger: SomeTime | None = Field(default=None, description="Images younger than this are kept: `7d`, `12h`, `2w`.")
    sort: Sort = Field(
        default="date",
        description="What is the newest: by `date`, by `version` (1.10 is above 1.9), or by `parts`, all numbers in "
        "the tag one after the other. What has no date, version or number is kept.",
    )
    forever: bool = Field(default=False, description="Whether all of them are kept.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        limits = self.keep is not None or self.younger is not None
        if self.forever == limits:
            raise ValueError("must have `keep`, `younger` or both, or else `forever: true`")
        return self


class CleanupPolicy(Section):
    """What is kept of a repository of the registry."""

    keep: int | None = Field(
        default=None, ge=1, description="So many newest images are kept of the tags that no rule fits."
    )
    younger: SomeTime | None = Field(
        default=None, description="Of the tags that no rule fits, images younger than this are kept: `7d`, `12h`, `2w`."
    )
    sort: Sort | None = Field(
        default=None,
        description="What `keep` takes for the newest: `date`, which is the default, `version` or `parts`.",
    )
    rules: dict[str, CleanupRule] | None = Field(
        default=None, description="Rules by name, in this order, before `keep` and `younger`."
    )
    protect: tuple[Protection, ...] | None = Field(
        default=None,
        description="Globs of tags, and digests, that are never deleted, beside `latest`, `stable`, `*-stable`, what "
        "`tags.protected` lists and the default branch's own tag.",
    )
    only: tuple[TagPattern, ...] | None = Field(
        default=None, min_length=1, description="Globs of the only tags that may be deleted; the default is all."
    )
    untagged: Duration | None = Field(
        default=None,
        description="How old images without a tag must be before they go, an hour at least, where the registry lists "
        "them; the default is that they are kept.",
    )
    grace: Duration | None = Field(
        default=None, description="Whatever was pushed or built within this time is kept, however it ranks."
    )
    max_delete: int | None = Field(
        default=None, ge=0, description="A plan that deletes more tags and manifests than this is refused."
    )
    max_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="A plan that deletes a greater share of the images is refused; the default is 0.5.",
    )

    @model_validator(mode="after")
    def _reaches_all(self) -> Self:
        names = list(self.rules or {})
        for name, rule in (self.rules or {}).items():
            if "*" not in rule.tags:
                continue
            if name != names[-1]:
                raise ValueError(f"`rules.{name}` fits all tags: the rules behind it decide nothing, put it last")
            if self.keep is not None or self.younger is not None:
                raise ValueError(f"`rules.{name}` fits all tags: `keep` and `younger` beside `rules` decide nothing")
        return self


class Cleanup(CleanupPolicy):
    """What `invoke cleanup` keeps in the registry, and what it deletes."""

    in_use: tuple[str, ...] = Field(
        default=(),
        description="Files and folders, relative to the repository root, that name images in use: Kubernetes "
        "manifests, compose files, CI files, any text. What they name is kept.",
    )
    kinds: dict[RegistryHost, RegistryKind] = Field(
        default={},
        description="What kind of registry a host is, where neither its name nor its answers tell; each kind deletes "
        "in its own way. From one that is `unknown` nothing is deleted.",
    )
    repositories: dict[RepositoryPattern, CleanupPolicy] = Field(
        default={},
        description="What single repositories do differently, by `host/name` or a glob of it; the first that fits "
        "counts, and what it does not say is as above. `protect` adds to the one above.",
    )
