"""Where BuildKit surprises: the same small repositories for BuildKit and for us, and what both must say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from imagewright.errors import DockerfileError
from tests.images.dockerfile.comparison import images_of, ours
from tests.oracle.client import Base, Case, File, Oracle, program

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = "a b c.md d/x d/y.md d/e/z.md .dot"
LINKS = {"l": "d/x", "f": "d", "chain": "l", "absolute": "/a", "escape": "../../b", "d/in": "../a"}
ALL = f"{FILES} l f chain absolute escape d/in"
D = "d/x d/y.md d/e/z.md d/in"
MOUNT = "RUN --mount=type="


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    with Oracle(program()) as running:
        yield running


def repository(commands: str, *, ignore: str = "", own: str | None = None, extra: str = "", **more: Any) -> Case:
    """The files above, and `extra`, in a context; the Dockerfile stands beside it, where no COPY finds it."""
    text = commands if "FROM" in commands.upper() else f"FROM scratch\n{commands}"
    files = {f"ctx/{path}": File(path) for path in (*FILES.split(), *extra.split())}
    files |= {f"ctx/{path}": File(link=link) for path, link in LINKS.items()}
    files |= {"build/Dockerfile": File(text), "lib/a": File("lib"), "lib/b": File("lib")}
    if ignore:
        files["ctx/.dockerignore"] = File(ignore)
    if own is not None:
        files["build/Dockerfile.dockerignore"] = File(own)
    return Case(files=files, dockerfile="build/Dockerfile", context="ctx", **more)


def onbuild(*lines: str, env: tuple[str, ...] = ()) -> dict[str, Base]:
    return {"docker.io/library/base:latest": Base(env, lines)}


USED = [
    ("1 sent and not used", repository("COPY --exclude=x d /d"), "d/y.md d/e/z.md d/in"),
    ("2 tmpfs", repository(f"{MOUNT}tmpfs,target=/t true"), ""),
    ("2 cache", repository(f"{MOUNT}cache,target=/t true"), ""),
    ("2 secret", repository(f"{MOUNT}secret,id=s true"), ""),
    ("2 ssh", repository(f"{MOUNT}ssh true"), ""),
    ("3 root", repository("COPY [abc] c.md /x/", ignore="a"), "b c.md"),
    ("3 own instead of root", repository("COPY a b /x/", ignore="a", own="c.md"), "a b"),
    ("4 no slash: the top alone", repository("COPY c.* d /x/", ignore="*.md"), D),
    ("4 ** at the top too", repository("COPY c* d /x/", ignore="**/*.md\n!d/e/z.md\nd/in"), "chain l d/x d/e/z.md"),
    ("4 taken back from an ignored folder", repository("COPY d /x/", ignore="d\n!d/y.md"), "d/y.md"),
    ("4 outer slashes", repository("COPY d /x/", ignore="/d/e/\n/d/in/"), "d/x d/y.md"),
    ("4 mark, blanks, returns", repository("COPY d /x/", ignore="\ufeff d/e \r\n#d/x\r\n  d/in\r\n"), "d/x d/y.md"),
    ("4 a comment in column one alone", repository("COPY d /x/", ignore=" # d\n#d\nd/[ei]*"), "d/x d/y.md"),
    ("5 dot files", repository("COPY * /x/"), ALL),
    ("5 negated class", repository("COPY [^abdelf.]* /x/"), "c.md chain l d/x"),
    ("5 ** is *", repository("COPY d/** /x/"), f"{D} a"),
    ("5 ** is * before a slash", repository("COPY **/*.md /x/"), "d/y.md"),
    ("5 ** in --parents", repository("COPY --parents **/*.md /x/"), "c.md d/y.md d/e/z.md"),
    ("5 ** in --exclude", repository("COPY --exclude=**/*.md d /x/", extra="d/e/w"), "d/x d/in d/e/w"),
    ("6 relative to the source", repository("COPY --exclude=d/x --exclude=e d /x/"), "d/x d/y.md d/in"),
    ("7 expands to nothing", repository("COPY a ${MORE:+b} /x/"), ALL),
    ("8 clamped", repository("COPY ../../a /d/../b /x/"), "a b"),
    ("9 named", repository("COPY l /x/"), "l d/x"),
    ("9 matched", repository("COPY f* /x/"), f"f {D}"),
    ("9 chain", repository("COPY chain /x/"), "chain l d/x"),
    ("9 absolute and escaping", repository("COPY absolute escape /x/"), "absolute escape a b"),
    ("9 on the way", repository("COPY f/x /x/"), "f d/x"),
    ("9 in a folder", repository("COPY d /x/"), D),
    ("9 in a mount", repository(f"{MOUNT}bind,source=f/e,target=/t true"), "f d/e/z.md"),
    ("9 at the root, with --exclude", repository("COPY --exclude=[abce]* . /x/"), f".dot f l d/x {D}"),
    ("10 a glob without a match", repository("COPY a nope* /x/"), "a"),
    ("11 #", repository("COPY a #nope* /x/"), "a"),
    ("11 quotes", repository("ARG V=a\nCOPY \"$V\" '$V*' b /x/"), "a b"),
    ("12 without a scheme", repository("ADD github.com/o/r.git /x/", extra="github.com/o/r.git"), "github.com/o/r.git"),
    ("13 any case", repository("FROM scratch AS One\nCOPY a /a\nFROM scratch\nCOPY --from=ONE a /a"), "a"),
    ("13 target", repository("FROM scratch AS One\nCOPY a /a\nFROM scratch", target="ONE"), "a"),
    ("14 unreached", repository("FROM scratch\nCOPY a /a\nFROM scratch\nCOPY b /b"), "b"),
    ("15 later wins", repository("ARG V=b\nENV V=a\nCOPY $V /x\nARG V=b\nCOPY $V /x"), "a b"),
    ("15 no value", repository("ENV V=a\nARG V\nCOPY $V /x"), "a"),
    ("15 a build arg wins", repository("ENV V=a\nARG V\nCOPY $V /x", args={"V": "b"}), "b"),
    ("15 values from before", repository("ENV V=a\nENV V=b W=$V\nCOPY $W /x"), "a"),
    ("15 from its line on", repository("COPY ${V:-a} /x\nARG V=b", args={"V": "c.md"}), "a"),
    ("16 global", repository("ARG V=b\nFROM scratch\nCOPY ${V:-a} /x\nARG V\nCOPY $V /x"), "a b"),
    ("16 carried over", repository("FROM scratch AS s\nARG V=a\nENV W=b\nFROM s\nCOPY $V $W /x/"), "a b"),
    ("16 modifiers", repository("ARG V=d/x\nCOPY ${V%/*}/y.md ${V#*/}* ${V/d\\/x/a} /x/"), "d/y.md a"),
    ("17 ENV of a base", repository("FROM base\nCOPY $V /x", bases=onbuild(env=("V=a",))), "a"),
    ("17 ONBUILD of a base", repository("FROM base\nCOPY a /x", bases=onbuild("COPY b /b", "ENV V=c.md")), "a b"),
    ("17 ONBUILD of a stage", repository("FROM scratch AS s\nONBUILD COPY a /a\nFROM s\nCOPY b /b"), "a b"),
    ("18 in FROM", repository("FROM scratch AS s-amd64\nCOPY a /a\nFROM scratch AS s-arm64\nFROM s-$TARGETARCH"), "a"),
    ("18 in a stage", repository("COPY ${TARGETARCH:-a} /x/\nARG TARGETARCH\nCOPY ${TARGETARCH:+b} /x/"), "a b"),
    (
        "18 by platform",
        repository(
            "FROM scratch AS s-amd64\nCOPY a /\nFROM scratch AS s-arm64\nCOPY b /\nFROM s-$TARGETARCH",
            platforms=("linux/amd64", "linux/arm64"),
        ),
        "a b",
    ),
    ("19 no source", repository(f"{MOUNT}bind,target=/t true"), ALL),
    ("19 default type, rw", repository("RUN --mount=source=d/e,target=/t,rw true"), "d/e/z.md"),
    ("19 variables", repository(f"ARG V=d/x\n{MOUNT}bind,source=$V,target=/t true"), "d/x"),
    (
        "19 a cache can name a stage",
        repository(f"FROM scratch AS s\nCOPY a /a\nFROM scratch\n{MOUNT}cache,from=s,target=/t true"),
        "a",
    ),
    ("20 bodies", repository("COPY a <<EOF /x/\nCOPY b /b\nEOF"), "a"),
    ("20 none", repository("FROM base\nRUN cat <<<EOF $((1<<2))\nCOPY a /a"), "a"),
    ("21 inside a continuation", repository("COPY a \\\n# comment\n\n  b \\\n  /x/"), "a b"),
    ("21 escape", repository("# escape=`\nFROM scratch\nCOPY a `\n b /x/"), "a b"),
    ("21 returns and a mark", repository("\ufefffrom scratch\r\n\tcopy a \\\r\n b /x/\r\n"), "a b"),
]


IMAGES = [
    ("12 decided after expansion", repository("ARG U=https://example.org/x\nADD $U /x"), ""),
    ("13 FROM a stage", repository("FROM base AS one\nFROM one"), "docker.io/library/base:latest"),
    ("14 unreached", repository("FROM other\nFROM base"), "docker.io/library/base:latest"),
    ("16 ARG in FROM", repository("ARG V=base\nFROM ${V:+x/}$V:${T:-1}"), "docker.io/x/base:1"),
    ("17 ONBUILD", repository("FROM scratch AS s\nONBUILD COPY --from=x/y / /\nFROM s"), "docker.io/x/y:latest"),
    (
        "19 a cache can name an image",
        repository(f"FROM scratch\n{MOUNT}cache,from=x/y,dst=/t true"),
        "docker.io/x/y:latest",
    ),
    ("22 and its tag", repository("FROM example.org/app:base-stable"), "example.org/app:base-stable"),
]

REFUSED = [
    ("13 FROM in upper case", repository("FROM scratch AS One\nFROM One")),
    ("14 a later stage", repository("FROM scratch\nCOPY --from=later a /\nFROM scratch AS later", target="0")),
    ("14 a variable", repository("ARG V=base\nFROM scratch\nCOPY --from=$V a /")),
    ("18 empty platform", repository("ARG P\nFROM --platform=$P base")),
    ("20 a body without an end", repository("FROM scratch\nCOPY <<EOF /x\nabc")),
]


@pytest.mark.parametrize(("given", "expected"), [pytest.param(case, used, id=name) for name, case, used in USED])
def test_files_that_are_used(given: Case, expected: str, oracle: Oracle) -> None:
    theirs = oracle.ask(given)
    _, found = ours(given)

    assert (theirs.error, theirs.fails) == ("", "")
    assert found.files.keys() == theirs.used.keys()
    assert {path.removeprefix("ctx/") for path in theirs.used if not _always(path)} == set(expected.split())


@pytest.mark.parametrize(("given", "expected"), [pytest.param(case, used, id=name) for name, case, used in IMAGES])
def test_images_that_are_used(given: Case, expected: str, oracle: Oracle) -> None:
    theirs = oracle.ask(given)
    reading, _ = ours(given)

    assert theirs.error == ""
    assert set(theirs.images) == images_of(reading, given) == set(expected.split())
    assert {remote.address for remote in reading.remotes} == set(theirs.remotes)


@pytest.mark.parametrize("given", [pytest.param(case, id=name) for name, case in REFUSED])
def test_what_is_refused(given: Case, oracle: Oracle) -> None:
    assert oracle.ask(given).error
    with pytest.raises(DockerfileError):
        ours(given)


def test_surprises_1_and_2_more_is_sent_than_used(oracle: Oracle) -> None:
    excluded = oracle.ask(repository("COPY --exclude=x d /d"))
    mounted = oracle.ask(repository(f"COPY b /b\n{MOUNT}tmpfs,target=/t true"))

    assert "ctx/d/x" in excluded.sent
    assert "ctx/d/x" not in excluded.used
    assert "ctx/a" in mounted.sent
    assert "ctx/a" not in mounted.used


@pytest.mark.parametrize(("syntax", "ignored"), [("", False), ("# syntax=docker/dockerfile:1\n", True)])
def test_surprise_3_an_empty_own_ignore_file(syntax: str, ignored: bool, oracle: Oracle) -> None:
    given = repository(f"{syntax}FROM scratch\nCOPY [ab] /x/", ignore="a", own="")
    theirs = oracle.ask(given)
    _, found = ours(given)

    assert ("ctx/a" not in theirs.used) is ignored
    assert theirs.used.keys() <= found.files.keys()  # ours is the same for both front ends


def test_surprise_10_a_named_file_that_is_not_there(oracle: Oracle) -> None:
    for given in (repository("COPY nope /x"), repository("COPY a /x", ignore="a")):
        assert oracle.ask(given).fails
        assert [note.kind for note in ours(given)[1].notes] == ["missing"]


@pytest.mark.parametrize(
    "given",
    [
        repository("COPY --exclude=**/*.md d/e /x/"),
        repository("COPY d /x/", ignore="d/e/*"),
        repository(f"{MOUNT}bind,target=/t true", ignore="**/z.md"),
    ],
)
def test_a_folder_that_is_sent_empty(given: Case, oracle: Oracle) -> None:
    without = replace(given, files={path: file for path, file in given.files.items() if path != "ctx/d/e/z.md"})

    assert oracle.ask(given).used["ctx/d/e/z.md"] == ["delete"]
    assert ours(given)[1].digest() != ours(without)[1].digest()


def test_named_contexts(oracle: Oracle) -> None:
    given = repository("FROM scratch AS s\nCOPY a /a\nFROM scratch\nCOPY --from=s b /b", contexts={"s": "lib"})

    assert ours(given)[1].files.keys() == oracle.ask(given).used.keys() == {"build/Dockerfile", "lib/b"}


def _always(path: str) -> bool:
    return path == "build/Dockerfile" or path.endswith(".dockerignore")
