"""A registry in memory, behind the client's own HTTP: what a test wants a registry to be, or not to be able to do."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from imagewright.registry.client import Registry
from imagewright.registry.model import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST, Manifest, digest_of
from tests.registry.answering import Answering

_MANIFESTS = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)")
_BLOBS = re.compile(r"/v2/(?P<name>.+)/blobs/(?P<digest>[a-z0-9]+:[0-9a-f]+)")
_UPLOADS = re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<id>\d*)")
_REFERRERS = re.compile(r"/v2/(?P<name>.+)/referrers/(?P<digest>.+)")
_TAGS = re.compile(r"/v2/(?P<name>.+)/tags/list")


@dataclass
class Memory:
    """What the registry holds, by repository, and what it can do."""

    host: str = "r.example"
    lists_referrers: bool = False
    mounts: bool = True
    lists_tags: bool = True
    page: int = 0  # referrers on one page; 0: all
    manifests: dict[tuple[str, str], Manifest] = field(default_factory=dict)  # by repository and digest
    tags: dict[tuple[str, str], str] = field(default_factory=dict)
    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    served: dict[str, bytes] = field(default_factory=dict)  # by digest: what is sent instead of a blob
    log: list[tuple[str, str]] = field(default_factory=list)  # method and path of each request
    uploaded: int = 0  # bytes of blobs

    def client(self) -> Registry:
        """The product's own client of it."""
        transport = Answering(self.answer)
        return Registry(self.host, credentials=lambda _: None, transport=transport, sleep=lambda _: None)

    def methods(self) -> Counter[str]:
        """How many requests there were, by method."""
        return Counter(method for method, _ in self.log)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """One request."""
        path = request.url.path
        self.log.append((request.method, path))
        for pattern, handle in (
            (_UPLOADS, self._uploads),
            (_BLOBS, self._blobs),
            (_MANIFESTS, self._manifests),
            (_REFERRERS, self._referrers),
            (_TAGS, self._tags),
        ):
            if found := pattern.fullmatch(path):
                return handle(request, **found.groupdict())
        return httpx.Response(404)

    def _manifests(self, request: httpx.Request, name: str, reference: str) -> httpx.Response:
        if request.method == "PUT":
            return self._put(
                name,
                reference,
                Manifest(
                    raw=request.content, media_type=request.headers["content-type"], digest=digest_of(request.content)
                ),
            )
        found = self.manifests.get((name, self.tags.get((name, reference), reference)))
        if found is None:
            return httpx.Response(404)
        headers = {"content-type": found.media_type, "docker-content-digest": found.digest}
        if request.method == "HEAD":
            return httpx.Response(200, headers={**headers, "content-length": str(len(found.raw))})
        return httpx.Response(200, content=found.raw, headers=headers)

    def _put(self, name: str, reference: str, manifest: Manifest) -> httpx.Response:
        needed = [child.digest for child in manifest.manifests if (name, child.digest) not in self.blobs]
        if any((name, digest) not in self.manifests for digest in needed):
            return httpx.Response(404, json={"errors": [{"code": "MANIFEST_UNKNOWN"}]})
        if any((name, blob.digest) not in self.blobs for blob in manifest.blobs if not blob.urls):
            return httpx.Response(400, json={"errors": [{"code": "MANIFEST_BLOB_UNKNOWN"}]})
        self.manifests[name, manifest.digest] = manifest
        if ":" not in reference:
            self.tags[name, reference] = manifest.digest
        return httpx.Response(201, headers={"docker-content-digest": manifest.digest})

    def _blobs(self, request: httpx.Request, name: str, digest: str) -> httpx.Response:
        found = self.blobs.get((name, digest))
        if found is None:
            return httpx.Response(404)
        content = b"" if request.method == "HEAD" else self.served.get(digest, found)
        return httpx.Response(200, stream=httpx.ByteStream(content))

    def _uploads(self, request: httpx.Request, name: str, id: str) -> httpx.Response:  # noqa: A002 - the group's name
        query = request.url.params
        if request.method == "POST":
            taken = self.blobs.get((query.get("from", ""), query.get("mount", "")))
            if taken is not None and self.mounts:
                self.blobs[name, query["mount"]] = taken
                return httpx.Response(201)
            return httpx.Response(202, headers={"location": f"/v2/{name}/blobs/uploads/{len(self.log)}"})
        content = request.read()
        if digest_of(content) != query["digest"] or len(content) != int(request.headers["content-length"]):
            return httpx.Response(400, json={"errors": [{"code": "DIGEST_INVALID"}]})
        self.blobs[name, query["digest"]] = content
        self.uploaded += len(content)
        return httpx.Response(201)

    def _referrers(self, request: httpx.Request, name: str, digest: str) -> httpx.Response:
        if not self.lists_referrers:
            return httpx.Response(404)
        found = [
            {"mediaType": one.media_type, "digest": one.digest, "size": len(one.raw)}
            for (repository, _), one in sorted(self.manifests.items(), key=lambda item: item[0])
            if repository == name and one.subject and one.subject.digest == digest
        ]
        start = int(request.url.params.get("start", "0"))
        end = start + (self.page or len(found) or 1)
        headers = {"link": f'<{request.url.path}?start={end}>; rel="next"'} if end < len(found) else {}
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found[start:end]}
        return httpx.Response(200, content=json.dumps(document), headers={"content-type": OCI_INDEX, **headers})

    def _tags(self, request: httpx.Request, name: str) -> httpx.Response:
        if not self.lists_tags:
            return httpx.Response(404)
        return httpx.Response(200, json={"name": name, "tags": sorted(tag for at, tag in self.tags if at == name)})


def put_blob(memory: Memory, repository: str, content: bytes, media_type: str = OCI_LAYER_GZIP) -> dict[str, Any]:
    """Content in a repository; its descriptor."""
    memory.blobs[repository, digest_of(content)] = content
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def put_manifest(
    memory: Memory, repository: str, document: dict[str, Any], *tags: str, media_type: str = OCI_MANIFEST
) -> Manifest:
    """A manifest in a repository, as it comes, unchecked."""
    raw = json.dumps({"schemaVersion": 2, "mediaType": media_type, **document}).encode()
    manifest = Manifest(raw=raw, media_type=media_type, digest=digest_of(raw))
    memory.manifests[repository, manifest.digest] = manifest
    memory.tags.update({(repository, tag): manifest.digest for tag in tags})
    return manifest


def described(manifest: Manifest, **more: Any) -> dict[str, Any]:
    """A manifest's descriptor."""
    return {"mediaType": manifest.media_type, "digest": manifest.digest, "size": len(manifest.raw), **more}


def put_image(memory: Memory, repository: str, name: str, *tags: str, **more: Any) -> Manifest:
    """An image of one filesystem layer; `name` makes its content its own."""
    config = put_blob(memory, repository, json.dumps({"os": "linux", "name": name}).encode(), OCI_CONFIG)
    layers = [put_blob(memory, repository, name.encode() * 100)]
    return put_manifest(memory, repository, {"config": config, "layers": layers, **more}, *tags)


def put_index(memory: Memory, repository: str, children: list[dict[str, Any]], *tags: str, **more: Any) -> Manifest:
    """An index over descriptors."""
    return put_manifest(memory, repository, {"manifests": children, **more}, *tags, media_type=OCI_INDEX)


def put_signature(memory: Memory, repository: str, subject: Manifest, name: str, *tags: str, **more: Any) -> Manifest:
    """What refers to a manifest by its `subject`."""
    empty = put_blob(memory, repository, b"{}", "application/vnd.oci.empty.v1+json")
    layers = [put_blob(memory, repository, name.encode(), "application/vnd.example.signature")]
    parts = {"config": empty, "layers": layers, "subject": described(subject), **more}
    return put_manifest(memory, repository, {"artifactType": "application/vnd.example.signature", **parts}, *tags)
