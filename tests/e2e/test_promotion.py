"""Promotion against real registries: what moves, what does not, and what is left when one of them dies halfway."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from imagewright.config.models import Settings
from imagewright.errors import ImagewrightError, RegistryError
from imagewright.registry.answer import Address, Answer
from imagewright.registry.client import Registry
from imagewright.registry.connections import Connections
from imagewright.registry.copy import Place, copy
from imagewright.registry.model import OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST, Blob, Manifest, digest_of
from imagewright.registry.oci import push_image
from imagewright.registry.session import WORKERS
from imagewright.services.places import Places
from tests.e2e.registries import Served, wait_for
from tests.e2e.test_registry_client import image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.e2e.conftest import Inv, Isolated

pytestmark = pytest.mark.e2e

EMPTY = Blob.of(b"{}", "application/vnd.oci.empty.v1+json")
BLOBS = 8  # of what `made` makes: two configurations, a filesystem layer, two of the attestation, three signatures
SIGNATURE = "application/vnd.example.signature"


@dataclass
class Recording:
    """The real transport, with what goes through it written down; `before` may change or end a request."""

    before: Callable[[str, str], None] = lambda *_: None  # method and path
    sent: list[tuple[str, str]] = field(default_factory=list)
    uploaded: int = 0  # bytes in requests about blobs
    downloaded: int = 0  # bytes of blobs in answers
    inner: Connections = field(default_factory=lambda: Connections(most=2 * WORKERS, trust=None, proxies=False))

    def send(self, method: str, url: Address, *, headers: Mapping[str, str], **parts: Any) -> Answer:
        path = url.target.partition("?")[0]
        self.before(method, path)
        self.sent.append((method, path))
        answer = self.inner.send(method, url, headers=headers, **parts)
        if "/blobs/" in path:
            self.uploaded += int(headers.get("Content-Length", "0"))
            self.downloaded += int(answer.headers.get("content-length", "0")) if method == "GET" else 0
        return answer

    def close(self) -> None:
        self.inner.close()

    def methods(self) -> Counter[str]:
        return Counter(method for method, _ in self.sent)

    def about_blobs(self) -> Counter[str]:
        return Counter(method for method, path in self.sent if "/blobs/" in path)


@pytest.fixture(scope="module", params=[3, 2], ids=["distribution 3", "distribution 2"])
def first(request: pytest.FixtureRequest, serve: Callable[[int], Served]) -> Served:
    return serve(request.param)


@pytest.fixture(scope="module")
def second(serve: Callable[[int], Served]) -> Served:
    return serve(3)


@pytest.fixture(scope="module")
def listing(
    tmp_path_factory: pytest.TempPathFactory, free_ports: Callable[[int], list[int]], tell: Callable[[str], None]
) -> Iterator[str]:
    """The host of a registry that lists referrers, in memory; its program is built the first time."""
    source = Path(__file__).with_name("listing")
    key = hashlib.sha256(b"".join((source / name).read_bytes() for name in ("main.go", "go.sum"))).hexdigest()[:16]
    program = Places.of(Settings(), os.environ, Path.cwd()).tools / "listing" / key / "listing"
    if not program.exists():
        tell("building a registry that lists referrers")
        flags = ("-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w")
        env = {**os.environ, "GOWORK": "off", "GOFLAGS": "", "CGO_ENABLED": "0"}
        subprocess.run(["go", "build", *flags, "-o", program, "."], cwd=source, env=env, check=True)
    host = f"127.0.0.1:{free_ports(1)[0]}"
    log = tmp_path_factory.mktemp("listing") / "log"
    with log.open("wb") as file:
        child = subprocess.Popen([program, host], stdout=file, stderr=file)
    try:
        wait_for(host, child, log)
        yield host
    finally:
        child.terminate()
        child.wait(10)


@dataclass(frozen=True)
class Made:
    """An index of two platforms with an attestation; a signature of it, an SBOM of its first platform, a signature of
    that SBOM, and cosign's tag for the index."""

    digest: str
    manifests: frozenset[str]
    signature: str
    sbom: str
    first_platform: str
    cosign_tag: str


def written(document: dict[str, Any], media_type: str = OCI_MANIFEST) -> Manifest:
    raw = json.dumps({"schemaVersion": 2, "mediaType": media_type, **document}).encode()
    return Manifest(raw=raw, media_type=media_type, digest=digest_of(raw))


def described(content: Any) -> dict[str, Any]:
    return {"mediaType": content.media_type, "digest": content.digest, "size": content.size}


def attached(registry: Registry, repository: str, subject: Manifest, text: str) -> Manifest:
    """A referrer, kept as clients keep it where a registry has no list: under the fallback tag of its subject."""
    layer = Blob.of(text.encode(), SIGNATURE)
    for blob in (EMPTY, layer):
        registry.push_blob(repository, blob)
    parts = {"config": described(EMPTY), "layers": [described(layer)], "subject": described(subject.descriptor)}
    manifest = written({"artifactType": SIGNATURE, **parts})
    registry.push_manifest(repository, manifest.digest, manifest)
    assert registry.referrers(repository, subject.digest) is None, "this registry lists referrers: test that, too"
    index = written({"manifests": [{**described(manifest.descriptor), "artifactType": SIGNATURE}]}, OCI_INDEX)
    registry.push_manifest(repository, subject.digest.replace(":", "-"), index)
    return manifest


def made(registry: Registry, repository: str, tag: str, folder: Path) -> Made:
    content = f"{repository}:{tag}" * 5_000
    parts = [image(folder, content, platform) for platform in ("linux/amd64", "linux/arm64")]
    push_image(registry, repository, "parts", parts)
    provenance = Blob.of(b'{"predicate": {}}', "application/vnd.in-toto+json")
    for blob in (EMPTY, provenance):
        registry.push_blob(repository, blob)
    attestation = written({"config": described(EMPTY), "layers": [described(provenance)]})
    registry.push_manifest(repository, attestation.digest, attestation)
    children = [
        *(
            {**described(one.manifest.descriptor), "platform": {"os": "linux", "architecture": name}}
            for name, one in zip(("amd64", "arm64"), parts, strict=True)
        ),
        {
            **described(attestation.descriptor),
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": parts[0].manifest.digest,
            },
        },
    ]
    index = written({"manifests": children}, OCI_INDEX)
    registry.push_manifest(repository, tag, index)
    signature = attached(registry, repository, index, f"signature of {content[:40]}")
    sbom = attached(registry, repository, parts[0].manifest, f"sbom of {content[:40]}")
    of_sbom = attached(registry, repository, sbom, f"signature of the sbom of {content[:40]}")
    cosign_tag = f"{index.digest.replace(':', '-')}.sig"
    cosigned = written(
        {"config": described(EMPTY), "layers": [described(provenance)], "annotations": {"c": content[:40]}}
    )
    registry.push_manifest(repository, cosign_tag, cosigned)
    everything = (index, attestation, *(one.manifest for one in parts), signature, sbom, of_sbom, cosigned)
    return Made(
        digest=index.digest,
        manifests=frozenset(one.digest for one in everything),
        signature=signature.digest,
        sbom=sbom.digest,
        first_platform=parts[0].manifest.digest,
        cosign_tag=cosign_tag,
    )


def require_all(registry: Registry, repository: str, expected: Made) -> None:
    """Everything is there, under the names by which other clients find it."""
    for digest in expected.manifests:
        assert registry.resolve(repository, digest) is not None
    assert registry.resolve(repository, expected.cosign_tag) is not None
    for subject, referrer in ((expected.digest, expected.signature), (expected.first_platform, expected.sbom)):
        fallback = registry.manifest(repository, subject.replace(":", "-"))
        assert fallback is not None
        assert [entry.digest for entry in fallback.manifests] == [referrer]


def test_within_a_repository_only_the_tag_is_put(
    first: Served, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    recording = Recording()
    with Registry(first.host, transport=recording) as registry:
        expected = made(registry, "within/app", "dev", tmp_path)
        recording.sent.clear()
        recording.uploaded = 0
        place = Place(registry, "within/app")

        copied = copy(place, "dev", place, ["1.2.3", "stable"])

        assert copied.ok
        assert copied.digest == expected.digest
        assert recording.methods() == {"GET": 1, "PUT": 2, "HEAD": 2}
        assert not recording.about_blobs()
        assert copied.requests == len(recording.sent)
        record_property("promotion within a repository, two tags", f"{copied.requests} requests, none about blobs")
        assert registry.manifest("within/app", "1.2.3") == registry.manifest("within/app", "dev")


def test_between_repositories_blobs_are_mounted(
    first: Served, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    recording = Recording()
    with Registry(first.host, transport=recording) as registry:
        expected = made(registry, "between/app", "dev", tmp_path)
        recording.sent.clear()
        recording.uploaded = recording.downloaded = 0

        copied = copy(Place(registry, "between/app"), "dev", Place(registry, "released/app"), ["1.2.3"])

        assert copied.ok
        assert (copied.streamed, copied.bytes, recording.uploaded, recording.downloaded) == (0, 0, 0, 0)
        assert recording.about_blobs()["PUT"] == recording.about_blobs()["GET"] == 0
        assert recording.about_blobs()["POST"] == copied.mounted == BLOBS
        assert copied.referrers == 4
        told = f"{copied.requests} requests, {copied.mounted} blobs mounted, 0 bytes of blobs moved"
        record_property("promotion between repositories, two platforms, signed", told)
        require_all(registry, "released/app", expected)
        assert [path for method, path in recording.sent if method == "PUT"][-1] == "/v2/released/app/manifests/1.2.3"


def test_between_registries_everything_arrives_once(first: Served, second: Served, tmp_path: Path) -> None:
    there = Recording()
    app = f"far/{tmp_path.name}"
    with Registry(first.host) as ours, Registry(second.host, transport=there) as theirs:
        expected = made(ours, app, "dev", tmp_path)

        copied = copy(Place(ours, app), "dev", Place(theirs, app), ["1.2.3"])

        assert copied.ok
        assert (copied.mounted, copied.streamed) == (0, BLOBS)
        assert there.uploaded == copied.bytes
        require_all(theirs, app, expected)
        assert theirs.manifest(app, "1.2.3") == ours.manifest(app, "dev")

        again = copy(Place(ours, app), "dev", Place(theirs, app), ["1.2.4"])
        assert again.ok
        assert (again.streamed, again.present, again.bytes) == (0, BLOBS, 0)


def test_to_and_from_a_registry_that_lists_referrers(first: Served, listing: str, tmp_path: Path) -> None:
    with Registry(first.host) as ours, Registry(listing) as theirs:
        expected = made(ours, "listed/app", "dev", tmp_path)

        assert copy(Place(ours, "listed/app"), "dev", Place(theirs, "listed/app"), ["1"]).ok
        for subject, referrer in ((expected.digest, expected.signature), (expected.first_platform, expected.sbom)):
            assert [one.digest for one in theirs.referrers("listed/app", subject) or ()] == [referrer]
        assert set(theirs.tags("listed/app") or ()) == {"1", expected.cosign_tag}

        back = copy(Place(theirs, "listed/app"), "1", Place(ours, "back/app"), ["1"])
        assert back.ok
        assert back.referrers == 4
        require_all(ours, "back/app", expected)


def test_the_targets_own_signatures_stay(first: Served, second: Served, tmp_path: Path) -> None:
    app = f"signed/{tmp_path.name}"
    with Registry(first.host) as ours, Registry(second.host) as theirs:
        expected = made(ours, app, "dev", tmp_path)
        source, target = Place(ours, app), Place(theirs, app)
        assert copy(source, "dev", target, ["1"], referrers=False).ok
        index = theirs.manifest(app, "1")
        assert index is not None
        own = attached(theirs, app, index, "signed at the target")

        assert copy(source, "dev", target, ["1"]).ok

        fallback = theirs.manifest(app, index.digest.replace(":", "-"))
        assert fallback is not None
        assert [entry.digest for entry in fallback.manifests] == [own.digest, expected.signature]


@pytest.mark.parametrize("at", ["blob", "manifest"])
def test_a_registry_that_is_killed_halfway_has_no_tag(
    first: Served, serve: Callable[[int], Served], tmp_path: Path, at: str
) -> None:
    dying = serve(3)

    def kill(method: str, path: str) -> None:
        about = "/manifests/" if at == "manifest" else "/blobs/uploads/"
        if method == "PUT" and about in path:
            dying.kill()

    recording = Recording(before=kill)
    with Registry(first.host) as ours, Registry(dying.host, transport=recording, sleep=lambda _: None) as theirs:
        expected = made(ours, f"killed/{at}", "dev", tmp_path)
        source = Place(ours, f"killed/{at}")
        with pytest.raises(ImagewrightError):
            copy(source, "dev", Place(theirs, "killed/app"), ["1.2.3"])
        dying.start()
        recording.before = lambda *_: None
        assert theirs.resolve("killed/app", "1.2.3") is None

        copied = copy(source, "dev", Place(theirs, "killed/app"), ["1.2.3"])  # what is there by then is kept
        assert copied.ok
        require_all(theirs, "killed/app", expected)


def test_content_that_went_bad_at_the_source_is_refused(
    serve: Callable[[int], Served], second: Served, tmp_path: Path
) -> None:
    bad = serve(3)
    with Registry(bad.host) as ours, Registry(second.host) as theirs:
        made(ours, "bad/app", "dev", tmp_path)
        index = ours.manifest("bad/app", "dev")
        assert index is not None
        child = ours.manifest("bad/app", index.manifests[0].digest)
        assert child is not None
        name = child.layers[0].digest.removeprefix("sha256:")
        stored = bad.folder / "data/docker/registry/v2/blobs/sha256" / name[:2] / name / "data"
        stored.write_bytes(bytes(byte ^ 1 for byte in stored.read_bytes()))

        with pytest.raises(RegistryError, match="the registry sent content with the digest") as raised:
            copy(Place(ours, "bad/app"), "dev", Place(theirs, "bad/app"), ["1"])

        assert raised.value.where == f"{bad.host}/bad/app@{child.layers[0].digest}"
        assert theirs.tags("bad/app") in (None, ())
        assert not theirs.has_blob("bad/app", child.layers[0].digest)


def test_a_large_blob_is_never_held_in_full(first: Served, second: Served, tmp_path: Path) -> None:
    size = 200_000_000
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(size)
    with Registry(first.host) as ours:
        blob = Blob(media_type=OCI_LAYER_GZIP, digest=_digest_of_file(path), size=size, source=path)
        for one in (EMPTY, blob):
            ours.push_blob("large/app", one)
        manifest = written({"config": described(EMPTY), "layers": [described(blob)]})
        ours.push_manifest("large/app", "dev", manifest)
    script = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from imagewright.registry.client import Registry\n"
        "from imagewright.registry.copy import Place, copy\n"
        "ours, theirs = map(Registry, sys.argv[1:])\n"
        "assert copy(Place(ours, 'large/app'), 'dev', Place(theirs, 'large/app'), ['1']).ok\n"
        # not ru_maxrss, which begins with the peak of the process that started this one
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, first.host, second.host], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) * 1024 < 150_000_000


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


class TestCommandLine:
    @pytest.fixture
    def project(self, tmp_path: Path, first: Served, second: Served) -> Path:
        for path, text in (
            ("tasks.py", "from imagewright import ns\n"),
            ("Dockerfiles/Dockerfile.app", "FROM scratch\n"),
            ("config/images.yml", f"registry: [{first.host}/{tmp_path.name}, {second.host}/kept/{tmp_path.name}]\n"),
        ):
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text(text)
        return tmp_path

    @pytest.fixture
    def invoke(self, isolated: Isolated, inv: Inv, project: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
        def run(*args: str) -> subprocess.CompletedProcess[str]:
            env = {name: value for name, value in isolated.env.items() if name != "IMAGEWRIGHT_REGISTRY"}
            return subprocess.run(
                [sys.executable, "-m", "invoke", *args], cwd=project, env=env, capture_output=True, text=True
            )

        return run

    def test_a_release_goes_from_dev_to_stable_everywhere(
        self,
        invoke: Callable[..., subprocess.CompletedProcess[str]],
        project: Path,
        first: Served,
        second: Served,
    ) -> None:
        with Registry(first.host) as ours, Registry(second.host) as theirs:
            here, kept = f"{project.name}/app", f"kept/{project.name}/app"
            old = made(ours, here, "1.2.3", project)
            assert invoke("promote", "app:1.2.3", "--to", "1.2,stable").returncode == 0
            new = made(ours, here, "1.2.4", project)

            planned = invoke("promote", "app:1.2.4", "--to", "1.2,stable", "--dry-run")
            assert planned.returncode == 0
            assert f"moves from {old.digest}" in planned.stdout
            assert ours.resolve(here, "stable").digest == old.digest  # type: ignore[union-attr]

            done = invoke("promote", "app:1.2.4", "--to", "1.2,stable")
            assert done.returncode == 0, done.stderr
            for registry, repository in ((ours, here), (theirs, kept)):
                assert f"verified: {new.digest} {registry.host}/{repository}:stable" in done.stderr
                assert registry.resolve(repository, "stable").digest == new.digest  # type: ignore[union-attr]
                require_all(registry, repository, new)

            back = invoke("promote", "app:1.2.3", "--to", "1.2,stable")
            assert back.returncode == 1
            assert "1.2 would go back from 1.2.4 to 1.2.3" in back.stderr
            assert "stable would go back from 1.2.4 to 1.2.3" in back.stderr
            assert ours.resolve(here, "stable").digest == new.digest  # type: ignore[union-attr]
            assert invoke("promote", "app:1.2.3", "--to", "stable", "--allow-downgrade").returncode == 0

            second.kill()
            try:
                half = invoke("promote", "app:1.2.4", "--to", "edge", "--json")
            finally:
                second.start()
            assert half.returncode == 1
            assert [one["status"] for one in json.loads(half.stdout)["targets"]] == ["done", "failed"]
            assert f"{second.host}/{kept}:edge" in half.stderr
            assert ours.resolve(here, "edge").digest == new.digest  # type: ignore[union-attr]

    def test_an_outside_image_is_mirrored(
        self,
        invoke: Callable[..., subprocess.CompletedProcess[str]],
        project: Path,
        first: Served,
        serve: Callable[[int], Served],
    ) -> None:
        outside = serve(3)
        with Registry(outside.host) as theirs, Registry(first.host) as ours:
            expected = made(theirs, "library/base", "13", project)
            for status in ("new", "same"):
                done = invoke("mirror", f"{outside.host}/library/base:13", "--json")
                assert done.returncode == 0, done.stderr
                assert {one["action"] for one in json.loads(done.stdout)["targets"]} == {status}
            path = f"{project.name}/{outside.host.replace(':', '_')}/library/base"
            assert ours.resolve(path, "13").digest == expected.digest  # type: ignore[union-attr]
            require_all(ours, path, expected)

            renamed = invoke("retag", f"{first.host}/{path}", "13", "trixie")
            assert renamed.returncode == 0, renamed.stderr
            assert ours.resolve(path, "trixie").digest == expected.digest  # type: ignore[union-attr]

        missing = invoke("mirror", f"{outside.host}/library/base:14")
        assert missing.returncode == 1
        assert "it has `13`" in missing.stderr
        assert "Traceback" not in missing.stderr
