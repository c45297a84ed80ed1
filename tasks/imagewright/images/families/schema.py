"""What `image.yml` may say. Unknown keys are errors; every value is text, exactly as it is written."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from imagewright.config.models import Secret
from imagewright.config.problems import listed
from imagewright.config.sections import Platform, Section

STRATEGIES = ("parts", "semver", "none")
RESERVED = frozenset(
    ("base", "name", "parent", "registry", "repository", "resolve", "suffix", "tag", "variables", "variant", "version")
) | {"versions"}
"""What templates call by these names cannot be a variable."""


def _check_values(values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        if name in RESERVED:
            raise ValueError(f"the name `{name}` has a meaning of its own in templates ({listed(sorted(RESERVED))})")
        _check_value(name, value)
    return values


def _check_value(name: str, value: Any) -> None:
    if value is None:
        raise ValueError(f'`{name}` has no value: write "" for the empty text')
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_value(name, inner)


def _check_aliases(given: Any) -> Any:
    if isinstance(given, dict) and all(isinstance(tag, str) for tag in given.values()):
        return given
    if isinstance(given, str) and given in STRATEGIES:
        return given
    raise ValueError(f"must be one of {listed(STRATEGIES)}, or a mapping of aliases to tags: `stable: 3.13.7`")


def _check_suffix(text: str) -> str:
    if not re.fullmatch(r"[-_][A-Za-z0-9][A-Za-z0-9_.-]*", text):
        raise ValueError(f"must begin with `-` or `_` and be legal in a tag, as `-slim` is, not `{text}`")
    return text


def _named(given: Any) -> Any:
    return {"name": given} if isinstance(given, str) else given


Values = Annotated[dict[str, Any], AfterValidator(_check_values)]


class Build(Section):
    """How an image is built: as in `config/images.yml`. Mappings are merged, all else is replaced by the later one."""

    versions: Values = Field(default={}, description="Values for the templates that are put on the image as labels.")
    variables: Values = Field(default={}, description="Values for the templates: texts, lists, mappings.")
    template: str | None = Field(default=None, description="The Dockerfile's template, in the family's folder.")
    test_template: str | None = Field(default=None, description="The test file's template, in the family's folder.")
    extends: str | None = Field(
        default=None, description="What it is built on: `base:2025.09`, an image of this repository."
    )
    description: str | None = Field(default=None, description="The label org.opencontainers.image.description.")
    licenses: str | None = Field(default=None, description="The label org.opencontainers.image.licenses.")
    context: str | None = Field(default=None, description="The build context, relative to the repository root.")
    contexts: dict[str, str] = Field(default={}, description="Named contexts.")
    target: str | None = Field(default=None, description="The stage to build.")
    build_args: dict[str, str] = Field(default={}, description="Values of the Dockerfile's ARGs.")
    secret_build_args: tuple[str, ...] = Field(default=(), description="Build args taken from the environment.")
    secrets: tuple[Secret, ...] = Field(default=(), description="Secrets for `RUN --mount=type=secret`.")
    platforms: tuple[Platform, ...] = Field(default=(), description="What is built for.")
    labels: dict[str, str] = Field(default={}, description="Labels put on the image.")
    paths: tuple[str, ...] = Field(default=(), description="Files or globs the image depends on beyond its Dockerfile.")


class Variant(Build):
    """One more image of each tag."""

    name: str = Field(min_length=1, description="Its name: `slim`.")
    suffix: Annotated[str, AfterValidator(_check_suffix)] | None = Field(
        default=None, description="What its tags end in; the default is `-` and the name."
    )


class TagEntry(Build):
    """One tag; a plain text is its name."""

    name: str = Field(description="The tag, exactly as written: `3.13.7`.")
    variants: tuple[str, ...] | None = Field(default=None, description="The variants it has; the default is all.")
    aliases: tuple[str, ...] = Field(default=(), description="More tags for it, beside those that its version gives.")


class FamilyFile(Build):
    """The whole file."""

    name: str | None = Field(default=None, description="The image's name; the default is the folder's.")
    is_base_image: bool = Field(default=False, description="It is built on no image of this repository.")
    aliases: Annotated[Any, BeforeValidator(_check_aliases)] = Field(
        default=None, description="`parts`, `semver`, `none`, or a mapping of aliases to tags."
    )
    tags: tuple[Annotated[TagEntry, BeforeValidator(_named)], ...] = Field(min_length=1, description="Its tags.")
    variants: tuple[Annotated[Variant, BeforeValidator(_named)], ...] = Field(
        default=(), description="Its variants: each exists for each tag."
    )
