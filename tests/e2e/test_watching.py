"""What a run leaves to look at, in the log of a CI service and in files: of real builds."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.repository import Repository

if TYPE_CHECKING:
    from tests.e2e.conftest import Inv, LocalEngine

pytestmark = pytest.mark.e2e

COMMAND = re.compile(r"\s*::(\w[\w-]*)|.*##\[(\w[\w-]*)")


class Bars(HTMLParser):
    """The rows of a time line with the kinds of their bars, (left, width) in percent."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.rows: dict[str, list[tuple[str, float, float]]] = {}
        self.classes: dict[str, str] = {}
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if name := found.get("data-name"):
            self.rows[name] = []
            self.classes[name] = found["class"]
        elif tag == "i" and "style" in found and self.rows:
            left, width = map(float, re.findall(r"([\d.]+)%", found["style"]))
            list(self.rows.values())[-1].append((found["class"], left, width))


def test_a_failing_diamond_in_github_actions(engine: LocalEngine, inv: Inv, base_image: str, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    r = Repository(tmp_path / "project", engine, inv, base_image)
    evil = "RUN echo '::set-env name=X::y'; echo 'a ##[error]b'; printf '\\r::error::z\\n'; exit 3"
    r.dockerfile("base", "FROM BASE", "RUN echo base > /base")
    r.dockerfile("left", "FROM PREFIX/base", "", evil)
    r.dockerfile("right", "FROM PREFIX/base", "RUN echo '</script><b>' > /right")
    r.dockerfile("top", "FROM PREFIX/left", "COPY --from=PREFIX/right /right /")
    summary, shown, page = tmp_path / "summary.md", tmp_path / "shown.md", tmp_path / "pages/time.html"
    summary.write_text("before\n")
    env = {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    done = r.invoke("build", "all", "--tag", "dev", "--summary", str(shown), "--timeline", str(page), env=env)
    assert done.returncode == 1, done.stderr

    commands = [line for line in re.split(r"[\r\n]+", done.stderr) if COMMAND.match(line)]
    assert {next(filter(None, found.groups())) for line in commands if (found := COMMAND.match(line))} == {
        *("group", "endgroup", "error")
    }
    groups = [line for line in commands if line.startswith("::group::")]
    assert [re.sub(r".* (\w+): (\w+) .*", r"\1 \2", line) for line in groups] == ["base built", "right built"]
    (error,) = (line for line in commands if line.startswith("::error"))
    where = f"file={r.root}/Dockerfiles/Dockerfile.left,line=3,title=image left failed"
    assert error.startswith(f"::error {where}::failed with exit code 3")
    assert "a ## [error]b" in done.stderr

    text = summary.read_text()
    assert text.startswith("before\n")
    assert "\n" + shown.read_text() == text.removeprefix("before\n")
    assert re.findall(r"^\| (\w+) \| \S+ (\w+) \|", text, re.MULTILINE) == [
        *(("base", "built"), ("left", "failed"), ("right", "built"), ("top", "skipped"))
    ]
    assert "```text\n::set-env name=X::y\na ##[error]b\n::error::z\n```" in text

    bars = Bars(page)
    assert next(iter(bars.rows)) == "base"
    assert set(bars.rows) == {"base", "left", "right"}
    assert "failed" in bars.classes["left"]
    assert "critical" in bars.classes["base"]
    assert "</script><b>" not in page.read_text().replace("</script>\n</body>", "")
    for row in bars.rows.values():
        assert {"whole", "building"} <= {kind for kind, _, _ in row}
        assert all(left >= 0 and left + width <= 100.02 for _, left, width in row)
    assert {"wait"} <= {kind for kind, _, _ in bars.rows["left"]}
