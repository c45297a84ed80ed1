"""Small repositories as values: files by path, read into snapshots without git."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from imagewright.changes.snapshot import Ground, Snapshot
from imagewright.images.dockerfile.cache import ReadingCache
from imagewright.images.tree import FILE, Entry, Tree
from imagewright.tools.git import blob_id

CACHE = ReadingCache(Path("/dev/null/none"))
GROUND = Ground(environ={}, host_platform="linux/amd64", cache=CACHE)

LAYERED = {
    "Dockerfiles/Dockerfile.base": "FROM debian\nCOPY base.txt /\n",
    "Dockerfiles/Dockerfile.tooling": "FROM localhost:5050/base\nCOPY tooling.txt /\n",
    "Dockerfiles/Dockerfile.app": "FROM localhost:5050/tooling\nCOPY app.txt shared /x/\n",
    "Dockerfiles/Dockerfile.other": "FROM debian\nCOPY shared /x/\n",
    "base.txt": "1",
    "tooling.txt": "1",
    "app.txt": "1",
    "shared/a": "1",
}


def tree(files: Mapping[str, str], modes: Mapping[str, str] | None = None) -> Tree:
    contents = {path: text.encode() for path, text in files.items()}
    found = {path: Entry((modes or {}).get(path, FILE), blob_id(content)) for path, content in contents.items()}
    return Tree(found, lambda path, _: contents[path])


def snapshot(files: Mapping[str, str], modes: Mapping[str, str] | None = None, **environ: str) -> Snapshot:
    return Snapshot.of_tree(tree(files, modes), Ground(environ=environ, host_platform="linux/amd64", cache=CACHE))
