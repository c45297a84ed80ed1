"""The tags of a build."""

from __future__ import annotations

import pytest

from imagewright.errors import UsageError
from imagewright.tags.policy import default_tags, given_tags, own_tags

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_commit_names_the_content_only_when_nothing_differs_from_it() -> None:
    assert default_tags(COMMIT, dirty=False) == ("dev", "sha-0123456")
    assert default_tags(COMMIT, dirty=True) == ("dev",)
    assert default_tags(None, dirty=False) == ("dev",)


def test_given_tags_keep_their_order_and_stand_once() -> None:
    assert given_tags("2, 1,2") == ("2", "1")


def test_an_empty_tag_is_refused() -> None:
    with pytest.raises(UsageError, match="no legal tag"):
        given_tags("1,,2")


@pytest.mark.parametrize(
    ("publishes", "expected"),
    [
        ((), ("dev", "sha-1234567")),
        (("base-*",), ("base-dev", "base-sha-1234567")),
        (("sha-*",), ("sha-dev", "sha-1234567")),
        (("[0-9]*", "v*"), ("vdev", "vsha-1234567")),
    ],
)
def test_tags_of_an_image_that_shares_its_repository(publishes: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert own_tags(("dev", "sha-1234567"), publishes) == expected
