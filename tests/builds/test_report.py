"""The end of a run as text and as Markdown."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt  # what rich reads Markdown with

from imagewright.builds.failure import Failure
from imagewright.builds.publication import Unpublished
from imagewright.builds.report.markdown import LIMIT, fenced, markdown
from imagewright.builds.report.table import summary
from imagewright.builds.report.text import change, duration, ending, one_line, phase, printable, short
from imagewright.builds.result import ImageResult, Status
from imagewright.config.sizes import size

FAILURE = Failure(
    kind="run", image="app", message="failed with exit code 7", detail="", where="Dockerfile:4", output=("boom",)
)


def an_ending(name: str, status: Status = "built", **values: Any) -> ImageResult:
    reference = f"localhost:5050/{name}:dev"
    defaults = {"digest": "sha256:" + "ab" * 32, "platforms": ("linux/amd64",), "seconds": 1.25, "steps": 3}
    return ImageResult(name=name, status=status, reference=reference, tags=(reference,), **{**defaults, **values})


def unchanged(count: int) -> list[ImageResult]:
    return [an_ending(f"old{n}", "reused", seconds=0.0, steps=0, because="unchanged") for n in range(count)]


class TestText:
    @pytest.mark.parametrize(
        ("count", "text"),
        [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345_678, "12.3 MB"), (5 * 10**15, "5000.0 TB")],
    )
    def test_sizes(self, count: int, text: str) -> None:
        assert size(count) == text

    @pytest.mark.parametrize(
        ("growth", "text"), [(None, "-"), (0, "="), (1_234_567, "+1.2 MB"), (-3000, "-3.0 kB"), (-1, "-1 B")]
    )
    def test_changes(self, growth: int | None, text: str) -> None:
        assert change(growth) == text

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (0, "0.0s"),
            (42.04, "42.0s"),
            (59.94, "59.9s"),
            (59.96, "1m 00s"),
            (187, "3m 07s"),
            (3599.6, "1h 00m"),
            (3720, "1h 02m"),
        ],
    )
    def test_durations(self, seconds: float, text: str) -> None:
        assert duration(seconds) == text

    @pytest.mark.parametrize(
        ("step", "kind"),
        [
            ("[2/3] RUN make", "building"),
            ("[linux/amd64 build 2/3] COPY a b", "building"),
            ("[internal] load metadata for docker.io/library/debian:trixie", "preparing"),
            ("importing cache manifest from s3:1", "preparing"),
            ("exporting to image", "exporting"),
            ("exporting cache to Amazon S3", "exporting"),
            ("publishing its tags", "publishing"),
        ],
    )
    def test_phases(self, step: str, kind: str) -> None:
        assert phase(step) == kind

    def test_digests(self) -> None:
        assert (short("sha256:" + "ab" * 32), short(None)) == ("abababababab", "-")

    def test_a_failure_without_a_reason_has_an_ending(self) -> None:
        assert ending(an_ending("app", "failed")) == "FAILED after 1.2s"

    @pytest.mark.parametrize(
        ("line", "shown"),
        [
            ("plain", "plain"),
            ("\x1b[1;31mred\x1b[0m", "red"),
            ("a\x1b]8;;http://x\x07link\x1b]8;;\x1b\\b", "alinkb"),
            ("a\x1b]0;never ends", "a"),
            ("a\x1b(Bb\x1bcc\x9b2Jd\x08", "abcd"),
            ("tab\tüñ✓ 日本", "tab\tüñ✓ 日本"),
            ("\u202eabc\u2028\u200b", "abc"),
        ],
    )
    def test_what_a_terminal_would_obey_is_left_out(self, line: str, shown: str) -> None:
        assert printable(line) == shown

    @given(st.text())
    def test_what_is_left_is_on_one_line_and_obeyed_by_nobody(self, text: str) -> None:
        shown = one_line(text)
        assert len(shown.splitlines()) <= 1
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", shown)


class TestTable:
    def test_the_summary(self) -> None:
        sizes = {"linux/amd64": 12_345_678}
        results = [
            an_ending("app", cached_steps=3, sizes=sizes, growth=1_200_000, why="file app.c changed"),
            an_ending("web", "failed", digest=None, steps=0, failure=FAILURE, why="parent\nbase"),
            an_ending("db", "skipped", digest=None, steps=0, seconds=0.0, because="parent web failed", why="x"),
            an_ending("doc", sizes=sizes, growth=0),
        ]
        assert summary(results, 2.5).splitlines() == [
            "IMAGE  STATUS   DIGEST        PLATFORMS    SIZE     CHANGE   SECONDS  CACHED  WHY",
            "app    built    abababababab  linux/amd64  12.3 MB  +1.2 MB  1.2      3/3     file app.c changed",
            "web    failed   -             linux/amd64  -        -        1.2      -       parent base",
            "db     skipped  -             linux/amd64  -        -        0.0      -       parent web failed",
            "doc    built    abababababab  linux/amd64  12.3 MB  =        1.2      0/3     -",
            "error: Dockerfile:4: app: failed with exit code 7",
            "    | boom",
            "2 built, 1 skipped, 1 failed in 2.5s",
        ]

    def test_sizes_that_nobody_knows_have_no_column(self) -> None:
        assert "SIZE" not in summary([an_ending("app")], 1)
        assert "CHANGE" not in summary([an_ending("app", sizes={"linux/amd64": 1})], 1)

    def test_nothing_to_build(self) -> None:
        assert summary([], 0.04) == "nothing to build in 0.0s"

    def test_many_unchanged_images_do_not_bury_the_others(self) -> None:
        few = summary([an_ending("app"), *unchanged(20)], 1)
        assert few.count("unchanged") == 20
        many = summary([*unchanged(500), an_ending("app")], 1).splitlines()
        assert [line.split()[0] for line in many] == ["IMAGE", "app", "500", "1"]
        assert many[2:] == ["500 more are unchanged", "1 built, 500 reused in 1.0s"]

    def test_an_image_that_got_new_tags_is_not_hidden(self) -> None:
        assert "\ntagged " in summary([an_ending("tagged", "reused", began=7.0, seconds=0.0), *unchanged(500)], 1)


class Read:
    """Markdown as a renderer reads it."""

    def __init__(self, text: str) -> None:
        self.tokens = MarkdownIt("commonmark").enable("table").parse(text)
        self.inline = [child for token in self.tokens for child in token.children or []]

    def cells(self) -> list[list[str]]:
        rows: list[list[str]] = []
        for token, after in zip(self.tokens, self.tokens[1:], strict=False):
            if token.type == "tr_open":
                rows.append([])
            if token.type in ("td_open", "th_open"):
                rows[-1].append("".join(child.content for child in after.children or []))
        return rows

    def fences(self) -> list[str]:
        return [token.content for token in self.tokens if token.type == "fence"]

    def html(self) -> str:
        return "".join(token.content for token in (*self.tokens, *self.inline) if token.type.startswith("html_"))


class TestMarkdown:
    def test_a_table_and_what_failed(self) -> None:
        failure = replace(FAILURE, hint="see `target`", output=("x", "```", "</details><script>"))
        missing = (Unpublished(registry="ghcr.io", error="503 | no"),)
        results = [
            an_ending("app", why="a|b", growth=-3000, sizes={"linux/amd64": 5}, unpublished=missing),
            an_ending("web", "failed", digest=None, failure=failure, log="/l/web.log"),
            *unchanged(3),
        ]
        page = Read(markdown(results, 61.24))
        assert page.cells()[:3] == [
            ["image", "status", "digest", "platforms", "size", "change", "seconds", "cached", "why"],
            ["app", "✅ built", "abababababab", "linux/amd64", "5 B", "-3.0 kB", "1.2", "0/3", "a|b"],
            ["web", "❌ failed", "-", "linux/amd64", "-", "-", "1.2", "0/3", "-"],
        ]
        assert [row[0] for row in page.cells()[4:]] == ["old0", "old1", "old2"]
        assert page.fences() == ["x\n```\n</details><script>\n"]
        assert "<script" not in page.html()
        assert page.html().count("<details>") == page.html().count("</details>") == 2
        text = markdown(results, 61.24)
        assert text.startswith("## Images: 1 built, 3 reused, 1 failed in 61.2s\n\n|")
        assert "see &#96;target&#96;" in text
        assert "The full log: /l/web.log" in text

    @settings(max_examples=100, deadline=None)
    @given(st.text(st.sampled_from("`~<>/&|\\*_[](){}!#@:.-+=\n\r\t ax1\x1b\u2028") | st.characters(), max_size=60))
    @example("*a* _b_ `c` ~~d~~")
    @example("[a](b) ![a](b) <https://a.b>")
    @example("<b>x</b> <script> &amp; \\|")
    @example("- a\n1. b\n# c\n\n    d")
    def test_no_text_is_markup(self, text: str) -> None:
        failure = replace(FAILURE, message=text, where=text, hint=text, output=tuple(text.split("\n")), detail=text)
        missing = (Unpublished(registry=text, error=text),)
        results = [
            an_ending("app", "failed", failure=failure, log=text, unpublished=missing, why=text),
            an_ending("web", why=text, platforms=(text,)),
        ]
        page = Read(markdown(results, 1))
        assert [len(row) for row in page.cells()] == [7, 7, 7]
        assert len(page.fences()) == 1
        tags = re.findall(r"<[^>]*>", page.html())
        assert tags == ["<details>", "<summary>", "</summary>", "</details>"]
        kinds = {token.type for token in page.inline}
        assert kinds <= {"text", "text_special", "softbreak", "html_inline"}
        headings = [token for token in page.tokens if token.type == "heading_open"]
        assert len(headings) == 1
        assert [token.type for token in page.tokens].count("bullet_list_open") == 1
        assert {token.type for token in page.tokens if token.level == 0} <= {
            *("heading_open", "heading_close", "table_open", "table_close", "html_block", "fence"),
            *("paragraph_open", "paragraph_close", "bullet_list_open", "bullet_list_close"),
        }

    @given(st.lists(st.text(st.sampled_from("`~ ax\t"), max_size=12), min_size=1))
    def test_a_fence_ends_where_it_ends(self, lines: list[str]) -> None:
        assert Read(fenced("\n".join(lines)) + "after").fences() == ["\n".join(lines) + "\n"]

    def test_it_is_not_larger_than_the_page_may_be(self) -> None:
        output = tuple("é" * 3000 for _ in range(50))
        many = [an_ending(f"f{n}", "failed", failure=replace(FAILURE, output=output)) for n in range(100)]
        text = markdown([*many, *unchanged(9000)], 1)
        assert LIMIT * 0.9 < len(text.encode()) <= LIMIT
        assert text.endswith("*This summary is cut: it would be larger than the page may be.*\n")
        page = Read(text)
        assert page.html().count("<details>") == page.html().count("</details>") > 10
        assert len([row for row in page.cells() if row[0].startswith("f")]) == 100

    @given(st.integers(0, 4000))
    def test_it_is_cut_between_its_parts(self, limit: int) -> None:
        results = [an_ending("app", "failed", failure=FAILURE), *unchanged(30)]
        text = markdown(results, 1, limit=limit)
        assert len(text.encode()) <= limit
        assert text.count("<details>") == text.count("</details>")
        assert text.count("```") % 2 == 0
        assert all(line.endswith("|") for line in text.splitlines() if line.startswith("|"))
