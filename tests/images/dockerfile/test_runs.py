from __future__ import annotations

from collections.abc import Mapping

import pytest

from imagewright.images.dockerfile.runs import platforms_run
from imagewright.images.model import BaseConfig


def runs(
    text: str,
    *,
    platform: str = "linux/arm64",
    target: str | None = None,
    args: Mapping[str, str] | None = None,
    bases: Mapping[str, BaseConfig] | None = None,
    contexts: Mapping[str, str] | None = None,
) -> set[str]:
    found = platforms_run(
        text.encode(),
        path="Dockerfile",
        build_args=args or {},
        target=target,
        platform=platform,
        base=lambda reference, _platform: (bases or {}).get(reference),
        contexts=contexts,
    )
    return set(found)


BUILT = "FROM --platform=$BUILDPLATFORM golang AS made\nRUN go build\n"


def test_a_run_is_for_the_platform_of_its_stage() -> None:
    assert runs("FROM debian\nRUN x\n") == {"linux/arm64"}
    assert runs("from debian\nrun <<EOF\nx\nEOF\n") == {"linux/arm64"}
    assert runs("FROM debian\nRUN x\n", platform="linux/amd64") == {"linux/amd64"}
    assert runs("FROM --platform=linux/s390x debian\nRUN x\n") == {"linux/s390x"}
    assert runs("FROM --platform=$TARGETPLATFORM debian\nRUN x\n") == {"linux/arm64"}


def test_copying_runs_nothing() -> None:
    assert runs("FROM scratch\nCOPY a /\nADD b /\nWORKDIR /x\nUSER me\nLABEL a=RUN\n") == set()


def test_what_the_builder_runs_for_itself_needs_no_emulator() -> None:
    assert runs(f"{BUILT}FROM scratch\nCOPY --from=made /app /\n") == set()
    assert runs(f"{BUILT}FROM scratch\nCOPY --from=made /app /\n", platform="linux/amd64") == set()
    assert runs(f"{BUILT}FROM debian\nRUN --mount=from=made,target=/m x\n") == {"linux/arm64"}


def test_a_stage_that_is_not_reached_runs_nothing() -> None:
    assert runs("FROM debian AS other\nRUN x\nFROM scratch\nCOPY a /\n") == set()
    assert runs("FROM debian AS other\nRUN x\nFROM scratch\nCOPY a /\n", target="other") == {"linux/arm64"}
    assert runs("FROM debian AS one\nRUN x\nFROM one\n") == {"linux/arm64"}


def test_triggers_run_in_the_stage_that_they_come_to() -> None:
    assert runs("FROM debian AS one\nONBUILD RUN x\nFROM one\n") == {"linux/arm64"}
    assert runs("FROM debian AS one\nONBUILD RUN x\nFROM scratch\n") == set()
    triggering = {"base": BaseConfig(onbuild=("COPY . /", "RUN make"))}
    assert runs("FROM base\n", bases=triggering) == {"linux/arm64"}
    assert runs("FROM base\n", bases={"base": BaseConfig(onbuild=("COPY . /",))}) == set()


def test_a_named_context_stands_for_a_stage() -> None:
    assert runs("FROM debian AS made\nRUN x\nFROM made\n", contexts={"made": "docker-image://other"}) == set()


def test_stages_are_chosen_by_build_args() -> None:
    text = "ARG KIND=copied\nFROM debian AS run\nRUN x\nFROM scratch AS copied\nCOPY a /\nFROM $KIND\n"
    assert runs(text) == set()
    assert runs(text, args={"KIND": "run"}) == {"linux/arm64"}


@pytest.mark.parametrize("text", ["# syntax=other/front-end\nFROM x\nRUN y\n", "FROM\n", "", "RUN x\n"])
def test_what_cannot_be_told_is_left_out(text: str) -> None:
    assert runs(text) == set()
