"""Which files of a context COPY, ADD and bind mounts use."""

from __future__ import annotations

import pytest

from imagewright.errors import DockerfileError
from imagewright.images.dockerfile.globs import glob_regex
from imagewright.images.dockerfile.ignore import Patterns, read_ignore_file
from imagewright.images.dockerfile.match import Context, Selection
from imagewright.images.tree import EXECUTABLE, FILE, LINK, SUBMODULE, Entry, Tree

FILES = "a.txt b.txt .dot dir/one dir/two.md dir/sub/three dir/sub/four.md other/x.md [odd] st*r src/a/m.go src/b/m.go"


def tree(files: str = FILES, links: dict[str, str] | None = None, submodules: tuple[str, ...] = ()) -> Tree:
    links = links or {}
    entries = {path: Entry(FILE, path) for path in files.split()}
    entries |= {path: Entry(LINK, path) for path in links} | {path: Entry(SUBMODULE, path) for path in submodules}
    return Tree(entries, lambda path, _: links[path].encode())


def context(ignore: str = "", **more: object) -> Context:
    return Context(tree(**more), Patterns(read_ignore_file(ignore.encode()), where=".dockerignore"))  # type: ignore[arg-type]


def copy(
    *sources: str, ignore: str = "", excludes: tuple[str, ...] = (), parents: bool = False, **more: object
) -> Selection:
    return context(ignore, **more).copied(sources, excludes=excludes, parents=parents, where="Dockerfile:1")


def files(*sources: str, **more: object) -> str:
    return " ".join(copy(*sources, **more).files)  # type: ignore[arg-type]


def test_files_folders_and_everything() -> None:
    assert files("a.txt", "dir/sub") == "a.txt dir/sub/four.md dir/sub/three"
    assert files(".").split() == sorted(FILES.split())
    assert " ".join(context().everything().files).split() == sorted(FILES.split())


def test_surprise_5_globs_are_gos() -> None:
    assert files("*.txt") == "a.txt b.txt"
    assert files("*") == files(".")  # dot files too, and folders with all that is in them
    assert files("[^a].txt") == "b.txt"
    assert files("?.txt") == "a.txt b.txt"
    assert files("**/*.md") == files("*/*.md") == "dir/two.md other/x.md"
    assert files("src/*/m.go") == "src/a/m.go src/b/m.go"
    assert files("src/?") == "src/a/m.go src/b/m.go"
    assert files("\\[odd]") == ""  # no wildcard: the name has a backslash
    assert files("[[]odd]") == "[odd]"
    assert files("st\\*r?") == ""
    assert files("s[t]\\*r") == "st*r"


def test_surprise_5_in_go_a_class_may_match_a_slash() -> None:
    assert files("other[^b]x.md") == "other/x.md"


def test_surprise_6_excludes_are_relative_to_the_source() -> None:
    assert files("dir", excludes=("*.md",)) == "dir/one dir/sub/four.md dir/sub/three"
    assert files("dir", excludes=("**/*.md",)) == "dir/one dir/sub/three"
    assert files("dir", excludes=("sub", "!sub/three")) == "dir/one dir/sub/three dir/two.md"
    assert files("dir", excludes=("dir/sub",)) == files("dir")
    assert files("a.txt", excludes=("*.txt",)) == "a.txt"


@pytest.mark.parametrize("source", ["", "/", ".", "./", "..", "../..", "dir/../.."])
def test_surprise_7_and_8_the_root_of_the_context(source: str) -> None:
    assert files(source) == files(".")


def test_surprise_8_no_source_leaves_the_context() -> None:
    assert files("../../a.txt", "/dir/one") == "a.txt dir/one"


def test_surprise_9_named_links_are_followed() -> None:
    links = {
        "l": "dir/sub",
        "chain": "./l",
        "abs": "/a.txt",
        "esc": "../../../b.txt",
        "dir/up": "../other",
        "loop": "loop",
    }
    assert files("l", links=links) == "dir/sub/four.md dir/sub/three l"
    assert files("chain", links=links) == "chain dir/sub/four.md dir/sub/three l"
    assert files("abs", "esc", links=links) == "a.txt abs b.txt esc"
    assert files("l/three", "dir/up/x.md", links=links) == "dir/sub/three dir/up l other/x.md"
    assert files("ab*", links=links) == "a.txt abs"
    assert files("l/*.md", links=links) == "dir/sub/four.md l"
    assert copy("loop", links=links).files == ("loop",)


def test_surprise_9_a_link_inside_a_copied_folder_is_a_link() -> None:
    links = {"dir/up": "../other"}
    assert "other/x.md" not in files("dir", links=links)
    assert "dir/up" in files("dir", links=links).split()
    assert files("*/x.md", links=links) == "other/x.md"  # a glob enters no link on its way


def test_surprise_10_missing_and_ignored_files() -> None:
    assert copy("nope", "*.nope") == Selection((), ("nope",))
    assert copy("a.txt", "b.txt", ignore="a.txt") == Selection(("b.txt",), ("a.txt",))
    assert copy("a.txt/x").missing == ("a.txt/x",)
    assert copy(".", files="").missing == ()


def test_ignored_files_are_not_used() -> None:
    assert files("dir", ignore="dir/sub\n**/*.md") == "dir/one"
    assert files("dir", ignore="dir\n!dir/sub/*.md") == "dir/sub/four.md"
    assert files(".", ignore="*\n!dir/one") == "dir/one"
    assert files("*.txt", ignore="a*") == "b.txt"


def test_parents() -> None:
    assert files("src/*/m.go", parents=True) == "src/a/m.go src/b/m.go"
    assert files("**/*.md", parents=True) == "dir/sub/four.md dir/two.md other/x.md"
    assert files("dir", parents=True) == "dir/one dir/sub/four.md dir/sub/three dir/two.md"
    assert files("dir/./sub", parents=True) == "dir/sub/four.md dir/sub/three"
    assert files("dir/./**/*.md", parents=True) == "dir/sub/four.md dir/two.md"
    assert files("d*/./**/t*", parents=True) == "dir/sub/three dir/two.md"
    assert files("dir", parents=True, excludes=("dir/sub",)) == "dir/one dir/two.md"
    assert files("dir", parents=True, ignore="dir/sub") == "dir/one dir/two.md"
    assert copy("nope", parents=True).missing == ("nope",)


def test_parents_copies_links_as_links() -> None:
    links = {"dir/l": "sub", "l": "dir/sub", "dir/up": "../other"}
    assert files("dir/l", parents=True, links=links) == "dir/l"
    assert files("dir/./l", parents=True, links=links) == "dir/l"
    assert files("l/./three", parents=True, links=links) == "dir/sub/three l"


def test_what_a_link_at_the_root_leads_to_counts_where_the_root_is_chosen_from() -> None:
    links = {"l": "dir/sub"}
    all_of_it = "dir/sub/four.md dir/sub/three l"
    for source in ("l", "l*", "./l"):
        assert files(source, parents=True, links=links) == all_of_it
    for root in (".", "/", "dir/.."):
        assert files(root, files="dir/x a", links={"l": "dir"}, excludes=("dir", "x")) == "a dir/x l"
        assert files(root, files="dir/x a", links={"l": "dir"}, excludes=("dir", "l")) == "a"
    assert files("k", files="dir/x k/a", links={"k/l": "../dir"}, excludes=("x",)) == "k/a k/l"


def test_excludes_do_not_count_behind_a_link_that_is_copied() -> None:
    links = {"l": "dir/sub", "k/l": "../dir/sub", "m": "k"}
    assert files("l", links=links, excludes=("three",)) == "dir/sub/four.md dir/sub/three l"
    assert files("k/l*", links=links, excludes=("three",)) == "dir/sub/four.md dir/sub/three k/l"
    assert files("m/l", links=links, excludes=("three",)) == "dir/sub/four.md dir/sub/three k/l m"
    assert files("l/.", links={"l": "dir"}, excludes=("sub",)) == files("l", links={"l": "dir"})
    assert files("l/sub", links={"l": "dir"}, excludes=("three",)) == "dir/sub/four.md l"


def test_a_link_through_what_is_not_there() -> None:
    assert files("l", files="a/x", links={"l": "./b/../a"}) == "a/x l"
    assert files("l", files="a/x b", links={"l": "b/../a"}) == "a/x l"
    assert files("l", files="a/x b", links={"l": "b/a"}) == "l"


def test_a_link_that_another_only_passes_may_not_be_sent() -> None:
    links = {"l": "k/../x", "k": "a/b"}
    assert files("l", files="x a/x a/b/c", links=links) == "a/x k l x"


def test_links_decide_whether_a_name_that_is_a_pattern_too_is_sent() -> None:
    links = {"k/l": "../a"}
    assert context("k", files="[z]", links=links).mounted("[z]").files == ("[z]", "k/l")
    for source in ("[[]z]", "\\[z]"):
        assert "k/l" in files(source, files="[z]", links=links).split()
    assert files("z[z]", "[^a]?", files="zz", links=links) == "zz"


def test_links_decide_whether_what_another_leads_to_is_sent() -> None:
    links = {"k/l": "../a", "m": "nope"}
    assert files("*/l", files="a", links=links) == "a k/l m"
    assert files("k/*", files="a", links=links) == "a k/l"
    assert files("*/l/./x", files="a/x", links=links, parents=True) == "a/x k/l m"


def test_a_folder_in_which_nothing_is_used() -> None:
    assert copy("a", files="a/b", ignore="**/b") == Selection(("a/",))
    assert files("dir", ignore="dir/sub/*") == "dir/one dir/sub/ dir/two.md"
    assert files("dir", ignore="dir/sub") == "dir/one dir/two.md"  # it is not sent itself
    assert files(".", files="a/b/c/x", ignore="**/x") == "a/b/c/"
    assert files(".", files="a", ignore="*") == ""
    assert files(".", files="d/k/x", ignore="d\n!d/k\nd/k/x") == "d/k/"
    assert files(".", files="d/b", ignore="d\n!d/b", excludes=("d/b",)) == "d/"  # sent with what is in it
    assert files("d*", files="d/b", excludes=("b",)) == "d/"
    assert files("d", files="d/b", excludes=("*",)) == ""
    assert files("d/*", files="d/k/x", ignore="**/x", parents=True) == "d/k/"
    assert files("x/*", files="x/k/d/y", ignore="**/y", parents=True) == "x/k/d/"
    assert context("a/b", files="a/b").mounted("a").files == ("a/",)
    assert context("a/b", files="a/b").everything().files == ("a/",)


def test_parents_trims_blanks() -> None:
    assert files(" d*", parents=True) == files("d*", parents=True) != ""
    assert files("./ ./a.txt", parents=True) == "a.txt"


def test_bind_mounts_know_no_globs() -> None:
    found = context(links={"l": "dir/sub"})
    assert found.mounted("l").files == ("dir/sub/four.md", "dir/sub/three", "l")
    assert found.mounted("*.txt") == Selection(("l",), ("*.txt",))
    assert found.mounted("/dir/../a.txt").files == ("a.txt",)


def test_what_lies_in_a_submodule_is_the_submodule() -> None:
    for source in ("sub/deep/file", "sub/*", "s*/x", "sub", "sub/*/y", "s[u]b/x"):
        assert files(source, files="", submodules=("sub",)) == "sub", source
    assert files("sub/x", parents=True, files="", submodules=("sub",)) == "sub"
    assert files("**/x", parents=True, files="", submodules=("a/sub",)) == "a/sub"
    assert context(files="", submodules=("sub",)).mounted("sub/x").files == ("sub",)


def test_paths_of_the_configuration() -> None:
    found = context()
    assert found.included(["dir/sub", "**/x.md"], where="paths").files == (
        "dir/sub/four.md",
        "dir/sub/three",
        "other/x.md",
    )
    assert found.included(["nope"], where="paths") == Selection((), ("nope",))


def test_a_pattern_that_cannot_be_read() -> None:
    with pytest.raises(DockerfileError, match=r"^Dockerfile:1: the pattern"):
        files("dir", excludes=("[",))


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("a*", "abc", True),
        ("a*/b", "a/c/b", False),
        ("[a-c]", "b", True),
        ("[^a-c]", "b", False),
        ("[\\]]", "]", True),
        ("[c-a]", "b", False),
        ("[^c-a]", "b", True),
        ("a\\", "a", None),
        ("[a", "a", None),
        ("[-]", "-", None),
        ("[!a]", "!", True),
        ("é?", "éa", True),
        ("a.b", "axb", False),
    ],
)
def test_match_as_go_does(pattern: str, text: str, matches: bool | None) -> None:
    regex = glob_regex(pattern)
    assert (None if regex is None else bool(regex.fullmatch(text))) is matches


def test_executable_bits_are_part_of_an_entry() -> None:
    assert Entry(FILE, "0") != Entry(EXECUTABLE, "0")
