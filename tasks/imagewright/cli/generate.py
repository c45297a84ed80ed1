"""`invoke generate`: the Dockerfiles of families, written to dist/."""

from __future__ import annotations

import json as to_json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from imagewright.cli.project import Project
from imagewright.cli.table import show_table
from imagewright.cli.task import task
from imagewright.errors import ImagewrightError, UsageError

if TYPE_CHECKING:
    from imagewright.errors import DockerfileError
    from imagewright.images.families.dist import State
    from imagewright.images.families.model import Generated

# What is found, and what becomes of it: the words of --json and of the table.
_FOUND = {"missing": "missing", "differing": "differs", "stale": "stale"}
_DONE = {"missing": "created", "differing": "updated", "stale": "removed"}
_ALWAYS = {"unchanged": "unchanged", "kept": "kept"}


@task(
    defaults={"names": ""},
    help={
        "names": "NAME, NAME:TAG, NAME,NAME or a glob; without names all families",
        "check": "write nothing; exit 1 when a file is missing, is not what would be written, or is of no image",
        "dry_run": "show what would be written, and write nothing",
        "json": "print it as JSON",
    },
)
def generate(c: Any, names: str, check: bool = False, dry_run: bool = False, json: bool = False) -> None:
    """Write the Dockerfiles of families, and their test files, to dist/NAME/TAG/."""
    project = Project.open(c)
    wanted, errors = _wanted(project, names)
    for notice in project.survey.notices:
        project.say(f"note: {notice}")
    from imagewright.images.families.dist import compare, write

    # of what could not be made nobody knows whether it would be written
    unknown = {project.by_name[name].dockerfile.rpartition("/")[0] for name in project.survey.broken}
    state = compare(
        project.root,
        wanted,
        may_be_stale=lambda path: not names and path.rpartition("/")[0] not in unknown,
    )
    if not (check or dry_run):
        write(project.root, wanted, state)
    _show(project, state, errors, written=not (check or dry_run), as_json=json)
    if errors:
        raise ImagewrightError("\n".join(dict.fromkeys(map(str, errors.values()))))
    if check and not state.is_current:
        raise ImagewrightError("dist/ is not current", hint="`invoke generate` writes it")


def _wanted(project: Project, names: str) -> tuple[Mapping[str, Generated], Mapping[str, DockerfileError]]:
    """The files of the named members (of all of them without names), and what could not be made of them."""
    survey = project.survey
    if not names:
        if not any(image.family for image in survey.images):
            raise UsageError("there is no family here", hint="an images/NAME/image.yml makes one: docs/families.md")
        return survey.generated, survey.broken
    from imagewright.images.selection import select

    chosen = {one.name: None for one in select(names, survey.images)}
    plain = [name for name in chosen if project.by_name[name].family is None]
    if plain:
        message = (
            f"nothing is generated for {', '.join(plain)}: {project.by_name[plain[0]].dockerfile} is there already"
        )
        raise UsageError(message, hint="name families, or give no name for all of them")
    return _files_of(project, chosen), {name: error for name, error in survey.broken.items() if name in chosen}


def _files_of(project: Project, names: Collection[str]) -> Mapping[str, Generated]:
    folders = {project.by_name[name].dockerfile.rpartition("/")[0] for name in names}
    return {path: made for path, made in project.survey.generated.items() if path.rpartition("/")[0] in folders}


def _show(
    project: Project, state: State, errors: Mapping[str, DockerfileError], *, written: bool, as_json: bool
) -> None:
    words = {**(_DONE if written else _FOUND), **_ALWAYS}
    files = sorted((path, word) for key, word in words.items() for path in getattr(state, key))
    if as_json:
        document = {
            "schema": 1,
            "ok": not errors and (written or state.is_current),
            "files": [{"path": path, "status": word, "edited": path in state.edited} for path, word in files],
            "errors": [{"name": name, "error": str(error)} for name, error in errors.items()],
        }
        print(to_json.dumps(document, indent=2))  # noqa: T201
        return
    rows = [(word, path) for path, word in files if word != "unchanged"]
    if rows:
        show_table(("status", "file"), rows)
    if state.unchanged:
        project.say(f"{len(state.unchanged)} unchanged")
    for path in state.edited if written else ():
        project.say(f"{path} was changed by hand: what it was is now {path}.edited")
    for path in state.kept:
        project.say(f"{path} is of no image any more, and was changed by hand: it stays")
