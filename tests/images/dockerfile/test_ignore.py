"""Ignore files, as moby/patternmatcher reads and asks them."""

from __future__ import annotations

import pytest
from e2b_dockerfile_utils import PatternMatcher
from hypothesis import given, settings
from hypothesis import strategies as st

from imagewright.errors import DockerfileError
from imagewright.images.dockerfile.ignore import Patterns, read_ignore_file


def ignored(text: str, path: str) -> bool:
    return Patterns(read_ignore_file(text.encode()), where=".dockerignore").matches(path)


def test_surprise_4_what_is_cut_from_a_line() -> None:
    data = b"\xef\xbb\xbf# a comment\r\n\r\n  a/b/  \r\n/c\r\n ! /d/ \r\n #e\n./f//g/../h\n/\n"
    assert read_ignore_file(data) == ("a/b", "c", "!d", "#e", "f/h", "/")


def test_surprise_4_a_number_sign_is_a_comment_in_column_one_only() -> None:
    assert ignored(" #x", "#x")
    assert not ignored("#x", "#x")


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        ("x", "x", True),
        ("x", "a/x", False),  # unlike gitignore, a rule without a slash is for the top
        ("x", "x/y/z", True),
        ("**/x", "x", True),
        ("**/x", "a/b/x", True),
        ("**/x", "a/yx", False),
        ("**x", "a/yx", True),
        ("*", ".hidden", True),
        ("*.md", "a/b.md", False),
        ("*/*.md", "a/b.md", True),
        ("a/**", "a/b/c", True),
        ("a/**", "a", False),
        ("a/**/c", "a/c", True),
        ("a/**/c", "a/b/b/c", True),
        ("/a/", "a", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[ab]", "b", True),
        ("[^ab]", "b", False),
        ("[[]z]", "[z]", True),
        ("[[&~|]", "~", True),
        ("[*]a", "^/]a", True),  # a star in a class becomes `[^/]*`, which ends the class
        ("[:a:]", ":", True),
        ("*.{md,txt}", "a.md", False),
        ("*.{md,txt}", "a.{md,txt}", True),
        ("?a{2}", "baa", True),  # braces and bars are not escaped in patterns that have other signs too
        ("a{2}", "aa", False),
        ("?{,2}", "a{,2}", True),
        ("a|b", "a", False),
        ("?a|x|b", "zaz", True),
        ("?a|x|b", "yxy", True),
        ("?a|x|b", "yyb", True),
        ("?a|x|b", "za", True),
        ("?a|x|b", "bz", False),
        ("[a|b]", "|", True),
        ("[a]\\z", "a", True),
        ("\\*", "*", True),
        ("\\*", "x", False),
        ("a.b", "aXb", False),
        ("*\n!a", "a", False),
        ("*\n!a/b", "a/b", False),  # a file in an ignored folder is taken back
        ("*\n!a/b", "a/c", True),
        ("a\n!a/b", "a/b", False),
        ("!a/b\na", "a/b", True),
        ("*\n!**/*.go", "a/b/c.go", False),
        ("**", "a/b", True),
    ],
)
def test_surprise_4_rules(rules: str, path: str, *, expected: bool) -> None:
    assert ignored(rules, path) is expected


def test_a_pattern_that_could_not_have_changed_the_answer_is_not_handed_down() -> None:
    # `a` in the last line is not tried for the folder a, which the first line matched; so it does not match a/b
    assert not ignored("a\n!a/b\na", "a/b")


def test_an_empty_list_matches_nothing() -> None:
    assert not ignored("", "a")
    assert not Patterns((), where="x")


@pytest.mark.parametrize("rule", ["[", "a[", "[]", "\\", "!", "[a-]", "[[:alpha:]]"])
def test_patterns_that_cannot_be_read(rule: str) -> None:
    with pytest.raises(DockerfileError, match=r"^\.dockerignore: the pattern"):
        ignored(rule, "a")


_NAME = st.sampled_from(["a", "b", "ab", ".c"])
_PATTERN_PART = st.sampled_from(["a", "b", "ab", ".c", "*", "**", "?", "a*", "*b", "[ab]", "[^a]", "**b"])
_PATTERNS = st.lists(
    st.tuples(st.sampled_from(["", "", "!"]), st.lists(_PATTERN_PART, min_size=1, max_size=3)).map(
        lambda parts: parts[0] + "/".join(parts[1])
    ),
    max_size=5,
)
_PATH = st.lists(_NAME, min_size=1, max_size=4).map("/".join)


@settings(max_examples=500, deadline=None)
@given(_PATTERNS, st.lists(_PATH, min_size=1, max_size=5))
def test_the_same_as_another_port_of_patternmatcher(patterns: list[str], paths: list[str]) -> None:
    ours = Patterns(patterns, where="x")
    theirs = PatternMatcher(patterns)
    for path in paths:
        assert ours.matches(path) == theirs.matches(path), path
