"""GitHub's container registry, which deletes by GitHub's Packages API alone.

Sources: docs.github.com/rest/packages/packages and .../rest/using-the-rest-api/rate-limits-for-the-rest-api. A version
of a package is one manifest with all of its tags; a tag alone cannot be deleted, nor the last version that has a tag,
nor a version of a public package with more than 5,000 downloads. A deleted version can be restored for 30 days.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from imagewright.cleanup.vendors.api import Api, Pace, malformed, parsed, said, settle, unexpected
from imagewright.cleanup.vendors.model import Capabilities, Door, KeptError, Listing, moment
from imagewright.errors import RegistryError
from imagewright.registry.model import Deletion

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from imagewright.registry.client import Registry

_HINT = (
    "GH_TOKEN or GITHUB_TOKEN: a personal access token (classic) with read:packages and delete:packages,"
    " or a workflow's token with `packages: write` and the role Admin for the package"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    id: int
    digest: str
    tags: tuple[str, ...]
    created: datetime | None


class GhcrDoor(Door):
    """A manifest with all of its tags, which must all be approved; it is looked at again just before."""

    def __init__(
        self,
        registry: Registry,
        repository: str,
        token: str | None,
        *,
        api: str = "api.github.com",
        prefix: str = "",
        pace: Pace | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`token` is for GitHub's API at the host `api`, below the path `prefix`."""
        super().__init__(registry, repository)
        self._owner, _, package = repository.partition("/")
        self._package = quote(package, safe="")
        self._prefix = prefix
        self._token = token
        self._versions: dict[str, _Version] | None = None
        self._base: str | None = None
        self._api = Api(
            api,
            lambda _: f"Bearer {token}" if token else None,
            hint=_HINT,
            headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"},
            pace=pace or Pace(sleep=sleep),
            sleep=sleep,
        )

    @property
    def can(self) -> Capabilities:
        """Manifests only, and nothing without a token."""
        return Capabilities(
            kind="ghcr",
            deletes_tags=False,
            deletes_manifests=self._token is not None,
            notes=(
                "GitHub deletes a version with all of its tags, and never the last one that has a tag",
                *(() if self._token else (f"no token for GitHub's API: {_HINT}",)),
            ),
        )

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def listing(self) -> Listing | None:
        """All versions; None without a token."""
        if self._token is None:
            return None
        versions = self._versions = self._read()
        return Listing(
            tags={tag: digest for digest, version in versions.items() for tag in version.tags},
            pushed={digest: version.created for digest, version in versions.items() if version.created},
            untagged=frozenset(digest for digest, version in versions.items() if not version.tags),
        )

    def _delete_tag(self, tag: str, digest: str) -> Deletion:  # noqa: ARG002
        return Deletion.UNSUPPORTED

    def _delete_manifest(self, digest: str) -> Deletion:
        if self._token is None:
            return Deletion.UNSUPPORTED
        version = self._find(digest)
        if version is None:
            if self.registry.resolve(self.repository, digest, artifacts=True) is None:
                return Deletion.ABSENT
            raise KeptError("GitHub's API does not list it", where=self.name(digest))
        path = f"{self._address()}/versions/{version.id}"
        response = self._api.send("GET", path)
        if response.status_code == 404:
            return Deletion.ABSENT
        if response.status_code != 200:
            raise unexpected(response, self.name(digest))
        now = self._version(parsed(response, self.name(digest)))
        if now.digest != digest or now.id != version.id:
            raise KeptError("GitHub's API shows another version in its place", where=self.name(digest))
        self.check_companions(digest, now.tags)
        deleted = self._api.delete(path)
        if deleted is not None and deleted.status_code in (400, 409, 422):
            raise KeptError(f"GitHub keeps it: {said(deleted)}", where=self.name(digest))
        return settle(deleted, self.name(digest))

    def _find(self, digest: str) -> _Version | None:
        """The version of a digest; what was pushed after the list was read is looked for once more."""
        if self._versions is None or digest not in self._versions:
            self._versions = self._read()
        return self._versions.get(digest)

    def _read(self) -> dict[str, _Version]:
        address = f"{self._address()}/versions"
        entries = self._api.items(address, params={"state": "active", "per_page": "100"}, where=self.name())
        return {version.digest: version for version in map(self._version, entries)}

    def _address(self) -> str:
        """The package's address, which depends on whether a user or an organisation has it."""
        if self._base is None:
            owner = quote(self._owner, safe="")
            document = self._api.get(f"{self._prefix}/users/{owner}", self.name())
            kind = document.get("type") if isinstance(document, dict) else None
            place = {"User": "users", "Organization": "orgs"}.get(str(kind))
            if place is None:
                raise RegistryError(f"GitHub does not say who {self._owner} is", where=self.name())
            self._base = f"{self._prefix}/{place}/{owner}/packages/container/{self._package}"
        return self._base

    def _version(self, document: Any) -> _Version:
        try:
            tags = document["metadata"]["container"]["tags"]
            if not isinstance(tags, list) or not isinstance(document["id"], int):
                raise malformed(self.name())
            return _Version(
                id=document["id"],
                digest=str(document["name"]),
                tags=tuple(map(str, tags)),
                created=moment(document.get("created_at")),
            )
        except (AttributeError, KeyError, TypeError):
            raise malformed(self.name()) from None
