"""One registry's API (OCI distribution spec v1.1), for reading, pushing and deleting. It decides nothing."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from imagewright.errors import RegistryError
from imagewright.registry.credentials import find_credential
from imagewright.registry.model import (
    MANIFEST_TYPES,
    Blob,
    Deletion,
    Descriptor,
    Manifest,
    digest_of,
    platform_text,
)
from imagewright.registry.session import WORKERS, Session, UnansweredError, explanation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    import httpx

    from imagewright.registry.authentication import CredentialSource

_ACCEPT = {"Accept": ", ".join(MANIFEST_TYPES)}
_MOST_PAGES = 10_000
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
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
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

    def concurrently(self, call: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
        """`call` for each item, eight at a time; results in the items' order. The first error ends it."""
        with ThreadPoolExecutor(WORKERS) as pool:
            futures = [pool.submit(call, item) for item in items]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def ping(self) -> bool:
        """Check that the registry answers and takes our credentials; whether it asked for any."""
        response = self._session.send("GET", "/v2/")
        if not response.is_success:
            raise RegistryError(f"this is no registry ({explanation(response)} at /v2/)", where=self.host)
        return self._session.authenticator.asked

    def resolve(self, repository: str, reference: str) -> Descriptor | None:
        """What a tag or digest points to, without fetching it where the registry allows that."""
        response = self._read("HEAD", repository, f"manifests/{reference}", _ACCEPT)
        if response is None:
            return None
        digest = response.headers.get("docker-content-digest")
        size = response.headers.get("content-length", "")
        kind = _media_type(response)
        if not (response.is_success and digest and size.isdecimal() and kind in MANIFEST_TYPES):
            manifest = self.manifest(repository, reference)
            return manifest.descriptor if manifest else None
        return Descriptor(media_type=kind, digest=digest, size=int(size))

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        """The manifest or index of a tag or digest, checked against its digest."""
        response = self._read("GET", repository, f"manifests/{reference}", _ACCEPT)
        if response is None:
            return None
        self._expect(response, 200, repository, reference)
        promised = reference if ":" in reference else response.headers.get("docker-content-digest", "")
        digest = self._verified(response.content, promised, repository)
        manifest = Manifest(raw=response.content, media_type=_media_type(response), digest=digest)
        if manifest.media_type not in MANIFEST_TYPES:
            own = str(manifest.document.get("mediaType", ""))
            if own not in MANIFEST_TYPES:
                raise RegistryError(
                    f"the manifest has an unknown type: {own or manifest.media_type or 'none'}",
                    where=self._name(repository, reference),
                )
            manifest = Manifest(raw=manifest.raw, media_type=own, digest=digest)
        return manifest

    def config(self, repository: str, digest: str) -> dict[str, Any] | None:
        """A configuration blob's JSON (OCI image spec, config.md), checked against its digest."""
        response = self._read("GET", repository, f"blobs/{digest}")
        if response is None:
            return None
        self._expect(response, 200, repository, digest)
        self._verified(response.content, digest, repository)
        try:
            document = json.loads(response.content)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise RegistryError("the image's configuration is no JSON object", where=self._name(repository, digest))
        return document

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
        path = f"/v2/{repository}/tags/list"
        seen_pages, tags = set[str](), dict[str, None]()
        while path not in seen_pages and len(seen_pages) < _MOST_PAGES:
            seen_pages.add(path)
            response = self._session.send("GET", path, scopes=_pull(repository))
            if response.status_code == 404 and len(seen_pages) == 1:
                return None
            self._expect(response, 200, repository)
            page = self._page_of_tags(response, repository)
            fresh = [tag for tag in page if tag not in tags]
            tags.update(dict.fromkeys(fresh))
            following = response.links.get("next", {}).get("url")
            if not following:
                return tuple(tags)
            if page and not fresh:
                break
            path = self._followed(response, following, repository)
        raise RegistryError("the registry's list of tags goes in a circle", where=self._name(repository))

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has this blob."""
        response = self._read("HEAD", repository, f"blobs/{digest}", scopes=_push(repository))
        return response is not None and response.is_success

    def push_blob(self, repository: str, blob: Blob, *, mount_from: str | None = None) -> None:
        """Upload content unless the repository has it; taken over from `mount_from` where the registry can."""
        if self.has_blob(repository, blob.digest):
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
                    headers={"Content-Type": "application/octet-stream"},
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

    def push_manifest(self, repository: str, reference: str, manifest: Manifest) -> str:
        """Put a manifest under a tag (or its own digest), after everything it names; its digest."""
        response = self._session.send(
            "PUT",
            f"/v2/{repository}/manifests/{reference}",
            scopes=_push(repository),
            headers={"Content-Type": manifest.media_type},
            body=Blob.of(manifest.raw, manifest.media_type).open,
        )
        self._expect(response, 201, repository, reference)
        stored = response.headers.get("docker-content-digest", manifest.digest)
        if stored != manifest.digest:
            raise RegistryError(
                f"the registry stored {stored} instead of {manifest.digest}", where=self._name(repository, reference)
            )
        return manifest.digest

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
    ) -> httpx.Response | None:
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
        return str(response.url.join(location).copy_merge_params({"digest": digest}))

    def _page_of_tags(self, response: httpx.Response, repository: str) -> list[str]:
        try:
            tags = response.json()["tags"] or []  # distribution 2 says null for none
        except (KeyError, TypeError, ValueError):
            tags = None
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise RegistryError("the registry's list of tags is malformed", where=self._name(repository))
        return tags

    def _followed(self, response: httpx.Response, link: str, repository: str) -> str:
        following = response.url.join(link)
        # A proxy that forgets the scheme is common, another host never right: it would get our credentials.
        if following.host != response.url.host or following.port not in (None, response.url.port):
            raise RegistryError(
                f"the registry's list of tags goes on at another host, {following.host}", where=self._name(repository)
            )
        return following.raw_path.decode()

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

    def _expect(self, response: httpx.Response, status: int, repository: str, reference: str = "") -> None:
        if response.status_code != status:
            raise self._unexpected(response, repository, reference)

    def _unexpected(self, response: httpx.Response, repository: str, reference: str) -> RegistryError:
        return RegistryError(
            f"the registry says no to {response.request.method}: {explanation(response)}",
            where=self._name(repository, reference),
        )

    def _name(self, repository: str, reference: str = "") -> str:
        separator = "" if not reference else "@" if ":" in reference else ":"
        return f"{self.host}/{repository}{separator}{reference}"


def _media_type(response: httpx.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip()


def _pull(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull",)


def _push(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull,push",)
