"""The page on families names every key, and its example is what it says."""

from __future__ import annotations

import re
from pathlib import Path

from imagewright.images.families.schema import FamilyFile, TagEntry, Variant
from tests.images.families.repository import surveyed

PAGE = (Path(__file__).parents[3] / "docs/families.md").read_text()


def test_every_key_is_in_the_table() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE.partition("## Keys")[2], re.MULTILINE)
    named = set(re.findall(r"`(\w+)`", " ".join(rows)))
    assert named == {*FamilyFile.model_fields, *TagEntry.model_fields, *Variant.model_fields}


def test_the_example() -> None:
    blocks = re.findall(r"^```(?:yaml|jinja)\n(?:# |\{# )([^ \n]+)[^\n]*\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    base = {"images/base/image.yml": "tags: [2025.10]\n", "images/base/Dockerfile.jinja2": "FROM debian\n"}
    found = surveyed(dict(blocks) | base, registry="ghcr.io/me")
    assert not found.broken
    members = [image.name for image in found.images if image.family == "python"]
    assert set(members) == {"python:3.12.12", "python:3.13.7", "python:3.12.12-semantic", "python:3.13.7-semantic"}
    assert found.generated["dist/python/3.13.7/Dockerfile"].content.startswith(b"FROM ghcr.io/me/base:2025.10\n")
