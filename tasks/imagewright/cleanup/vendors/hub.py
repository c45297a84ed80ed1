"""Docker Hub: tags by its own API, manifests without tags by its registry.

Sources: docs.docker.com/reference/api/hub/latest (access token, list of tags, limits) and
docs.docker.com/reference/api/registry/latest ("Delete image manifest": only what no tag and no index needs). The
DELETE of a tag stands in no reference; it is what Docker's own hub-tool sends.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from imagewright.cleanup.vendors.api import Api, malformed, parsed, settle, unexpected
from imagewright.cleanup.vendors.model import Capabilities, KeptError, Listing, latest, moment
from imagewright.cleanup.vendors.oci import OciDoor
from imagewright.errors import RegistryError
from imagewright.registry.authentication import RefusedError
from imagewright.registry.pages import circle, followed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from imagewright.registry.client import Registry
    from imagewright.registry.credentials import Credential
    from imagewright.registry.model import Deletion

_HINT = (
    "`invoke login docker.io`, or DOCKERHUB_USERNAME and DOCKERHUB_TOKEN: an access token that may read, write, delete"
)
_MOST_PAGES = 10_000


class HubDoor(OciDoor):
    """A tag alone, by Hub's API; a manifest only where Hub finds that nothing needs it."""

    def __init__(
        self,
        registry: Registry,
        repository: str,
        credential: Credential | None,
        *,
        api: str = "hub.docker.com",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(registry, repository, "dockerhub")
        self._has_password = credential is not None and bool(credential.username and credential.password)
        self._login = _Login(api, credential, sleep)
        self._api = Api(api, self._login, hint=_HINT, sleep=sleep)

    @property
    def can(self) -> Capabilities:
        """Both, and nothing without a password."""
        return Capabilities(
            kind="dockerhub",
            deletes_tags=self._has_password,
            deletes_manifests=self._has_password,
            notes=() if self._has_password else (f"no password for Docker Hub's API: {_HINT}",),
        )

    def close(self) -> None:
        """Close the connections."""
        self._api.close()
        self._login.close()

    def listing(self) -> Listing | None:
        """All tags with the times of their pushes."""
        tags: dict[str, str] = {}
        pushed: dict[str, datetime] = {}
        namespace, _, name = self.repository.partition("/")
        path = f"/v2/namespaces/{namespace}/repositories/{name}/tags?page_size=100"
        for document in self._pages(path):
            try:
                for entry in document["results"]:
                    tag, images = str(entry["name"]), entry.get("images") or ()
                    # Tags of before there were lists of manifests have a digest only in their single image.
                    digest = entry.get("digest") or next((one.get("digest") for one in images), None)
                    if digest:
                        tags[tag] = digest
                        pushed |= latest(pushed, digest, moment(entry.get("tag_last_pushed")))
            except (AttributeError, KeyError, TypeError):
                raise malformed(self.name()) from None
        return Listing(tags=tags, pushed=pushed)

    def _delete_tag(self, tag: str, digest: str) -> Deletion:  # noqa: ARG002 - the API has no condition
        return settle(self._api.delete(f"/v2/repositories/{self.repository}/tags/{tag}/"), self.name(tag))

    def _delete_manifest(self, digest: str) -> Deletion:
        try:
            return super()._delete_manifest(digest)
        except RefusedError as error:  # Hub says the same to who may not delete
            raise KeptError(
                "Docker Hub keeps it: a tag or an index needs it, or we may not delete", where=self.name(digest)
            ) from error

    def _pages(self, path: str) -> Iterator[Any]:
        seen = set[str]()
        while True:
            if path in seen or len(seen) >= _MOST_PAGES:
                raise circle("list of tags", self.name())
            seen.add(path)
            response = self._api.send("GET", path)
            if response.status_code == 404 and len(seen) == 1:
                return
            if response.status_code != 200:
                raise unexpected(response, self.name())
            document = parsed(response, self.name())
            if not isinstance(document, dict):
                raise malformed(self.name())
            yield document
            if not document.get("next"):
                return
            path = followed(response, str(document["next"]), "list of tags", self.name())


class _Login:
    """Hub's bearer token, made from the password when it is first needed, and anew when it has expired."""

    def __init__(self, api: str, credential: Credential | None, sleep: Callable[[float], None]) -> None:
        self._api = Api(api, hint=_HINT, sleep=sleep)
        self._credential = credential
        self._lock = threading.Lock()
        self._token: str | None = None

    def __call__(self, anew: bool) -> str | None:
        if self._credential is None or not self._credential.password:
            return None
        with self._lock:
            if anew or self._token is None:
                self._token = self._make(self._credential)
            return f"Bearer {self._token}"

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def _make(self, credential: Credential) -> str:
        document = {"identifier": credential.username, "secret": credential.password}
        response = self._api.send("POST", "/v2/auth/token", document=document)
        key = "access_token"
        if response.status_code == 404:  # before 2024
            document = {"username": credential.username, "password": credential.password}
            response = self._api.send("POST", "/v2/users/login", document=document)
            key = "token"
        try:
            token = response.json()[key] if response.status_code == 200 else None
        except (KeyError, TypeError, ValueError):
            token = None
        if not isinstance(token, str) or not token:
            raise RegistryError(
                f"Docker Hub's API gave no token (HTTP {response.status_code})", where="docker.io", hint=_HINT
            )
        return token
