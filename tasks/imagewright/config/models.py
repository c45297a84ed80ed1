"""The settings, as `config/images.yml` spells them. Everything has a default; every unknown key is an error.

The JSON Schema and docs/configuration.md are generated from the descriptions here.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from imagewright.config.durations import check_duration, check_some_time
from imagewright.config.patterns import check_pattern
from imagewright.config.tag_patterns import check_protection, check_repository_pattern, check_tag_pattern
from imagewright.config.tag_templates import check_tag_glob, check_tag_template, check_version
from imagewright.references import InvalidReferenceError, Reference

_PLATFORM = r"^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?$"
_PLACEHOLDER = re.compile(r"\{[^{}]*\}|[{}]")


def _check_platform(text: str) -> str:
    if not re.fullmatch(_PLATFORM, text):
        raise ValueError(f"`{text}` is no platform, such as `linux/amd64` or `linux/arm64/v8`")
    return text


def _check_registry(text: str) -> str:
    # The value is not repeated: a password may stand in it.
    if "://" in text or "@" in text:
        raise ValueError("must be a host with an optional path, such as `ghcr.io/me`: no `https://`, no user")
    try:
        Reference.parse(f"{text}/name")
    except InvalidReferenceError as error:
        raise ValueError(f"`{text}` is no registry host with an optional path, such as `ghcr.io/me`") from error
    return text


def _check_registry_host(text: str) -> str:
    if "/" in _check_registry(text):
        raise ValueError(f"`{text}` must be a registry's host alone, such as `harbor.example.com`")
    return text


def _check_template(text: str) -> str:
    for found in _PLACEHOLDER.findall(text):
        if found not in {"{registry}", "{name}"}:
            raise ValueError(f"`{found}` in `{text}` means nothing: `{{registry}}` and `{{name}}` are known")
    return text


Platform = Annotated[str, AfterValidator(_check_platform), Field(json_schema_extra={"pattern": _PLATFORM})]
Registry = Annotated[str, AfterValidator(_check_registry)]
RegistryHost = Annotated[str, AfterValidator(_check_registry_host)]
RegistryKind = Literal["distribution", "ghcr", "gitlab", "dockerhub", "ecr", "harbor", "google", "zot", "unknown"]


class _Or:
    """In the JSON Schema: the type itself, or what this says."""

    def __init__(self, **other: Any) -> None:
        self._other = other

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [handler(core), self._other]}


def _each_once(registries: tuple[str, ...]) -> tuple[str, ...]:
    for registry in registries:
        if registries.count(registry) > 1:
            raise ValueError(f"`{registry}` stands twice")
    return registries


def _one_or_more(given: object) -> object:
    if isinstance(given, dict):
        raise ValueError("must be a text or a list of texts, not a mapping")
    return (given,) if isinstance(given, str) else given


Registries = Annotated[
    tuple[Registry, ...], AfterValidator(_each_once), BeforeValidator(_one_or_more), _Or(type="string")
]
TagTemplate = Annotated[str, AfterValidator(check_tag_template)]
TagGlob = Annotated[str, AfterValidator(check_tag_glob)]
Version = Annotated[str, AfterValidator(check_version)]
TagPattern = Annotated[str, AfterValidator(check_tag_pattern)]
Protection = Annotated[str, AfterValidator(check_protection)]
RepositoryPattern = Annotated[str, AfterValidator(check_repository_pattern)]
Duration = Annotated[str, AfterValidator(check_duration)]
SomeTime = Annotated[str, AfterValidator(check_some_time)]
Sort = Literal["date", "version", "parts"]
AliasStrategy = Literal["parts", "semver", "none"]
EventKind = Literal["push", "tag", "pull-request", "merge-group", "schedule", "manual", "local"]
RepositoryTemplate = Annotated[str, AfterValidator(_check_template)]
Pattern = Annotated[str, AfterValidator(check_pattern)]


class Section(BaseModel):
    """A mapping of the file: immutable, and closed to keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _empty_is_not_given(cls, data: Any) -> Any:
        # A key whose lines are all commented out is null in YAML, and means its default.
        if data is None:
            return {}
        if isinstance(data, dict) and None in data.values():
            return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}
        return data


class Layer(Section):
    """A tier of images: base, tooling, app."""

    images: tuple[str, ...] = Field(default=(), description="Names or globs of the images of this layer.")
    paths: tuple[str, ...] = Field(
        default=(),
        description="Files or globs that every image of the layer depends on, beyond what its Dockerfile says.",
    )


class Builder(Section):
    """Who executes the builds."""

    name: str = Field(
        default="auto",
        description="A buildx builder's name, or `auto`: docker's own builder where an engine runs, else a local "
        "buildkitd.",
    )
    jobs: int | None = Field(
        default=None, ge=1, description="How many images build at once; the default is four per core."
    )
    retries: int = Field(
        default=1, ge=0, description="How often a transient failure (a registry's 5xx, a reset) is tried again."
    )


class Secret(Section):
    """A build secret, mounted with `RUN --mount=type=secret`: from the environment or from a file."""

    id: str = Field(description="The id that the Dockerfile names.")
    env: str | None = Field(default=None, description="The environment variable that holds the value.")
    src: str | None = Field(default=None, description="The file that holds the value, relative to the repository root.")
    optional: bool = Field(default=False, description="Leave it out where that variable or file is not there.")

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.env is None) == (self.src is None):
            raise ValueError("must have either `env` or `src`")
        return self


class ImageSettings(Section):
    """What one image does differently."""

    repository: RepositoryTemplate | None = Field(
        default=None, description="Overrides the top level's `repository` template."
    )
    context: str | None = Field(default=None, description="The build context, relative to the repository root.")
    contexts: dict[str, str] = Field(default={}, description="Named contexts (`docker buildx build --build-context`).")
    target: str | None = Field(default=None, description="The stage to build; the default is the last one.")
    build_args: dict[str, str] = Field(
        default={}, description="Values of the Dockerfile's ARGs; `{registry}` in them is the registry."
    )
    secret_build_args: tuple[str, ...] = Field(
        default=(), description="Build args whose value is taken from the environment and never shown."
    )
    secrets: tuple[Secret, ...] = Field(default=(), description="Secrets for `RUN --mount=type=secret`.")
    platforms: tuple[Platform, ...] | None = Field(default=None, description="Overrides the top level's `platforms`.")
    labels: dict[str, str] = Field(default={}, description="Labels put on the image, beside the OCI ones.")
    title: str | None = Field(
        default=None, description="The label org.opencontainers.image.title; the default is the name."
    )
    version: Version | None = Field(
        default=None,
        description="The version that the default branch publishes, with its aliases, and the label "
        "org.opencontainers.image.version.",
    )
    aliases: AliasStrategy | None = Field(default=None, description="Overrides the top level's `tags.aliases`.")
    paths: tuple[str, ...] = Field(
        default=(), description="Files or globs the image depends on, beyond what its Dockerfile says."
    )
    publishes: tuple[str, ...] = Field(
        default=(),
        description="Globs of the tags that this image gives out, where several images share one repository: "
        "`[base-*]`. The tag of a reference then tells which of them is meant; one without globs is meant by all other "
        "tags.",
    )


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

    rules: dict[str, Annotated[TagRule, BeforeValidator(_switched_off), _Or(const=False)]] = Field(
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


class DebianBase(Section):
    """A base image made from Debian's packages, for machines that cannot reach its registry."""

    debootstrap: str = Field(description="The Debian suite, for example `trixie`.")
    include: tuple[str, ...] = Field(default=(), description="Packages beyond the minimal set.")


class Services(Section):
    """The local services that `invoke start` manages."""

    s3_port: int = Field(default=3900, ge=1, le=65535, description="The loopback port of the local S3 store.")
    state: str | None = Field(
        default=None, description="Where their state lives; the default is the user's XDG state folder."
    )


class Settings(Section):
    """The whole configuration of a repository of images."""

    registry: Registries = Field(
        default=("localhost:5050",),
        min_length=1,
        description="The registry's host, with a path where there is one: `ghcr.io/me`. Of several, as a list, the "
        "first is built for, and what it gets is published to the others, too.",
    )
    repository: RepositoryTemplate = Field(
        default="{registry}/{name}", description="How an image's repository is composed from `{registry}` and `{name}`."
    )
    discover: tuple[Pattern, ...] = Field(
        min_length=1,
        default=("Dockerfiles/Dockerfile.<name>", "images/<name>/image.yml"),
        description="Where Dockerfiles are: `<name>` is captured, `*` and `**` are globs. Where the file's own name "
        "lacks `<name>` (`images/<name>/Dockerfile`), its folder is the context, else the repository root. A file that "
        "ends in `.yml` is a family's (docs/families.md).",
    )
    platforms: tuple[Platform, ...] = Field(
        default=(), description="What is built for; the default is the host's platform."
    )
    layers: dict[str, Layer] = Field(default={}, description="Tiers of images, the lowest first.")
    builder: Builder = Field(default=Builder(), description="Who executes the builds.")
    tags: Tags = Field(default=Tags(), description="What images are called.")
    cleanup: Cleanup = Field(default=Cleanup(), description="What `invoke cleanup` keeps in the registry.")
    images: dict[str, ImageSettings] = Field(default={}, description="What single images do differently, by name.")
    bases: dict[str, DebianBase] = Field(
        default={}, description="How a base image is made where its registry cannot be reached, by reference."
    )
    services: Services = Field(default=Services(), description="The local services.")
