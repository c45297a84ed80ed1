"""The settings of `builder:` and `cache:`: who executes the builds, and where the results of steps are kept."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from imagewright.config.sections import Platform, Section, SomeTime
from imagewright.config.sizes import check_size
from imagewright.config.words import LOCAL

_KEYS_IN_URL = re.compile(r"//[^/@]*@")
_REFERENCE_PLACEHOLDERS = {"{registry}", "{repository}", "{key}"}


def _check_endpoint(text: str) -> str:
    # The value is not repeated: a password may stand in it.
    if _KEYS_IN_URL.search(text):
        raise ValueError("has a user in it: keys come from the AWS chain (environment, profile, role) alone")
    if text == LOCAL:
        return text
    if not re.fullmatch(r"https?://[^/?#\s]+/?", text):
        raise ValueError("must be `http://` or `https://` with a host and nothing behind it")
    return text.rstrip("/")


def _check_cache_reference(text: str) -> str:
    for found in re.findall(r"\{[^{}]*\}|[{}]", text):
        if found not in _REFERENCE_PLACEHOLDERS:
            raise ValueError(f"`{found}` means nothing: {', '.join(sorted(_REFERENCE_PLACEHOLDERS))} are known")
    if "{key}" not in text:
        raise ValueError("must have `{key}` in it, which tells the caches of images and branches apart")
    return text


def _check_prefix(text: str) -> str:
    if text.startswith("/") or not re.fullmatch(r"[A-Za-z0-9._/-]*", text):
        raise ValueError(f"`{text}` is no prefix of keys: letters, digits, `.`, `_`, `-` and `/`, none of them first")
    return text


Endpoint = Annotated[str, AfterValidator(_check_endpoint)]
CacheReference = Annotated[str, AfterValidator(_check_cache_reference)]
Prefix = Annotated[str, AfterValidator(_check_prefix)]
Size = Annotated[str, AfterValidator(check_size)]
Driver = Literal["remote", "docker-container", "kubernetes"]
CacheType = Literal["s3", "registry", "inline", "none"]


class Tls(Section):
    """How a remote buildkitd is trusted, and trusts us."""

    ca: str | None = Field(default=None, description="The file of the authority that signed the server's certificate.")
    cert: str | None = Field(default=None, description="The file of our own certificate.")
    key: str | None = Field(default=None, description="The file of its key.")
    server_name: str | None = Field(
        default=None, description="The name in the server's certificate, where it is not the endpoint's host."
    )

    @model_validator(mode="after")
    def _comes_in_pairs(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("must have both `cert` and `key`, or neither")
        return self


class BuilderNode(Section):
    """One BuildKit of a builder, or for `kubernetes` one deployment."""

    endpoint: str | None = Field(
        default=None,
        description="Where it is: `unix:///run/buildkit/buildkitd.sock`, `tcp://arm.example.com:1234`, for "
        "`docker-container` a docker context or engine, for `kubernetes` a kubeconfig file, whose current context is "
        "taken.",
    )
    name: str | None = Field(
        default=None, pattern=r"^[a-z0-9][a-z0-9-]*$", description="Its name; the default is numbered."
    )
    platforms: tuple[Platform, ...] = Field(
        default=(), description="What it builds for; the default is what it says itself."
    )
    tls: Tls | None = Field(default=None, description="Certificates, for `tcp://` endpoints of the driver `remote`.")
    options: dict[str, str] = Field(
        default={}, description="The driver's options, as `docker buildx create --driver-opt` has them."
    )
    config: str | None = Field(
        default=None, description="A buildkitd.toml for it, relative to the repository root; not for `remote`."
    )


class Builder(Section):
    """Who executes the builds."""

    name: str = Field(
        default="auto",
        description="A buildx builder's name, or `auto`: docker's own builder where an engine runs, else a local "
        "buildkitd.",
    )
    driver: Driver | None = Field(
        default=None, description="With `nodes`: what `invoke builder` makes of them, as buildx calls it."
    )
    nodes: tuple[BuilderNode, ...] = Field(
        default=(), description="The nodes of the builder `name`, which `invoke builder` creates."
    )
    jobs: int | None = Field(
        default=None,
        ge=1,
        description="How many images build at once; the default is four per core of this machine, and for each node of "
        "the builder.",
    )
    retries: int = Field(
        default=1, ge=0, description="How often a transient failure (a registry's 5xx, a reset) is tried again."
    )

    @model_validator(mode="after")
    def _is_one_builder(self) -> Self:
        if (self.driver is None) != (not self.nodes):
            raise ValueError("must have both `driver` and `nodes`, or neither")
        if self.nodes and self.name in ("auto", "default", "imagewright"):
            raise ValueError(f"`name` must be the builder's own beside `nodes`, and `{self.name}` means another one")
        for number, node in enumerate(self.nodes):
            if self.driver == "remote" and node.endpoint is None:
                raise ValueError(f"`nodes[{number}]` must have an `endpoint`: a remote buildkitd is somewhere")
            if self.driver == "remote" and node.config is not None:
                raise ValueError(f"`nodes[{number}].config` is for a buildkitd that is started, not for a remote one")
            if self.driver != "remote" and node.tls is not None:
                raise ValueError(f"`nodes[{number}].tls` is for the driver `remote` alone")
        return self


class CachePrune(Section):
    """What `invoke cache prune` leaves in the S3 cache."""

    unused: SomeTime = Field(
        default="30d", description="A cache that no build has written for this long goes; so does one without an image."
    )
    budget: Size | None = Field(
        default=None, description="The oldest caches go until the rest is no larger: `50GB`, `200GiB`."
    )
    grace: SomeTime = Field(
        default="72h",
        description="A blob that no cache needs is deleted when it has been like that for this long, 48 hours at "
        "least: a build may be about to use it.",
    )


class Cache(Section):
    """Where the results of steps are kept between runs and machines."""

    type: CacheType = Field(
        default="none",
        description="`s3` (a bucket), `registry` (an image beside each image), `inline` (in the image itself, its "
        "last stage alone) or `none`: the builder's own.",
    )
    bucket: str | None = Field(default=None, description="The bucket, of `s3`.")
    region: str = Field(default="us-east-1", description="Its region.")
    endpoint_url: Endpoint | None = Field(
        default=None,
        description="Where the store is, where it is not AWS; `local` is the one that `invoke start s3` runs.",
    )
    path_style: bool | None = Field(
        default=None, description="Whether the bucket stands in the path; the default is so with `endpoint_url`."
    )
    prefix: Prefix = Field(default="", description="What all keys begin with, such as `team/`.")
    ref: CacheReference = Field(
        default="{repository}:cache-{key}",
        description="The reference of each cache, of `registry`; `{key}` is made of image and branch.",
    )
    mode: Literal["max", "min"] = Field(
        default="max", description="Whether all steps are kept (`max`), or those of the final stage alone (`min`)."
    )
    write: bool = Field(default=True, description="Whether builds write it; a pull request from a fork never does.")
    required: bool = Field(
        default=False, description="Whether a cache that cannot be used is an error; else builds go on without it."
    )
    timeout: SomeTime = Field(
        default="60s",
        description="How long a build waits for a cache to answer before it goes on without; ten times that, and ten "
        "minutes at least, while it writes one.",
    )
    prune: CachePrune = Field(default=CachePrune(), description="What `invoke cache prune` leaves.")

    @model_validator(mode="after")
    def _has_its_place(self) -> Self:
        if self.type == "s3" and not self.bucket:
            raise ValueError("must have a `bucket` for the type `s3`")
        return self
