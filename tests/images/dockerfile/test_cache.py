"""Readings that are kept between runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from imagewright.errors import DockerfileError
from imagewright.images.dockerfile import cache as module
from imagewright.images.dockerfile.cache import ReadingCache, from_plain, to_plain
from imagewright.images.model import BaseConfig, Reading

DOCKERFILE = b"""# syntax=docker/dockerfile:1
FROM base AS b
ADD https://example.org/x#y /
COPY --exclude=*.md --parents $D a/./b /
ARG TARGETARCH
ENV A=$TARGETARCH
RUN --mount=type=bind,target=/x true
ONBUILD COPY z /
"""


def reading(cache: ReadingCache, data: bytes = DOCKERFILE, base: BaseConfig | None = None, **more: Any) -> Reading:
    settings = {"build_args": {}, "target": None, "platforms": ("linux/amd64", "linux/arm64")} | more
    return cache.read(data, path="Dockerfile", base=lambda _reference, _platform: base, **settings)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "readings.json"


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes every evaluation."""
    from imagewright.images.dockerfile import evaluate

    calls: list[str] = []
    real = evaluate.evaluate

    def noted(*args: Any, **more: Any) -> Reading:
        calls.append("evaluated")
        return real(*args, **more)

    monkeypatch.setattr(evaluate, "evaluate", noted)
    return calls


def test_a_reading_survives_as_plain_data(path: Path) -> None:
    found = reading(ReadingCache(path))
    assert from_plain(json.loads(json.dumps(to_plain(found)))) == found


def test_the_second_run_evaluates_nothing(path: Path, evaluated: list[str]) -> None:
    first = ReadingCache(path)
    found = reading(first)
    first.save()
    assert reading(ReadingCache(path)) == found
    assert evaluated == ["evaluated"]


@pytest.mark.parametrize(
    "change",
    [
        {"data": DOCKERFILE + b"#"},
        {"build_args": {"D": "x"}},
        {"target": "b"},
        {"platforms": ("linux/amd64",)},
        {"contexts": {"base": "folder"}},
        {"unknown_args": ("D",)},
        {"base": BaseConfig(env={"D": "x"})},
    ],
)
def test_whatever_counts_is_part_of_the_key(path: Path, change: dict[str, Any], evaluated: list[str]) -> None:
    first = ReadingCache(path)
    reading(first)
    first.save()
    reading(ReadingCache(path), **change)
    assert len(evaluated) == 2


def test_what_a_base_answers_is_compared(path: Path, evaluated: list[str]) -> None:
    first = ReadingCache(path)
    reading(first, base=BaseConfig(env={"D": "x"}))
    first.save()
    again = ReadingCache(path)
    assert reading(again, base=BaseConfig(env={"D": "x"})).context[0].sources == ("x", "a/./b")
    assert len(evaluated) == 1
    assert reading(ReadingCache(path), base=BaseConfig(env={"D": "y"})).context[0].sources == ("y", "a/./b")
    assert len(evaluated) == 2


def test_a_base_that_answers_differently_in_one_run_is_compared_each_time(path: Path) -> None:
    """Two states of a repository are read with one cache: what one has must not be taken for the other's."""
    first = ReadingCache(path)
    for value in ("x", "y"):
        assert reading(first, base=BaseConfig(env={"D": value})).context[0].sources == (value, "a/./b")
    first.save()
    for values in ("xy", "yx"):
        again = ReadingCache(path)
        for value in values:
            assert reading(again, base=BaseConfig(env={"D": value})).context[0].sources == (value, "a/./b")


def test_errors_are_not_kept(path: Path) -> None:
    cache = ReadingCache(path)
    for _ in range(2):
        with pytest.raises(DockerfileError):
            reading(cache, b"nonsense")
    cache.save()
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'{"format": 0, "readings": {}}', b'{"format": 1}'])
def test_a_file_that_is_not_ours_is_no_cache(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    cache = ReadingCache(path)
    found = reading(cache)
    cache.save()
    assert reading(ReadingCache(path)) == found


def test_entries_that_make_no_sense_are_read_anew(path: Path) -> None:
    cache = ReadingCache(path)
    found = reading(cache)
    cache.save()
    document = json.loads(path.read_text())
    document["readings"] = {key: [[], ["no", "reading"]] for key in document["readings"]}
    path.write_text(json.dumps(document))
    assert reading(ReadingCache(path)) == found


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = ReadingCache(tmp_path / "file" / "readings.json")
    reading(cache)
    cache.save()


def test_old_entries_make_room(path: Path, monkeypatch: pytest.MonkeyPatch, evaluated: list[str]) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 2)
    for number in range(3):
        cache = ReadingCache(path)
        reading(cache, DOCKERFILE + b"# %d" % number)
        cache.save()
    assert len(json.loads(path.read_text())["readings"]) == 2
    reading(ReadingCache(path), DOCKERFILE + b"# 2")
    assert len(evaluated) == 3


def test_no_file_is_left_behind(path: Path) -> None:
    cache = ReadingCache(path)
    reading(cache)
    cache.save()
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_names_that_are_no_utf8(path: Path) -> None:
    cache = ReadingCache(path)
    data = b"FROM scratch\nCOPY caf\xe9 /\n"
    found = reading(cache, data)
    cache.save()
    assert reading(ReadingCache(path), data) == found
    assert found.context[0].sources == ("caf\udce9",)


def test_a_warm_run_loads_no_parser(path: Path) -> None:
    cache = ReadingCache(path)
    reading(cache)
    cache.save()
    code = f"""
import sys
from pathlib import Path
from imagewright.images.dockerfile.cache import ReadingCache
cache = ReadingCache(Path({str(path)!r}))
cache.read({DOCKERFILE!r}, path="D", build_args={{}}, target=None, platforms=("linux/amd64", "linux/arm64"),
           base=lambda reference, platform: None)
print([name for name in sys.modules if "e2b" in name or name.endswith(("evaluate", "pydantic"))])
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
