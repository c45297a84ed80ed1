from __future__ import annotations

import pytest
import yaml

from imagewright.config.document import parse
from imagewright.errors import ConfigError


def refusal(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f.yml")
    return caught.value


@pytest.mark.parametrize(
    "scalar", ["2025.10", "yes", "0x1F", "1_000", "2025-01-01", "on", "1e3", "010", ".inf", "true"]
)
def test_scalars_stay_as_written(scalar: str) -> None:
    assert parse(f"a: {scalar}", "f").value == {"a": scalar}
    assert parse(f"{scalar}: a", "f").value == {scalar: "a"}


@pytest.mark.parametrize(
    ("written", "value"), [("", None), ("~", None), ("null", None), ('""', ""), ("'null'", "null"), ("!!str", "")]
)
def test_only_a_plain_null_is_nothing(written: str, value: object) -> None:
    assert parse(f"a: {written}", "f").value == {"a": value}


def test_every_key_and_item_has_its_line() -> None:
    document = parse("a:\n  - x\n  -\n    b: 1\n\nc: {d:\n  e}\n", "f")
    assert document.value == {"a": ["x", {"b": "1"}], "c": {"d": "e"}}
    paths: list[tuple[str | int, ...]] = [("a",), ("a", 0), ("a", 1, "b"), ("c",), ("c", "d")]
    assert [document.line(path) for path in paths] == [1, 2, 4, 6, 6]
    assert document.line(("a", 1, "not", "there")) == 4
    assert document.line(("b",)) == 1


def test_anchors_and_merge_keys() -> None:
    text = "one: &x {a: 1, b: 2}\ntwo: &y {a: 3, c: 4}\nall: {<<: [*x, *y], b: 5}\nsame: *x\n"
    value = parse(text, "f").value
    assert value["all"] == {"a": "1", "b": "5", "c": "4"}
    assert value["same"] == value["one"]


def test_a_quoted_merge_key_is_a_key() -> None:
    assert parse('"<<": 1', "f").value == {"<<": "1"}


def test_a_key_that_stands_twice_is_a_problem_but_the_rest_is_read() -> None:
    document = parse("a: 1\nb:\n  c: 1\n  c: [1]\na: {x: 1}\nd: 2\n", "f")
    assert document.value == {"a": "1", "b": {"c": "1"}, "d": "2"}
    assert [str(problem) for problem in document.problems] == [
        "f:4: `c` stands twice: here and in line 3",
        "f:5: `a` stands twice: here and in line 1",
    ]


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_text_is_nothing(text: str) -> None:
    assert parse(text, "f").value is None


@pytest.mark.parametrize(
    ("text", "where", "part", "hint"),
    [
        ("a: [1\nb: 2\n", "f.yml:2", "this is not YAML", None),
        ("a: b: c\n", "f.yml:1", "mapping values are not allowed", "contains `: `"),
        ("a:\n\tb: 1\n", "f.yml:2", "cannot start any token", "spaces, not with tabs"),
        ("a: 'x\nb: 1\n", "f.yml:2", "begins in line 1", None),
        ("repository: {registry}/{name}\n", "f.yml:1", "this is not YAML", "put quotes"),
        ("protect: [latest, *-stable]\n", "f.yml:1", "`*-stable` refers to nothing", "put quotes"),
        ("a: &x [*x]\n", "f.yml:1", "`*x` refers to nothing", "put quotes"),
        ("a: 1\n---\nb: 1\n", "f.yml:2", "a second document begins", "one document"),
        ("a: !env X\n", "f.yml:1", "the tag `!env` is not known", "leave it out"),
        ("a: !!python/object:os.system x\n", "f.yml:1", "is not known", "leave it out"),
        ("a: 1\n? [b]\n: 1\n", "f.yml:2", "a key must be plain text", "put quotes"),
        ("a: {<<: 1}\n", "f.yml:1", "`<<` takes a mapping", None),
        ("a: 1\nb: \x07\n", "f.yml:2", "U+0007", None),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_line(text: str, where: str, part: str, hint: str | None) -> None:
    error = refusal(text)
    assert error.where == where
    assert part in error.message
    assert (hint or "") in (error.hint or "")


@pytest.mark.parametrize("opening", ["- ", "? ", "[", "{a: "])
def test_deep_nesting_is_refused_and_overflows_no_stack(opening: str) -> None:
    assert refusal(opening * 5_000).where == "f.yml:1"


def test_aliases_of_aliases_take_no_time() -> None:
    levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 60)]
    assert len(parse("\n".join(["a0: &a0 x", *levels]), "f").value) == 60  # written out, it would have 9^59 words


def test_without_libyaml_the_same_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: &x {b: 2025.10, c: [yes, ~]}\nd: {<<: *x, e: 'f'}\na: 1\n"
    fast = parse(text, "f")
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    slow = parse(text, "f")
    assert (slow.value, slow.lines) == (fast.value, fast.lines)
    assert list(map(str, slow.problems)) == list(map(str, fast.problems))
    with pytest.raises(ConfigError, match="f:1: this is not YAML"):
        parse("a: b: c", "f")
