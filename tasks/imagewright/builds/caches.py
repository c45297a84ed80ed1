"""The layer cache outside the builder, as a run uses it. A cache saves time, and must never cost a build."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Mode = Literal["use", "renew", "off"]
"""use: read and write it; renew: write it anew, and do not read it; off: neither."""


@dataclass(frozen=True, slots=True)
class CacheLines:
    """The lines of a bake file's `cache-from` and `cache-to`, as buildx's cache backends have them."""

    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    def for_mode(self, mode: Mode) -> CacheLines:
        """The lines that count in this mode."""
        match mode:
            case "use":
                return self
            case "renew":
                return CacheLines(targets=self.targets)
            case "off":
                return NO_LINES


NO_LINES = CacheLines()

Lines = Callable[[str, str | None], CacheLines]
"""The lines of an image; of one platform (`linux/arm64`) where its platforms build apart, else of all (None)."""


Warn = Callable[[str], None]
"""Says something to the person who watches; once for each trouble, not for each image."""


class Caches(Protocol):
    """The cache of one run. Asked by the threads of several builds."""

    @property
    def timeout(self) -> float:
        """Seconds after which a build does not wait any longer for a cache that does nothing."""

    @property
    def required(self) -> bool:
        """Whether a cache that cannot be used is an error."""

    @property
    def env(self) -> Mapping[str, str]:
        """Variables that buildx finds the store's keys by."""

    def mode(self, image: str, warn: Warn) -> Mode:
        """What the next build of this image may do with the cache; the store may be asked whether it is there.

        EnvironmentMissingError where it is not, and is required.
        """

    def failed(self, image: str, errors: Sequence[str], warn: Warn, *, hangs: bool = False) -> None:
        """A build could not use it, for these reasons of BuildKit's; or it `hangs`, and took BuildKit along."""


class NoCaches:
    """No cache but the builder's own."""

    timeout = 0.0
    required = False
    env: Mapping[str, str] = {}

    def mode(self, image: str, warn: Warn) -> Mode:  # noqa: ARG002 - there is none for any
        """None for any image."""
        return "off"

    def failed(self, image: str, errors: Sequence[str], warn: Warn, *, hangs: bool = False) -> None:
        """It was not used."""
