"""This package's answer about a case that BuildKit is asked about."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from imagewright.images.dockerfile.evaluate import evaluate
from imagewright.images.dockerfile.syntax import read
from imagewright.images.inputs import inputs
from imagewright.images.model import BaseConfig, Image
from imagewright.images.tree import EXECUTABLE, FILE, LINK, Entry, Tree
from imagewright.references import InvalidReferenceError, Reference
from imagewright.tools.git import blob_id
from tests.oracle.client import Base

if TYPE_CHECKING:
    from imagewright.images.inputs import Inputs
    from imagewright.images.model import Reading
    from tests.oracle.client import Case


def ours(given: Case) -> tuple[Reading, Inputs]:
    """What it reads, and its inputs; DockerfileError where it refuses."""
    image = Image(
        name="app",
        repository="localhost/app",
        dockerfile=given.dockerfile,
        context=given.context,
        layer=None,
        platforms=given.platforms,
        target=given.target or None,
        build_args=given.args,
        contexts=given.contexts,
    )
    tree = tree_of(given)
    reading = evaluate(
        read(tree.read(given.dockerfile), path=given.dockerfile, syntax=given.args.get("BUILDKIT_SYNTAX")),
        build_args=given.args,
        target=image.target,
        platforms=given.platforms,
        contexts=given.contexts,
        base=lambda reference, platform: base_of(given, reference, platform),
        unknown_args=given.hidden_args,
    )
    return reading, inputs(image, reading, tree)


def base_of(given: Case, reference: str, platform: str) -> BaseConfig | None:
    name = full(reference)
    if name in given.hidden_bases:
        return None
    base = given.bases.get(f"{name} {platform}") or given.bases.get(name) or Base()
    pairs = (one.partition("=") for one in base.env)
    return BaseConfig(env={name: value for name, _, value in pairs}, onbuild=base.onbuild)


def tree_of(given: Case) -> Tree:
    contents = {path: os.fsencode(file.link or file.text) for path, file in given.files.items()}
    return Tree(
        {
            path: Entry(LINK if file.link else EXECUTABLE if file.exec else FILE, blob_id(contents[path]))
            for path, file in given.files.items()
        },
        lambda path, _: contents[path],
    )


def images_of(reading: Reading, given: Case) -> set[str]:
    """The images that it knows of, named contexts included, as full references."""
    named = [value.removeprefix("docker-image://") for value in given.contexts.values()]
    return {full(reference) for reference in (*named, *(use.reference for use in reading.images)) if reference}


def full(reference: str) -> str:
    try:
        found = Reference.parse(reference)
    except InvalidReferenceError:
        return reference
    digest = f"@{found.digest}" if found.digest else ""
    tag = f":{found.tag}" if found.tag else "" if digest else ":latest"
    return f"{found.repository}{tag}{digest}"
