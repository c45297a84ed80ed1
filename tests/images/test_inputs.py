"""The inputs of an image, and its fingerprint."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagewright.errors import DockerfileError
from imagewright.images.dockerfile.evaluate import evaluate
from imagewright.images.dockerfile.syntax import read
from imagewright.images.inputs import Inputs, Note, fingerprint, inputs, preload, unseen
from imagewright.images.model import BuildSecret, Image, Reading
from imagewright.images.tree import EXECUTABLE, FILE, FOLDER, LINK, SUBMODULE, Entry, Tree
from imagewright.tools.git import blob_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

IMAGE = Image(
    name="app",
    repository="localhost/app",
    dockerfile="Dockerfiles/Dockerfile.app",
    context=".",
    layer=None,
    platforms=("linux/amd64",),
)


def tree(files: Mapping[str, str], links: Mapping[str, str] | None = None, run: Iterable[str] = ()) -> Tree:
    contents = {path: text.encode() for path, text in {**files, **(links or {})}.items()}
    modes = dict.fromkeys(files, FILE) | dict.fromkeys(links or {}, LINK) | dict.fromkeys(run, EXECUTABLE)
    return Tree(
        {path: Entry(modes[path], blob_id(content)) for path, content in contents.items()},
        lambda path, _: contents[path],
    )


def repository(dockerfile: str = "FROM scratch\nCOPY src /x\n", **files: str) -> dict[str, str]:
    """Keywords stand for paths: `__` for a slash, `_DOT_` for a dot."""
    named = {path.replace("__", "/").replace("_DOT_", "."): text for path, text in files.items()}
    return {IMAGE.dockerfile: dockerfile, "src/a": "a", "src/b": "b", "other": "o", **named}


def read_in(found: Tree, image: Image = IMAGE) -> Reading:
    return evaluate(
        read(found.read(image.dockerfile), path=image.dockerfile),
        build_args=image.build_args,
        target=image.target,
        platforms=image.platforms,
        contexts=image.contexts,
        base=lambda _reference, _platform: None,
    )


def of(files: Mapping[str, str] | Tree, image: Image = IMAGE, **more: Any) -> Inputs:
    found = files if isinstance(files, Tree) else tree(files, **more)
    return inputs(image, read_in(found, image), found)


def paths(files: Mapping[str, str] | Tree, image: Image = IMAGE, **more: Any) -> set[str]:
    return set(of(files, image, **more).files) - {image.dockerfile}


def print_of(files: Mapping[str, str] | Tree, image: Image = IMAGE, **more: Any) -> str:
    return fingerprint(image, of(files, image, **more))


def test_files_with_the_line_that_says_so() -> None:
    found = of(repository("FROM scratch\n\nCOPY src /x\n"))
    assert set(found.files) == {IMAGE.dockerfile, "src/a", "src/b"}
    assert found.count == 3
    assert [(source.kind, source.detail, source.line) for source in found.why("src/a")] == [("file", "COPY src", 3)]
    assert [source.kind for source in found.why(IMAGE.dockerfile)] == ["dockerfile"]
    assert found.why("other") == ()


def test_surprise_1_files_that_are_sent_and_not_used() -> None:
    used = paths(repository("FROM scratch\nCOPY --exclude=b src /x\nRUN --mount=type=tmpfs,target=/t true"))
    assert used == {"src/a"}


def test_surprise_3_the_own_ignore_file_replaces_the_roots() -> None:
    files = repository(_DOT_dockerignore="src/a")
    assert paths(files) == {".dockerignore", "src/b"}
    own = {f"{IMAGE.dockerfile}.dockerignore": "src/b"}
    assert paths(files | own) == {f"{IMAGE.dockerfile}.dockerignore", "src/a"}


def test_surprise_3_an_empty_own_ignore_file_counts_for_one_front_end_alone() -> None:
    files = repository(_DOT_dockerignore="src/a") | {f"{IMAGE.dockerfile}.dockerignore": ""}
    assert paths(files) == {".dockerignore", f"{IMAGE.dockerfile}.dockerignore", "src/a", "src/b"}


def test_surprise_3_a_plain_ignore_file_counts_at_the_root_of_the_context_alone() -> None:
    assert paths(repository(Dockerfiles___DOT_dockerignore="src", src___DOT_dockerignore="a")) == {
        "src/.dockerignore",
        "src/a",
        "src/b",
    }
    image = replace(IMAGE, context="src")
    files = repository("FROM scratch\nCOPY . /x", src___DOT_dockerignore="a", _DOT_dockerignore="src")
    assert paths(files, image) == {"src/.dockerignore", "src/b"}


def test_an_ignore_file_that_cannot_be_read() -> None:
    with pytest.raises(DockerfileError, match=r"^\.dockerignore: the pattern"):
        of(repository(_DOT_dockerignore="["))


def test_a_context_of_its_own() -> None:
    assert paths(repository("FROM scratch\nCOPY a ../../b /x"), replace(IMAGE, context="src")) == {"src/a", "src/b"}


def test_a_context_that_is_not_there() -> None:
    found = of(repository(), replace(IMAGE, context="nope"))
    assert found.notes == (Note("unseen", "the context 'nope' is no folder of this repository", 2),)


def test_a_named_context_has_an_ignore_file_of_its_own() -> None:
    files = repository("FROM scratch\nCOPY --from=lib . /x", lib___DOT_dockerignore="x", lib__x="x", lib__y="y")
    image = replace(IMAGE, contexts={"lib": "./lib", "unused": "src"})
    assert paths(files | {f"{IMAGE.dockerfile}.dockerignore": "lib/y"}, image) == {
        f"{IMAGE.dockerfile}.dockerignore",
        "lib/.dockerignore",
        "lib/y",
    }


def test_a_named_context_outside_of_the_repository() -> None:
    image = replace(IMAGE, contexts={"lib": "../lib"})
    assert of(repository("FROM scratch\nCOPY --from=lib a /x"), image).notes[0].kind == "unseen"


def test_a_context_that_is_a_submodule_counts_by_its_commit() -> None:
    files = repository("FROM scratch\nCOPY a /x")
    found = of(tree(files).plus({"sub": Entry(SUBMODULE, "1" * 40)}), replace(IMAGE, context="sub"))
    assert found.files["sub"] == Entry(SUBMODULE, "1" * 40)
    assert found.notes == ()


def test_the_whole_context() -> None:
    files = repository("FROM outside\nCOPY $D/x /\n", _DOT_dockerignore="other")
    found = of(files)
    assert set(found.files) == set(files) - {"other"}
    assert [note.kind for note in found.notes] == ["unknown", "base"]
    assert {source.whole for source in found.why("src/a")} == {True}


def test_a_mount_without_a_source_is_whole_but_not_unknown() -> None:
    found = of(repository("FROM scratch\nRUN --mount=target=/x true"))
    assert "other" in found.files
    assert found.notes == ()


def test_notes() -> None:
    found = of(repository("FROM scratch\nCOPY nope /\nADD https://example.org/x /\n"))
    assert [(note.kind, note.line) for note in found.notes] == [("missing", 2), ("remote", 3)]


def test_a_foreign_front_end_may_read_every_context_and_need_not_heed_ignore_files() -> None:
    image = replace(IMAGE, contexts={"lib": "lib", "base": "docker-image://one"})
    files = repository("# syntax=me/front\nFROM ONE\n", _DOT_dockerignore="[", lib__x="", lib___DOT_dockerignore="x")
    assert paths(files, image) == files.keys() - {image.dockerfile}


def test_a_base_that_is_not_known_may_be_any_named_context() -> None:
    image = replace(IMAGE, contexts={"lib": "lib"}, secret_build_args=("V",), context="src")
    files = repository("ARG V\nFROM $V\n", lib__x="")
    found = tree(files)
    reading = evaluate(
        read(found.read(image.dockerfile), path=image.dockerfile),
        build_args={},
        target=None,
        platforms=image.platforms,
        contexts=image.contexts,
        base=lambda _reference, _platform: None,
        unknown_args=image.secret_build_args,
    )
    assert {"lib/x", "src/a"} <= inputs(image, reading, found).files.keys()


def test_a_folder_that_is_used_empty_counts_itself() -> None:
    ignore = {".dockerignore": "**/*.md"}
    before, after = repository() | ignore, repository(src__docs__x_DOT_md="1") | ignore
    found = of(after)
    assert found.files["src/docs/"] == Entry(FOLDER, "")
    assert [source.line for source in found.why("src/docs/")] == [2]
    assert found.count == of(before).count
    assert print_of(after) != print_of(before)
    assert print_of(after) == print_of(after | {"src/docs/x.md": "2", "src/docs/y.md": ""})
    assert print_of(before) == print_of(before | {"src/c.md": ""})


def test_what_is_fetched_without_a_checksum_makes_the_whole_context_an_input() -> None:
    found = of(repository("FROM scratch\nADD https://example.org/x /\n"))
    assert [(source.line, source.whole) for source in found.why("other")] == [(2, True)]
    pinned = f"FROM scratch\nADD --checksum=sha256:{'0' * 64} https://example.org/x /\n"
    assert of(repository(pinned)).why("other") == ()


def test_paths_of_the_configuration() -> None:
    image = replace(IMAGE, paths=("scripts", "*.lock", "nope"))
    found = of(repository(scripts__x="x", _DOT_dockerignore="scripts", a_DOT_lock=""), image)
    assert {"scripts/x", "a.lock"} <= found.files.keys()
    assert found.why("a.lock")[0].detail == "paths: *.lock"
    assert found.notes == (Note("missing", "`paths`: nope matches no file", 0),)


def test_surprise_9_links() -> None:
    links = {"l": "src/a", "src/in": "../other"}
    assert paths(repository("FROM scratch\nCOPY l /x"), links=links) == {"l", "src/a"}
    assert paths(repository(), links=links) == {"src/a", "src/b", "src/in"}


def test_a_dockerfile_that_is_a_link() -> None:
    files = {"real": "FROM scratch\nCOPY src /x", "src/a": "a"}
    links = {IMAGE.dockerfile: "../real"}
    assert set(of(files, links=links).files) == {"real", IMAGE.dockerfile, "src/a"}


def test_what_git_ignores_and_the_image_uses() -> None:
    found = tree(repository("FROM scratch\nCOPY . /x", _DOT_dockerignore="*.log\ntmp"))
    ignored = ("node_modules/", "src/secret", "x.log", "tmp/", "src/tmp/")
    assert unseen(IMAGE, read_in(found), found, ignored) == ("node_modules", "src/secret", "src/tmp")


def test_contents_are_fetched_at_once() -> None:
    wanted: list[Entry] = []
    files = tree(repository(_DOT_dockerignore="x"))
    found = Tree({path: Entry(FILE, path) for path in files.below("")}, lambda *_: b"", wanted.extend)
    preload([IMAGE], found)
    assert {entry.oid for entry in wanted} == {IMAGE.dockerfile, ".dockerignore"}


# --- the fingerprint --------------------------------------------------------------------------------------------------


def test_the_same_tree_has_the_same_fingerprint_in_any_order() -> None:
    files = repository()
    assert print_of(files) == print_of(dict(reversed(files.items())))
    assert print_of(files).startswith("sha256:")


@pytest.mark.parametrize(
    "change",
    [
        {IMAGE.dockerfile: "FROM scratch\nCOPY src /y\n"},
        {"src/a": "new"},
        {"src/new": ""},
        {".dockerignore": ""},
        {".dockerignore": "src/a"},
    ],
)
def test_what_changes_the_fingerprint(change: dict[str, str]) -> None:
    assert print_of(repository() | change) != print_of(repository())


def test_the_executable_bit_and_the_type_change_it() -> None:
    plain = print_of(repository())
    assert print_of(repository(), run=["src/a"]) != plain
    files = repository()
    del files["src/a"]
    assert print_of(files, links={"src/a": "a"}) != plain


def test_what_does_not_change_it() -> None:
    plain = print_of(repository())
    assert print_of(repository() | {"other": "new", "more": ""}) == plain
    assert print_of(repository(), run=["other", IMAGE.dockerfile]) == plain
    assert print_of(repository(), replace(IMAGE, secrets=(BuildSecret("a", "env", "A"),), layer="x")) == plain
    assert print_of(repository(), replace(IMAGE, repository="ghcr.io/x/y")) == plain


@pytest.mark.parametrize(
    "change",
    [
        {"build_args": {"A": "1"}},
        {"secret_build_args": ("A",)},
        {"target": "0x"},
        {"platforms": ("linux/arm64",)},
        {"contexts": {"a": "docker-image://b"}},
        {"labels": {"a": "b"}},
        {"title": "t"},
        {"version": "1"},
    ],
)
def test_settings_that_change_it(change: dict[str, Any]) -> None:
    found = of(repository())
    assert fingerprint(replace(IMAGE, **change), found) != fingerprint(IMAGE, found)


def test_parents_and_pinned_images_change_it() -> None:
    found = of(repository())
    prints = {
        fingerprint(IMAGE, found),
        fingerprint(IMAGE, found, parents={"base": "sha256:1"}),
        fingerprint(IMAGE, found, parents={"base": "sha256:2"}),
        fingerprint(IMAGE, found, pinned={"base": "sha256:1"}),
    }
    assert len(prints) == 4


def test_the_order_of_platforms_does_not_count() -> None:
    found = of(repository())
    both = ("linux/amd64", "linux/arm64")
    assert fingerprint(replace(IMAGE, platforms=both), found) == fingerprint(
        replace(IMAGE, platforms=both[::-1]), found
    )


_PATH = st.lists(st.sampled_from(["a", "b", "src", "x.md"]), min_size=1, max_size=3).map("/".join)
_FILES = st.dictionaries(_PATH, st.sampled_from(["1", "2"]), max_size=6)
_SOURCE = st.sampled_from(["src", "a", "*", "src/*", "*/a", ".", "x.md", "b/../a", "*.md", "src/x.md"])
_IGNORE = st.lists(st.sampled_from(["*.md", "src", "!src/a", "**/b", "*", "!x.md", "a/"]), max_size=3).map("\n".join)


def _as_tree(files: Mapping[str, str]) -> dict[str, str]:
    """Without the files that would have to be a folder too."""
    return {path: text for path, text in files.items() if not any(other.startswith(f"{path}/") for other in files)}


@settings(max_examples=300, deadline=None)
@given(_FILES, _FILES, st.lists(_SOURCE, min_size=1, max_size=2), _IGNORE)
def test_a_fingerprint_changes_when_and_only_when_an_input_does(
    one: dict[str, str], other: dict[str, str], sources: list[str], ignore: str
) -> None:
    fixed = {IMAGE.dockerfile: f"FROM scratch\nCOPY {' '.join(sources)} /d/\n", ".dockerignore": ignore}
    first, second = (of(_as_tree(files) | fixed) for files in (one, other))
    assert (first.files == second.files) == (fingerprint(IMAGE, first) == fingerprint(IMAGE, second))


@settings(max_examples=300, deadline=None)
@given(_FILES, _FILES, st.lists(_SOURCE, min_size=1, max_size=2), _IGNORE)
def test_changed_inputs_are_found_in_what_changed_and_what_steers(
    one: dict[str, str], other: dict[str, str], sources: list[str], ignore: str
) -> None:
    fixed = {IMAGE.dockerfile: f"FROM scratch\nCOPY {' '.join(sources)} /d/\n", ".dockerignore": ignore}
    links = {"b/l": "../src", "lnk": "a"}
    first, second = (
        {path: text for path, text in _as_tree({**files, **fixed, **links}).items() if path not in links}
        for files in (one, other)
    )
    changed = {path for path in {*first, *second} if first.get(path) != second.get(path)}
    small: list[dict[str, Entry]] = []
    for files in (first, second):
        partly = {path: text for path, text in files.items() if path in changed or path in fixed}
        assert paths(files, links=links) & changed == paths(partly, links=links) & changed
        small.append(of(partly, links=links).files)
    # a folder of which nothing else changed looks empty: that may be told without need, and never the other way round
    if of(first, links=links).files != of(second, links=links).files:
        assert small[0] != small[1]
