"""The options of `invoke build`."""

from __future__ import annotations

from typing import Any

import pytest

from imagewright.builds.request import request
from imagewright.errors import UsageError


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
    ],
)
def test_what_cannot_be_is_said_before_anything_is_touched(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        request(**options)


def test_a_build_argument_without_a_value_stays_in_the_environment() -> None:
    asked = request(build_arg=["A=1=2", "TOKEN"])
    assert asked.build_args == (("A", "1=2"),)
    assert asked.secret_build_args == ("TOKEN",)
