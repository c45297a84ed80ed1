"""Groups and annotations in the logs of CI services, and that a build's words are never commands there."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imagewright.builds.failure import Failure
from imagewright.builds.progress import Event, Progress, Step
from imagewright.builds.publication import Unpublished
from imagewright.builds.result import ImageResult, Status
from imagewright.builds.views.log import GithubLog, GitlabLog, Log
from imagewright.builds.views.plain import GroupedView

MAKE = Step(name="[2/3] RUN make", started=1, completed=3)
FAILURE = Failure(
    kind="run",
    image="app",
    message="failed with exit code 7: RUN echo 100%",
    detail="",
    where="images/a,b:c/Dockerfile:4",
    hint="mend it",
    output=("boom",),
)
COMMANDS = {"add-mask", "error", "group", "endgroup", "set-env", "set-output", "stop-commands"}
PIECES = [*"\x1b\r\n\x00\u200b\u00ad\ufeff\u0301\u2028\x85\u00a0\t :#[]0K", "::", "##[", "error", "section_end:1:x"]
NASTY = st.lists(st.sampled_from(PIECES) | st.characters(), max_size=40).map("".join) | st.sampled_from(
    [
        "::set-env name=PATH::/evil",
        "  \t::error::x",
        "\u00a0::error::x",
        "\u200b::error::x",
        ":\u00ad:error::x",
        "a\r::error::x",
        "a\u2028::error::x",
        "x ##[error]y",
        "x #\u200b#[error]y",
        "x #\u0301#[error]y",
        "x ##\ufe0f[error]y",
        "\ufe0f::error::x",
        ":\u0301:error::x",
        "##\x1b[0m[error]y",
        "\x1b[0Ksection_start:1:x\r\x1b[0Kgotcha",
        "section_end:1:imagewright_1",
        "\x1b[0Ksection_\x00start:1:x\r\x1b[0K",
    ]
)


def an_ending(name: str, status: Status = "built", **values: Any) -> ImageResult:
    reference = f"localhost:5050/{name}:dev"
    defaults = {"digest": "sha256:" + "ab" * 32, "platforms": ("linux/amd64",), "seconds": 4.0}
    return ImageResult(name=name, status=status, reference=reference, tags=(reference,), **{**defaults, **values})


def a_view(log: Log) -> GroupedView:
    return GroupedView(log, clock=lambda: 0.0, wall=lambda: "12:00:00")


def told(log_type: type[Log], **values: Any) -> list[str]:
    """What the log has of one good build between two that build at the same time."""
    stream = io.StringIO()
    view = a_view(log_type(stream, **values))
    view.begin(["app", "web"])
    view.started("app")
    view.started("web")
    view.progressed("web", Progress(), [Event(kind="completed", step=MAKE)])
    output = [Event(kind="output", step=MAKE, text=f"line {number}") for number in range(3)]
    view.progressed("app", Progress(), [*output, Event(kind="completed", step=MAKE)])
    view.retrying("app", "the connection was reset", 2)
    view.ended(an_ending("app", cached_steps=1, steps=3))
    view.ended(an_ending("db", "skipped", because="parent app failed"))
    return stream.getvalue().split("\n")[2:-1]


def test_a_good_image_is_a_group_of_its_steps_on_github() -> None:
    assert told(GithubLog) == [
        "12:00:00 app: the connection was reset: next try in 2s",
        "::group::12:00:00 app: built in 4.0s, 1 of 3 steps cached",
        "12:00:00 [2/3] done in 2.0s: RUN make",
        "12:00:00 --- the connection was reset: next try in 2s",
        "::endgroup::",
        "12:00:00 db: skipped: parent app failed",
    ]


def test_a_good_image_is_a_folded_section_on_gitlab() -> None:
    title = "12:00:00 app: built in 4.0s, 1 of 3 steps cached"
    lines = told(GitlabLog, clock=lambda: 1700000010.0)
    assert lines[1:5] == [
        f"\x1b[0Ksection_start:1700000006:imagewright_1[collapsed=true]\r\x1b[0K{title}",
        "12:00:00 [2/3] done in 2.0s: RUN make",
        "12:00:00 --- the connection was reset: next try in 2s",
        "\x1b[0Ksection_end:1700000010:imagewright_1\r\x1b[0K",
    ]


def failed(to: Log, count: int, **values: Any) -> None:
    view = a_view(to)
    view.started("app")
    view.progressed("app", Progress(), [Event(kind="output", step=MAKE, text=f"line {n}") for n in range(count)])
    view.ended(an_ending("app", "failed", failure=FAILURE, **values))


def test_a_failed_image_shows_all_of_its_output_the_last_of_it_unfolded() -> None:
    stream = io.StringIO()
    failed(GithubLog(stream), 250)
    lines = stream.getvalue().splitlines()[1:]
    title = "12:00:00 app: FAILED after 4.0s: failed with exit code 7: RUN echo 100%"
    assert lines[0] == f"::group::{title.replace('%', '%25')} (what came before)"
    assert lines[1:51] == [f"12:00:00 [2/3] line {number}" for number in range(50)]
    assert lines[51:53] == ["::endgroup::", title]
    assert lines[53:] == [f"12:00:00 [2/3] line {number}" for number in range(50, 250)]

    stream = io.StringIO()
    failed(GitlabLog(stream), 3)
    section = stream.getvalue()
    assert "collapsed" not in section
    assert re.search(r"section_start:\d+:imagewright_1\r\x1b\[0K12:00:00 app: FAILED", section)
    assert section.endswith("imagewright_1\r\x1b[0K\n")


def test_output_that_the_log_has_no_room_for_is_left_to_the_file() -> None:
    stream = io.StringIO()
    log = GitlabLog(stream)
    failed(log, 5000, log="/l/app.log")
    assert "12:00:00 [2/3] line 4000\n" in stream.getvalue()
    assert "line 3999\n" not in stream.getvalue()
    assert "the full log: /l/app.log\n" in stream.getvalue()

    log.log_bytes = 1000
    stream.truncate(0)
    failed(log, 500, log="/l/app.log")
    assert stream.getvalue().count("] line ") == 20
    assert "line 499\n" in stream.getvalue()


def test_github_is_pointed_at_the_line_that_failed() -> None:
    stream = io.StringIO()
    missing = (Unpublished(registry="ghcr.io", error="503"),)
    results = [an_ending("app", "failed", failure=FAILURE), an_ending("web", unpublished=missing), an_ending("db")]
    a_view(GithubLog(stream, "/repo/sub")).finish(results, 1)
    commands = [line for line in stream.getvalue().splitlines() if line.startswith("::")]
    place = "file=/repo/sub/images/a%2Cb%3Ac/Dockerfile,line=4"
    assert commands == [
        f"::error {place},title=image app failed::failed with exit code 7: RUN echo 100%25%0Amend it",
        "::error title=image web is not in ghcr.io::503",
    ]
    assert [parsed(line) for line in commands] == ["error", "error"]

    stream = io.StringIO()
    nowhere = replace(FAILURE, where="localhost:5050", hint=None)
    a_view(GithubLog(stream)).finish([an_ending("app", "failed", failure=replace(nowhere, where=None))], 1)
    assert "\n::error title=image app failed::failed with" in stream.getvalue()


@pytest.mark.parametrize("log_type", [Log, GitlabLog])
def test_others_get_no_annotations(log_type: type[Log]) -> None:
    stream = io.StringIO()
    a_view(log_type(stream)).finish([an_ending("app", "failed", failure=FAILURE)], 1)
    assert "::" not in stream.getvalue()


def everything(log: Log, text: str) -> None:
    """Each way on which a build's words come to a log."""
    view = a_view(log)
    view.begin([text])
    step = Step(name=f"[2/3] {text}", started=1, completed=2, tail=(text,))
    failure = Failure(
        kind="run", image=text, message=text, detail=text, where=f"{text}:4", hint=text, output=(text, text)
    )
    for name, status in (("app", "built"), ("web", "failed")):
        view.started(name)
        kinds: Any = ("started", "output", "completed", "failed", "text", "warning")
        view.progressed(name, Progress(steps={"a": step}), [Event(kind=kind, step=step, text=text) for kind in kinds])
        view.progressed(name, Progress(), [Event(kind="text", text=text)])
        view.retrying(name, text, 1)
        end: Any = {"failure": failure} if status == "failed" else {"because": text, "why": text}
        end["unpublished"] = (Unpublished(registry=text, error=text),)
        result = an_ending(name, status, log=text, **end)  # type: ignore[arg-type]
        view.ended(result)
        view.finish([result], 1)
    log.say(text)


@settings(max_examples=150, deadline=None)
@given(NASTY)
@example("x #\u0301#[error]y")
@example("x ##\ufe0f[error]y")
@example("\ufe0f:\u0301:error::x")
@example("x\r::error::x")
@example("\ud800")
def test_the_words_of_a_build_are_no_commands_on_github(text: str) -> None:
    stream = io.StringIO(newline="")
    log = GithubLog(stream)
    ours: list[str] = []
    write = log._write

    def noted(line: str) -> None:
        if line.startswith("::"):
            ours.append(line)
        write(line)

    log._write = noted  # type: ignore[method-assign]
    log._tamed = lambda line: _unlike_ours(GithubLog._tamed(log, line))  # type: ignore[method-assign]
    everything(log, text)
    commands = [line for line in read_by_github(stream.getvalue()) if parsed(line)]
    assert commands == ours
    assert {str(parsed(line)) for line in ours} <= {"group", "endgroup", "error"}


def _unlike_ours(line: str) -> str:
    """What is tamed must not begin as our own commands do, or it would be taken for one of them."""
    assert not line.startswith("::")
    return line


@settings(max_examples=150, deadline=None)
@given(NASTY)
def test_the_words_of_a_build_are_no_sections_on_gitlab(text: str) -> None:
    stream = io.StringIO(newline="")
    log = GitlabLog(stream, clock=lambda: 7.0)
    everything(log, text)
    found = re.findall(r"section_(start|end):(\d+):([\w.-]+)", without_ignored(stream.getvalue()))
    assert {time for _, time, _ in found} <= {"3", "7"}
    assert [(kind, name) for kind, _, name in found] == [
        (kind, f"imagewright_{number}") for number in (1, 2) for kind in ("start", "end")
    ]


def read_by_github(log: str) -> Iterator[str]:
    """The lines as .NET's StreamReader cuts them."""
    yield from re.split(r"\r\n|\r|\n", log)


def without_ignored(text: str) -> str:
    """Without what a comparison by culture takes for nothing."""
    return "".join(c for c in text if c not in "\x00\u00ad\u200b\u200c\u200d\u2060\ufeff\u0301\u034f\ufe0f")


def parsed(line: str) -> str | None:
    """The command that a line is to the runner: ActionCommand.TryParseV2 and TryParse, read with suspicion."""
    line = without_ignored(line)
    if found := re.match(r"::(.*?)::", line.lstrip()):
        name = found[1].partition(" ")[0]
        if name.lower() in COMMANDS:
            return name
    if (start := line.find("##[")) >= 0 and (end := line.find("]", start)) >= 0:
        name = line[start + 3 : end].partition(" ")[0]
        if name.lower() in COMMANDS:
            return name
    return None


def test_the_reader_of_these_tests_knows_commands() -> None:
    assert parsed("  ::Error file=a::b") == "Error"
    assert parsed("x ##[set-env name=a;]b") == "set-env"
    assert parsed("\u200b::error::x") == "error"
    assert parsed("x ::error::y") is None
    assert parsed("::nothing::") is None
