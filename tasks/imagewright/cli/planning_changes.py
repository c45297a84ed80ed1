"""From a comparison to the plan of what is built and what is reused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from imagewright.builds.plan import Base, Plan, Reason, Standing, plan_changed
from imagewright.builds.request import Request
from imagewright.changes.places import find
from imagewright.changes.reuse import Selection, judge, select
from imagewright.cli.comparing import Compared, compare, say_comparison
from imagewright.cli.planning import Registry, gaps, names_of_run, part_of
from imagewright.cli.project import Project
from imagewright.cli.recording import recorded
from imagewright.errors import EnvironmentMissingError
from imagewright.images.selection import select as select_images

if TYPE_CHECKING:
    from imagewright.changes.published import Published

UNCHANGED = Reason(kind="unchanged", detail="nothing that it depends on has changed")


def affected_plan(project: Project, compared: Compared, asked: Request, layer: str | None = None) -> Plan:
    """What has changed, with all that stands on it. The registry is not asked."""
    built = {name: compared.decisions[name].reasons for name in _start(compared, layer)}
    return _plan(project, compared, asked, Selection(built=built, reused={}), registry="silent")


def reusing_plan(
    project: Project, compared: Compared, asked: Request, layer: str | None = None, *, registry: Registry = "asked"
) -> Plan:
    """The same, and what the builds need of the rest: from the registry where it has it, else built too.

    A git tag names every image: those that have not changed get its tags as they are.
    """
    start = _start(compared, layer)
    wanted = tuple(compared.snapshot.graph.order()) if compared.event.kind == "tag" and layer is None else ()
    selection = _selection(project, compared, start, wanted)
    return _plan(project, compared, asked, selection, retagged=wanted, registry=registry)


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
    selection = _selection(project, compared, start)
    skipped = {name: (UNCHANGED,) for name in named if name not in selection.built and name not in selection.reused}
    return _plan(project, compared, asked, selection, skipped)


def _start(compared: Compared, layer: str | None) -> list[str]:
    graph, images = compared.snapshot.graph, compared.snapshot.images
    if layer is None:
        return [name for name in graph.order() if compared.decisions[name].changed]
    own = [name for name in graph.order() if images[name].layer == layer]
    chosen = {*own, *(name for one in own for name in graph.descendants(one))}
    return [name for name in graph.order() if name in chosen]


def _selection(project: Project, compared: Compared, start: Sequence[str], wanted: Sequence[str] = ()) -> Selection:
    snapshot = compared.snapshot

    def usable(names: Collection[str]) -> Mapping[str, Published | str]:
        since = compared.comparison.tag
        places = {name: compared.names.places(snapshot.images[name], since=since) for name in names}
        fingerprints = {name: snapshot.fingerprint(name) for name in names}
        try:
            found = find(places, fingerprints, project.published)
        except EnvironmentMissingError as error:
            return dict.fromkeys(names, f"the registry cannot be asked: {error.message}")
        return {
            name: judge(
                found[name].answer,
                reference=found[name].reference,
                fingerprint=fingerprints[name],
                platforms=snapshot.images[name].platforms,
            )
            for name in names
        }

    return select(start, compared.decisions, snapshot.graph, usable, wanted=wanted)


def _plan(
    project: Project,
    compared: Compared,
    asked: Request,
    selection: Selection,
    skipped: Mapping[str, tuple[Reason, ...]] | None = None,
    *,
    retagged: Sequence[str] = (),
    registry: Registry = "asked",
) -> Plan:
    snapshot, comparison = compared.snapshot, compared.comparison
    named = [*selection.built, *(name for name in selection.reused if name in retagged)]
    if registry != "silent":
        compared.names.require(snapshot.images[name] for name in named)
    settled = names_of_run(project, compared.names, snapshot, named, asked, registry)
    unchanged = {name: Standing(digest=found.digest) for name, found in selection.reused.items()}
    made = plan_changed(
        {name: reasons for name, reasons in selection.built.items() if name not in settled.standing},
        reused={**unchanged, **settled.standing},
        retagged={*retagged, *settled.standing},
        skipped=skipped,
        images=snapshot.images,
        graph=snapshot.graph,
        base=Base(commit=comparison.commit, source=comparison.source, why=comparison.why),
        head=compared.head,
        namings=settled.namings,
        inputs=recorded(snapshot, [*selection.built, *selection.reused, *(skipped or ())]),
        broken={**settled.refused, **gaps(project, snapshot, selection.built), **snapshot.readings.broken},
        removed=compared.removed,
    )
    return part_of(made, asked)
