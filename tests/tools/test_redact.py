from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imagewright.tools.redact import MASK, Redactor


def test_values_disappear_wherever_they_stand() -> None:
    assert Redactor(["s3cret", "p+w"])("https://u:p+w@host s3cret s3cret!") == f"https://u:{MASK}@host {MASK} {MASK}!"


def test_a_value_that_contains_another_disappears_whole() -> None:
    assert Redactor(["abc", "abcdef"])("abcdef abc") == f"{MASK} {MASK}"


def test_a_value_of_several_lines_is_masked_line_by_line_too() -> None:
    key = "-----BEGIN KEY-----\nMIIE\n-----END KEY-----\n"
    clean = Redactor([key])
    assert clean(key) == MASK
    assert [clean(line) for line in key.splitlines()] == [MASK] * 3


def test_short_lines_of_a_secret_are_masked_within_it_alone() -> None:
    value = '{\n  "t": "s3cr3t"\n  }\n'
    clean = Redactor([value])
    assert clean(f"a {value} b") == f"a {MASK} b"
    assert [clean(line) for line in value.splitlines()] == ["{", MASK, "  }"]
    assert clean("RUN echo ${X} { }") == "RUN echo ${X} { }"


def test_a_short_value_is_masked() -> None:
    assert [Redactor([value])("abc") for value in ("abc", "abc\n", " abc\r\n")] == [MASK] * 3


def test_nothing_to_hide_changes_nothing() -> None:
    assert Redactor(["", "  ", "\n"])("a  b\n") == "a  b\n"


@given(st.lists(st.text(st.characters(exclude_characters="*"), min_size=1).filter(str.strip)), st.text(), st.text())
def test_no_value_survives(values: list[str], before: str, after: str) -> None:
    clean = Redactor(values)
    for value in values:
        assert value not in clean(before.replace("*", "") + value + after.replace("*", ""))
