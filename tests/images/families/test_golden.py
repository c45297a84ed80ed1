"""Three families with variants, some fifty tags: all that is made of them, byte by byte.

`UPDATE_GOLDEN=1 pytest tests/images/families/test_golden.py` writes golden/expected.txt anew; read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagewright.images.graph import Graph, edges
from imagewright.images.readings import read_all
from imagewright.images.survey import Survey
from tests.changes.states import CACHE
from tests.images.families.repository import surveyed

FOLDER = Path(__file__).with_name("golden")
EXPECTED = FOLDER / "expected.txt"


@pytest.fixture(scope="module")
def found() -> Survey:
    files = {str(path.relative_to(FOLDER)): path.read_text() for path in FOLDER.glob("images/**/*") if path.is_file()}
    return surveyed(files, registry="ghcr.io/me")


def told(found: Survey) -> str:
    """The images with all that they are called, what stands on what, and every generated file."""
    readings = read_all(found.images, lambda path: found.generated[path].content, CACHE)
    assert not readings.broken
    graph = Graph(found.images, edges(found.images, readings.by_name))
    lines = []
    for image in found.images:
        others = ["latest"] if image.is_latest else []
        lines.append(" ".join([f"{image.repository}:{image.own_tag}", *image.aliases, *others]))
        lines += [f"    on {parent}" for parent in graph.parents(image.name)]
        lines += [f"    {key}={value}" for key, value in sorted({**image.build_args, **image.labels}.items())]
        lines.append(f"    {', '.join(image.platforms)}")
    for path, made in sorted(found.generated.items()):
        lines += ["", f"=== {path} (made from {made.origin})", made.content.decode().removesuffix("\n")]
    return "\n".join([*lines, *found.notices, ""])


def test_all_is_as_expected(found: Survey) -> None:
    text = told(found)
    if os.environ.get("UPDATE_GOLDEN"):
        EXPECTED.write_text(text)
    assert text == EXPECTED.read_text()


def test_there_are_more_than_twenty_references(found: Survey) -> None:
    assert sum(image.variant_suffixes != () for image in found.images) == len(found.images) > 20
    assert sum(len(image.publishes) for image in found.images) > 50
