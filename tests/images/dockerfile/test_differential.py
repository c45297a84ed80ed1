"""The inputs of an image against BuildKit itself.

tests/oracle runs BuildKit's own front end, its steps' own checksums and its own copying over the same files, and
changes every file once: what changes a checksum is used. Nothing of BuildKit is written anew there, but for the folder
in memory that it reads and the questions that a daemon would answer.

IMAGEWRIGHT_DIFFERENTIAL_EXAMPLES=20000 runs that many examples, new ones each time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from imagewright.errors import DockerfileError
from imagewright.images.dockerfile.evaluate import evaluate
from imagewright.images.dockerfile.remotes import remote_kind
from imagewright.images.dockerfile.syntax import read
from imagewright.images.inputs import inputs
from imagewright.images.model import BaseConfig, Image
from imagewright.images.tree import EXECUTABLE, FILE, LINK, Entry, Tree
from imagewright.references import InvalidReferenceError, Reference
from imagewright.tools.git import blob_id
from tests.images.dockerfile.generation import case
from tests.oracle.client import Base, Case, File, Oracle, program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imagewright.images.inputs import Inputs
    from imagewright.images.model import Reading

ASKED = os.environ.get("IMAGEWRIGHT_DIFFERENTIAL_EXAMPLES")
EXAMPLES = int(ASKED or 400)


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    with Oracle(program()) as running:
        yield running


@dataclass
class Figures:
    """What was compared."""

    accepted: int = 0
    refused: int = 0
    ours: int = 0  # files, where everything is known and the build would succeed
    used: int = 0

    def __str__(self) -> str:
        share = (self.ours - self.used) / self.ours if self.ours else 0.0
        return (
            f"{self.accepted} Dockerfiles that BuildKit accepts and {self.refused} that it refuses: "
            f"of {self.ours} inputs {share:.1%} are more than BuildKit uses"
        )


def test_no_input_is_missing(oracle: Oracle, record_property: Callable[[str, object], None]) -> None:
    figures = Figures()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=ASKED is None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def compare_any(rnd: Random) -> None:
        compare(case(rnd), oracle, figures)

    try:
        compare_any()
    finally:
        record_property("differential", str(figures))


def compare(given: Case, oracle: Oracle, figures: Figures) -> None:
    """Fail where an input, an image or an address is missing, or where we refuse what BuildKit builds."""
    note(show(given))
    theirs = oracle.ask(given)
    note(str(theirs))
    try:
        reading, found = ours(given)
    except DockerfileError as error:
        note(f"ours: {error}")
        assert theirs.error or theirs.fails, "this package refuses what BuildKit builds"
        figures.refused += 1
        return
    note(f"ours: {sorted(found.files)} {reading}")
    if theirs.error:
        figures.refused += 1
        return
    figures.accepted += 1
    if theirs.foreign:
        assert reading.unknowns
        return
    missing = {path: why for path, why in theirs.used.items() if path not in found.files}
    assert not {path: why for path, why in missing.items() if why != ["delete"] or not noticed(given, path, found)}
    assert set(theirs.images) <= images_of(reading, given)
    addresses = {remote.address for remote in reading.remotes}
    for address in theirs.remotes:
        scheme = address.partition("://")[0]
        assert address in addresses or (scheme == "git" and any(remote_kind(one) == "git" for one in addresses))
    if not (given.hidden_args or given.hidden_bases or theirs.fails):
        figures.ours += len(found.files)
        figures.used += len(theirs.used.keys() & found.files.keys())


def ours(given: Case) -> tuple[Reading, Inputs]:
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


def noticed(given: Case, path: str, before: Inputs) -> bool:
    """Whether the inputs show that a file was deleted: when it was added they showed that too."""
    without = replace(given, files={name: file for name, file in given.files.items() if name != path})
    try:
        _, after = ours(without)
    except DockerfileError:
        return True
    return after.files != before.files


def images_of(reading: Reading, given: Case) -> set[str]:
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


def show(given: Case) -> str:
    files = [
        f"{path} -> {file.link}" if file.link else f"{path}{'*' * file.exec}" for path, file in given.files.items()
    ]
    texts = [
        f"--- {path}\n{file.text}"
        for path, file in given.files.items()
        if path == given.dockerfile or path.endswith(".dockerignore")
    ]
    return "\n".join([str(replace(given, files={})), *files, *texts])
