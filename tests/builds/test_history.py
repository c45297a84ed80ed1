"""What runs tell the next ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from imagewright.builds.history import Known, learned, load, save, with_growth
from imagewright.builds.result import ImageResult

APP = ImageResult(
    name="app",
    status="built",
    reference="r/app:1",
    digest="sha256:1",
    platforms=("linux/amd64",),
    tags=(),
    seconds=9.0,
    cached_steps=1,
    steps=3,
    sizes={"linux/amd64": 120},
)


def test_what_was_learned_is_there_again(tmp_path: Path) -> None:
    file = tmp_path / "state" / "history.json"
    save(file, learned({}, [APP]))
    assert load(file) == {"app": Known(9.0, {"linux/amd64": 120})}
    assert [path.name for path in file.parent.iterdir()] == ["history.json"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"app": 3}', '{"app": {"seconds": "x", "sizes": null}}'])
def test_a_damaged_file_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "h").write_text(text)
    assert load(tmp_path / "h") == {}
    assert load(tmp_path / "nothing") == {}


def test_a_build_from_the_cache_alone_tells_nothing_about_time() -> None:
    known = learned({"app": Known(9.0, None)}, [replace(APP, seconds=0.2, cached_steps=3)])
    assert known["app"] == Known(9.0, {"linux/amd64": 120})


@pytest.mark.parametrize("status", ["failed", "skipped", "reused"])
def test_what_was_not_built_tells_nothing(status: str) -> None:
    known = {"app": Known(9.0, {"linux/amd64": 1})}
    assert learned(known, [replace(APP, status=status)]) == known  # type: ignore[arg-type]


def test_growth_is_told_where_the_platforms_are_the_same() -> None:
    def grown(before: dict[str, int] | None, **changed: object) -> int | None:
        (found,) = with_growth([replace(APP, **changed)], {"app": Known(1.0, before)})  # type: ignore[arg-type]
        return found.growth

    assert grown({"linux/amd64": 100}) == 20
    assert grown({"linux/amd64": 120}) == 0
    assert grown({"linux/arm64": 100}) is None
    assert grown(None) is None
    assert grown({"linux/amd64": 100}, sizes=None) is None
    assert grown({"linux/amd64": 100}, status="reused") is None
