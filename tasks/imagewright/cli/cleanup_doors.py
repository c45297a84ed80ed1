"""The registries of one cleanup, and the ways to delete from them: each opened once, all closed at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from imagewright.cleanup.vendors.choose import deleter_for
from imagewright.cleanup.vendors.credentials import credential_source
from imagewright.references import Reference
from imagewright.registry.client import Registry
from imagewright.registry.copy import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from imagewright.cleanup.vendors.model import Deleter


class Doors:
    """Close it, or use `with`. `kinds` has the kinds of registries whose hosts do not tell, by host."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        kinds: Mapping[str, str] | None = None,
        connect: Callable[[str], Registry] | None = None,
        door: Callable[[Registry, str], Deleter] | None = None,
    ) -> None:
        self._connect = connect or (lambda host: Registry(host, credentials=credential_source(environ)))
        self._door = door or (
            lambda registry, path: deleter_for(registry, path, environ, (kinds or {}).get(registry.host))
        )
        self._registries: dict[str, Registry] = {}
        self._deleters: list[Deleter] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for deleter in self._deleters:
            deleter.close()
        for registry in self._registries.values():
            registry.close()

    def place(self, repository: str) -> Place:
        """Where "ghcr.io/me/app" is."""
        where = Reference.parse(repository)
        registry = self._registries.get(where.domain)
        if registry is None:
            registry = self._registries[where.domain] = self._connect(where.domain)
        return Place(registry, where.path)

    def deleter(self, place: Place) -> Deleter:
        """How images are deleted there. Sends reads only; ImagewrightError where the registry does not answer."""
        found = self._door(place.registry, place.repository)
        self._deleters.append(found)
        return found
