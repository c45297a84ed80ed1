"""Which images a build takes, and for which platform each."""

from __future__ import annotations

from collections.abc import Mapping

from imagewright.images.dockerfile.takes import Take, takes


def taken(text: str, *, target: str | None = None, contexts: Mapping[str, str] | None = None) -> list[Take]:
    found = takes(
        text.encode(),
        path="Dockerfile",
        build_args={},
        target=target,
        platform="linux/arm64",
        base=lambda _reference, _platform: None,
        contexts=contexts or {},
    )
    return list(found)


def take(line: int, reference: str, platform: str = "linux/arm64", *, is_context: bool = False) -> Take:
    return Take(line, reference, is_context, platform)


def test_a_stage_takes_for_its_own_platform_and_a_command_for_the_one_that_is_built_for() -> None:
    low = "FROM --platform=linux/s390x low AS low\nCOPY --from=data:1 a /"
    text = f"{low}\nFROM debian\nRUN --mount=from=tools,target=/t x"
    assert taken(f"{text}\nCOPY --from=low a /") == [
        take(1, "low", "linux/s390x"),
        take(2, "data:1"),
        take(3, "debian"),
        take(4, "tools"),
    ]
    assert taken(text) == [take(3, "debian"), take(4, "tools")]
    assert taken(text, target="low") == [take(1, "low", "linux/s390x"), take(2, "data:1")]


def test_a_stage_is_no_image_whatever_it_is_called() -> None:
    assert taken("FROM --platform=linux/s390x x AS x\nFROM x") == [take(1, "x", "linux/s390x")]
    assert taken("FROM scratch AS debian\nFROM debian") == []


def test_a_context_goes_before_the_image_and_the_stage_of_its_name() -> None:
    contexts = {"debian": "docker-image://mine", "made": "target:made"}
    text = "FROM debian:latest AS made\nFROM made\nCOPY --from=debian a /"
    assert taken(text, contexts=contexts) == [take(1, "made", is_context=True), take(3, "debian", is_context=True)]
    assert taken(text, contexts={"debian::linux/amd64": "target:x"}) == [take(1, "debian:latest"), take(3, "debian")]


def test_what_depends_on_the_builder_and_what_cannot_be_read_is_left_out() -> None:
    assert taken("FROM --platform=$BUILDPLATFORM a AS a\nFROM b-$BUILDARCH\nCOPY --from=a x /") == []
    assert taken("FROM a AS for-amd64\nFROM for-$BUILDARCH") == []
    assert taken("COPPY a b") == taken("FROM a\nCOPPY a b") == taken("# syntax=example.org/x\nFROM a") == []


def test_a_builder_that_buildkit_would_refuse_is_not_the_one_that_builds() -> None:
    assert taken("FROM a AS a\nFROM ${BUILDARCH%amd64}\nCOPY --from=a x /") == [take(1, "a"), take(2, "arm64")]
