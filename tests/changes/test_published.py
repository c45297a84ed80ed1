"""What a registry (in memory) says of an image, and what is remembered of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from imagewright.changes.published import BASES, FINGERPRINT, REVISION, Published, look_up
from imagewright.registry.model import Manifest, digest_of

BASE = {"docker.io/library/debian:12": "sha256:1"}


class Memory:
    """A registry with one image for one platform, under any tag."""

    def __init__(self, labels: dict[str, str]) -> None:
        self.config_bytes = json.dumps({"os": "linux", "architecture": "amd64", "config": {"Labels": labels}}).encode()
        document = {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "x", "digest": digest_of(self.config_bytes), "size": len(self.config_bytes)},
            "layers": [],
        }
        raw = json.dumps(document).encode()
        self.found = Manifest(raw=raw, media_type=str(document["mediaType"]), digest=digest_of(raw))
        self.configs = 0

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def concurrently(self, call: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        return [call(item) for item in items]

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        return self.found

    def config(self, repository: str, digest: str) -> dict[str, Any] | None:
        self.configs += 1
        return dict(json.loads(self.config_bytes))


def asked(registry: Memory, memory: Path) -> Published:
    found = look_up({"app": "localhost:5050/app:dev"}, lambda _host: registry, memory)["app"]
    assert isinstance(found, Published)
    return found


def test_the_labels_are_read_once_and_remembered(tmp_path: Path) -> None:
    registry = Memory({FINGERPRINT: "sha256:f", REVISION: "r", BASES: json.dumps(BASE)})
    first = asked(registry, tmp_path / "memory.json")
    assert (first.fingerprint, first.revision, first.bases) == ("sha256:f", "r", BASE)
    assert asked(registry, tmp_path / "memory.json") == first
    assert registry.configs == 1


@pytest.mark.parametrize("label", ["", "no JSON", "[]", "null", '{"a": 1}', '{"a": null}', '"a"'])
def test_a_label_of_somebody_elses_says_nothing(tmp_path: Path, label: str) -> None:
    assert asked(Memory({BASES: label}), tmp_path / "memory.json").bases == {}


def test_what_was_remembered_before_there_was_the_label(tmp_path: Path) -> None:
    registry = Memory({FINGERPRINT: "sha256:f"})
    old = {"platforms": ["linux/amd64"], "fingerprint": "sha256:f", "revision": None}
    (tmp_path / "memory.json").write_text(json.dumps({registry.found.digest: old}))
    found = asked(registry, tmp_path / "memory.json")
    assert (found.fingerprint, found.bases, registry.configs) == ("sha256:f", {}, 0)
