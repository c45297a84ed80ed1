"""The settings, as `config/images.yml` spells them. Everything has a default; every unknown key is an error.

The JSON Schema and docs/configuration.md are generated from the descriptions here and in the models of the sections.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from imagewright.config.build_models import Builder, Cache
from imagewright.config.cleanup_models import Cleanup
from imagewright.config.sections import (
    AliasStrategy,
    Pattern,
    Platform,
    Registries,
    RepositoryTemplate,
    Section,
    Version,
)
from imagewright.config.tags_models import Tags


class Layer(Section):
    """A tier of images: base, tooling, app."""

    images: tuple[str, ...] = Field(default=(), description="Names or globs of the images of this layer.")
    paths: tuple[str, ...] = Field(
        default=(),
        description="Files or globs that every image of the layer depends on, beyond what its Dockerfile says.",
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
    cache: Cache = Field(default=Cache(), description="Where the results of steps are kept between runs and machines.")
    tags: Tags = Field(default=Tags(), description="What images are called.")
    cleanup: Cleanup = Field(default=Cleanup(), description="What `invoke cleanup` keeps in the registry.")
    images: dict[str, ImageSettings] = Field(default={}, description="What single images do differently, by name.")
    bases: dict[str, DebianBase] = Field(
        default={}, description="How a base image is made where its registry cannot be reached, by reference."
    )
    services: Services = Field(default=Services(), description="The local services.")
