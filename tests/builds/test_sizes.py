"""The registry is asked once for each digest, and never a reason to fail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from imagewright.builds.result import ImageResult
from imagewright.builds.sizes import with_sizes

ONE, TWO, THREE = (f"sha256:{digit * 64}" for digit in "123")
REPOSITORIES = {"one": "r.io/one", "two": "r.io/two"}


class Scales:
    """Measures all but what is `silent`, and remembers what was asked."""

    def __init__(self, *silent: str) -> None:
        self.silent = silent
        self.asked: list[dict[str, str]] = []

    def __call__(self, repositories: Mapping[str, str]) -> Mapping[str, Mapping[str, int]]:
        self.asked.append(dict(repositories))
        return {
            digest: {"linux/amd64": number * 100}
            for number, (digest, repository) in enumerate(repositories.items(), 1)
            if repository not in self.silent
        }


def built(name: str, digest: str | None) -> ImageResult:
    return ImageResult(
        name=name, status="built", reference=f"r.io/{name}:1", digest=digest, platforms=("linux/amd64",), tags=()
    )


def test_all_are_asked_for_at_once_and_each_digest_once_also_by_later_runs(tmp_path: Path) -> None:
    memory = tmp_path / "deep/sizes.json"
    scales = Scales()
    found = with_sizes([built("one", ONE), built("two", TWO)], REPOSITORIES, measure=scales, memory=memory)
    assert [one.sizes for one in found] == [{"linux/amd64": 100}, {"linux/amd64": 200}]
    assert scales.asked == [{ONE: "r.io/one", TWO: "r.io/two"}]
    again = with_sizes([built("two", TWO), built("one", ONE)], REPOSITORIES, measure=scales, memory=memory)
    assert [one.sizes for one in again] == [{"linux/amd64": 200}, {"linux/amd64": 100}]
    assert len(scales.asked) == 1
    results = [built("two", TWO), built("one", THREE), built("two", THREE)]
    assert with_sizes(results, REPOSITORIES, measure=scales, memory=memory)[1].sizes == {"linux/amd64": 100}
    assert [asked.keys() for asked in scales.asked] == [{ONE, TWO}, {THREE}]


def test_what_was_not_published_has_no_size(tmp_path: Path) -> None:
    scales = Scales()
    (found,) = with_sizes([built("one", None)], REPOSITORIES, measure=scales, memory=tmp_path / "sizes.json")
    assert found.sizes is None
    assert not scales.asked
    assert not (tmp_path / "sizes.json").exists()


def test_what_a_registry_does_not_tell_is_left_out_and_asked_again(tmp_path: Path) -> None:
    memory = tmp_path / "sizes.json"
    results = [built("one", ONE), built("two", TWO)]
    found = with_sizes(results, REPOSITORIES, measure=Scales("r.io/one"), memory=memory)
    assert [one.sizes for one in found] == [None, {"linux/amd64": 200}]
    later = with_sizes(results, REPOSITORIES, measure=Scales(), memory=memory)
    assert [one.sizes for one in later] == [{"linux/amd64": 100}, {"linux/amd64": 200}]


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"\xff", b'{"%s": 5}' % ONE.encode(), b'{"%s": {"a": "b"}}' % ONE.encode()]
)
def test_a_damaged_memory_is_as_good_as_none(tmp_path: Path, damage: bytes) -> None:
    memory = tmp_path / "sizes.json"
    memory.write_bytes(damage)
    (found,) = with_sizes([built("one", ONE)], REPOSITORIES, measure=Scales(), memory=memory)
    assert found.sizes == {"linux/amd64": 100}
    assert json.loads(memory.read_bytes()) == {ONE: {"linux/amd64": 100}}


def test_a_memory_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (found,) = with_sizes([built("one", ONE)], REPOSITORIES, measure=Scales(), memory=tmp_path / "file/sizes.json")
    assert found.sizes == {"linux/amd64": 100}


def test_the_memory_stays_small_and_keeps_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagewright.builds.sizes._MAX_KEPT", 2)
    memory = tmp_path / "sizes.json"
    digests = [f"sha256:{number:064}" for number in range(3)]
    results = [built("one", digest) for digest in digests]
    found = with_sizes(results, REPOSITORIES, measure=Scales(), memory=memory)
    assert [one.sizes for one in found] == [{"linux/amd64": 100}, {"linux/amd64": 200}, {"linux/amd64": 300}]
    assert list(json.loads(memory.read_bytes())) == digests[1:]
