"""Which files are named like a Dockerfile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imagewright.images.overlooked import files_below, overlooked

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "path",
    ["Dockerfile", "a/Dockerfile.app", "app.Dockerfile", "b/Containerfile", "Dockerfile.a.b", "c/Dockerfile.dev"],
)
def test_named_like_a_dockerfile(path: str) -> None:
    assert overlooked([path], {"other"}) == (path,)
    assert overlooked([path], {path}) == ()


@pytest.mark.parametrize(
    "path",
    ["Dockerfile.app.dockerignore", "Dockerfile.jinja2", "Dockerfiles/base", "dockerfile.py", "Dockerfile.md", "x"],
)
def test_named_otherwise(path: str) -> None:
    assert overlooked([path], set()) == ()


def test_without_git_hidden_folders_are_left_out(tmp_path: Path) -> None:
    for path in ("Dockerfile", "apps/web/Dockerfile", ".venv/Dockerfile", "node_modules/x/Dockerfile"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert sorted(files_below(tmp_path)) == ["Dockerfile", "apps/web/Dockerfile"]
