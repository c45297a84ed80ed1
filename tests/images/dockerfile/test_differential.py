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
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from imagewright.errors import DockerfileError
from imagewright.images.dockerfile.remotes import remote_kind
from tests.images.dockerfile.comparison import images_of, ours
from tests.images.dockerfile.generation import case
from tests.oracle.client import Case, Oracle, program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imagewright.images.inputs import Inputs

ASKED = os.environ.get("IMAGEWRIGHT_DIFFERENTIAL_EXAMPLES")
EXAMPLES = int(ASKED or 2000)


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
        phases=[Phase.generate],  # `smallest` finds a smaller repository in a hundredth of the time
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=True))
    def compare(rnd: Random) -> None:
        found = case(rnd)
        if disagreement(found, oracle, figures):
            found = smallest(found, lambda smaller: bool(disagreement(smaller, oracle, Figures())))
            pytest.fail(f"{disagreement(found, oracle, Figures())}\n{show(found)}", pytrace=False)

    try:
        compare()
    finally:
        record_property("differential", str(figures))


def disagreement(given: Case, oracle: Oracle, figures: Figures) -> str:
    """What is missing here of what BuildKit uses, or why we refuse what it builds; empty where all is well."""
    theirs = oracle.ask(given)
    try:
        reading, found = ours(given)
    except DockerfileError as error:
        figures.refused += 1
        # the plan is the same for every builder: what a builder of another platform refuses may be refused
        answers = (theirs, *(oracle.ask(replace(given, builder=other)) for other in ("linux/amd64", "linux/arm64")))
        refused = any(answer.error or answer.fails for answer in answers)
        return "" if refused else f"BuildKit builds what we refuse: {error}"
    if theirs.error:
        figures.refused += 1
        return ""
    figures.accepted += 1
    if theirs.foreign:
        return "" if reading.unknowns else f"nothing is unknown to {theirs.foreign}"
    missing = {path: why for path, why in theirs.used.items() if path not in found.files}
    if missing := {path: why for path, why in missing.items() if why != ["delete"] or not noticed(given, path, found)}:
        return f"not among the inputs: {missing}"
    if all(use.reference for use in reading.images):
        images = set(theirs.images) - images_of(reading, given)
    else:
        images = set() if reading.unknowns else set(theirs.images)
    if images:
        return f"images that BuildKit uses: {images}"
    addresses = {remote.address for remote in reading.remotes}
    has_git = any(remote_kind(address) == "git" for address in addresses)
    remotes = {one for one in theirs.remotes if one not in addresses and not (has_git and one.startswith("git://"))}
    if remotes:
        return f"addresses that BuildKit fetches: {remotes}"
    if not (given.hidden_args or given.hidden_bases or theirs.fails or reading.remotes):
        files = {path for path in found.files if not path.endswith("/")}  # an empty folder that is sent is no file
        figures.ours += len(files)
        figures.used += len(theirs.used.keys() & files)
    return ""


def noticed(given: Case, path: str, before: Inputs) -> bool:
    """Whether the inputs show that a file was deleted: when it was added they showed that too."""
    without = replace(given, files={name: file for name, file in given.files.items() if name != path})
    try:
        _, after = ours(without)
    except DockerfileError:
        return True
    return after.digest() != before.digest()


def smallest(given: Case, fails: Callable[[Case], bool]) -> Case:
    """A repository that fails too, and of which nothing can be left out."""
    while True:
        for smaller in _smaller(given):
            if fails(smaller):
                given = smaller
                break
        else:
            return given


def _smaller(given: Case) -> Iterator[Case]:
    for path, file in given.files.items():
        if path != given.dockerfile:
            yield replace(given, files={name: other for name, other in given.files.items() if name != path})
        lines = file.text.splitlines(keepends=True)
        for at in range(len(lines)):
            text = "".join(lines[:at] + lines[at + 1 :])
            yield replace(given, files={**given.files, path: replace(file, text=text)})
    for name in given.args:
        yield replace(given, args={key: value for key, value in given.args.items() if key != name})
    for name in given.contexts:
        yield replace(given, contexts={key: value for key, value in given.contexts.items() if key != name})
    for name in given.bases:
        yield replace(given, bases={key: value for key, value in given.bases.items() if key != name})
    if given.target:
        yield replace(given, target="")
    if given.platforms[1:]:
        yield replace(given, platforms=given.platforms[:1])


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
