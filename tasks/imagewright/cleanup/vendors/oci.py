"""Registries that delete with the OCI distribution specification's own DELETE: distribution, zot, Google, GitLab.

Sources: OCI distribution spec 1.1, "Content Management"; zot's pkg/api/routes.go (405 DENIED: an index names it; 409:
several tags); cloud.google.com/artifact-registry/docs/docker/manage-images and go-containerregistry's
pkg/v1/google/list.go (the list of tags has all manifests, with their times).
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from imagewright.cleanup.vendors.api import malformed, parsed, settle
from imagewright.cleanup.vendors.model import Capabilities, Door, KeptError, Kind, Listing, moment
from imagewright.errors import RegistryError
from imagewright.registry.model import Deletion
from imagewright.registry.session import UnansweredError, explanation

if TYPE_CHECKING:
    from imagewright.registry.answer import Answer
    from imagewright.registry.client import Registry


class OciDoor(Door):
    """DELETE by tag removes the tag alone, DELETE by digest the manifest with its tags."""

    kept_statuses: frozenset[int] = frozenset({409})  # this one is still needed by another
    kept_words: tuple[str, ...] = ()  # what an error says in that case, whatever its status

    def __init__(self, registry: Registry, repository: str, kind: Kind, *, notes: tuple[str, ...] = ()) -> None:
        super().__init__(registry, repository)
        self._kind = kind
        self._notes = notes

    @property
    def can(self) -> Capabilities:
        """Both, each on its own."""
        return Capabilities(kind=self._kind, deletes_tags=True, deletes_manifests=True, notes=self._notes)

    def _delete_tag(self, tag: str, digest: str) -> Deletion:  # noqa: ARG002 - the specification has no condition
        return self.settle(self.ask_to_delete(f"/v2/{self.repository}/manifests/{tag}"), tag)

    def _delete_manifest(self, digest: str) -> Deletion:
        return self.settle(self.ask_to_delete(f"/v2/{self.repository}/manifests/{digest}"), digest)

    def ask_to_delete(self, path: str) -> Answer | None:
        """The answer to a DELETE; None where it is unknown whether it was carried out."""
        try:
            return self.registry.ask("DELETE", path, scopes=(f"repository:{self.repository}:delete",), repeatable=False)
        except UnansweredError:
            return None

    def settle(self, response: Answer | None, reference: str) -> Deletion:
        """The outcome that an answer tells."""
        if response is not None and response.status_code < 500:
            refusal = explanation(response)
            if response.status_code in self.kept_statuses or any(word in refusal for word in self.kept_words):
                raise KeptError(f"the registry keeps it: {refusal}", where=self.name(reference))
            if response.status_code == 400 and "DIGEST_INVALID" in refusal:  # tags are no digests to distribution 2
                return Deletion.UNSUPPORTED
        return settle(response, self.name(reference))


class Distribution2Door(OciDoor):
    """distribution 2 deletes manifests only, with all their tags: whoever asks has looked that all are approved."""

    def __init__(self, registry: Registry, repository: str) -> None:
        super().__init__(
            registry,
            repository,
            "distribution",
            notes=("this version of distribution deletes a manifest with all of its tags, or nothing",),
        )
        self._is_known = False

    @property
    def can(self) -> Capabilities:
        """Manifests only."""
        return Capabilities(kind="distribution", deletes_tags=False, deletes_manifests=True, notes=self._notes)

    def _delete_tag(self, tag: str, digest: str) -> Deletion:  # noqa: ARG002
        return Deletion.UNSUPPORTED

    def _delete_manifest(self, digest: str) -> Deletion:
        if not self._is_known:
            answer = self._asked_in_vain()
            if answer is not Deletion.DONE:
                return answer
            self._is_known = True
        return super()._delete_manifest(digest)

    def _asked_in_vain(self) -> Deletion:
        """DONE where the DELETE of a tag that cannot exist is answered as distribution 2 does.

        Reads do not tell it from every other registry, and what another one's DELETE takes along is not known.
        """
        response = self.ask_to_delete(f"/v2/{self.repository}/manifests/no-such-tag-{secrets.token_hex(16)}")
        if response is None or response.status_code >= 500:
            return Deletion.UNKNOWN
        is_ours = response.status_code == 400 and "DIGEST_INVALID" in explanation(response)
        return Deletion.DONE if is_ours else Deletion.UNSUPPORTED


class ZotDoor(OciDoor):
    """zot refuses whatever an index names."""

    kept_words = ("DENIED",)

    def __init__(self, registry: Registry, repository: str) -> None:
        super().__init__(registry, repository, "zot")


class GoogleDoor(OciDoor):
    """Artifact Registry and what was Container Registry: a manifest goes only after its tags and its indexes."""

    kept_words = ("GOOGLE_MANIFEST_DANGLING_TAG", "GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE")

    def __init__(self, registry: Registry, repository: str) -> None:
        super().__init__(registry, repository, "google")

    def listing(self) -> Listing | None:
        """All of it, in the one answer to the list of tags."""
        response = self.registry.ask(
            "GET", f"/v2/{self.repository}/tags/list", scopes=(f"repository:{self.repository}:pull",)
        )
        if response.status_code == 404:
            return Listing()
        if response.status_code != 200:
            raise RegistryError(f"the registry says no to GET: {explanation(response)}", where=self.name())
        document = parsed(response, self.name())
        manifests = document.get("manifest") if isinstance(document, dict) else None
        if manifests is None:
            return None
        try:
            return _google_listing(manifests)
        except (AttributeError, KeyError, TypeError):
            raise malformed(self.name()) from None


class UnknownDoor(Door):
    """A registry that nothing is known about: nothing is tried on it."""

    def __init__(self, registry: Registry, repository: str, note: str) -> None:
        super().__init__(registry, repository)
        self._note = note

    @property
    def can(self) -> Capabilities:
        """Nothing."""
        return Capabilities(kind="unknown", deletes_tags=False, deletes_manifests=False, notes=(self._note,))

    def _delete_tag(self, tag: str, digest: str) -> Deletion:  # noqa: ARG002
        return Deletion.UNSUPPORTED

    def _delete_manifest(self, digest: str) -> Deletion:  # noqa: ARG002
        return Deletion.UNSUPPORTED


def _google_listing(manifests: Any) -> Listing:
    if not all(isinstance(entry.get("tag") or [], list) for entry in manifests.values()):
        raise TypeError
    tags = {str(tag): digest for digest, entry in manifests.items() for tag in entry.get("tag") or ()}
    times = {digest: moment(entry.get("timeUploadedMs")) for digest, entry in manifests.items()}
    return Listing(
        tags=tags,
        pushed={digest: time for digest, time in times.items() if time is not None},
        untagged=frozenset(digest for digest, entry in manifests.items() if not entry.get("tag")),
    )
