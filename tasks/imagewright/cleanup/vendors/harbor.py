"""Harbor 2: tags and artifacts by its own API.

Sources: goharbor/harbor, api/v2.0/swagger.yaml and src/controller/artifact/controller.go. The DELETE of an artifact
takes all of its tags, and below an index also the children and the signatures that nothing else needs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from imagewright.cleanup.vendors.api import Api, malformed, parsed, said, settle, unexpected
from imagewright.cleanup.vendors.credentials import basic
from imagewright.cleanup.vendors.model import Capabilities, Door, KeptError, Listing, moment
from imagewright.registry.model import Deletion

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from imagewright.registry.client import Registry
    from imagewright.registry.credentials import Credential

_PAGE = 100  # the most that it gives at once


@dataclass(frozen=True, slots=True, kw_only=True)
class _Artifact:
    tags: tuple[str, ...]
    children: tuple[str, ...]
    attached: tuple[str, ...]  # signatures and SBOMs


class HarborDoor(Door):
    """A tag alone, on the artifact that it was seen on; an artifact with what goes along, all of it approved."""

    def __init__(
        self,
        registry: Registry,
        repository: str,
        credential: Credential | None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(registry, repository)
        header = basic(credential)
        self._api = Api(
            registry.host,
            lambda _: header,
            hint=f"`invoke login {registry.host}` as a user or robot that may delete artifacts and tags",
            sleep=sleep,
        )
        project, _, name = repository.partition("/")
        # Encoded twice: its own router decodes the path once before it looks for slashes.
        self._path = (
            f"/api/v2.0/projects/{quote(project)}/repositories/{quote(quote(name, safe=''), safe='')}/artifacts"
        )

    @property
    def can(self) -> Capabilities:
        """Both."""
        return Capabilities(
            kind="harbor",
            deletes_tags=True,
            deletes_manifests=True,
            notes=("an index goes with its platforms and signatures, so it is kept unless these go too",),
        )

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def listing(self) -> Listing | None:
        """All artifacts that are no part of an index, and no signature."""
        tags: dict[str, str] = {}
        pushed: dict[str, datetime] = {}
        untagged = set[str]()
        params = {"with_tag": "true", "page": "1", "page_size": str(_PAGE)}
        try:
            for entry in self._api.items(self._path, params=params, where=self.name()):
                digest = str(entry["digest"])
                names = [str(tag["name"]) for tag in entry.get("tags") or ()]
                tags |= dict.fromkeys(names, digest)
                time = moment(entry.get("push_time"))
                pushed |= {digest: time} if time else {}
                if not names:
                    untagged.add(digest)
        except (AttributeError, KeyError, TypeError):
            raise malformed(self.name()) from None
        return Listing(tags=tags, pushed=pushed, untagged=frozenset(untagged))

    def _delete_tag(self, tag: str, digest: str) -> Deletion:
        # Below its artifact: a tag that has moved since is not found there.
        return self._delete(f"{self._path}/{digest}/tags/{quote(tag, safe='')}", tag)

    def _delete_manifest(self, digest: str) -> Deletion:
        artifact = self._artifact(digest)
        if artifact is None:
            return Deletion.ABSENT
        self.check_companions(digest, artifact.tags)
        self._check_below(digest, artifact, set())
        return self._delete(f"{self._path}/{digest}", digest)

    def _check_below(self, root: str, artifact: _Artifact, seen: set[str]) -> None:
        """KeptError unless all that Harbor could delete along with an artifact is approved."""
        for digest in (*artifact.children, *artifact.attached):
            if digest in seen:
                continue
            seen.add(digest)
            below = self._artifact(digest)
            if below is None or below.tags:  # with a tag of its own it stays
                continue
            if not self.is_approved(digest):
                raise KeptError(f"Harbor could delete {digest} along with it, which stays", where=self.name(root))
            self._check_below(root, below, seen)

    def _artifact(self, digest: str) -> _Artifact | None:
        where = self.name(digest)
        path = f"{self._path}/{digest}?with_tag=true&with_accessory=true"
        response = self._api.send("GET", path)
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            raise unexpected(response, where)
        document: Any = parsed(response, where)
        try:
            found = _Artifact(
                tags=tuple(str(tag["name"]) for tag in document.get("tags") or ()),
                children=tuple(str(one["child_digest"]) for one in document.get("references") or ()),
                attached=tuple(str(one["digest"]) for one in document.get("accessories") or ()),
            )
            if document["digest"] != digest:
                raise malformed(where)
        except (AttributeError, KeyError, TypeError):
            raise malformed(where) from None
        return found

    def _delete(self, path: str, reference: str) -> Deletion:
        response = self._api.delete(path)
        if response is not None and response.status_code in (409, 412):  # immutable, or an index names it
            raise KeptError(f"Harbor keeps it: {said(response)}", where=self.name(reference))
        return settle(response, self.name(reference))
