"""A repository of families as a mapping of files, surveyed without a disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagewright.config.models import Settings
from imagewright.images.discover import discover_in
from imagewright.images.survey import Survey, survey
from imagewright.images.tree import FILE, Entry, Tree
from imagewright.tags.members import FamilyVersions
from imagewright.tools.git import blob_id

PLAIN = "FROM debian\n"


def surveyed(files: Mapping[str, str], **settings: Any) -> Survey:
    """Every image of these files, by path; the settings are those of config/images.yml."""
    read = Settings.model_validate(settings)
    contents = {path: text.encode() for path, text in files.items()}
    entries = {path: Entry(FILE, blob_id(content)) for path, content in contents.items()}
    tree = Tree(entries, lambda path, _: contents[path])
    found = discover_in(tree, read.discover)
    return survey(read, found, contents.get, host_platform="linux/amd64", rules=FamilyVersions())


def family(yaml: str, *, name: str = "python", dockerfile: str = PLAIN, **files: str) -> dict[str, str]:
    """The files of one family; `files` are more templates of it, with `_` for `.`."""
    folder = f"images/{name}"
    more = {f"{folder}/{file.replace('_', '.')}": text for file, text in files.items()}
    return {f"{folder}/image.yml": yaml, f"{folder}/Dockerfile.jinja2": dockerfile} | more


def dockerfile(found: Survey, name: str) -> str:
    """The Dockerfile that was made for an image."""
    image = next(image for image in found.images if image.name == name)
    return found.generated[image.dockerfile].content.decode()
