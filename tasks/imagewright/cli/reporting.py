"""What stays of a run: the summary for a CI service, the page with the time line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from imagewright.builds.result import ImageResult
from imagewright.errors import EnvironmentMissingError

if TYPE_CHECKING:
    from imagewright.builds.plan import Plan
    from imagewright.builds.request import Request
    from imagewright.cli.project import Project

_GITHUB_SUMMARY = "GITHUB_STEP_SUMMARY"


def with_reasons(plan: Plan, results: Sequence[ImageResult]) -> tuple[ImageResult, ...]:
    """The results with the plan's first reason for each."""
    reasons = {item.name: item.reasons[0] for item in plan.images if item.reasons}
    told = {name: f"{one.path}: {one.detail}" if one.path else one.detail for name, one in reasons.items()}
    return tuple(replace(result, why=told.get(result.name)) for result in results)


def write_reports(
    project: Project, plan: Plan, results: Sequence[ImageResult], asked: Request, *, seconds: float, began: float
) -> None:
    """Write what was asked for, and what the CI service shows. EnvironmentMissingError where that cannot be.

    Paths are as the caller sees them. A summary of GitHub's is added to what other steps of the job wrote there, and
    where it cannot be written no build is lost.
    """
    github = project.environ.get(_GITHUB_SUMMARY)
    if asked.summary or github:
        from imagewright.builds.report.markdown import LIMIT, markdown

        if github:
            try:
                with Path(github).open("a", encoding="utf-8") as file:
                    file.write("\n" + markdown(results, seconds, limit=LIMIT - file.tell() - 1))
            except OSError as error:
                project.say(f"warning: the job's summary cannot be written: {error.strerror}: {github}")
        if asked.summary:
            _write(Path(asked.summary), markdown(results, seconds))
    if asked.timeline:
        from imagewright.builds.report.timeline import timeline

        parents = {item.name: [parent.name for parent in item.parents] for item in plan.images}
        _write(Path(asked.timeline), timeline(results, title=project.root.name, began=began, parents=parents))
        project.say(f"the time line of the run: {asked.timeline}")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EnvironmentMissingError(
            f"the report of the run cannot be written: {error.strerror}", where=str(path)
        ) from error
