"""Reading Dockerfiles: what BuildKit takes, what it refuses, and that both parsers see the same."""

from __future__ import annotations

import pytest
from e2b_dockerfile_utils import parse_words
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from imagewright.errors import DockerfileError
from imagewright.images.dockerfile import instructions as read_instructions
from imagewright.images.dockerfile import lines
from imagewright.images.dockerfile.instructions import Arg, Command, Copy, Env, Onbuild, Run
from imagewright.images.dockerfile.lines import blank_separated, decode, instructions, json_array, parse_line, words
from imagewright.images.dockerfile.syntax import Dockerfile, detect_syntax, is_foreign, read

oracle = pytest.importorskip("dockerfile", reason="BuildKit's own parser has no wheel for this platform")


def parse(text: str | bytes) -> Dockerfile:
    return read(text.encode() if isinstance(text, str) else text, path="Dockerfile")


def commands(text: str) -> tuple[Command, ...]:
    return parse(f"FROM x\n{text}").stages[0].commands


def refused(text: str) -> str:
    with pytest.raises(DockerfileError) as caught:
        parse(text)
    return str(caught.value)


def test_stages_and_their_commands() -> None:
    found = parse(
        'ARG A=1\nFROM --platform=$P debian AS Build\nENV X=1\nFROM scratch\nCOPY --from=build ["a b", "/"]\n'
    )
    assert found.args == (Arg(1, (("A", "1"),)),)
    first, second = found.stages
    assert (first.name, first.base, first.platform, first.line) == ("build", "debian", "$P", 2)
    assert first.commands == (Env(3, (("X", "1"),)),)
    assert second.commands == (Copy(5, False, ("a b",), "build"),)


def test_surprise_21_comments_and_blank_lines_inside_continuations() -> None:
    assert commands("COPY a \\\n# comment\n\n  # another\n b \\\n /x\n") == (Copy(2, False, ("a", "b")),)


def test_an_escaped_escape_continues_nothing() -> None:
    assert commands("ENV A=1\\\\\nENV B=2") == (Env(2, (("A", "1\\\\"),)), Env(3, (("B", "2"),)))


def test_surprise_21_escape_directive() -> None:
    found = parse("# escape=`\nFROM x\nCOPY a `\n b c:\\\n")
    assert found.escape == "`"
    assert found.stages[0].commands == (Copy(3, False, ("a", "b")),)


def test_surprise_21_crlf_byte_order_mark_lower_case_and_indentation() -> None:
    found = parse(b"\xef\xbb\xbf# syntax=docker/dockerfile:1\r\n  from x as y\r\n\tcopy a \\\r\n  b /c\r\n")
    assert found.syntax == "docker/dockerfile:1"
    assert found.stages[0].name == "y"
    assert found.stages[0].commands == (Copy(3, False, ("a", "b")),)


def test_surprise_11_a_number_sign_inside_a_line_is_a_source() -> None:
    assert commands("COPY a # b /x") == (Copy(2, False, ("a", "#", "b")),)


def test_copy_is_split_at_blanks_whatever_the_quotes() -> None:
    assert commands('COPY "a b" /x') == (Copy(2, False, ('"a', 'b"')),)


def test_surprise_20_heredocs_are_no_sources_and_their_bodies_data() -> None:
    found = commands("COPY <<EOF a <<-'B' /x/\nCOPY no no\nEOF\n\tRUN no\n\tB\nCOPY c /d\n")
    assert found == (Copy(2, False, ("a",)), Copy(7, False, ("c",)))
    assert commands("RUN <<EOF\nnonsense here\nEOF\nCOPY c /d") == (Copy(5, False, ("c",)),)


@pytest.mark.parametrize("line", ["RUN cat <<<EOF", "RUN echo $((1<<2))", 'RUN echo "<<X"', 'RUN ["cat", "<<EOF"]'])
def test_surprise_20_what_begins_no_heredoc(line: str) -> None:
    assert commands(f"{line}\nCOPY a /b") == (Copy(3, False, ("a",)),)


def test_onbuild_with_a_heredoc() -> None:
    assert commands("ONBUILD RUN <<EOF\nx\nEOF\nCOPY a /b") == (
        Onbuild(2, "RUN <<EOF\nx\nEOF"),
        Copy(5, False, ("a",)),
    )


def test_flags() -> None:
    found = commands("ADD --link --exclude=*.md --exclude='a b' --checksum=sha256:0 --chown=1:1 a b /x")
    assert found == (Copy(2, True, ("a", "b"), excludes=("*.md", "a b"), checksum="sha256:0"),)
    assert commands("COPY --parents a /x") == (Copy(2, False, ("a",), parents=True),)
    assert commands("COPY --parents=false a /x") == (Copy(2, False, ("a",)),)


def test_mounts() -> None:
    found = commands("RUN --mount=type=cache,target=/c --mount=source=a,target=/b,rw --network=none true\nRUN true")
    assert found == (Run(2, (("type=cache", "target=/c"), ("source=a", "target=/b", "rw"))),)
    assert commands("RUN --mount='type=bind,\"source=a,b\",target=/x' true") == (
        Run(2, (("type=bind", "source=a,b", "target=/x"),)),
    )


def test_env_in_both_forms_and_args() -> None:
    assert commands("ENV A the  rest") == (Env(2, (("A", "the  rest"),)),)
    assert commands("ENV A=1 B='x y' C=a\\ b") == (Env(2, (("A", "1"), ("B", "'x y'"), ("C", "a\\ b"))),)
    assert commands('ARG A B= C="x y"') == (Arg(2, (("A", None), ("B", ""), ("C", '"x y"'))),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Dockerfile:1: the file has no instructions"),
        ("# nothing\n", "Dockerfile:1: the file has no instructions"),
        ("ARG A\n", "Dockerfile:1: there is no FROM"),
        ("RUN x\nFROM y", "Dockerfile:1: RUN stands before the first FROM"),
        ("FROM x\n\nCOPPY a b", "Dockerfile:3: unknown instruction: COPPY\n  did you mean COPY?"),
        ("FROM", "Dockerfile:1: FROM requires either one or three arguments"),
        ("FROM a b", "FROM requires either one or three arguments"),
        ("FROM a AS 1x", "invalid name for a build stage: '1x'"),
        ("FROM x\nCOPY a", "Dockerfile:2: COPY requires at least two arguments"),
        ("FROM x\nCOPY --form=y a b", "unknown flag of COPY: --form\n  did you mean --from?"),
        ("FROM x\nCOPY --from=$y a b", "variable expansion is not supported for --from"),
        ("FROM x\nCOPY --link=maybe a b", "--link takes true or false"),
        ("FROM x\nCOPY --from a b", "missing a value on flag: --from"),
        ("FROM x\nCOPY --from=a --from=b a b", "duplicate flag: --from"),
        ("FROM x\nCOPY a <<EOF\nx\nEOF", "cannot accept a heredoc as a destination"),
        ("FROM x\nRUN <<EOF\nx", "Dockerfile:2: unterminated heredoc"),
        ("FROM x\nRUN --mount=from=$a,target=/b x", "variable expansion is not supported for 'from'"),
        ("FROM x\nRUN --network=lan x", "invalid network mode 'lan'"),
        ("FROM x\nENV A", "ENV must have two arguments"),
        ("FROM x\nENV A=1 B", "can't find = in 'B'"),
        ("FROM x\nENV =1", "ENV names can not be blank"),
        ("FROM x\nARG", "ARG requires at least one argument"),
        ("FROM x\nARG =1", "ARG names can not be blank"),
        ("FROM x\nWORKDIR", "WORKDIR requires exactly one argument"),
        ("FROM x\nSHELL sh -c", "SHELL requires the arguments to be in JSON form"),
        ("FROM x\nCMD [1]", "arrays must be comprised of strings only"),
        ("FROM x\nONBUILD ONBUILD RUN x", "ONBUILD ONBUILD isn't allowed"),
        ("FROM x\nONBUILD FROM y", "FROM isn't allowed as an ONBUILD trigger"),
        ("# escape=x\nFROM y", "invalid escape token 'x'"),
        ("# escape=`\n# escape=`\nFROM y", "Dockerfile:2: only one escape parser directive can be used"),
        ("FROM x\nRUN " + "x" * 70000, "Dockerfile:2: the line is longer than 65535 bytes"),
    ],
)
def test_what_buildkit_refuses(text: str, message: str) -> None:
    assert message in refused(text)


@pytest.mark.parametrize(
    ("text", "syntax"),
    [
        ("# syntax=docker/dockerfile:1\nFROM x", ("docker/dockerfile:1", 1)),
        ("#syntax = a/b  more\nFROM x", ("a/b", 1)),
        ("# escape=\\\n# syntax=a/b\nFROM x", ("a/b", 2)),
        ("# a comment\n# syntax=a/b\nFROM x", (None, 0)),
        ("\n# syntax=a/b\nFROM x", (None, 0)),
        ("FROM x\n# syntax=a/b", (None, 0)),
        ("#!/bin/x\n# syntax=a/b\nFROM x", ("a/b", 2)),
        ("// syntax=a/b\n{}", ("a/b", 1)),
        ('{"syntax": "a/b"}', ("a/b", 1)),
    ],
)
def test_the_syntax_line(text: str, syntax: tuple[str | None, int]) -> None:
    assert detect_syntax(text) == syntax


@pytest.mark.parametrize("syntax", ["docker/dockerfile:1", "docker.io/docker/dockerfile-upstream:master-labs", None])
def test_dockers_own_front_ends(syntax: str | None) -> None:
    assert not is_foreign(syntax)


@pytest.mark.parametrize("syntax", ["ghcr.io/me/frontend", "docker/dockerfiles", "not a reference"])
def test_foreign_front_ends(syntax: str) -> None:
    assert is_foreign(syntax)


def test_what_a_foreign_front_end_reads_need_not_be_a_dockerfile() -> None:
    assert parse("# syntax=me/packs\nname: x\n").stages == ()


# --- the oracle: BuildKit's own parser -------------------------------------------------------------------------------

_WORD = st.sampled_from(
    [
        "a",
        "b/c",
        "*.txt",
        '"q d"',
        "'s q'",
        "$A",
        "${B:-x}",
        "\\",
        "a\\ b",
        "#",
        "[",
        '["x",',
        "é",
        "k=v",
        "=",
        "<<E",
        "1<<2",
    ]
)
_LINE_END = st.sampled_from(["\n", " \\\n", " \\ \n", "\\\n\n", "\\\n# c\n", "\r\n", " `\n"])
_HEAD = st.sampled_from(
    ["COPY", "copy", "ADD", "ENV", "ARG", "RUN", "FROM", "LABEL", "WORKDIR", "VOLUME", "EXPOSE", "  USER"]
)
_FLAG = st.sampled_from(
    ["--from=a", "--mount=type=cache,target=/x", '--chown="a b"', "--", "--link", "--e=\\x", "--x='", "--é=à"]
)
_LINE = st.tuples(
    _HEAD,
    st.lists(_FLAG, max_size=2),
    st.lists(st.tuples(_WORD, st.sampled_from([" ", "  ", "\t"])), max_size=5),
    _LINE_END,
).map(lambda line: f"{line[0]} {' '.join((*line[1], ''))}{''.join(word + gap for word, gap in line[2])}{line[3]}")
_JSON = st.sampled_from(
    ['COPY ["a", "b c"]\n', 'RUN [ "x" ]\n', 'VOLUME [""]\n', 'CMD ["a",\\\n "\\u00e9"]\n', "RUN []\n"]
)
_TEXT = st.tuples(
    st.sampled_from(["", "# escape=`\n", "# syntax=x\n", "\ufeff", "\n"]),
    st.lists(_LINE | _JSON, min_size=1, max_size=5),
).map(lambda parts: parts[0] + "".join(parts[1]) + "E\n")


def _ours(text: str) -> list[tuple[str, int, tuple[str, ...], bool, tuple[str, ...]]]:
    escape, found = instructions(decode(text.encode()), path="D")
    rows = []
    for line in found:
        one = parse_line(line.text, escape, line.number, line.heredocs)
        name = one.name
        array = None
        if name in ("COPY", "ADD", "RUN", "CMD", "VOLUME"):
            array = json_array(one.rest, path="D", line=one.line)
        if array is not None:
            values: tuple[str, ...] = array
        elif name in ("COPY", "ADD", "VOLUME", "EXPOSE", "FROM"):
            values = tuple(blank_separated(one.rest))
        elif name == "ARG":
            values = tuple(words(one.rest, escape))
        elif name in ("ENV", "LABEL"):
            values = ()
        else:
            values = (one.rest,) if one.rest else ()
        rows.append((name, one.line, one.flags, array is not None, () if values == ("",) else values))
    return rows


def _theirs(text: str) -> list[tuple[str, int, tuple[str, ...], bool, tuple[str, ...]]]:
    rows = []
    for one in oracle.parse_string(text):
        name = one.cmd.upper()
        unread = name in ("ENV", "LABEL") or one.value == ("",)  # the second is how it shows an unknown instruction
        values = () if unread else one.value
        rows.append((name, one.start_line, one.flags, one.json, values))
    return rows


@settings(max_examples=300, deadline=None)
@given(_TEXT)
def test_lines_are_read_as_buildkits_parser_reads_them(text: str) -> None:
    # the oracle's BuildKit is older: a backslash escapes in flags there, whatever the directive says (and it takes
    # what follows a JSON array, which is why no line here has that)
    assume("--" not in text or "# escape=`" not in text)
    try:
        theirs = _theirs(text)
    except oracle.GoParseError:
        return  # also for what comes after the lines: LABEL without a value, for one
    try:
        ours = _ours(text)
    except DockerfileError as error:
        pytest.fail(f"only we refuse it: {error}")
    assert ours == theirs


_PIECES = st.sampled_from(["a", "bc", " ", "\t", "\x1c", "\xa0", "é", "'", '"', "\\", "`", "=", "-", "--", "--f=x", ""])
_PIECED = st.lists(_PIECES, max_size=10).map("".join)


@settings(max_examples=300, deadline=None)
@given(_PIECED, st.sampled_from("\\`"))
def test_words_are_split_as_the_port_of_buildkits_splits_them(text: str, escape: str) -> None:
    assert words(text, escape) == parse_words(text, escape)


@settings(max_examples=300, deadline=None)
@given(_PIECED.map(lambda text: f"--{text}"), st.sampled_from("\\`"))
def test_plain_flags_are_split_as_all_flags_are(text: str, escape: str) -> None:
    assert lines._split_flags(text, escape) == lines._walk_over_flags(text, escape)


SAME = st.sampled_from(
    (
        *("LABEL a=b", "USER app", "USER", "HEALTHCHECK --x CMD y", "CMD [1]", 'ENTRYPOINT ["x"]', "ONBUILD COPY b /"),
        *("RUN x", "RUN <<E\nCOPY a /\nE", "RUN x `\nUSER app", "RUN x \\\nUSER app", "RUN --mount=source=a true"),
        *("FROM x", "FROM y AS z", "COPY a /", "COPY --from=z a b", "ARG X", "ENV A=1", "# comment", "", "# escape=`"),
    )
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(SAME, min_size=1, max_size=6).map("\n".join), min_size=2, max_size=4))
def test_what_was_read_before_changes_nothing(texts: list[str]) -> None:
    """Instructions are remembered: each file means what it means alone."""

    def told(text: str) -> Dockerfile | str:
        try:
            return parse(text)
        except DockerfileError as error:
            return str(error)

    alone = []
    for text in texts:
        read_instructions._READ.clear()
        alone.append(told(text))
    read_instructions._READ.clear()
    assert [told(text) for text in texts] == alone
    assert [told(text) for text in texts] == alone
