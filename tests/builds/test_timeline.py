"""The time line: what is computed, and the page that shows it."""

from __future__ import annotations

import base64
import re
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagewright.builds.failure import Failure
from imagewright.builds.report.lanes import Lane, chart
from imagewright.builds.report.timeline import timeline
from imagewright.builds.result import ImageResult, Span, Status

BEGAN = 1_700_000_000.0
VOID = {"meta", "input", "path"}


def an_image(name: str, start: float | None, seconds: float, status: Status = "built", **values: Any) -> ImageResult:
    reference = f"localhost:5050/{name}:dev"
    return ImageResult(
        name=name,
        status=status,
        reference=reference,
        tags=(reference,),
        **{"digest": "sha256:" + "ab" * 32, "platforms": ("linux/amd64",), **values},
        began=None if start is None else BEGAN + start,
        seconds=seconds,
    )


def a_span(name: str, start: float, end: float, **values: Any) -> Span:
    return Span(name=name, start=BEGAN + start, end=BEGAN + end, **values)


DIAMOND = [
    an_image("base", 0, 10),
    an_image("left", 10, 5),
    an_image("right", 10, 20),
    an_image("top", 30, 3),
    an_image("lone", 15, 17.5),
]
PARENTS = {"left": ["base"], "right": ["base", "elsewhere"], "top": ["left", "right"]}


def lanes(*results: ImageResult) -> dict[str, Lane]:
    return {lane.result.name: lane for lane in chart(results, parents=PARENTS).lanes}


class TestChart:
    def test_images_stand_in_the_order_in_which_they_began(self) -> None:
        drawn = chart(DIAMOND, parents=PARENTS)
        assert [lane.result.name for lane in drawn.lanes] == ["base", "left", "right", "lone", "top"]
        assert (drawn.seconds, drawn.busy, drawn.tick) == (33, 55.5, 5)

    def test_the_critical_path_is_the_longest_chain(self) -> None:
        drawn = chart(DIAMOND, parents=PARENTS)
        assert [lane.result.name for lane in drawn.path] == ["base", "right", "top"]
        assert [lane.result.name for lane in drawn.lanes if lane.critical] == ["base", "right", "top"]

    def test_there_is_none_where_nobody_says_what_is_built_on_what(self) -> None:
        assert chart(DIAMOND, parents={}).path == ()
        assert "critical path of" not in timeline(DIAMOND, title="images", began=BEGAN)

    def test_an_image_waits_for_its_parents_and_then_for_its_turn(self) -> None:
        late = lanes(*DIAMOND[:2], an_image("right", 14, 1), an_image("lone", 2, 1))
        assert (late["right"].ready, late["right"].start) == (10, 14)
        assert (late["lone"].ready, late["lone"].start) == (0, 2)

    def test_how_many_are_at_work(self) -> None:
        drawn = chart(DIAMOND, parents=PARENTS)
        assert drawn.load == ((0, 1), (10, 2), (15, 2), (30, 2), (32.5, 1), (33, 0))
        assert drawn.peak == 2

    def test_the_scale_begins_with_the_first_image(self) -> None:
        drawn = chart([an_image("app", 100, 5), an_image("web", 103, 7)], parents={})
        assert [(lane.start, lane.end) for lane in drawn.lanes] == [(0, 5), (3, 10)]

    def test_nothing(self) -> None:
        drawn = chart([an_image("old", None, 0, "reused")], parents={})
        assert (drawn.lanes, drawn.path, drawn.seconds, drawn.peak, drawn.busy) == ((), (), 0, 0, 0)

    def test_phases_are_where_their_steps_are(self) -> None:
        spans = (
            a_span("[internal] load metadata", 0, 1),
            a_span("[linux/amd64 2/3] RUN a", 1, 3),
            a_span("[linux/arm64 2/3] RUN a", 2, 5),
            a_span("[linux/arm64 3/3] RUN b", 6, 7),
            a_span("exporting to image", 7, 9),
            a_span("publishing its tags", 9, 10),
        )
        lane = lanes(an_image("app", 0, 10, spans=spans))["app"]
        assert [(one.phase, one.start, one.end) for one in lane.stretches] == [
            ("preparing", 0, 1),
            ("building", 1, 5),
            ("building", 6, 7),
            ("exporting", 7, 9),
            ("publishing", 9, 10),
        ]

    @pytest.mark.parametrize("skew", [-3600.0, -30.0, 0.0, 30.0, 3600.0])
    def test_the_clock_of_a_builder_elsewhere_is_put_right(self, skew: float) -> None:
        steps = (a_span("[2/3] RUN a", 20 + skew, 25 + skew), a_span("[3/3] RUN b", 25 + skew, 30 + skew))
        lane = lanes(DIAMOND[0], an_image("app", 20, 11, spans=(*steps, a_span("publishing its tags", 30, 31))))["app"]
        first, last, publishing = lane.spans
        assert (publishing.start, publishing.end) == (30, 31)
        assert last.end - first.start == 10
        assert 20 <= first.start <= last.end <= 31

    def test_a_step_that_another_image_began_is_cut(self) -> None:
        lane = lanes(DIAMOND[0], an_image("app", 20, 10, spans=(a_span("[2/3] RUN a", 15, 25),)))["app"]
        assert (lane.spans[0].start, lane.spans[0].end) == (20, 25)

    @given(
        st.lists(st.tuples(st.floats(-10, 1e5), st.floats(0, 1e5), st.integers(0, 40)), max_size=12),
        st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(0, 1e3)), max_size=5),
    )
    def test_all_of_it_is_on_the_scale(
        self, times: list[tuple[float, float, int]], steps: list[tuple[float, float]]
    ) -> None:
        spans = tuple(a_span("[2/3] RUN a", start, start + seconds) for start, seconds in steps)
        results = [an_image(f"i{n}", start, seconds, spans=spans) for n, (start, seconds, _) in enumerate(times)]
        parents = {f"i{n}": [f"i{parent}"] for n, (_, _, parent) in enumerate(times)}
        drawn = chart(results, parents=parents)
        assert len(drawn.lanes) == len(times)
        for lane in drawn.lanes:
            assert 0 <= lane.ready <= lane.start <= lane.end
            assert lane.end <= drawn.seconds
            times_within = [(one.start, one.end) for one in lane.spans] + [
                (one.start, one.end) for one in lane.stretches
            ]
            assert all(lane.start <= start <= end <= lane.end for start, end in times_within)
        names = [lane.result.name for lane in drawn.path]
        assert len(names) == len(set(names))


class Page(HTMLParser):
    """The page as a browser takes it: elements with attributes and text, each closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def of_class(self, name: str) -> list[dict[str, str]]:
        return [attributes for _, attributes in self.elements if name in attributes.get("class", "").split()]

    def text(self) -> str:
        return "".join(data for tag, data in self.texts if tag not in ("style", "script"))


def a_page(results: list[ImageResult], title: str = "images") -> Page:
    return Page(timeline(results, title=title, began=BEGAN, parents=PARENTS))


FAILURE = Failure(
    kind="run", image="bad", message="failed with exit code 2", detail="", where="Dockerfile:4", output=("boom",)
)


def test_each_image_is_a_row_with_its_bars_and_steps() -> None:
    spans = (
        a_span("[internal] load build definition", 15, 15.2),
        a_span("[2/3] COPY a b", 15.2, 15.3, state="cached"),
        a_span("[3/3] RUN make", 16, 30, state="failed", platform="linux/arm64"),
    )
    bad = an_image("bad", 15, 15, "failed", digest=None, failure=FAILURE, spans=spans, cached_steps=1, steps=2)
    undone = an_image("never", None, 0, "skipped", digest=None, because="parent bad failed")
    page = a_page([*DIAMOND, bad, undone, an_image("old", None, 0, "reused")], "invoke build all")
    rows = page.of_class("row")
    assert [row["data-name"] for row in rows] == ["base", "left", "right", "bad", "lone", "top"]
    assert [row["data-name"] for row in rows if "critical" in row["class"].split()] == ["base", "right", "top"]
    assert [row["data-name"] for row in rows if "failed" in row["class"].split()] == ["bad"]
    assert len(page.of_class("whole")) == 6
    assert not page.of_class("lost")
    assert page.of_class("whole")[-1]["style"] == "left:90.91%;width:9.09%"
    assert len(page.of_class("step")) == 3
    assert page.of_class("step")[1]["class"].split()[-1] == "cached"
    text = page.text()
    for said in ("invoke build all", "5 built, 1 reused, 1 skipped, 1 failed", "linux/arm64 3/3", "RUN make"):
        assert said in text
    for said in ("failed with exit code 2", "| boom", "parent bad failed", "1 unchanged", "2023-11-14 22:13:20 UTC"):
        assert said in text
    assert "33.0s on the critical path of 3 images" in " ".join(text.split())
    assert [href["href"] for tag, href in page.elements if tag == "a"][:3] == ["#i0", "#i2", "#i5"]


def test_an_image_that_failed_in_no_step_is_lost_as_a_whole() -> None:
    assert len(a_page([*DIAMOND, an_image("bad", 1, 2, "failed", failure=FAILURE)]).of_class("lost")) == 1


def test_it_hovers() -> None:
    titles = [element["title"] for element in a_page(DIAMOND).of_class("whole")]
    assert titles[0] == "base: built\n10.0s, from 0.0s to 10.0s"


def test_nothing_comes_from_elsewhere() -> None:
    html = timeline(DIAMOND, title="images", began=BEGAN)
    page = Page(html)
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "img", "object", "embed", "base", "image", "use")
        assert not {"src", "srcset", "data", "action", "formaction", "ping", "xlink:href"} & attributes.keys()
        assert attributes.get("href", "#").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in html
    assert "@import" not in html
    assert "fetch(" not in html
    assert "http:" not in html
    assert "https:" not in html


def test_only_its_own_script_may_run() -> None:
    page = a_page(DIAMOND)
    (policy,) = (attributes["content"] for _, attributes in page.elements if "http-equiv" in attributes)
    (script,) = (data for tag, data in page.texts if tag == "script")
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


EVIL = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onclick='alert(1)",
    "</title></style></pre><b>",
    "<!-- {{ 7 * 7 }}{% x %}",
]


def results_that_say(text: str) -> list[ImageResult]:
    failure = Failure(kind="run", image=text, message=text, detail=text, where=text, hint=text, output=(text,))
    spans = (a_span(text, 0, 1, platform=text), a_span(f"[2/3] RUN {text}", 0, 1, state="failed"))
    values: dict[str, Any] = {"why": text, "because": text, "platforms": (text,), "log": text, "digest": f"x:{text}"}
    return [
        an_image(f"{text}1", 0, 10, **values, spans=spans),
        an_image(f"{text}2", 10, 10, "failed", **values, failure=failure, spans=spans),
        an_image(f"{text}3", None, 0, "skipped", **values),
        an_image(f"{text}4", None, 0, "reused"),
    ]


def shape(page: Page) -> list[tuple[str, list[str]]]:
    return [(tag, sorted(attributes)) for tag, attributes in page.elements]


CALM = shape(a_page(results_that_say("x"), "x"))


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(EVIL) | st.text(st.sampled_from("<>\"'&/=!-`{}%\x00\x1b\n ab") | st.characters(), max_size=40))
def test_every_text_is_only_text(text: str) -> None:
    text = f"x{text}"  # where there is none, there is no place for it either
    assert shape(a_page(results_that_say(text), text)) == CALM


@pytest.mark.parametrize("text", EVIL)
def test_texts_are_shown_as_they_are(text: str) -> None:
    shown = a_page(results_that_say(text), text).text()
    assert shown.count(text) > 15
    assert f"RUN {text}" in shown


def test_a_thousand_images_are_one_page_of_low_rows() -> None:
    results = [
        an_image(f"image-{n}", n / 10, 3, spans=(a_span("[2/2] RUN make", n / 10, n / 10 + 3),)) for n in range(1000)
    ]
    html = timeline(results, title="images", began=BEGAN)
    assert len(Page(html).of_class("row")) == 1000
    assert "chart compact" in html
    assert len(html) < 3_000_000
    assert "chart compact" not in timeline(DIAMOND, title="images", began=BEGAN)


@pytest.mark.parametrize("results", [[], [an_image("old", None, 0, "reused")], [an_image("quick", 0, 0)]])
def test_a_run_with_nothing_to_draw(results: list[ImageResult]) -> None:
    assert "images" in a_page(results).text()


def test_the_scale_has_few_lines() -> None:
    for seconds in (0.05, 0.7, 9, 61, 400, 7000, 90000):
        html = timeline([an_image("app", 0, seconds)], title="images", began=BEGAN)
        ticks = re.findall(r'<span style="left:[\d.]+%">([^<]+)</span>', html)
        assert 3 <= len(ticks) <= 11
        assert len(set(ticks)) == len(ticks)
        assert ticks[0] == "0s"
