"""What a change affects, told in three ways that must agree.

The definition: the fingerprints of both trees, each read for itself. The fast way: only what git's diff may have
touched is compared. And brute force: both commits written to disk, and every file of them hashed anew.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from imagewright.changes.decide import Against, Decision, decide
from imagewright.changes.earlier import earlier
from imagewright.changes.snapshot import Ground, Snapshot
from imagewright.errors import ConfigError
from imagewright.images.dockerfile.cache import ReadingCache
from imagewright.images.tree import (
    EXECUTABLE,
    FILE,
    LINK,
    SUBMODULE,
    Entry,
    Tree,
    tree_at,
    tree_of_folder,
    tree_of_records,
    tree_of_worktree,
)
from imagewright.tools.git import Change, Repository, blob_id, find

GROUND = Ground(environ={}, host_platform="linux/amd64", cache=ReadingCache(Path("/dev/null/none")))

State = Mapping[str, tuple[str, str]]  # path: (mode, content or target)

SOURCES = ["src", "src/", ".", "src/x", "src/*", "*.txt", "s?c/*", "src/y/..", "/data.txt", "lib", "link", "sub", "l*"]
LINES = [
    *(f"COPY {source} /x/" for source in SOURCES),
    "COPY --exclude=*.md src /x/",
    "COPY --parents ./src/./y/** /x/",
    "RUN --mount=type=bind,source=src/y,target=/m true",
    "RUN --mount=type=bind,target=/m true",
    "RUN --mount=type=cache,target=/c true",
    "COPY ${UNKNOWN} /x/",
    "ARG A=src/x\nCOPY $A /x/",
    "ENV B=lib",
    "COPY --from=named . /n/",
    "ONBUILD COPY data.txt /x/",
    "ADD https://example.org/x /x",
    "FROM scratch",
]
FROM = ["scratch", "debian", "localhost:5050/a", "localhost:5050/b:1", "${BASE}", "localhost:5050/c AS other"]
IGNORES = ["src\n", "*.txt\n", "**\n!src\n", "src/y\n!src/y/z\n", "", "[\n", "lib\n**/x\n"]
CONFIGS = [
    "images:\n  a: {build_args: {A: data.txt}}\n",
    "images:\n  a: {contexts: {named: lib}, paths: ['src/*.md', lib]}\n",
    "images:\n  b: {context: src}\n",
    "images:\n  a: {labels: {x: '1'}, context: nowhere}\n",
    "platforms: [linux/amd64, linux/arm64]\n",
    "discover: ['Dockerfiles/Dockerfile.<name>', '**/<name>.Dockerfile']\n",
    "builder: {jobs: 3}\n",
    "nonsense: 1\n",
]
TARGETS = ["src", "data.txt", "nowhere", "lib/x", "../..", "src/y/../x", "/src/x", "link", ".dockerignore"]


FAMILIES = [
    "tags: [1.0]\n",
    "tags: [1.0, 1.1]\nvariants: [slim]\n",
    "tags: [1.1, {name: 1.0, variables: {x: other}}]\nvariants: [slim]\n",
    "tags: [1.0]\nvariables: {x: src}\ncontext: src\n",
    "name: b\ntags: [1]\n",
    "tags: [1, 1]\n",
]
TEMPLATES = [
    "FROM debian\nCOPY . /x/\n",
    "FROM debian\nCOPY {{ x | default('y') }} /x/\n",
    "FROM {% if variant %}{{ parent }}{% else %}debian{% endif %}\n",
    "FROM localhost:5050/fam:1\nCOPY x /x/\n",
    "FROM localhost:5050/a\n{% include 'shared.jinja2' ignore missing %}\nRUN {{ tag }}\n",
    "{% include 'shared.jinja2' %}\n",
    "FROM {{ nope }}\n",
]


def templates() -> st.SearchStrategy[tuple[str, str]]:
    texts = st.tuples(st.just(FILE), st.sampled_from(TEMPLATES))
    linked = st.tuples(st.just(LINK), st.sampled_from(["../../data.txt", "../shared.jinja2"]))
    return st.one_of(texts, texts, texts, linked)


def dockerfiles() -> st.SearchStrategy[tuple[str, str]]:
    lines = st.lists(st.sampled_from(LINES), max_size=3)
    texts = st.builds(
        lambda base, more: "\n".join([f"ARG BASE=debian\nFROM {base}", *more, ""]), st.sampled_from(FROM), lines
    )
    return st.tuples(st.just(FILE), st.one_of(texts, texts, texts, st.just("COPPY\n")))


def plain() -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(st.sampled_from([FILE, FILE, EXECUTABLE]), st.sampled_from(["1", "2", ""]))


def links() -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(st.just(LINK), st.sampled_from(TARGETS))


KINDS: Mapping[str, st.SearchStrategy[tuple[str, str]]] = {
    **{f"Dockerfiles/Dockerfile.{name}": dockerfiles() for name in "abc"},
    "src/d.Dockerfile": dockerfiles(),
    ".dockerignore": st.one_of(st.tuples(st.just(FILE), st.sampled_from(IGNORES)), links()),
    "Dockerfiles/Dockerfile.a.dockerignore": st.tuples(st.just(FILE), st.sampled_from(IGNORES)),
    "src/.dockerignore": st.tuples(st.just(FILE), st.sampled_from(IGNORES)),
    "lib/.dockerignore": st.tuples(st.just(FILE), st.sampled_from(IGNORES)),
    "config/images.yml": st.tuples(st.just(FILE), st.sampled_from(CONFIGS)),
    **{path: plain() for path in ("src/x", "src/y/z", "src/.hidden", "src/n.md", "lib/x", "lib/y", "data.txt")},
    "we ird\n\"'.txt": plain(),
    "src/\udcff": plain(),
    "link": st.one_of(links(), plain()),
    "src/link": links(),
    "lnk/inner": plain(),
    "images/fam/image.yml": st.tuples(st.just(FILE), st.sampled_from(FAMILIES)),
    "images/fam/Dockerfile.jinja2": templates(),
    "images/fam/Dockerfile.slim.jinja2": templates(),
    "images/fam/x": plain(),
    "images/shared.jinja2": st.tuples(st.just(FILE), st.sampled_from(["FROM debian\n", "RUN 1\n", "RUN 2\n"])),
    "dist/fam/1.0/Dockerfile": dockerfiles(),
    "sub": st.tuples(st.just(SUBMODULE), st.sampled_from(["1" * 40, "2" * 40])),
}


@st.composite
def changes(draw: st.DrawFn) -> tuple[State, State]:
    """Two states: the second is the first with a few paths added, altered, renamed or taken away."""
    names = draw(st.sets(st.sampled_from(sorted(KINDS)), min_size=4))
    before = {name: draw(KINDS[name]) for name in sorted({*names, "Dockerfiles/Dockerfile.a"})}
    after = dict(before)
    for name in draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=3)):
        if name in after and draw(st.booleans()):
            del after[name]
        else:
            after[name] = draw(KINDS[name])
    return before, after


def tree_of(state: State) -> Tree:
    contents = {path: os.fsencode(text) for path, (_, text) in state.items()}
    return Tree(
        {
            path: Entry(mode, text if mode == SUBMODULE else blob_id(contents[path]))
            for path, (mode, text) in state.items()
        },
        lambda path, _: contents[path],
    )


def snapshot_of(tree: Tree) -> Snapshot | ConfigError:
    try:
        return Snapshot.of_tree(tree, GROUND)
    except ConfigError as error:
        return error


def by_definition(head: Snapshot, base: Snapshot | ConfigError) -> Mapping[str, Decision]:
    known = base if isinstance(base, Snapshot) else None
    return decide(head, lambda _: (Against(snapshot=known, why="it cannot be read"),))


def from_fingerprints(head: Snapshot, base: Snapshot | ConfigError) -> set[str]:
    before = {} if isinstance(base, ConfigError) else base.fingerprints
    return {name for name, own in head.fingerprints.items() if own is None or own != before.get(name)}


def by_diff(head: Snapshot, before: Tree, differing: tuple[Change, ...]) -> Mapping[str, Decision] | None:
    """The fast way; None where it says that it cannot be taken."""

    def content(path: str) -> bytes | None:
        try:
            return head.tree.read(path)
        except FileNotFoundError:
            return None

    try:
        found = earlier(head, differing, before, GROUND, content)
    except ConfigError as error:
        unknown = Against(snapshot=None, why=str(error))
        return decide(head, lambda _: (unknown,))
    if found is None:
        return None
    state = Against(snapshot=found.snapshot, why="it cannot be read")
    return decide(head, lambda name: (state,) if name in found.touched else ())


def difference(before: State, after: State) -> tuple[Change, ...]:
    old, new = tree_of(before), tree_of(after)
    paths = sorted(before.keys() | after.keys())
    found = (Change(path, old.get(path), new.get(path)) for path in paths)
    return tuple(change for change in found if change.before != change.after)


MORE = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}


@settings(max_examples=int(os.environ.get("AGREEMENT_EXAMPLES", "400")), **MORE)  # type: ignore[arg-type]
@given(changes())
def test_the_fast_way_is_the_definition(pair: tuple[State, State]) -> None:
    before, after = pair
    head, base = snapshot_of(tree_of(after)), snapshot_of(tree_of(before))
    if isinstance(head, ConfigError):
        event("the later configuration is broken")
        return
    defined = by_definition(head, base)
    assert {name for name, one in defined.items() if one.changed} == from_fingerprints(head, base)
    fast = by_diff(head, tree_of(before), difference(before, after))
    event("no shortcut" if fast is None else "shortcut")
    if fast is not None and not isinstance(base, ConfigError):
        assert fast == defined


def git(folder: Path, *args: str, stdin: bytes | None = None) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always")
    done = subprocess.run(["git", *identity, *args], cwd=folder, input=stdin, capture_output=True, check=True)
    return done.stdout.decode().strip()


def write(folder: Path, state: State) -> None:
    """The work tree of a repository, exactly as `state` has it."""
    for path in folder.iterdir():
        if path.name != ".git":
            subprocess.run(["rm", "-rf", str(path)], check=True)
    for name, (mode, text) in state.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if mode == LINK:
            target.symlink_to(text)
        elif mode == SUBMODULE:
            target.mkdir()
        else:
            target.write_bytes(os.fsencode(text))
            target.chmod(0o755 if mode == EXECUTABLE else 0o644)


def commit(folder: Path, state: State) -> str:
    """A commit of exactly that state, submodules with their commits (which are not here)."""
    plain_files = {path: one for path, one in state.items() if one[0] != SUBMODULE}
    write(folder, plain_files)
    git(folder, "add", "--all", "--force")
    for path, (mode, oid) in state.items():
        if mode == SUBMODULE:
            git(folder, "update-index", "--add", "--cacheinfo", f"{mode},{oid},{path}")
            (folder / path).mkdir(exist_ok=True)
    git(folder, "commit", "--quiet", "--allow-empty", "--message=state")
    return git(folder, "rev-parse", "HEAD")


def repository_in(folder: Path) -> Repository:
    git(folder, "init", "--quiet", "--initial-branch=main")
    found = find(folder)
    assert found
    return found


@settings(max_examples=int(os.environ.get("AGREEMENT_EXAMPLES", "400")) // 40, **MORE)  # type: ignore[arg-type]
@given(changes(), st.booleans())
def test_git_and_brute_force_agree(
    tmp_path_factory: pytest.TempPathFactory, pair: tuple[State, State], merged: bool
) -> None:
    before, after = pair
    folder = tmp_path_factory.mktemp("repository")
    repository = repository_in(folder)
    first = commit(folder, before)
    old = snapshot_of(tree_of_written(folder / ".git/before", before))
    if merged:  # the same change, but from a side line that is merged
        git(folder, "checkout", "--quiet", "-b", "side")
        commit(folder, after)
        git(folder, "checkout", "--quiet", "--force", "main")
        git(folder, "commit", "--quiet", "--allow-empty", "--message=other")
        git(folder, "merge", "--quiet", "--no-ff", "--message=merge", "side")
        second = git(folder, "rev-parse", "HEAD")
    else:
        second = commit(folder, after)
    head, base = snapshot_of(tree_at(repository, second)), snapshot_of(tree_at(repository, first))
    new = snapshot_of(tree_of_written(folder / ".git/after", after))
    if isinstance(head, ConfigError):
        assert isinstance(new, ConfigError)
        return
    assert isinstance(new, Snapshot)
    affected = from_fingerprints(new, old)
    assert {name for name, one in by_definition(head, base).items() if one.changed} == affected
    assert head.fingerprints == new.fingerprints
    before_tree = tree_of_records(
        repository, head.tree.records.changed({c.path: c.before for c in repository.changes(first, second)})
    )
    fast = by_diff(head, before_tree, repository.changes(first, second))
    if fast is not None:
        assert {name for name, one in fast.items() if one.changed} == affected

    # not committed, the same state means the same
    if not any(mode == SUBMODULE for mode, _ in (*before.values(), *after.values())):
        git(folder, "checkout", "--quiet", "--force", "--detach", first)
        write(folder, after)
        dirty = snapshot_of(tree_of_worktree(repository)[0])
        assert isinstance(dirty, Snapshot)
        assert dirty.fingerprints == head.fingerprints


def tree_of_written(folder: Path, state: State) -> Tree:
    """The same files in a plain folder, every one of them hashed; git is asked nothing."""
    folder.mkdir()
    write(folder, {path: one for path, one in state.items() if one[0] != SUBMODULE})
    submodules = {path: Entry(mode, oid) for path, (mode, oid) in state.items() if mode == SUBMODULE}
    return tree_of_folder(folder).plus(submodules)
