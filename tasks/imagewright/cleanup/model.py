"""What a repository of a registry holds and what is to become of it, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

ManifestKind = Literal["image", "index", "referrer", "cache", "artifact", "unknown"]
"""image: runs on one platform; index: of several; referrer: has a `subject`, or is a fallback or cosign tag's manifest;
cache: BuildKit's layer cache; artifact: anything else that is known not to run; unknown: could not be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One manifest that a repository has, as far as deciding needs it."""

    digest: str
    media_type: str
    kind: ManifestKind
    size: int  # bytes of the manifest itself
    children: tuple[str, ...] = ()  # manifests that an index names, attestations included
    attests: Mapping[str, str] = field(default_factory=dict)  # attestation child: the child that it speaks about
    subject: str | None = None  # the digest that a referrer speaks about
    blobs: Mapping[str, int] = field(default_factory=dict)  # digest: compressed bytes
    pushed: datetime | None = None  # by the registry's own word, UTC
    created: datetime | None = None  # by the image's configuration, UTC; an index has its newest child's
    platforms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All of one repository, read at one time. Whatever could not be read is in `problems`: then nothing is deleted."""

    repository: str  # "ghcr.io/me/app"
    taken: datetime  # UTC
    tags: Mapping[str, str]  # tag: digest
    manifests: Mapping[str, Stored]  # by digest: of all tags, and all that is reachable from them
    untagged: frozenset[str] = frozenset()  # those that the registry lists, and no tag and no index reaches
    absent: frozenset[str] = frozenset()  # digests that were asked for by hand, and the registry does not have
    problems: tuple[str, ...] = ()
    left: frozenset[str] = frozenset()  # what an earlier cleanup was to delete, and did not come to its end


Sort = Literal["date", "version", "parts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How long tags that match are kept. The first rule that matches a tag decides about it."""

    name: str
    tags: tuple[str, ...] = ("*",)  # globs of tags
    keep: int | None = None  # so many newest distinct images; None: no limit by number
    younger: timedelta | None = None  # everything younger than this is kept
    sort: Sort = "date"
    forever: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is kept of one repository, and where the plan is refused."""

    rules: tuple[Rule, ...]
    protect: tuple[str, ...] = ()  # globs of tags, or digests
    usual: tuple[str, ...] = ()  # globs of tags that are protected without anybody's word: they may fit nothing
    only: tuple[str, ...] = ()  # globs: tags outside of them are kept
    untagged: timedelta | None = None  # grace time of manifests without a tag; None: they are kept
    grace: timedelta = timedelta(0)  # whatever was pushed or created within it is kept
    max_delete: int | None = None  # tags and manifests of one repository
    max_share: float = 0.5  # of its images
    allow_empty: bool = False  # a repository may lose its last tagged image
    allow_keep_zero: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Somebody needs an image: a manifest, a compose file, a CI file, another image that is built on it."""

    reference: str  # "ghcr.io/me/app:1.2" or with a digest; a digest alone is of any repository
    where: str  # "k8s/app.yaml:12"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of one tag, or of one manifest without a tag (then `tag` is None): exactly one rule decides."""

    tag: str | None
    digest: str
    keep: bool
    rule: str  # "keep 10", "protect latest", "in use", "young", "unknown date", …
    reason: str  # for people, with where it stands
    dated: datetime | None  # what it was ranked by
    size: int  # compressed bytes of all that is reachable from it


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryPlan:
    """What becomes of one repository. Where it is `refused`, `tags` and `manifests` are empty: nothing is deleted."""

    repository: str
    verdicts: tuple[Verdict, ...]
    manifests: tuple[str, ...]  # digests that no kept root reaches, in the order of deletion: index before children
    tags: tuple[str, ...]  # to delete, in this order: images, then what is tagged beside them, such as signatures
    freed: int  # bytes of blobs that nothing kept needs
    refused: str | None = None  # which breaker, and how to overrule it
    unmatched: tuple[str, ...] = ()  # patterns of the policy that match nothing
    roots: Mapping[str, str] = field(default_factory=dict)  # kept tag: digest, to be verified afterwards
