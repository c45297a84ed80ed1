from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.builds.progress import TAIL_LINES, Event, Progress, Step, advance
from imagewright.tools.redact import Redactor

DATA = Path(__file__).parent / "data"


def played(name: str, clean: Callable[[str], str] = str) -> tuple[Progress, list[Event]]:
    """A recorded run of buildx, folded."""
    progress, events = Progress(), list[Event]()
    for line in (DATA / f"{name}.txt").read_text().splitlines():
        progress, new = advance(progress, line, clean)
        events += new
    return progress, events


def vertex(name: str, *, digest: str = "d", started: int | None = 0, ended: int | None = None, **more: Any) -> str:
    times = {"started": started, "completed": ended}
    stamps = {key: f"2026-01-01T00:00:{value:02}.123456789Z" for key, value in times.items() if value is not None}
    return json.dumps({"vertexes": [{"digest": digest, "name": name, **stamps, **more}]})


def log(data: bytes, digest: str = "d") -> str:
    return json.dumps({"logs": [{"vertex": digest, "data": base64.b64encode(data).decode()}]})


def fold(*lines: str, clean: Callable[[str], str] = str) -> tuple[Progress, list[Event]]:
    progress, events = Progress(), list[Event]()
    for line in lines:
        progress, new = advance(progress, line, clean)
        events += new
    return progress, events


def test_a_recorded_build_from_start_to_end() -> None:
    progress, events = played("ok")
    assert (progress.done, progress.total, progress.cached) == (4, 4, 0)
    assert progress.current is None
    assert progress.failed is None
    lines = [event.line for event in events]
    assert lines.index("[build 2/4] line 1") < lines.index("[build 2/4] done in 0.7s")
    assert "[stage-1 1/1] last" in lines
    assert "exporting to image" in lines
    assert progress.warnings == (
        'SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG "TOKEN") (line 3)',
    )


def test_a_recorded_build_with_nothing_to_do() -> None:
    progress, events = played("cached")
    assert (progress.done, progress.total, progress.cached) == (4, 4, 4)
    assert "[build 2/4] cached" in [event.line for event in events]


def test_a_recorded_failure() -> None:
    progress, events = played("run")
    assert progress.failed is not None
    assert sorted(progress.failed.tail) == ["one", "two"]
    assert [event.kind for event in events].count("failed") == 1
    assert progress.text[0] == "Dockerfile.run:4"
    assert "   4 | >>> RUN echo one && \\" in [event.line for event in events]


@pytest.mark.parametrize(
    ("name", "stage", "number", "platform", "instruction"),
    [
        ("[2/4] RUN make", None, "2/4", None, "RUN make"),
        ("[build 2/4] RUN make", "build", "2/4", None, "RUN make"),
        ("[linux/arm64 build 2/4] RUN make", "build", "2/4", "linux/arm64", "RUN make"),
        ("[linux/arm/v7 1/1] RUN echo [1/2] x", None, "1/1", "linux/arm/v7", "RUN echo [1/2] x"),
        ("[app linux/386 stage-1 1/1] RUN <<EOF (a...)", "stage-1", "1/1", "linux/386", "RUN <<EOF (a...)"),
        ("[internal] load .dockerignore", None, None, None, "[internal] load .dockerignore"),
        ("exporting to image", None, None, None, "exporting to image"),
    ],
)
def test_the_parts_of_a_name(
    name: str, stage: str | None, number: str | None, platform: str | None, instruction: str
) -> None:
    step = Step(name=name)
    assert (step.stage, step.number, step.platform, step.instruction) == (stage, number, platform, instruction)
    assert step.is_instruction == (number is not None)


def test_output_comes_in_pieces_and_is_kept_in_lines() -> None:
    progress, events = fold(vertex("[1/1] RUN x"), log(b"one\ntw"), log(b"o\nth"), vertex("[1/1] RUN x", ended=2))
    assert progress.steps["d"].tail == ("one", "two", "th")
    assert [event.text for event in events if event.kind == "output"] == ["one", "two", "th"]
    assert progress.steps["d"].seconds == 2.0


def test_a_bar_that_rewrites_its_line_counts_as_its_last_state() -> None:
    progress, _ = fold(vertex("[1/1] RUN x"), log(b"10%\r50%\r"), log(b"100%\r\nnext\n"))
    assert progress.steps["d"].tail == ("100%", "next")


def test_only_the_last_lines_are_kept() -> None:
    progress, _ = fold(vertex("[1/1] RUN x"), log(b"".join(b"%d\n" % number for number in range(1000))))
    assert progress.steps["d"].tail == tuple(str(number) for number in range(1000 - TAIL_LINES, 1000))
    progress, _ = fold(*(f"text {number}" for number in range(1000)))
    assert len(progress.text) == TAIL_LINES


def test_a_secret_that_is_cut_in_two_is_still_masked() -> None:
    clean = Redactor(["gehäim"])
    whole = "the gehäim!\n".encode()
    for cut in range(len(whole)):
        progress, _ = fold(vertex("[1/1] RUN x"), log(whole[:cut]), log(whole[cut:]), clean=clean)
        assert progress.steps["d"].tail == ("the ***!",)


def test_names_errors_warnings_and_text_are_masked() -> None:
    warning = json.dumps({"warnings": [{"vertex": "d", "short": base64.b64encode(b"pw used").decode()}]})
    progress, events = fold(
        vertex("[1/1] RUN echo pw"),
        vertex("x", ended=1, error="pw is wrong"),
        warning,
        "ERROR: pw",
        clean=Redactor(["pw"]),
    )
    assert "pw" not in repr(progress)
    assert "pw" not in repr(events)


def test_the_current_step_and_its_bytes() -> None:
    status = {"statuses": [{"id": "sha256:1", "vertex": "e", "current": 10, "total": 100}]}
    progress, _ = fold(
        vertex("[1/2] FROM x"),
        vertex("[internal] load", digest="e", started=1),
        json.dumps(status),
        vertex("[2/2]", digest="f", started=None),
    )
    assert progress.current is not None
    assert progress.current.name == "[internal] load"
    assert progress.bytes == (10, 100)


def test_the_step_that_failed_is_not_one_that_was_canceled_for_it() -> None:
    progress, _ = fold(
        vertex("[1/2] RUN a", digest="a", ended=1, error="context canceled"),
        vertex("[1/2] RUN b", digest="b", ended=1, error='process "b" did not complete successfully: exit code: 1'),
    )
    assert progress.failed is not None
    assert progress.failed.name == "[1/2] RUN b"


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "{broken json}",
        '{"vertexes": {"no": "list"}}',
        '{"vertexes": [1, null, {}]}',
        '{"vertexes": [{"digest": "d", "name": 1, "started": "yesterday", "completed": 7, "future": []}]}',
        '{"logs": [{"vertex": "unknown", "data": "eA=="}]}',
        '{"statuses": [{"vertex": "d", "current": "x"}]}',
        '{"unknown": [{}]}',
    ],
)
def test_what_buildkit_might_say_some_day_breaks_nothing(line: str) -> None:
    progress, _ = fold(vertex("[1/1] RUN x"), line, '{"logs": [{"vertex": "d", "data": "!!"}]}', log(b"y\n"))
    assert progress.steps["d"].tail == ("y",)


@given(
    st.lists(
        st.text()
        | st.dictionaries(
            st.sampled_from(["vertexes", "logs", "statuses", "warnings"]),
            st.lists(
                st.dictionaries(
                    st.sampled_from(["digest", "vertex", "name", "data", "started", "error", "short"]),
                    st.none() | st.text() | st.integers() | st.booleans(),
                )
            ),
        ).map(json.dumps)
    )
)
def test_no_line_raises(lines: list[str]) -> None:
    fold(*lines)


def test_troubles_with_caches_are_told_apart_from_the_build() -> None:
    progress = Progress()
    for line in (DATA / "cachegone.txt").read_text().splitlines():
        progress, _ = advance(progress, line)
    assert progress.cache_errors
    assert all("connection refused" in error for error in progress.cache_errors)
    assert not progress.is_at_cache


@pytest.mark.parametrize(
    ("name", "error", "is_trouble"),
    [
        ("[app] importing cache manifest from s3:1", "connection refused", True),
        ("importing cache manifest from r/app:cache-x", "failed to fetch: 500", True),
        ("[app] importing cache manifest from r/app:cache-x", "r/app:cache-x: not found", False),
        ("[app] exporting cache to Amazon S3", "error writing layer blob", True),
        ("[app] exporting cache to registry", "context canceled", False),
        ("[2/3] RUN echo exporting cache to nowhere", "exit code 1", False),
        ("[app] exporting to image", "failed to push", False),
    ],
)
def test_what_counts_as_trouble_with_a_cache(name: str, error: str, is_trouble: bool) -> None:
    vertex = {"digest": "d", "name": name, "started": "2026-01-01T00:00:00Z"}
    at_work, _ = advance(Progress(), json.dumps({"vertexes": [vertex]}))
    ended, _ = advance(
        at_work, json.dumps({"vertexes": [{**vertex, "completed": "2026-01-01T00:00:01Z", "error": error}]})
    )
    assert bool(ended.cache_errors) == is_trouble
    assert at_work.is_at_cache == ("cache" in name and "RUN" not in name)
    assert at_work.is_at_import == ("importing" in name)
    assert not ended.is_at_cache
