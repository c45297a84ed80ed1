"""The rows of promotion: further names and places for an image, against `crane`, which copies no signatures."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from bench.measure import CannotRunError, Command, Row
from bench.ours import INVOKE, ROOT, own_cache
from imagewright.config.load import load
from imagewright.errors import ImagewrightError
from imagewright.registry.client import Registry
from imagewright.registry.model import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Blob,
    Descriptor,
    Manifest,
    digest_of,
)
from imagewright.services import programs
from imagewright.services.places import Places
from imagewright.services.registry import ENV

PLATFORMS = ("amd64", "arm64")
LAYERS, LAYER_BYTES = 4, 50_000_000  # of each platform
CRANE = Path(__file__).with_name("crane")
_PATIENCE = 20.0  # seconds for a registry to start


@dataclass(frozen=True, slots=True)
class Place:
    """A registry with its data, which may be deleted while it runs."""

    host: str
    data: Path


def promotion_rows(scratch: Path, ending: ExitStack) -> Mapping[str, Callable[[], Row]]:
    """Each row by its name, like `bench.rows.rows`; `ending` stops the registries."""

    @cache
    def registries() -> tuple[Place, Place]:
        first, second = (started(scratch / name, ending) for name in ("first", "second"))
        _push(first.host, scratch)
        (scratch / "promoting/Dockerfiles").mkdir(parents=True)
        (scratch / "promoting/tasks.py").write_text("from imagewright import ns\n")
        (scratch / "promoting/Dockerfiles/Dockerfile.app").write_text("FROM scratch\n")
        return first, second

    def row(name: str, *, to: str, limit: float, how: str) -> Row:
        first, second = registries()
        source = f"{first.host}/me/app:1"
        target = {
            "tag": f"{first.host}/me/app:stable",
            "repository": f"{first.host}/released/app:1",
            "registry": f"{second.host}/me/app:1",
        }[to]
        repositories = first.data / "docker/registry/v2/repositories"
        emptied = {
            "tag": repositories / "me/app/_manifests/tags/stable",
            "repository": repositories / "released",
            "registry": second.data,
        }[to]

        def before() -> None:
            shutil.rmtree(emptied, ignore_errors=True)

        return Row(
            name=name,
            ours=Command(
                args=(INVOKE, "promote", source, "--to", target),
                cwd=scratch / "promoting",
                env=own_cache(scratch),
                before=before,
            ),
            peer=Command(args=(crane(), "cp", source, target), cwd=scratch, before=before),
            how="ratio" if how == "ratio" else "difference",
            limit=limit,
            runs=7,
        )

    megabytes = len(PLATFORMS) * LAYERS * LAYER_BYTES // 1_000_000
    made = {
        "promote within a repository": partial(row, to="tag", limit=0.5, how="difference"),
        "promote between repositories, two platforms": partial(row, to="repository", limit=0.5, how="difference"),
        f"promote between registries, {megabytes} MB": partial(row, to="registry", limit=2, how="ratio"),
    }
    return {name: partial(make, name) for name, make in made.items()}


def started(folder: Path, ending: ExitStack) -> Place:
    """A registry of its own below `folder`, run as the local service is; `ending` stops it.

    CannotRunError where it does not start.
    """
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": host},
    }
    (folder / "config.yml").write_text(json.dumps(config))
    try:
        tools = Places.of(load(ROOT, os.environ), os.environ, ROOT).tools
        program = programs.provide("registry", tools=tools, environ=os.environ, say=_say).path
    except ImagewrightError as error:
        raise CannotRunError(str(error)) from error
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            [program, "serve", str(folder / "config.yml")],
            stdout=log,
            stderr=log,
            env={**os.environ, **ENV},
        )
    ending.callback(child.wait)
    ending.callback(child.terminate)
    until = time.monotonic() + _PATIENCE
    name, _, port = host.partition(":")
    while child.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection((name, int(port)), timeout=1):
            return Place(host, folder / "data")
        time.sleep(0.02)
    raise CannotRunError(f"the registry does not start: {(folder / 'log').read_text()}")


def _push(host: str, scratch: Path) -> None:
    """An image of two platforms as me/app:1."""
    with Registry(host) as registry:
        children = []
        for platform in PLATFORMS:
            config = Blob.of(json.dumps({"os": "linux", "architecture": platform}).encode(), OCI_CONFIG)
            blobs = [config, *(_layer(scratch / "layer", f"{platform}{number}") for number in range(LAYERS))]
            for blob in blobs:
                registry.push_blob("me/app", blob)
                if isinstance(blob.source, Path):
                    blob.source.unlink()
            parts = [_described(blob) for blob in blobs]
            manifest = _manifest({"config": parts[0], "layers": parts[1:]}, OCI_MANIFEST)
            registry.push_manifest("me/app", manifest.digest, manifest)
            described = _described(manifest.descriptor)
            children.append({**described, "platform": {"os": "linux", "architecture": platform}})
        registry.push_manifest("me/app", "1", _manifest({"manifests": children}, OCI_INDEX))


def _layer(path: Path, name: str) -> Blob:
    path = path.with_name(f"{path.name}-{name}")
    content = name.encode().ljust(LAYER_BYTES, b"\0")
    path.write_bytes(content)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return Blob(media_type=OCI_LAYER_GZIP, digest=digest, size=len(content), source=path)


def _described(content: Blob | Descriptor) -> dict[str, object]:
    return {"mediaType": content.media_type, "digest": content.digest, "size": content.size}


def _manifest(parts: Mapping[str, object], media_type: str) -> Manifest:
    raw = json.dumps({"schemaVersion": 2, "mediaType": media_type, **parts}).encode()
    return Manifest(raw=raw, media_type=media_type, digest=digest_of(raw))


def crane() -> str:
    """The program, built into the cache where it is not there yet: half a minute."""
    key = hashlib.sha256((CRANE / "go.sum").read_bytes()).hexdigest()[:16]
    folder = Places.of(load(ROOT, os.environ), os.environ, ROOT).tools / "crane" / key
    if not (folder / "crane").exists():
        _say("building crane")
        flags = ("-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w")
        env = {**os.environ, "GOWORK": "off", "GOFLAGS": "", "CGO_ENABLED": "0"}
        try:
            done = subprocess.run(
                ["go", "build", *flags, "-o", f"{folder}/", "tool"], cwd=CRANE, env=env, capture_output=True, text=True
            )
        except FileNotFoundError as error:
            raise CannotRunError("there is no `go` on PATH, which builds crane") from error
        if done.returncode:
            raise CannotRunError(f"crane cannot be built: {done.stderr[-500:]}")
    return str(folder / "crane")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
