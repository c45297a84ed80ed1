"""Cleaning up what this project itself has built and pushed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.repository import Repository

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Inv, LocalEngine

pytestmark = pytest.mark.e2e


def test_the_base_of_a_kept_image_stays(engine: LocalEngine, inv: Inv, base_image: str, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository", engine, inv, base_image)
    repository.configure("cleanup: {keep: 1, max_share: 1.0}\n")
    repository.dockerfile("base", "FROM BASE", "COPY version /version")
    repository.dockerfile("app", "FROM PREFIX/base", "RUN echo app > /app")
    for number, name in enumerate(["all", "all", "base", "base"], 1):
        repository.write("version", f"{number}\n")
        repository.commit()
        repository.build(name, "--tag", f"v{number}")
    before = {tag: repository.digest(repository.reference("base", tag)) for tag in ("v1", "v2", "v3", "v4")}
    assert len(set(before.values())) == 4

    done = repository.invoke("cleanup", "--sort", "version", "--yes")

    assert done.returncode == 0, done.stderr
    assert repository.tags("app") == ("v2",)
    assert sorted(repository.tags("base")) == ["v2", "v4"], done.stdout
    assert repository.digest(repository.reference("base", "v2")) == before["v2"]
    assert f"{repository.reference('app', 'v2')}, which is built on it" in done.stdout
    verified = repository.invoke("cleanup", "--verify")
    assert verified.returncode == 0, verified.stderr
