"""`invoke list` and `invoke graph`: what there is."""

from __future__ import annotations

import json as to_json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagewright.cli.project import Project
from imagewright.cli.table import show_table
from imagewright.cli.task import task
from imagewright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from invoke.context import Context

SUFFIXES = {".mmd": "mermaid", ".mermaid": "mermaid", ".dot": "dot", ".gv": "dot", ".svg": "svg"}
FORMATS = ("mermaid", "dot", "svg")


@task(name="list", help={"json": "Print JSON instead of a table."})
def list_images(c: Context, json: bool = False) -> None:
    """Show all images in build order: their names, what they are built on, how they are tagged."""
    project = Project.open(c)
    found = listing(project)
    if json:
        print(to_json.dumps({"schema": 1, "images": found}, indent=2))  # noqa: T201
    elif found:
        heads = ("name", "repository", "layer", "parents", "platforms", "context", "tags")
        show_table(heads, [_row(entry) for entry in found])
    warn(project)


@task(
    help={
        "format": "mermaid, dot or svg; the default follows the suffix of --output, else mermaid.",
        "output": "The file to write; the default is standard output.",
    }
)
def graph(c: Context, format: str = "", output: str = "") -> None:  # noqa: A002 (the option's name)
    """Draw what is built on what."""
    draw = drawing(format or SUFFIXES.get(Path(output).suffix.lower(), "" if output else "mermaid"))
    project = Project.open(c)
    text = draw(project.graph, tuple(project.settings.layers))
    if output:
        write(Path(output), text)
    else:
        sys.stdout.write(text)
    warn(project)


def listing(project: Project) -> list[dict[str, Any]]:
    """One entry an image, in build order. The parents of a Dockerfile that cannot be read are not known: null."""
    from imagewright.builds.plan import references
    from imagewright.cli.naming import Names

    graph, names = project.graph, Names(project)
    return [
        {
            "name": image.name,
            "repository": image.repository,
            "layer": image.layer,
            "level": graph.level(image.name),
            "parents": None if image.name in project.broken else list(graph.parents(image.name)),
            "platforms": list(image.platforms),
            "dockerfile": image.dockerfile,
            "context": image.context,
            "tags": list(references(image, names.naming(image))),
        }
        for image in (project.by_name[name] for name in graph.order())
    ]


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    parents = "?" if entry["parents"] is None else ", ".join(entry["parents"])
    tags = ", ".join(tag.removeprefix(f"{entry['repository']}:") for tag in entry["tags"])
    platforms = ", ".join(entry["platforms"])
    return (entry["name"], entry["repository"], entry["layer"] or "", parents, platforms, entry["context"], tags)


def drawing(kind: str) -> Callable[..., str]:
    """The function that draws in this format; UsageError where there is none."""
    if kind not in FORMATS:
        message = f"there is no format {kind!r}" if kind else "the suffix of --output names no format"
        raise UsageError(message, hint=f"--format takes one of: {', '.join(FORMATS)}")
    from importlib import import_module

    draw: Callable[..., str] = getattr(import_module(f"imagewright.images.draw.{kind}"), kind)
    return draw


def write(path: Path, text: str) -> None:
    """Write a file that the user named; UsageError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(path)) from error


def warn(project: Project) -> None:
    """Say which Dockerfiles could not be read: their images are shown without what they are built on."""
    for notice in project.survey.notices:
        project.say(f"note: {notice}")
    for error in dict.fromkeys(map(str, project.broken.values())):
        project.say(f"warning: {error}")
