"""One registry's API (OCI distribution spec v1.1), for reading, pushing and deleting. It decides nothing."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, TypeVar

from imagewright.errors import RegistryError
from imagewright.registry.authentication import RefusedError
from imagewright.registry.credentials import find_credential
from imagewright.registry.model import (
    ANY_TYPES,
    MANIFEST_TYPES,
    OCI_INDEX,
    Blob,
    Deletion,
    Descriptor,
    Manifest,
    digest_of,
    platform_text,
)
from imagewright.registry.pages import circle, pages, tags_of
from imagewright.registry.session import Session, UnansweredError, explanation
from imagewright.registry.transfer import Download
from imagewright.registry.workers import concurrently

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from imagewright.registry.answer import Answer, Transport
    from imagewright.registry.authentication import CredentialSource, Scopes

_UPLOADS = 3  # how often a lost upload is begun again
_T = TypeVar("_T")
_R = TypeVar("_R")


class Registry:
    """A registry by its host (`ghcr.io`, `localhost:5050`). Repositories are paths on it: `library/debian`.

    Every method raises RegistryError where the registry refuses or answers nonsense, and EnvironmentMissingError
    where it cannot be reached. What is not there is None. Safe to share between threads; close it, or use `with`.
    """

    def __init__(
        self,
        host: str,
        *,
        credentials: CredentialSource = find_credential,
        transport: Transport | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.host = host
        self._session = Session(host, credentials=credentials, transport=transport, sleep=sleep)

    def __enter__(self) -> Registry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    @property
    def requests(self) -> int:
        """How many requests were sent so far; retries, redirects and those to token servers included."""
        return self._session.requests

    def concurrently(
        self, call: Callable[[_T], _R], items: Iterable[_T], *, stop: Callable[[], None] = lambda: None
    ) -> list[_R]:
        """`call` for each item, eight at a time; results in the items' order. An error ends it: the first item's.

        `stop` is called then, before the calls that still run are waited for.
        """
        return concurrently(call, items, stop)

    def ping(self) -> bool:
        """Check that the registry answers and takes our credentials; whether it asked for any."""
        response = self._session.send("GET", "/v2/")
        if not response.is_success:
            raise RegistryError(f"this is no registry ({explanation(response)} at /v2/)", where=self.host)
        return self._session.authenticator.asked

    def resolve(self, repository: str, reference: str, *, artifacts: bool = False) -> Descriptor | None:
        """What a tag or digest points to, without fetching it where the registry allows that; see `manifest`."""
        types = ANY_TYPES if artifacts else MANIFEST_TYPES
        response = self._read("HEAD", repository, f"manifests/{reference}", _accept(types))
        if response is None:
            return None
        digest = response.headers.get("docker-content-digest")
        size = response.headers.get("content-length", "")
        kind = _media_type(response)
        if not (response.is_success and digest and size.isdecimal() and kind in types):
            manifest = self.manifest(repository, reference, artifacts=artifacts)
            return manifest.descriptor if manifest else None
        return Descriptor(media_type=kind, digest=digest, size=int(size))

    def manifest(self, repository: str, reference: str, *, artifacts: bool = False) -> Manifest | None:
        """The manifest or index of a tag or digest, checked against its digest.

        `artifacts`: also one of the types that signatures and SBOMs had before OCI 1.1.
        """
        types = ANY_TYPES if artifacts else MANIFEST_TYPES
        response = self._read("GET", repository, f"manifests/{reference}", _accept(types))
        if response is None:
            return None
        self._expect(response, 200, repository, reference)
        promised = reference if ":" in reference else response.headers.get("docker-content-digest", "")
        digest = self._verified(response.content, promised, repository)
        manifest = Manifest(raw=response.content, media_type=_media_type(response), digest=digest)
        if manifest.media_type not in types:
            own = str(manifest.document.get("mediaType", ""))
            if own not in types:
                raise RegistryError(
                    f"the manifest has an unknown type: {own or manifest.media_type or 'none'}",
                    where=self._name(repository, reference),
                )
            manifest = Manifest(raw=manifest.raw, media_type=own, digest=digest)
        return manifest

    def config(self, repository: str, digest: str) -> dict[str, Any] | None:
        """A configuration blob's JSON (OCI image spec, config.md), checked against its digest."""
        content = self.blob(repository, digest)
        if content is None:
            return None
        try:
            document = json.loads(content)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise RegistryError("the image's configuration is no JSON object", where=self._name(repository, digest))
        return document

    def blob(self, repository: str, digest: str) -> bytes | None:
        """A small blob's content, checked against its digest."""
        response = self._read("GET", repository, f"blobs/{digest}")
        if response is None:
            return None
        self._expect(response, 200, repository, digest)
        self._verified(response.content, digest, repository)
        return response.content

    def sizes(self, repository: str, manifest: Manifest) -> dict[str, int]:
        """Compressed bytes of the filesystem layers by platform (`os/architecture[/variant]`)."""
        if not manifest.is_index:
            config = self.config(repository, manifest.config.digest) if manifest.config else None
            return {platform_text(config or {}): sum(layer.size for layer in manifest.layers)}
        children = [child for child in manifest.manifests if child.platform and not child.attests]
        images = self.concurrently(lambda child: self.manifest(repository, child.digest), children)
        return {
            str(child.platform): sum(layer.size for layer in image.layers)
            for child, image in zip(children, images, strict=True)
            if image
        }

    def tags(self, repository: str) -> tuple[str, ...] | None:
        """All tags, in the registry's order; None where nothing was ever pushed.

        Never asks for pages of its own (`n=0` means "none" to distribution), but follows the ones it is given.
        """
        tags = dict[str, None]()
        for number, response in enumerate(self._pages(f"/v2/{repository}/tags/list", repository, "list of tags")):
            if response.status_code == 404 and number == 0:
                return None
            self._expect(response, 200, repository)
            page = tags_of(response, self._name(repository))
            fresh = [tag for tag in page if tag not in tags]
            tags.update(dict.fromkeys(fresh))
            if page and not fresh and response.following:
                raise circle("list of tags", self._name(repository))
        return tuple(tags)

    def referrers(self, repository: str, digest: str) -> tuple[Descriptor, ...] | None:
        """What the registry knows to refer to a manifest by its `subject`; None where it keeps no such list.

        OCI distribution spec 1.1, "Listing Referrers".
        """
        found = dict[str, Descriptor]()
        path = f"/v2/{repository}/referrers/{digest}"
        for number, response in enumerate(self._pages(path, repository, "list of referrers")):
            # Whatever else a registry without the list says to an unknown address, it is no index.
            if number == 0 and (response.status_code in (400, 404, 405) or _media_type(response) != OCI_INDEX):
                return None
            self._expect(response, 200, repository, digest)
            page = Manifest(raw=response.content, media_type=OCI_INDEX, digest=digest).manifests
            found.update((one.digest, one) for one in page)
        return tuple(found.values())

    def has_blob(self, repository: str, digest: str, *, pushes: bool = True) -> bool:
        """Whether the repository has this blob; asked with the right to push as well, unless told otherwise."""
        scopes = _push(repository) if pushes else _pull(repository)
        response = self._read("HEAD", repository, f"blobs/{digest}", scopes=scopes)
        return response is not None and response.is_success

    def push_blob(self, repository: str, blob: Blob, *, mount_from: str | None = None, absent: bool = False) -> None:
        """Upload content unless the repository has it; taken over from `mount_from` where the registry can.

        `absent`: the caller has looked, and it is not there.
        """
        if not absent and self.has_blob(repository, blob.digest):
            return
        for last in (*[False] * (_UPLOADS - 1), True):
            location = self._begin_upload(repository, blob.digest, mount_from)
            if location is None:
                return
            try:
                response = self._session.send(
                    "PUT",
                    location,
                    scopes=_push(repository),
                    headers={"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)},
                    body=blob.open,
                    repeatable=False,
                )
            except UnansweredError:
                if last:
                    raise
                continue
            if response.status_code < 500 or last:
                self._expect(response, 201, repository, blob.digest)
                return

    def mount_blob(self, repository: str, digest: str, mount_from: str) -> bool:
        """Take a blob over from another repository of this registry, without a byte moved; whether that was done."""
        try:
            return self._begin_upload(repository, digest, mount_from) is None
        except RefusedError:  # of the other repository; what we may do in this one shows in the upload
            return False

    def download(
        self, repository: str, blob: Descriptor, *, is_stopped: Callable[[], bool] = lambda: False
    ) -> Download:
        """A blob's content, to be read piece by piece within `with`; RegistryError where it is not there."""
        response = self._session.send(
            "GET", f"/v2/{repository}/blobs/{blob.digest}", scopes=_pull(repository), stream=True
        )
        self._expect(response, 200, repository, blob.digest)
        return Download(response, blob, self._name(repository, blob.digest), is_stopped)

    def push_manifest(self, repository: str, reference: str, manifest: Manifest) -> str:
        """Put a manifest under a tag (or its own digest), after everything it names; its digest."""
        response = self._session.send(
            "PUT",
            f"/v2/{repository}/manifests/{reference}",
            scopes=_push(repository),
            headers={"Content-Type": manifest.media_type, "Content-Length": str(len(manifest.raw))},
            body=Blob.of(manifest.raw, manifest.media_type).open,
        )
        self._expect(response, 201, repository, reference)
        stored = response.headers.get("docker-content-digest", manifest.digest)
        if stored != manifest.digest:
            raise RegistryError(
                f"the registry stored {stored} instead of {manifest.digest}", where=self._name(repository, reference)
            )
        return manifest.digest

    def ask(self, method: str, path: str, *, scopes: Scopes = (), repeatable: bool = True) -> Answer:
        """An answer as it comes, whatever its status, of what only this vendor's registry has; see Session.send."""
        return self._session.send(method, path, scopes=scopes, repeatable=repeatable)

    def delete_tag(self, repository: str, tag: str) -> Deletion:
        """Ask for a tag to go and its manifest to stay. Never deletes by digest where that is not supported."""
        return self._delete(repository, tag)

    def delete_manifest(self, repository: str, digest: str) -> Deletion:
        """Ask for a manifest to go, with every tag that points to it."""
        return self._delete(repository, digest)

    def _delete(self, repository: str, reference: str) -> Deletion:
        try:
            response = self._session.send(
                "DELETE",
                f"/v2/{repository}/manifests/{reference}",
                scopes=(f"repository:{repository}:delete",),
                repeatable=False,
            )
        except UnansweredError:
            return Deletion.UNKNOWN
        status = response.status_code
        if response.is_success:
            return Deletion.DONE
        if status == 404:
            return Deletion.ABSENT
        # distribution 2 takes only digests here, and says of a tag that it is no digest.
        if status == 405 or (status == 400 and "DIGEST_INVALID" in explanation(response)):
            return Deletion.UNSUPPORTED
        if status >= 500:
            return Deletion.UNKNOWN
        raise self._unexpected(response, repository, reference)

    def _read(
        self,
        method: str,
        repository: str,
        path: str,
        headers: dict[str, str] | None = None,
        scopes: tuple[str, ...] | None = None,
    ) -> Answer | None:
        response = self._session.send(
            method, f"/v2/{repository}/{path}", scopes=scopes or _pull(repository), headers=headers
        )
        return None if response.status_code == 404 else response

    def _begin_upload(self, repository: str, digest: str, mount_from: str | None) -> str | None:
        scopes = _push(repository)
        params = {}
        if mount_from:
            scopes += _pull(mount_from)
            params = {"mount": digest, "from": mount_from}
        response = self._session.send("POST", f"/v2/{repository}/blobs/uploads/", scopes=scopes, params=params)
        if mount_from and response.status_code == 201:
            return None
        self._expect(response, 202, repository, digest)
        location = response.headers.get("location")
        if not location:
            raise RegistryError("the registry gives no address for the upload", where=self._name(repository, digest))
        try:
            return str(response.url.join(location).asking({"digest": digest}))
        except ValueError:
            what = "the registry gives no usable address for the upload"
            raise RegistryError(what, where=self._name(repository, digest)) from None

    def _pages(self, path: str, repository: str, what: str) -> Iterator[Answer]:
        return pages(
            lambda page: self._session.send("GET", page, scopes=_pull(repository)), path, what, self._name(repository)
        )

    def _verified(self, content: bytes, promised: str, repository: str) -> str:
        algorithm = promised.partition(":")[0] or "sha256"
        if algorithm not in ("sha256", "sha512"):
            raise RegistryError(f"unknown digest {promised!r}", where=self._name(repository))
        digest = digest_of(content, algorithm)
        if promised and digest != promised:
            raise RegistryError(
                f"the registry sent content with the digest {digest} for {promised}", where=self._name(repository)
            )
        return digest

    def _expect(self, response: Answer, status: int, repository: str, reference: str = "") -> None:
        if response.status_code != status:
            raise self._unexpected(response, repository, reference)

    def _unexpected(self, response: Answer, repository: str, reference: str) -> RegistryError:
        return RegistryError(
            f"the registry says no to {response.method}: {explanation(response)}",
            where=self._name(repository, reference),
        )

    def _name(self, repository: str, reference: str = "") -> str:
        separator = "" if not reference else "@" if ":" in reference else ":"
        return f"{self.host}/{repository}{separator}{reference}"


def _media_type(response: Answer) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip()


def _accept(types: Iterable[str]) -> dict[str, str]:
    return {"Accept": ", ".join(types)}


def _pull(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull",)


def _push(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull,push",)
