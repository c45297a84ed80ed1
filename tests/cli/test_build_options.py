"""The options of `invoke build` and `build-changed`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from imagewright.cli.build import OPTIONS, build
from imagewright.cli.build_options import building, request
from imagewright.cli.changed import build_changed
from imagewright.errors import UsageError

if TYPE_CHECKING:
    from imagewright.cli.task import ImagewrightTask


def test_the_default_is_a_push_for_the_images_own_platforms() -> None:
    asked = request()
    assert (asked.output, asked.tags, asked.platforms) == ("push", (), ())


def test_no_push_and_no_output_only_fills_the_cache() -> None:
    assert request(push=False).output == "none"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"progress": "loud"}, "loud"),
        ({"platform": "amd64"}, "no platform"),
        ({"tag": "a/b"}, "no legal tag"),
        ({"tag": ".a"}, "no legal tag"),
        ({"tag": "a" * 129}, "no legal tag"),
        ({"load": True, "output": "tar"}, "--load and --output"),
        ({"load": True, "platform": "linux/amd64,linux/arm64"}, "one platform"),
        ({"output": "zip"}, "zip"),
        ({"build_arg": ["1A=x"]}, "no name"),
        ({"jobs": ""}, "--jobs ''"),
        ({"jobs": "0"}, "--jobs '0'"),
        ({"jobs": "-1"}, "--jobs '-1'"),
        ({"jobs": "1.5"}, "--jobs '1.5'"),
        ({"jobs": "many"}, "--jobs 'many'"),
        ({"jobs": "\u0663"}, "--jobs"),  # a digit, elsewhere
        ({"jobs": "1" * 10}, "--jobs"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_touched(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        request(**options)


def test_a_build_argument_without_a_value_stays_in_the_environment() -> None:
    asked = request(build_arg=["A=1=2", "TOKEN"])
    assert asked.build_args == (("A", "1=2"),)
    assert asked.secret_build_args == ("TOKEN",)


def test_the_number_of_images_at_once() -> None:
    assert (request().jobs, request(jobs="1").jobs, request(jobs="12").jobs) == (None, 1, 12)


def test_a_task_has_its_own_options_and_those_of_a_request() -> None:
    def body(c: Any, name: str, own: bool = False, **options: Any) -> None:
        pass

    found = inspect.signature(building(body)).parameters
    assert found.keys() == {"c", "name", "own", *inspect.signature(request).parameters}


@pytest.mark.parametrize("task", [build, build_changed])
def test_every_option_of_a_request_is_an_option_of_the_task_with_its_default(task: ImagewrightTask) -> None:
    arguments = {argument.attr_name or argument.name: argument for argument in task.get_arguments()}
    for name, option in inspect.signature(request).parameters.items():
        assert (arguments[name].value or None) == (option.default or None), name
        assert arguments[name].help == OPTIONS[name]
        assert arguments[name].kind is (
            list if name == "build_arg" else bool if option.default in (True, False) else str
        )
    assert not {"options", "c"} & arguments.keys()
