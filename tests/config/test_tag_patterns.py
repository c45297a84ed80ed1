"""A pattern that is misspelled is an error: it would protect nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagewright.config.tag_patterns import check_protection, check_repository_pattern, check_tag_pattern, fitting
from imagewright.references import is_tag

DIGEST = f"sha256:{'0' * 64}"


@pytest.mark.parametrize("text", ["latest", "*-stable", "v?.*", "[0-9]*", "[!a-z]*", "a[bc]d", "1.2.3", "_x", "*"])
def test_globs(text: str) -> None:
    assert check_tag_pattern(text) == text
    assert check_protection(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", " latest", "latest ", "a[b", "a]b", "[]", "[!]", "{a,b}", "^v1", "v1$", "v(1|2)", "a/b", "app:1", "a,b"),
        *("-a", ".a", "[z-a]", "[9-0]x", "a\n", "\u00e4", DIGEST),
    ],
)
def test_no_globs(text: str) -> None:
    with pytest.raises(ValueError, match=r"fits no tag|nothing is between"):
        check_tag_pattern(text)


@pytest.mark.parametrize(
    "text", [DIGEST[:-1], DIGEST + "0", DIGEST[:-1] + "*", DIGEST[:-1] + "A", "sha512:0", "sha256:"]
)
def test_a_digest_is_protected_whole(text: str) -> None:
    assert check_protection(DIGEST) == DIGEST
    with pytest.raises(ValueError, match="no whole digest"):
        check_protection(text)


def test_a_whole_tag_must_fit() -> None:
    assert fitting("v1.2", ["v1", "V*", "v1?2", "*"]) == "v1?2"
    assert fitting("latest", ["atest", "lates", "LATEST"]) is None
    assert fitting("latest\n", ["latest"]) is None


@settings(deadline=None)
@given(st.text(alphabet="ab1.-_*?[]!", max_size=12))
def test_what_is_accepted_fits_some_tag_or_has_nothing_odd_in_it(text: str) -> None:
    try:
        check_tag_pattern(text)
    except ValueError:
        if is_tag(text):
            pytest.fail("a tag is a pattern of itself")
    else:
        assert text.count("[") == text.count("]")
        assert is_tag(text) == (fitting(text, [text]) is not None and not set(text) & set("*?["))


@pytest.mark.parametrize("text", ["ghcr.io/me/app", "ghcr.io/me/*", "*", "localhost:5050/app", "*/app-[0-9]"])
def test_repositories(text: str) -> None:
    assert check_repository_pattern(text) == text


@pytest.mark.parametrize("text", ["", "app", "https://ghcr.io/me app", "a/[b"])
def test_no_repositories(text: str) -> None:
    with pytest.raises(ValueError, match="fits no repository"):
        check_repository_pattern(text)
