"""What the models of the configuration are made of: sections that are closed to unknown keys, and checked texts."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from imagewright.config.durations import check_duration, check_some_time
from imagewright.config.patterns import check_pattern
from imagewright.config.tag_patterns import check_protection, check_repository_pattern, check_tag_pattern
from imagewright.config.tag_templates import check_tag_glob, check_tag_template, check_version
from imagewright.platforms import PATTERN
from imagewright.references import InvalidReferenceError, Reference

_PLACEHOLDER = re.compile(r"\{[^{}]*\}|[{}]")


def _check_platform(text: str) -> str:
    if not re.fullmatch(PATTERN, text):
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


Platform = Annotated[str, AfterValidator(_check_platform), Field(json_schema_extra={"pattern": PATTERN})]
Registry = Annotated[str, AfterValidator(_check_registry)]
RegistryHost = Annotated[str, AfterValidator(_check_registry_host)]
RegistryKind = Literal["distribution", "ghcr", "gitlab", "dockerhub", "ecr", "harbor", "google", "zot", "unknown"]


class Or:
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
    tuple[Registry, ...], AfterValidator(_each_once), BeforeValidator(_one_or_more), Or(type="string")
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
