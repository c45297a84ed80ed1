"""What each real failure of BuildKit and buildx is told as: tests/builds/data holds what they printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.builds.failure import OUTPUT_LINES, Failure, analyse, is_lost_blob
from imagewright.builds.progress import Progress, advance
from imagewright.errors import BuildError, EnvironmentMissingError

DATA = Path(__file__).parent / "data"


def analysed(name: str) -> Failure:
    progress = Progress()
    for line in (DATA / f"{name}.txt").read_text().splitlines():
        progress, _ = advance(progress, line)
    return analyse("app", progress, builder="box", files={f"Dockerfile.{name}": f"images/Dockerfile.{name}"})


def failed_with(text: str) -> Failure:
    progress, _ = advance(Progress(), f"ERROR: failed to solve: {text}")
    return analyse("app", progress, builder="box", files={})


@pytest.mark.parametrize(
    ("name", "kind", "line", "message", "hint"),
    [
        ("run", "run", 4, "failed with exit code 7 (stage build, step 2/2): RUN echo one && echo two", None),
        ("heredoc", "run", 2, "failed with exit code 1 (step 2/2): RUN <<EOF", None),
        ("notfoundcmd", "run", 2, "failed with exit code 127 (step 2/2): RUN nosuchcommand", None),
        ("execformat", "emulator", 3, "/bin/sh cannot be executed on the builder's machine", "qemu-user-static"),
        ("notexec", "emulator", 4, "/bin/prog cannot be executed", "#!"),
        ("nobase", "base", 1, "base image localhost:5050/nothing:1 was not found", "name and tag"),
        ("nobasehub", "base", 1, "base image debian:nosuch was not found", "name and tag"),
        ("emulator", "base", 1, "debian:trixie-slim is not there for the platform", "platforms"),
        ("copymissing", "source", 2, "/nothere.txt is not there to be copied", ".dockerignore"),
        ("copymissingstage", "source", 3, "/nothere.txt is not there to be copied", "the stage or image"),
        ("cachelostblob", "cache", None, "a blob that it needs is not there", "invoke cache verify"),
        ("cacheblob500", "cache", None, "Internal Server Error (HTTP 500)", "invoke cache status"),
        ("cachekey", "cache", None, "No user exists with the provided access key ID. (HTTP 404)", "invoke cache"),
        ("parse", "dockerfile", 2, "unknown instruction: RUNN (did you mean RUN?)", None),
        ("parse2", "dockerfile", 2, "unterminated heredoc", None),
        ("notarget", "dockerfile", None, "no stage 'nosuch'", "target"),
        ("nocontext", "context", None, "the build context nosuchdir is not there", "context"),
        ("unknownsecret", "secret", 2, "needs the secret 'tok'", "secrets: [{id: tok"),
        ("secretfilemissing", "secret", None, "not there: nosuch.txt", "secrets"),
        ("diskrun", "disk", 2, "the disk of builder box is full", "docker buildx prune --builder box"),
        ("diskcopy", "disk", 1, "the disk of builder box is full", "docker buildx prune --builder box"),
        ("pullauth", "credentials", 1, "5051 refuses the pull of localhost:5051/x:1", "invoke login local"),
        ("pull403", "credentials", 1, "localhost:5056 refuses the pull", "invoke login localhost:5056"),
        ("pushauth", "credentials", None, "5051 refuses the push of localhost:5051/x:1", "invoke login local"),
        ("push403", "credentials", None, "5056 refuses the push of localhost:5056/x:1", "invoke login localhost:5056"),
        ("pull500", "registry", 1, "localhost:5052 answers 500 Internal Server Error to the pull", "later"),
        ("pushcoded", "registry", None, "localhost:5052 answers 500 Internal Server Error to the push", "later"),
        ("push429", "registry", None, "localhost:5053 answers 429 Too Many Requests to the push", "later"),
        ("unreachable", "unreachable", 1, "localhost:1 cannot be reached: connection refused", "bases:"),
        ("nohost", "unreachable", 1, "registry.invalid cannot be reached: no such host", "bases:"),
        ("pushunreachable", "unreachable", None, "localhost:1 cannot be reached: connection", "start registry"),
        ("pushreset", "unreachable", None, "cannot be reached: connection reset by peer", "invoke start registry"),
        ("gone", "builder", None, "builder box cannot be reached", "docker buildx inspect box"),
        ("oldengine", "builder", None, "BuildKit of builder box is too old", "Docker engine to 23"),
        ("killed", "builder", None, "builder box went away while it built", "docker buildx inspect box"),
        ("farcutreset", "builder", None, "builder box went away while it built", "docker buildx inspect box"),
        ("farworkers", "builder", None, "builder box went away while it built", "docker buildx inspect box"),
        ("badbuilder", "builder", None, "there is no builder nosuch", "docker buildx ls"),
        ("noplugin", "builder", None, "docker has no buildx plugin", "builder.name: auto"),
        ("sigint", "canceled", None, "canceled", None),
    ],
)  # fmt: skip
def test_each_failure_in_words(name: str, kind: str, line: int | None, message: str, hint: str | None) -> None:
    failure = analysed(name)
    assert failure.kind == kind
    assert failure.where == (None if line is None else f"images/Dockerfile.{name}:{line}")
    assert message in failure.message
    assert (failure.hint is None) == (hint is None)
    assert hint is None or hint in str(failure.hint)


def test_everything_about_a_failing_run() -> None:
    failure = analysed("run")
    assert (failure.stage, failure.step, failure.exit_code) == ("build", "2/2", 7)
    assert failure.command is not None
    assert failure.command.startswith("RUN echo one")
    assert sorted(failure.output) == ["one", "two"]
    assert isinstance(failure.error, BuildError)
    assert str(failure.error).startswith("images/Dockerfile.run:4: app: failed with exit code 7")
    assert "\n    | two" in str(failure.error)


def test_a_failure_of_one_platform_names_it() -> None:
    failure = analysed("linked")
    assert "(stage stage-1, step 1/1, linux/amd64)" in failure.message
    assert failure.where == "Dockerfile.child:4"


def test_what_the_environment_lacks_exits_with_3() -> None:
    assert isinstance(analysed("gone").error, EnvironmentMissingError)
    assert isinstance(analysed("unreachable").error, EnvironmentMissingError)
    assert isinstance(analysed("pullauth").error, BuildError)


def test_a_killed_process_has_a_hint() -> None:
    assert "memory" in str(failed_with('process "/bin/sh -c make" did not complete successfully: exit code: 137').hint)


def test_only_the_last_lines_of_the_output_are_told() -> None:
    progress = Progress()
    for line in (
        '{"vertexes": [{"digest": "d", "name": "[1/1] RUN x", "started": "2026-01-01T00:00:00Z"}]}',
        *('{"logs": [{"vertex": "d", "data": "eAo="}]}' for _ in range(100)),
        '{"vertexes": [{"digest": "d", "name": "[1/1] RUN x", "error": "process \\"x\\" did not complete"}]}',
    ):
        progress, _ = advance(progress, line)
    assert len(analyse("app", progress, builder="b", files={}).output) == OUTPUT_LINES


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("pull500", "the registry has an error of its own"),
        ("push500", "the registry has an error of its own"),
        ("pushcoded", "the registry has an error of its own"),
        ("pull429", "the registry asks for a pause"),
        ("pushreset", "the connection was reset"),
        ("pulleof", "the connection ended early"),
        ("pusheof", "the connection ended early"),
        ("addbadgateway", "the server has an error of its own"),
        ("addgit", "the server has an error of its own"),
        ("contextgit", "the server has an error of its own"),
        ("add429", "the server asks for a pause"),
        ("unreachable", "nobody listens there at the moment"),
        ("pushunreachable", "nobody listens there at the moment"),
        ("addrefused", "nobody listens there at the moment"),
        ("gitrefused", "nobody listens there at the moment"),
        ("killed", "the connection to the builder broke"),
        ("farcutreset", "the connection to the builder broke"),
        ("farworkers", "the connection to the builder broke"),
        *((name, None) for name in ("run", "nobase", "copymissing", "pushauth", "push403", "diskcopy", "parse")),
        *((name, None) for name in ("gone", "badbuilder", "noplugin", "oldengine")),
        *((name, None) for name in ("sigint", "nohost", "gitnohost", "execformat", "unknownsecret")),
    ],
)
def test_what_is_tried_again(name: str, why: str | None) -> None:
    assert analysed(name).transient == why


@pytest.mark.parametrize(
    ("text", "transient"),
    [
        ('failed to push x/y: Put "https://x/v2/": net/http: TLS handshake timeout', True),
        ('failed to push x/y: failed to do request: Put "https://x/v2/": dial tcp 192.0.2.1:443: i/o timeout', True),
        ("failed to push x/y: unexpected status from PUT request to https://x/v2/: 503 Service Unavailable", True),
        ("failed to push x/y: unexpected status from PUT request to https://x/v2/: 501 Not Implemented", False),
        ('failed to push x/y: failed to do request: Head "https://x/v2/": http: server closed idle connection', True),
        ("failed to copy: stream error: stream ID 7; INTERNAL_ERROR; received from peer", True),
        (
            "x/y: failed to resolve source metadata for x/y: failed to do request: dial tcp: lookup x: no such host",
            False,
        ),
        ("x/y: failed to do request: dial tcp: lookup x on 127.0.0.11:53: server misbehaving", True),
        ("x/y: failed to do request: dial tcp: lookup x: Temporary failure in name resolution", True),
        ("failed to load cache key: invalid response status 503", True),
        ("failed to load cache key: invalid response status 504", True),
        ("failed to load cache key: invalid response status 404", False),
        ("git stderr:\nfatal: unable to access 'https://x/': The requested URL returned error: 403", False),
        ("Unavailable: error reading from server: EOF", True),
        ("rpc error: code = Unavailable desc = transport is closing", True),
        ('failed to list workers: Unavailable: connection error: desc = "error reading from server: EOF"', True),
        ('Unavailable: connection error: desc = "transport: failed to write client preface: io: closed pipe"', True),
        (
            'Unavailable: connection error: desc = "Error while dialing: dial unix /x: connect: connection refused"',
            False,
        ),
        (
            'Unavailable: connection error: desc = "Error while dialing: dial tcp :1: connect: connection refused"',
            False,
        ),
        ('Unavailable: connection error: desc = "transport: authentication handshake failed: x509: unknown"', False),
        ("ref sha256:12 locked for 3s (since 2026): unavailable", True),
        ('process "/bin/sh -c curl" did not complete successfully: exit code: 56: connection reset by peer', False),
        ("something new", False),
    ],
)
def test_texts_that_are_tried_again(text: str, transient: bool) -> None:
    assert (failed_with(text).transient is not None) == transient


def test_a_failing_run_is_not_tried_again_whatever_it_printed() -> None:
    progress = Progress()
    for line in (
        '{"vertexes": [{"digest": "d", "name": "[1/1] RUN x", "started": "2026-01-01T00:00:00Z"}]}',
        '{"logs": [{"vertex": "d", "data": "Y29ubmVjdGlvbiByZXNldCBieSBwZWVyCg=="}]}',
        '{"vertexes": [{"digest": "d", "name": "[1/1] RUN x", "error": "process \\"x\\" did not complete"}]}',
        'ERROR: failed to solve: process "x" did not complete successfully: exit code: 1',
    ):
        progress, _ = advance(progress, line)
    failure = analyse("app", progress, builder="b", files={})
    assert failure.output == ("connection reset by peer",)
    assert failure.transient is None


@given(
    st.text(st.characters(exclude_characters="\n"), max_size=20),
    st.sampled_from(
        [
            *(
                "error reading from server: EOF",
                "rpc error: code = Unavailable desc = transport is closing",
                "dial unix /x",
            ),
            *("503 Service Unavailable", "invalid response status 502", "The requested URL returned error: 502"),
            *("connection refused", "server misbehaving", "stream error: stream ID 1; INTERNAL_ERROR", "i/o timeout"),
        ]
    ),
    st.sampled_from(["exit code: 1", "exit code: 137: context canceled: context canceled"]),
)
def test_a_failing_run_is_not_tried_again_whatever_its_command_says(before: str, text: str, how: str) -> None:
    failure = failed_with(f'process "/bin/sh -c {before}{text}" did not complete successfully: {how}')
    assert (failure.kind, failure.transient) == ("run", None)


def test_what_is_not_known_is_told_as_buildkit_says_it() -> None:
    assert failed_with("something new").message == "something new"
    assert analyse("app", Progress(), builder="b", files={}).message == "buildx failed without a word"


def test_a_lost_blob_is_told_from_a_store_that_fails() -> None:
    assert is_lost_blob(analysed("cachelostblob").detail)
    assert not is_lost_blob(analysed("cacheblob500").detail)
    assert not is_lost_blob(analysed("cachekey").detail)


def test_a_cache_that_fails_is_not_what_failed_where_a_step_did() -> None:
    progress = Progress()
    for name in ("cachegone", "run"):
        for line in (DATA / f"{name}.txt").read_text().splitlines():
            progress, _ = advance(progress, line)
    assert analyse("app", progress, builder="box", files={}).kind == "run"
