"""Where the lines of a view go: a plain stream, or the log of a CI service, which has commands among its lines.

Whatever a build says is text, on every one of them: it cannot move the cursor of a terminal, and cannot be a command.
The formats are those of docs.github.com, "Workflow commands for GitHub Actions", as the runner reads them
(github.com/actions/runner, Runner.Common/ActionCommand.cs), and of docs.gitlab.com, "CI/CD job logs".
"""

from __future__ import annotations

import posixpath
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TextIO

from imagewright.builds.report.text import one_line, printable
from imagewright.builds.result import ImageResult


class Log:
    """A stream of lines; `log_lines` and `log_bytes` say how much output of failed builds it has room for."""

    log_lines = 10_000  # of one image
    log_bytes = 50_000_000  # of all images

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def say(self, text: str) -> None:
        """Lines of text, whoever wrote it."""
        for line in text.split("\n"):
            self._write(self._tamed(printable(line)))
        self.stream.flush()

    def group(self, title: str, lines: Iterable[str], *, folded: bool, seconds: float = 0.0) -> None:  # noqa: ARG002
        """Lines that belong together, under a title that can unfold them. `seconds`: how long it all took."""
        self.say(title)
        for line in lines:
            self.say(line)

    def annotate(self, result: ImageResult) -> None:
        """Point at the line of the Dockerfile that failed, where the service shows such things."""

    def _tamed(self, line: str) -> str:
        return line

    def _write(self, line: str) -> None:
        self.stream.write(f"{line}\n")


class GithubLog(Log):
    """GitHub's: a line that begins with `::`, after blanks, is a command; an old form begins anywhere with `##[`."""

    def __init__(self, stream: TextIO, root: str = "") -> None:
        """`root`: the folder that the paths in errors start from; the runner finds out where it is in the checkout."""
        super().__init__(stream)
        self._root = root

    def group(self, title: str, lines: Iterable[str], *, folded: bool, seconds: float = 0.0) -> None:
        if not folded:  # a group always is, once the step is over
            super().group(title, lines, folded=folded, seconds=seconds)
            return
        self._write(f"::group::{_escaped(one_line(title))}")
        for line in lines:
            self.say(line)
        self._write("::endgroup::")
        self.stream.flush()

    def annotate(self, result: ImageResult) -> None:
        """One error for what failed, at its line; one for each registry that has not got the image."""
        if failure := result.failure:
            where = re.fullmatch(r"(?P<file>.+?)(?::(?P<line>\d+))?", failure.where or "")
            place = {}
            if where and where["line"]:
                place = {"file": posixpath.join(self._root, where["file"]), "line": where["line"]}
            hint = f"\n{failure.hint}" if failure.hint else ""
            self._error(failure.message + hint, {**place, "title": f"image {result.name} failed"})
        for one in result.unpublished:
            self._error(one.error, {"title": f"image {result.name} is not in {one.registry}"})

    def _error(self, message: str, properties: Mapping[str, str]) -> None:
        said = ",".join(f"{name}={_escaped_property(one_line(value))}" for name, value in properties.items())
        text = "\n".join(map(printable, message.split("\n")))
        self._write(f"::error {said}::{_escaped(text)}")
        self.stream.flush()

    def _tamed(self, line: str) -> str:
        # The runner may compare by culture, where some signs beyond ASCII count for nothing.
        line = re.sub(r"#(?=[^ -~]*\[)", "# ", line)
        return f"| {line}" if re.match(r"[^!-~]*:[^ -~]*:", line) else line


class GitlabLog(Log):
    """GitLab's: sections, between markers that begin with an escape; some of its viewers take them without it."""

    # A job's log ends at 4 MB (output_limit), and the table at the end is worth more than the output before it.
    log_lines = 1_000
    log_bytes = 2_000_000

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.time) -> None:
        """`clock`: seconds since 1970."""
        super().__init__(stream)
        self._clock = clock
        self._sections = 0

    def group(self, title: str, lines: Iterable[str], *, folded: bool, seconds: float = 0.0) -> None:
        self._sections += 1
        name = f"imagewright_{self._sections}"
        end = int(self._clock())
        option = "[collapsed=true]" if folded else ""
        shown = self._tamed(one_line(title))
        self._write(f"\x1b[0Ksection_start:{end - round(seconds)}:{name}{option}\r\x1b[0K{shown}")
        for line in lines:
            self.say(line)
        self._write(f"\x1b[0Ksection_end:{end}:{name}\r\x1b[0K")
        self.stream.flush()

    def _tamed(self, line: str) -> str:
        return re.sub(r"section_(start|end):", r"section_\1 :", line)


def make_log(stream: TextIO, environ: Mapping[str, str], root: str = "") -> Log:
    """The log of the service that this runs in; a plain stream anywhere else."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return GithubLog(stream, root)
    if environ.get("GITLAB_CI") == "true":
        return GitlabLog(stream)
    return Log(stream)


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
