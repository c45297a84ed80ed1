"""The rows of cleanup: reading 10,000 tags, against a bare concurrent client and one `crane` call a tag."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path

from bench.measure import Command, How, Row
from bench.ours import INVOKE, own_cache
from bench.promotion import crane, started
from imagewright.registry.model import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST, digest_of

TAGS, INDEXES = 10_000, 500  # of the tags, so many are of two platforms
REPOSITORY = "big/app"
BARE = Path(__file__).with_name("bare.py")
# One call for each tag, one after the other, as a script would do it: for the date, or for the digest alone.
_EACH = f'for number in $(seq 1 {TAGS}); do "$0" "$2" "$1:v$number" >/dev/null || exit 1; done'


def cleanup_rows(scratch: Path, ending: ExitStack) -> Mapping[str, Callable[[], Row]]:
    """Each row by its name, like `bench.rows.rows`; `ending` stops the registry."""

    @cache
    def registry() -> str:
        place = started(scratch / "big", ending)
        fill(place.data / "docker/registry/v2")
        (scratch / "cleaning").mkdir()
        (scratch / "cleaning/tasks.py").write_text("from imagewright import ns\n")
        return place.host

    def ours(host: str, *, first: bool) -> Command:
        def forget() -> None:
            shutil.rmtree(scratch / "cache/cleanup", ignore_errors=True)

        args = (INVOKE, "cleanup", "--repository", f"{host}/{REPOSITORY}", "--keep", str(TAGS - 100), "--dry-run")
        cwd, env = scratch / "cleaning", own_cache(scratch)
        return Command(args=args, cwd=cwd, env=env, before=forget if first else None)

    def row(name: str, *, how: How, limit: float, first: bool = True, runs: int = 3, crane_does: str = "") -> Row:
        host = registry()
        bare = (sys.executable, str(BARE), host, REPOSITORY)
        each = ("sh", "-c", _EACH, crane(), f"{host}/{REPOSITORY}", crane_does) if crane_does else bare
        return Row(
            name=name,
            ours=ours(host, first=first),
            peer=Command(args=each, cwd=scratch),
            how=how,
            limit=limit,
            runs=runs,
            warm_up=not first,
        )

    made = {
        "cleanup plan, 10,000 tags": partial(row, how="ratio", limit=1.3),
        "cleanup plan, 10,000 tags, again": partial(row, how="ratio", limit=0.7, first=False),
        "cleanup plan, 10,000 tags, memory": partial(row, how="peak", limit=150, runs=1),
        "cleanup plan, 10,000 tags, a crane config for each": partial(
            row, how="ratio", limit=0.2, runs=1, crane_does="config"
        ),
        "cleanup plan, 10,000 tags, a crane digest for each": partial(
            row, how="ratio", limit=0.2, runs=1, crane_does="digest"
        ),
    }
    return {name: partial(make, name) for name, make in made.items()}


def fill(root: Path) -> None:
    """The files of distribution's own storage: pushing them would take minutes."""
    layer = _blob(root, b"filesystem" * 100)
    for number in range(1, TAGS + 1):
        platforms = ("amd64", "arm64") if number <= INDEXES else ("amd64",)
        images = [_image(root, f"{number} {platform}", platform, layer) for platform in platforms]
        top = images[0]
        if len(images) > 1:
            described = [
                {**image, "platform": {"os": "linux", "architecture": platform}}
                for image, platform in zip(images, platforms, strict=True)
            ]
            top = _manifest(root, {"manifests": described}, OCI_INDEX)
        tag = root / "repositories" / REPOSITORY / "_manifests/tags" / f"v{number}"
        _link(tag / "current/link", top["digest"])
        _link(tag / "index/sha256" / top["digest"][7:] / "link", top["digest"])


def _image(root: Path, name: str, platform: str, layer: str) -> dict[str, str]:
    day = f"2025-{sum(map(ord, name)) % 12 + 1:02}-{len(name):02}T00:00:00Z"
    document = {"os": "linux", "architecture": platform, "created": day, "name": name}
    content = json.dumps({**document, "history": [{"created_by": "RUN " + "x" * 200}] * 8}).encode()
    config = {"mediaType": OCI_CONFIG, "digest": _blob(root, content), "size": len(content)}
    layers = [{"mediaType": OCI_LAYER_GZIP, "digest": layer, "size": 1000}] * 6
    return _manifest(root, {"config": config, "layers": layers}, OCI_MANIFEST)


def _manifest(root: Path, parts: Mapping[str, object], media_type: str) -> dict[str, str]:
    content = json.dumps({"schemaVersion": 2, "mediaType": media_type, **parts}).encode()
    digest = _blob(root, content)
    _link(root / "repositories" / REPOSITORY / "_manifests/revisions/sha256" / digest[7:] / "link", digest)
    return {"mediaType": media_type, "digest": digest, "size": len(content)}  # type: ignore[dict-item]


def _blob(root: Path, content: bytes) -> str:
    digest = digest_of(content)
    path = root / "blobs/sha256" / digest[7:9] / digest[7:] / "data"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    _link(root / "repositories" / REPOSITORY / "_layers/sha256" / digest[7:] / "link", digest)
    return digest


def _link(path: Path, digest: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(digest)
