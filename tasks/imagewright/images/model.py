"""What there is: the images of a repository, as values.

What is made by the thousand in each run is a tuple with names, which takes half the time of a frozen dataclass; and a
quarter of its 0.5 ms when the class itself is made, in every run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Found(NamedTuple):
    """A Dockerfile that a `discover` pattern found. Paths are relative to the repository root, with `/`."""

    name: str
    dockerfile: str
    context: str  # "." is the repository root
    pattern: str

    @property
    def is_family(self) -> bool:
        """Whether it is no Dockerfile, but the `image.yml` from which several are made."""
        return self.dockerfile.endswith((".yml", ".yaml"))

    def named(self, name: str) -> Found:
        """The same under another name."""
        return self._replace(name=name)


@dataclass(frozen=True, slots=True)
class BuildSecret:
    """A value that a RUN may mount: of an environment variable (`env`), or of a file (`src`)."""

    id: str
    kind: Literal["env", "src"]
    source: str  # the variable, or the path relative to the repository root
    optional: bool = False  # left out where the source is not there


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A unit of building: one Dockerfile with its settings resolved. Paths are relative to the repository root."""

    name: str
    repository: str  # "ghcr.io/me/app": no tag
    dockerfile: str
    context: str
    layer: str | None
    platforms: tuple[str, ...]
    target: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    secret_build_args: tuple[str, ...] = ()
    contexts: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[BuildSecret, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    title: str | None = None
    version: str | None = None
    paths: tuple[str, ...] = ()  # of the image and of its layer
    publishes: tuple[str, ...] = ()  # globs of tags, where it shares its repository
    copies: tuple[str, ...] = ()  # its repositories in the other registries that it is published to
    alias_strategy: Literal["parts", "semver", "none"] | None = None  # of its versions; None: the configuration's
    # Of a member of a family, whose name is `python:3.13.7-semantic`:
    family: str | None = None  # "python"
    own_tag: str | None = None  # "3.13.7-semantic"
    variant_suffixes: tuple[str, ...] = ()  # all of its family: "-semantic"
    aliases: tuple[str, ...] = ()  # the tags that it holds beside its own, within its family
    is_latest: bool = False  # it is the highest version of its family


UseKind = Literal["from", "copy", "mount"]


class ImageUse(NamedTuple):
    """A reference to an image that a reachable stage of a Dockerfile really uses.

    `scratch`, stages, and what a named context stands for (`Image.contexts` says it) are none.
    """

    reference: str | None  # expanded, otherwise as written; None where a variable cannot be resolved
    raw: str  # as written
    line: int  # 1-based
    kind: UseKind


class ContextUse(NamedTuple):
    """Files of a build context that a reachable stage reads."""

    line: int  # 1-based
    kind: Literal["copy", "add", "bind", "from"]  # "from": a stage that stands on a named context, or is one
    sources: tuple[str, ...] | None  # expanded, "" and "/" are the context's root; None is the whole context
    context: str | None = None  # a named context; None is the main one
    excludes: tuple[str, ...] = ()
    parents: bool = False
    why_whole: str | None = None  # where sources is None: the reason, for people


class Remote(NamedTuple):
    """A source that git cannot decide: ADD of an http or git address."""

    address: str
    line: int
    pinned: bool  # carries a checksum or a commit


class BaseConfig(NamedTuple):
    """What an image gives to the Dockerfiles that are built on it (OCI image config: Env, and docker's OnBuild)."""

    env: Mapping[str, str] = MappingProxyType({})
    unknown: tuple[str, ...] = ()  # variables that are set, but nobody knows to what
    complete: bool = True  # False: it may set variables that stand neither in `env` nor in `unknown`
    onbuild: tuple[str, ...] = ()  # instructions, as written


class Reading(NamedTuple):
    """Everything outside itself that a Dockerfile uses: the union over its platforms, reachable stages only."""

    images: tuple[ImageUse, ...] = ()
    context: tuple[ContextUse, ...] = ()
    remotes: tuple[Remote, ...] = ()
    unknowns: tuple[tuple[int, str], ...] = ()  # (line, why): what makes the whole context an input
    syntax: str | None = None  # the `# syntax=` image, where there is one
    stages: tuple[str, ...] = ()  # names (or indices) of the reachable stages, in file order
    unread_bases: tuple[str, ...] = ()  # base images whose ENV and ONBUILD nobody knew
    gives: Mapping[str, BaseConfig] = MappingProxyType({})  # by platform; "" is every other platform

    def given(self, platform: str) -> BaseConfig:
        """What an image built for `platform` gives to those built on it."""
        return self.gives.get(platform) or self.gives.get("") or BaseConfig(complete=False)


class Edge(NamedTuple):
    """`child` is built on `parent`, because of a line of its Dockerfile (or of its configuration)."""

    child: str
    parent: str
    reference: str  # the expanded reference in the child, which a named context can replace; or that context's name
    line: int  # 1-based; 0 for a named context of the configuration
    kind: UseKind | Literal["context"]
