"""The local registry, asked with plain sockets: the full client takes a tenth of a second to load."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from imagewright.registry.credentials import find_credential
from imagewright.registry.model import MANIFEST_TYPES, Descriptor
from imagewright.services import probes

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType

    from imagewright.bases.digests import Source
    from imagewright.registry.authentication import CredentialSource
    from imagewright.services.places import Places

_OK, _ABSENT = 200, 404


class Nearby:
    """What stands under a tag of the local registry. For every answer that is not plain the full client is asked."""

    def __init__(
        self,
        places: Places,
        connect: Callable[[str], AbstractContextManager[Source]],
        *,
        credentials: CredentialSource = find_credential,
    ) -> None:
        self._places = places
        self._connect = connect
        self._headers = {"Accept": ", ".join(MANIFEST_TYPES)}
        credential = credentials(places.registry)
        if credential and credential.username:
            pair = f"{credential.username}:{credential.password}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"

    def __enter__(self) -> Nearby:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def resolve(self, repository: str, reference: str) -> Descriptor | None:
        """As `registry.client.Registry.resolve`."""
        path = f"/v2/{repository}/manifests/{reference}"
        host, port = self._places.registry_host, self._places.registry_port
        answer = probes.http(host, port, path, method="HEAD", headers=self._headers)
        if answer and answer.status == _ABSENT:
            return None
        headers = answer.headers if answer and answer.status == _OK else {}
        digest, kind, size = (
            headers.get(key, "") for key in ("docker-content-digest", "content-type", "content-length")
        )
        if digest and kind in MANIFEST_TYPES and size.isdecimal():
            return Descriptor(media_type=kind, digest=digest, size=int(size))
        with self._connect(self._places.registry) as registry:
            return registry.resolve(repository, reference)
