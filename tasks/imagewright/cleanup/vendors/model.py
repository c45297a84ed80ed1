"""What a door to a registry's deletions is, and what all of them hold to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, get_args

from imagewright.errors import RegistryError
from imagewright.references import is_digest, is_tag

if TYPE_CHECKING:
    from types import TracebackType

    from imagewright.registry.client import Registry
    from imagewright.registry.model import Deletion

Kind = Literal["distribution", "ghcr", "gitlab", "dockerhub", "ecr", "harbor", "google", "zot", "unknown"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What can be deleted from a repository, and how. Where it is neither tags nor manifests, one can only plan."""

    kind: Kind
    deletes_tags: bool  # a tag alone; its manifest and its other tags stay
    deletes_manifests: bool  # by digest, with every tag that points to it
    last_tag_takes_manifest: bool = False
    notes: tuple[str, ...] = ()  # for people: why not, or what else to know


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What the vendor's own API says of a repository; a mapping is empty where it does not say that."""

    tags: Mapping[str, str] = field(default_factory=dict)  # tag: digest
    pushed: Mapping[str, datetime] = field(default_factory=dict)  # digest: when, UTC
    untagged: frozenset[str] = frozenset()  # digests without a tag; an index may name them

    def __post_init__(self) -> None:
        """RegistryError for a digest that is none: it would be asked for."""
        if not all(
            isinstance(one, str) and is_digest(one) for one in (*self.tags.values(), *self.pushed, *self.untagged)
        ):
            raise RegistryError("the registry's API names a digest that is none")


class KeptError(RegistryError):
    """This one was not deleted and nothing else was; the others may still be."""


class Deleter(Protocol):
    """A repository's deletions.

    KeptError: this one stays, go on with the next. Any other RegistryError, EnvironmentMissingError and
    Deletion.UNSUPPORTED: stop. Deletion.UNKNOWN: look again.
    """

    @property
    def can(self) -> Capabilities:
        """What this registry can do."""
        ...

    def listing(self) -> Listing | None:
        """What the vendor's API says of the whole repository, None where it has none. Any failed read is an error."""
        ...

    def approve(self, tags: Mapping[str, str], manifests: Collection[str]) -> None:
        """Say what may be deleted: tags with the digests that they were seen on, and manifests. Nothing else is."""
        ...

    def delete_tag(self, tag: str) -> Deletion:
        """Delete an approved tag, and never the manifest unless that is approved as well."""
        ...

    def delete_manifest(self, digest: str) -> Deletion:
        """Delete an approved manifest, with the approved tags that are on it, and never with another."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...

    def __enter__(self) -> Deleter: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Door(ABC):
    """What the doors share: nothing that was not approved goes through."""

    def __init__(self, registry: Registry, repository: str) -> None:
        self.registry = registry
        self.repository = repository
        self._tags: dict[str, str] = {}
        self._manifests: frozenset[str] = frozenset()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    @abstractmethod
    def can(self) -> Capabilities:
        """What this registry can do."""

    def listing(self) -> Listing | None:
        """What the vendor's API says of the whole repository."""
        return None

    def close(self) -> None:  # noqa: B027 - most doors have no connections of their own
        """Close the connections."""

    def approve(self, tags: Mapping[str, str], manifests: Collection[str]) -> None:
        """Say what may be deleted; this replaces what was said before."""
        if not all(map(is_tag, tags)) or not all(map(is_digest, (*tags.values(), *manifests))):
            raise RegistryError("what is to be deleted has a malformed tag or digest", where=self.name())
        self._tags = dict(tags)
        self._manifests = frozenset(manifests)

    def delete_tag(self, tag: str) -> Deletion:
        """Delete an approved tag."""
        if tag not in self._tags:
            raise KeptError("the plan does not delete this tag", where=self.name(tag))
        return self._delete_tag(tag, self._tags[tag])

    def delete_manifest(self, digest: str) -> Deletion:
        """Delete an approved manifest."""
        if digest not in self._manifests:
            raise KeptError("the plan does not delete this manifest", where=self.name(digest))
        return self._delete_manifest(digest)

    @abstractmethod
    def _delete_tag(self, tag: str, digest: str) -> Deletion: ...

    @abstractmethod
    def _delete_manifest(self, digest: str) -> Deletion: ...

    def name(self, reference: str = "") -> str:
        """The repository, a tag or a manifest of it, for people."""
        separator = "" if not reference else "@" if ":" in reference else ":"
        return f"{self.registry.host}/{self.repository}{separator}{reference}"

    def check_companions(self, digest: str, tags: Collection[str]) -> None:
        """KeptError unless each of the tags that would go along with a manifest is approved, on this very digest."""
        strangers = sorted(tag for tag in tags if self._tags.get(tag) != digest)
        if strangers:
            raise KeptError(f"it also has the tag {', '.join(strangers)}, which stays", where=self.name(digest))

    def is_approved(self, digest: str) -> bool:
        """Whether a manifest may be deleted."""
        return digest in self._manifests


def moment(text: Any) -> datetime | None:
    """A time of an API's JSON (ISO 8601 with a zone, or Unix milliseconds as text), UTC; None for anything else."""
    try:
        if isinstance(text, str) and text.isdecimal():
            return datetime.fromtimestamp(int(text) / 1000, UTC)
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else None
    except (OverflowError, OSError, TypeError, ValueError):
        return None


def latest(times: Mapping[str, datetime], digest: str, time: datetime | None) -> dict[str, datetime]:
    """`{digest: the later of both}`, or nothing: to be merged into `times`."""
    if time is None:
        return {}
    return {digest: max(time, times.get(digest, time))}
