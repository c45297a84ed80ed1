"""Parents that are not built for a platform that a child takes them for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.builds.platform_gaps import platform_gaps
from imagewright.errors import DockerfileError
from imagewright.images.dockerfile.cache import ReadingCache
from imagewright.images.graph import Graph, edges
from imagewright.images.model import Image
from imagewright.images.readings import read_all

AMD, ARM, S390X = "linux/amd64", "linux/arm64", "linux/s390x"
BOTH = (AMD, ARM)
NARROW = "localhost:5050/narrow"
DIGEST = f"@sha256:{'0' * 64}"


def image(name: str, *platforms: str) -> Image:
    return Image(
        name=name,
        repository=f"localhost:5050/{name}",
        dockerfile=f"Dockerfile.{name}",
        context=".",
        layer=None,
        platforms=platforms,
    )


CHILD = image("child", *BOTH)


def gaps(files: Mapping[str, str], *images: Image, names: tuple[str, ...] = ()) -> Mapping[str, DockerfileError]:
    """`files` by the name of the image; FROM scratch where there is none. All `names` are asked about without any."""
    opened: list[str] = []

    def content(path: str) -> bytes:
        opened.append(path.removeprefix("Dockerfile."))
        return files.get(opened[-1], "FROM scratch").encode()

    readings = read_all(images, content, ReadingCache(Path("/nowhere"))).by_name
    graph = Graph(images, edges(images, readings))
    opened.clear()
    found = platform_gaps(names or tuple(graph.images), graph=graph, readings=readings, content=content)
    if len({image.platforms for image in images}) == 1:
        assert opened == []
    return found


def refused(text: str, child: Image = CHILD, narrow: tuple[str, ...] = (AMD,)) -> str | None:
    """The line where the child is refused, and for which platforms; None where it is not."""
    found = gaps({"child": text}, image("narrow", *narrow), child)
    if not found:
        return None
    (error,) = found.values()
    line = str(error.where).removeprefix("Dockerfile.child:")
    return f"{line}: {error.message.removeprefix('child takes narrow for ').partition(' here')[0]}"


def test_the_message_names_image_platform_and_parent_and_says_what_to_do() -> None:
    error = gaps({"child": f"FROM {NARROW}"}, image("narrow", AMD), CHILD)["child"]
    assert str(error) == (
        "Dockerfile.child:1: child takes narrow for linux/arm64 here, and narrow is built for linux/amd64 only\n"
        "  give narrow the platform in the configuration, or child only platforms that narrow has; a stage that only "
        "makes what others copy can be `FROM --platform=$BUILDPLATFORM`"
    )


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (f"FROM {NARROW}", "1: linux/arm64"),
        (f"FROM {NARROW}:1.0 AS a\nFROM a", "1: linux/arm64"),
        (f"ARG FROM={NARROW}\nFROM $FROM", "2: linux/arm64"),
        (f"FROM --platform=$TARGETPLATFORM {NARROW}", "1: linux/arm64"),
        (f"FROM scratch\n\nCOPY --from={NARROW} a /", "3: linux/arm64"),
        (f"FROM debian\nRUN --mount=from={NARROW},target=/m true", "2: linux/arm64"),
        # what a command reads is for the platform that is built for, whatever its stage is for
        (
            f"FROM --platform=$BUILDPLATFORM debian AS a\nCOPY --from={NARROW} a /\nFROM scratch\nCOPY --from=a /a /",
            "2: linux/arm64",
        ),
        (f"FROM --platform=linux/arm64 {NARROW} AS a\nFROM scratch\nCOPY --from=a a /", "1: linux/arm64"),
    ],
)
def test_a_parent_that_lacks_the_platform_is_refused(text: str, where: str) -> None:
    assert refused(text) == where


@pytest.mark.parametrize(
    "text",
    [
        f"FROM --platform=$BUILDPLATFORM {NARROW} AS a\nFROM scratch\nCOPY --from=a a /",
        f"FROM --platform=linux/$BUILDARCH {NARROW} AS a\nFROM scratch\nCOPY --from=a a /",
        f"FROM --platform=linux/amd64 {NARROW} AS a\nFROM scratch\nCOPY --from=a a /",
        f"FROM {NARROW} AS a\nFROM scratch",
        f"FROM {NARROW} AS for-amd64\nFROM debian AS for-arm64\nFROM for-$TARGETARCH",
        f"FROM {NARROW}{DIGEST}",
        f"# syntax=example.org/other\nFROM {NARROW}",
    ],
    ids=["the-builder", "the-builders-architecture", "pinned", "not-reached", "by-target", "by-digest", "foreign"],
)
def test_what_takes_the_parent_for_a_platform_that_it_has_or_cannot_be_told_stays(text: str) -> None:
    assert refused(text) is None
    assert refused(f"{text}\nCOPY --from={NARROW} a /") is not None or text.startswith("# syntax")


def test_which_machine_builds_makes_no_difference() -> None:
    text = f"FROM --platform=$BUILDPLATFORM {NARROW} AS a\nFROM scratch\nCOPY --from=a a /"
    assert [refused(text, narrow=(one,)) for one in (AMD, ARM, S390X)] == [None] * 3


def test_the_target_and_the_arguments_decide_what_is_reached() -> None:
    text = f"ARG PLATFORM=linux/arm64\nFROM --platform=$PLATFORM {NARROW} AS low\nFROM scratch AS high"
    assert refused(text) is None
    assert refused(text, replace(CHILD, target="low")) == "2: linux/arm64"
    assert refused(text, replace(CHILD, target="low", build_args={"PLATFORM": AMD})) is None
    assert refused(text, replace(CHILD, target="low", secret_build_args=("PLATFORM",))) is None


@pytest.mark.parametrize("value", ["target:narrow", f"docker-image://{NARROW}", f"docker-image://{NARROW}{DIGEST}"])
def test_a_named_context_is_a_parent_where_the_dockerfile_uses_it(value: str) -> None:
    child = replace(CHILD, contexts={"os": value})
    assert refused("FROM debian\nCOPY --from=os a /", child) == "2: linux/arm64"
    assert refused("FROM debian AS os\nFROM os", child) == "1: linux/arm64"
    assert refused("FROM debian", child) is None
    assert refused(f"FROM {NARROW}", replace(CHILD, contexts={NARROW: "docker-image://debian"})) is None


def test_a_named_context_for_one_platform_is_no_parent_on_the_others() -> None:
    text = "FROM os"
    assert refused(text, replace(CHILD, contexts={"os::linux/amd64": "target:narrow"})) is None
    assert refused(text, replace(CHILD, contexts={"os::linux/arm64": "target:narrow"})) == "1: linux/arm64"


def test_triggers_of_a_parent_take_images_too() -> None:
    files = {"middle": f"FROM scratch\nONBUILD COPY --from={NARROW} a /", "child": "FROM localhost:5050/middle"}
    found = gaps(files, image("narrow", AMD), image("middle", *BOTH), CHILD)
    assert {name: error.where for name, error in found.items()} == {"child": "Dockerfile.child:1"}


def test_what_the_named_images_are_built_on_is_looked_at_and_nothing_else() -> None:
    files = {
        "child": f"FROM {NARROW}",
        "other": f"FROM {NARROW}",
        "top": "FROM localhost:5050/child",
        "wrong": "COPPY",
    }
    images = (image("narrow", AMD), CHILD, image("other", *BOTH), image("top", *BOTH), image("wrong", *BOTH))
    assert gaps(files, *images, names=("top",)).keys() == {"child"}
    assert gaps(files, *images).keys() == {"child", "other"}
    assert gaps(files, *images, names=("narrow",)) == {}


def test_several_platforms_and_parents_are_told_by_line() -> None:
    wide = replace(CHILD, platforms=(S390X, AMD, ARM))
    text = f"FROM {NARROW}\nCOPY --from={NARROW}:2 a /\n"
    assert refused(text, wide) == "1: linux/s390x, linux/arm64"
    assert refused(text, wide, narrow=BOTH) == "1: linux/s390x"


_some = st.lists(st.sampled_from([AMD, ARM, S390X]), min_size=1, unique=True).map(tuple)
_ALWAYS = (
    "FROM {}",
    "FROM --platform=$TARGETPLATFORM {}",
    "FROM scratch\nCOPY --from={} a /",
    "FROM scratch\nRUN --mount=from={} x",
)
_NEVER = (
    "FROM debian\nRUN echo {}",
    "FROM {} AS a\nFROM scratch",
    "FROM --platform=$BUILDPLATFORM {} AS a\nFROM scratch\nCOPY --from=a / /",
)
_PINNED = "FROM --platform=PLATFORM {} AS a\nFROM scratch\nCOPY --from=a / /"


@given(child=_some, narrow=_some, text=st.sampled_from((*_ALWAYS, *_NEVER)), pin=st.none() | st.sampled_from(BOTH))
def test_a_child_is_refused_exactly_where_it_takes_what_is_not_there(
    child: tuple[str, ...], narrow: tuple[str, ...], text: str, pin: str | None
) -> None:
    lacking = [platform for platform in child if platform not in narrow]
    if pin:  # looked at where the child has a platform that the parent lacks
        text, expected = _PINNED.replace("PLATFORM", pin), bool(lacking) and pin not in narrow
    else:
        expected = bool(lacking) and text in _ALWAYS
    found = refused(text.format(NARROW), image("child", *child), narrow)
    assert bool(found) is expected
    if found and not pin:
        assert found.partition(": ")[2].split(", ") == lacking
