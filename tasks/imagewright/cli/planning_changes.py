"""From a comparison to the plan of what is built and what is reused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from imagewright.builds.plan import Base, Plan, Reason, plan_changed
from imagewright.builds.request import Request
from imagewright.changes.reuse import Selection, judge, select
from imagewright.cli.comparing import Compared, compare, say_comparison
from imagewright.cli.project import Project
from imagewright.cli.recording import recorded
from imagewright.errors import EnvironmentMissingError
from imagewright.images.selection import select as select_images

if TYPE_CHECKING:
    from imagewright.changes.published import Published

UNCHANGED = Reason(kind="unchanged", detail="nothing that it depends on has changed")


def affected_plan(project: Project, compared: Compared, asked: Request, layer: str | None = None) -> Plan:
    """What has changed, with all that stands on it. The registry is not asked."""
    start = _start(compared, layer)
    return _plan(
        project, compared, asked, Selection(built={n: compared.decisions[n].reasons for n in start}, reused={})
    )


def reusing_plan(project: Project, compared: Compared, asked: Request, layer: str | None = None) -> Plan:
    """The same, and what the builds need of the rest: from the registry where it has it, else built too."""
    return _plan(project, compared, asked, _selection(project, compared, asked, _start(compared, layer)))


def plan_of_changes(project: Project, asked: Request, names: str, *, since: str | None, head: str | None) -> Plan:
    """The same for `names` of the command line, which are shown in any case, and what they are built on."""
    compared = compare(project, asked, since=since, head=head)
    say_comparison(project, compared)
    if not names:
        return reusing_plan(project, compared, asked)
    graph = compared.snapshot.graph
    named = [one.name for one in select_images(names, tuple(compared.snapshot.images.values()))]
    wanted = {*named, *(ancestor for name in named for ancestor in graph.ancestors(name))}
    start = [name for name in graph.order() if name in wanted and compared.decisions[name].changed]
    selection = _selection(project, compared, asked, start)
    skipped = {name: (UNCHANGED,) for name in named if name not in selection.built and name not in selection.reused}
    return _plan(project, compared, asked, selection, skipped)


def _start(compared: Compared, layer: str | None) -> list[str]:
    graph, images = compared.snapshot.graph, compared.snapshot.images
    if layer is None:
        return [name for name in graph.order() if compared.decisions[name].changed]
    own = [name for name in graph.order() if images[name].layer == layer]
    chosen = {*own, *(name for one in own for name in graph.descendants(one))}
    return [name for name in graph.order() if name in chosen]


def _selection(project: Project, compared: Compared, asked: Request, start: list[str]) -> Selection:
    snapshot = compared.snapshot

    def usable(names: Collection[str]) -> Mapping[str, Published | str]:
        references = {name: project.tags(snapshot.images[name], asked.tags)[0] for name in names}
        try:
            answers = project.published(references)
        except EnvironmentMissingError as error:
            return dict.fromkeys(names, f"the registry cannot be asked: {error.message}")
        return {
            name: judge(
                answers[name],
                reference=references[name],
                fingerprint=snapshot.fingerprint(name),
                platforms=snapshot.images[name].platforms,
            )
            for name in names
        }

    return select(start, compared.decisions, snapshot.graph, usable)


def _plan(
    project: Project,
    compared: Compared,
    asked: Request,
    selection: Selection,
    skipped: Mapping[str, tuple[Reason, ...]] | None = None,
) -> Plan:
    snapshot, comparison = compared.snapshot, compared.comparison
    shown = [*selection.built, *selection.reused, *(skipped or ())]
    return plan_changed(
        selection.built,
        reused={name: found.digest for name, found in selection.reused.items()},
        skipped=skipped,
        images=snapshot.images,
        graph=snapshot.graph,
        base=Base(commit=comparison.commit, source=comparison.source, why=comparison.why),
        head=compared.head,
        tags={name: project.tags(snapshot.images[name], asked.tags) for name in shown},
        inputs=recorded(snapshot, shown),
        broken=snapshot.readings.broken,
        removed=compared.removed,
    )
