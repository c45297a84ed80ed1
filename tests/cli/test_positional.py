from __future__ import annotations

from typing import Any

import pytest
from invoke.collection import Collection
from invoke.parser import Parser

from imagewright.cli.task import task


@task(defaults={"service": "all"}, help={"service": "which one"})
def start(c: Any, service: str, json: bool = False) -> None:
    """Start."""


@task(positional=["names"])
def build(c: Any, names: str, push: bool = True) -> None:
    """Build."""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("start", [("start", {"service": "all", "json": False})]),
        ("start registry", [("start", {"service": "registry", "json": False})]),
        ("start --json", [("start", {"service": "all", "json": True})]),
        ("start --json registry", [("start", {"service": "registry", "json": True})]),
        ("start registry --json", [("start", {"service": "registry", "json": True})]),
        ("start --service s3", [("start", {"service": "s3", "json": False})]),
        (
            "start s3 build app",
            [("start", {"service": "s3", "json": False}), ("build", {"names": "app", "push": True})],
        ),
        ("build app start", [("build", {"names": "app", "push": True}), ("start", {"service": "all", "json": False})]),
        ("start s3 start", [("start", {"service": "s3", "json": False}), ("start", {"service": "all", "json": False})]),
    ],
)
def test_what_is_left_out_has_its_default(line: str, expected: list[tuple[str, dict[str, Any]]]) -> None:
    contexts = Collection(start, build).to_contexts()
    parsed = Parser(contexts=contexts).parse_argv(line.split())
    assert [(one.name, one.as_kwargs) for one in parsed] == expected


def test_the_help_shows_that_it_may_be_left_out() -> None:
    text = start.help_text()
    assert "Usage: invoke start [SERVICE] [--options]" in text
    assert "which one" in text


def test_other_positionals_stay_required() -> None:
    from invoke.exceptions import ParseError

    with pytest.raises(ParseError, match="required positional arguments: 'names'"):
        Parser(contexts=Collection(build).to_contexts()).parse_argv(["build"])
