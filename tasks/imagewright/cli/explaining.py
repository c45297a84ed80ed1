"""`invoke why` and `invoke inputs`: the words for what was decided."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from imagewright.builds.plan import PlanImage
from imagewright.changes.decide import differences
from imagewright.changes.reason import Reason
from imagewright.changes.snapshot import Snapshot, Unknown
from imagewright.cli.build_options import request
from imagewright.cli.comparing import Compared, compare, say_comparison
from imagewright.cli.planning_changes import reusing_plan
from imagewright.cli.project import Project
from imagewright.cli.table import show_table
from imagewright.errors import UsageError
from imagewright.images.inputs import Inputs, Source, unseen
from imagewright.images.selection import select

_WORDS = {"build": "is built", "reuse": "is reused", "skip": "is skipped"}
_FILES = 20  # reasons of one image that are shown to a person


def show_why(project: Project, name: str, *, since: str | None, head: str | None, as_json: bool) -> None:
    """Why an image is built, reused or skipped, down to the first cause."""
    compared = compare(project, request(), since=since, head=head)
    name = _one(name, compared.snapshot)
    plan = reusing_plan(project, compared, request())
    item = next((one for one in plan.images if one.name == name), None)
    action = item.action if item else "build" if any(one.image.name == name for one in plan.unplanned) else "skip"
    reasons = item.reasons if item else compared.decisions[name].reasons
    chain = tuple(_chain(compared, {one.name: one for one in plan.images}, name))
    comparison = compared.comparison
    if as_json:
        document = {
            "schema": 1,
            "name": name,
            "action": action,
            "base": {"commit": comparison.commit, "source": comparison.source, "why": comparison.why},
            "head": {"commit": compared.head.commit, "dirty": compared.head.dirty},
            "reasons": [_plain(reason) for reason in reasons],
            "chain": [{"name": one, "reason": _plain(reason)} for one, reason in chain],
        }
        print(json.dumps(document, indent=2))  # noqa: T201
        return
    say_comparison(project, compared)
    print(f"{name} {_WORDS[action]}{'' if reasons else ': nothing that it depends on has changed'}")  # noqa: T201
    for reason in reasons[:_FILES]:
        print(f"  {_told(reason)}")  # noqa: T201
    if len(reasons) > _FILES:
        print(f"  and {len(reasons) - _FILES} more: --json has them all")  # noqa: T201
    for depth, (one, reason) in enumerate(chain[1:], 2):
        print(f"{'  ' * depth}{one}: {_told(reason)}")  # noqa: T201


def show_dependents(project: Project, path: str, *, as_json: bool) -> None:
    """Which images depend on a file, through which line, and which follow them."""
    snapshot = project.snapshot()
    project.reading_cache.save()
    direct: dict[str, tuple[Source, ...]] = {}
    unknown: dict[str, str] = {}
    for name in snapshot.graph.order():
        found = snapshot.inputs(name)
        if isinstance(found, Unknown):
            unknown[name] = found.detail
        elif sources := found.why(path) or _through_template(snapshot, name, found, path):
            direct[name] = sources
    if not direct and snapshot.tree.get(path) is None:
        raise UsageError(f"there is no file {path!r}", hint="a path from the repository's root, known to git")
    follows = {name: _nearest(snapshot, name, direct) for name in snapshot.graph.order() if name not in direct}
    through = {name: parent for name, parent in follows.items() if parent}
    if as_json:
        document = {
            "schema": 1,
            "path": path,
            "images": [
                {
                    "name": name,
                    "kind": one.kind,
                    "path": snapshot.images[name].dockerfile,
                    "line": one.line or None,
                    "detail": one.detail,
                    "parent": None,
                }
                for name, sources in direct.items()
                for one in sources
            ]
            + [
                {
                    "name": name,
                    "kind": "parent",
                    "path": None,
                    "line": None,
                    "detail": f"built on {parent}",
                    "parent": parent,
                }
                for name, parent in through.items()
            ],
            "unknown": [{"name": name, "detail": detail} for name, detail in unknown.items()],
        }
        print(json.dumps(document, indent=2))  # noqa: T201
        return
    rows = [
        [name, _place(snapshot.images[name].dockerfile, one.line or None), one.detail if one.line else one.kind]
        for name, sources in direct.items()
        for one in sources
    ]
    rows += [[name, "", f"built on {parent}"] for name, parent in through.items()]
    if rows:
        show_table(("image", "line", "because"), rows)
    else:
        project.say(f"no image depends on {path}")
    for name, detail in unknown.items():
        project.say(f"warning: {name}: {detail}")


def show_inputs(project: Project, name: str, *, as_json: bool) -> None:
    """Every file that an image depends on, with the line that says so, and what is not known."""
    snapshot = project.snapshot()
    project.reading_cache.save()
    name = _one(name, snapshot)
    found = snapshot.inputs(name)
    if isinstance(found, Unknown):
        if name in snapshot.readings.broken:
            raise snapshot.readings.broken[name]
        raise UsageError(f"the inputs of {name} cannot be told: {found.detail}", hint="it is built each time")
    image = snapshot.images[name]
    ignored = project.repository.ignored() if project.repository else ()
    hidden = unseen(image, snapshot.readings.by_name[name], snapshot.tree, ignored) if ignored else ()
    files = sorted(_by_file(found).items())
    if as_json:
        document = {
            "schema": 1,
            "name": name,
            "fingerprint": snapshot.fingerprint(name),
            "files": [
                {"path": path, "kind": source.kind, "line": source.line or None, "detail": source.detail}
                for path, sources in files
                for source in sources
            ],
            "parents": list(snapshot.graph.parents(name)),
            "notes": [{"kind": note.kind, "line": note.line or None, "detail": note.text} for note in found.notes],
            "unseen": list(hidden),
        }
        print(json.dumps(document, indent=2))  # noqa: T201
        return
    rows = [
        [path, _place(image.dockerfile, one.line or None), one.detail] for path, sources in files for one in sources
    ]
    show_table(("file", "line", "because"), rows)
    for parent, references in snapshot.graph.references(name).items():
        project.say(f"built on {parent}: {', '.join(references)}")
    for note in found.notes:
        project.say(f"note: {_place(image.dockerfile, note.line or None)}: {note.text}")
    for path in hidden:
        project.say(f"warning: {path} is sent to the build, and git ignores it: its changes are not seen")


def _one(name: str, snapshot: Snapshot) -> str:
    chosen = select(name, tuple(snapshot.images.values()))
    if len(chosen) != 1:
        raise UsageError(f"`{name}` means {len(chosen)} images", hint="name one")
    return chosen[0].name


def _chain(compared: Compared, planned: Mapping[str, PlanImage], name: str) -> Iterator[tuple[str, Reason]]:
    """From the image to the first cause: each image with its first reason, parents before files of its own."""
    seen: set[str] = set()
    states = compared.against[name]
    while name not in seen:
        seen.add(name)
        item = planned.get(name)
        reasons: Sequence[Reason] = item.reasons if item and item.action == "build" else ()
        reasons = reasons or compared.decisions[name].reasons
        reasons = reasons or [reason for state in states for reason in differences(compared.snapshot, state, name)]
        if not reasons:
            return
        first = next((reason for reason in reasons if reason.parent is None), reasons[0])
        yield name, first
        if first.parent is None:
            return
        name = first.parent


def _through_template(snapshot: Snapshot, name: str, found: Inputs, path: str) -> tuple[Source, ...]:
    """The Dockerfile, where it is made from this file."""
    dockerfile = snapshot.images[name].dockerfile
    made = snapshot.tree.generated.get(dockerfile)
    return found.why(dockerfile) if made and path in made.sources else ()


def _nearest(snapshot: Snapshot, name: str, direct: Mapping[str, Any]) -> str | None:
    """The parent through which an image depends on something, where one does."""
    for parent in snapshot.graph.parents(name):
        if parent in direct or any(one in direct for one in snapshot.graph.ancestors(parent)):
            return parent
    return None


def _by_file(found: Inputs) -> dict[str, list[Source]]:
    files: dict[str, list[Source]] = {}
    for source in found.sources:
        for path in source.files.files:
            files.setdefault(path, []).append(source)
    return files


def _told(reason: Reason) -> str:
    return f"{reason.path}: {reason.detail}" if reason.path else reason.detail


def _place(dockerfile: str, line: int | None) -> str:
    return f"{dockerfile}:{line}" if line else dockerfile


def _plain(reason: Reason) -> dict[str, Any]:
    return {
        "kind": reason.kind,
        "path": reason.path,
        "line": reason.line,
        "detail": reason.detail,
        "parent": reason.parent,
    }
