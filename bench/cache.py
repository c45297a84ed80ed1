"""The rows of the layer cache: a prune of 100,000 blobs against listing them once with boto3, on a real S3 store."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path

from bench.measure import CannotRunError, Command, How, Row
from bench.ours import INVOKE, ROOT, own_cache
from imagewright.config.load import load
from imagewright.errors import ImagewrightError
from imagewright.services import programs
from imagewright.services.places import Places

BLOBS, CACHES, LAYERS = 100_000, 1_000, 120  # blobs in all; manifests, and the blobs that each of them needs
DUE = 1_000  # of the blobs: no manifest needs them, and an earlier prune has condemned them
BUCKET = "layers"
LISTING = Path(__file__).with_name("listing.py")
_KEYS = {"AWS_ACCESS_KEY_ID": "bench-key", "AWS_SECRET_ACCESS_KEY": "bench-secret-key"}
_DAY = 86_400
_PATIENCE = 20.0  # seconds for the store to start


def cache_rows(scratch: Path, ending: ExitStack) -> Mapping[str, Callable[[], Row]]:
    """Each row by its name, like `bench.rows.rows`; `ending` stops the store."""

    @cache
    def store() -> str:
        endpoint = started(scratch / "s3", ending)
        fill(scratch / "s3/data" / BUCKET)
        project = scratch / "pruning"
        (project / "Dockerfiles").mkdir(parents=True)
        (project / "config").mkdir()
        (project / "tasks.py").write_text("from imagewright import ns\n")
        (project / "Dockerfiles/Dockerfile.app").write_text("FROM scratch\n")
        text = f"cache: {{type: s3, bucket: {BUCKET}, endpoint_url: '{endpoint}'}}\n"
        (project / "config/images.yml").write_text(text)
        return endpoint

    def row(name: str, *, how: How, limit: float, runs: int) -> Row:
        endpoint = store()
        env = {**own_cache(scratch), **_KEYS, "AWS_DEFAULT_REGION": "us-east-1"}
        bucket = scratch / "s3/data" / BUCKET
        return Row(
            name=name,
            ours=Command(
                args=(INVOKE, "cache", "prune", "--yes"),
                cwd=scratch / "pruning",
                env=env,
                before=lambda: make_due(bucket),
            ),
            peer=Command(args=(sys.executable, str(LISTING), endpoint, BUCKET, "blobs/"), cwd=scratch, env=env),
            how=how,
            limit=limit,
            runs=runs,
            warm_up=False,
        )

    made = {
        f"cache prune, {BLOBS:,} blobs": partial(row, how="ratio", limit=2, runs=3),
        f"cache prune, {BLOBS:,} blobs, memory": partial(row, how="peak", limit=200, runs=1),
    }
    return {name: partial(make, name) for name, make in made.items()}


def fill(bucket: Path) -> None:
    """The files of versitygw's own storage: uploading them would take minutes."""
    (bucket / "blobs").mkdir()
    (bucket / "manifests").mkdir()
    needed = [_digest(number) for number in range(DUE, BLOBS)]
    for digest in needed:
        _object(bucket / "blobs" / digest, b"filesystem", age=10 * _DAY)
    step = len(needed) // CACHES
    for number in range(CACHES):
        digests = (needed * 2)[number * step : number * step + LAYERS]
        layers = [{"blob": one, "parent": -1, "annotations": {"size": 10}} for one in digests]
        document = json.dumps({"layers": layers, "records": [{"digest": one} for one in digests]})
        _object(bucket / "manifests" / f"app@branch-{number}", document.encode(), age=_DAY)


def make_due(bucket: Path) -> None:
    """Blobs that the next prune deletes, and the record that says so."""
    digests = [_digest(number) for number in range(DUE)]
    for digest in digests:
        _object(bucket / "blobs" / digest, b"filesystem", age=10 * _DAY)
    modified = {digest: int((bucket / "blobs" / digest).stat().st_mtime) for digest in digests}
    groups = [{"since": int(time.time()) - 2 * _DAY, "blobs": modified}]
    record = {"schema": 1, "generation": 1, "caches": CACHES, "condemned": groups}
    (bucket / "imagewright").mkdir(exist_ok=True)
    _object(bucket / "imagewright/condemned.json", json.dumps(record).encode(), age=2 * _DAY)


def _digest(number: int) -> str:
    return f"sha256:{hashlib.sha256(str(number).encode()).hexdigest()}"


def _object(path: Path, content: bytes, *, age: float) -> None:
    path.write_bytes(content)
    os.setxattr(path, "user.etag", f'"{hashlib.md5(content).hexdigest()}"'.encode())  # noqa: S324 - as S3 does it
    when = time.time() - age
    os.utime(path, (when, when))


def started(folder: Path, ending: ExitStack) -> str:
    """A store of its own below `folder`; `ending` stops it. CannotRunError where it does not start."""
    (folder / "data" / BUCKET).mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    try:
        tools = Places.of(load(ROOT, os.environ), os.environ, ROOT).tools
        program = programs.provide("versitygw", tools=tools, environ=os.environ, say=_say).path
    except ImagewrightError as error:
        raise CannotRunError(str(error)) from error
    args = [str(program), "--port", f"127.0.0.1:{port}", "--quiet", "--keep-alive", "posix", str(folder / "data")]
    keys = {"ROOT_ACCESS_KEY": _KEYS["AWS_ACCESS_KEY_ID"], "ROOT_SECRET_KEY": _KEYS["AWS_SECRET_ACCESS_KEY"]}
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(args, stdout=log, stderr=log, env={**os.environ, **keys})
    ending.callback(child.wait)
    ending.callback(child.terminate)
    until = time.monotonic() + _PATIENCE
    while child.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return f"http://127.0.0.1:{port}"
        time.sleep(0.02)
    raise CannotRunError(f"the store does not start: {(folder / 'log').read_text()}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
