from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.cleanup.inuse.words import (
    Mention,
    Names,
    assignments,
    digests,
    mentions,
    tag_values,
    unknown_images,
)

APP, BASE, HUB, LOCAL = "ghcr.io/me/app", "ghcr.io/me/base", "docker.io/me/tool", "localhost:5050/app"
NAMES = Names([APP, BASE, HUB, LOCAL])
DIGEST = "sha256:" + "ab" * 32


def found(text: str) -> list[tuple[str, str | None, str | None]]:
    return [(one.repository, one.tag, one.digest) for one in mentions(text, NAMES, assignments(text))]


@pytest.mark.parametrize(
    "text",
    [
        "image: ghcr.io/me/app:1.2",
        "  - image: 'ghcr.io/me/app:1.2' # the app",
        '{"image":"ghcr.io/me/app:1.2"}',
        "IMAGE=ghcr.io/me/app:1.2",
        "docker run --rm ghcr.io/me/app:1.2 sh",
        "uses: docker://ghcr.io/me/app:1.2",
        "FROM ghcr.io/me/app:1.2 AS x",
        "COPY --from=ghcr.io/me/app:1.2 /a /b",
        "image: >-\n    ghcr.io/me/app:1.2\n",
        "skopeo copy docker-daemon:ghcr.io/me/app:1.2 x",
        "It runs ghcr.io/me/app:1.2.",
        "[ghcr.io/me/app:1.2, other]",
        "image = ${DEFAULT:-ghcr.io/me/app:1.2}",
        "a,b,name=ghcr.io/me/app:1.2,push=true",
        "<image>ghcr.io/me/app:1.2</image>",
    ],
)
def test_a_reference_is_found_however_it_is_written(text: str) -> None:
    assert (APP, "1.2", None) in found(text)


def test_digests_are_kept_with_their_tags() -> None:
    assert found(f"image: ghcr.io/me/app:1.2@{DIGEST}") == [(APP, "1.2", DIGEST)]
    assert found(f"image: ghcr.io/me/app@{DIGEST}") == [(APP, None, DIGEST)]
    assert list(digests(f"a\ndigest: {DIGEST}\n")) == [(DIGEST, 2)]


@pytest.mark.parametrize("spelling", ["me/tool", "docker.io/me/tool", "index.docker.io/me/tool"])
def test_docker_hub_has_many_names(spelling: str) -> None:
    assert found(f"image: {spelling}:3") == [(HUB, "3", None)]


def test_this_machine_has_many_names() -> None:
    assert found("127.0.0.1:5050/app:dev") == found("[::1]:5050/app:dev") == [(LOCAL, "dev", None)]


@pytest.mark.parametrize(
    "text",
    ["ghcr.io/me/app-two:1", "ghcr.io/me/app/part:1", "x.ghcr.io/me/app:1", "ghcr.io/you/app:1", "$DIR/$FILE", "app:1"],
)
def test_other_names_are_others(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "repository", "tag"),
    [
        ("image: ghcr.io/me/app:${TAG}", APP, "*"),
        ("image: ghcr.io/me/app:base-${TAG:-1}", APP, "base-*"),
        ("image: ghcr.io/me/app:${{ github.sha }}", APP, "*"),
        ("image: ghcr.io/me/app:{{ .Values.tag }}-slim", APP, "*-slim"),
        ("image: ${REGISTRY}/base:1", BASE, "1"),
        ("image: $CI_REGISTRY_IMAGE/base:1", BASE, "1"),
        ("image: ghcr.io/${OWNER}/base", BASE, None),
        ("docker push ghcr.io/me/app:$(git rev-parse HEAD)", APP, "*"),
    ],
)
def test_a_variable_may_be_anything(text: str, repository: str, tag: str | None) -> None:
    assert (repository, tag, None) in found(text)


def test_a_variable_whose_values_are_all_there_is_not_open() -> None:
    assert found("TAG=1.2\nimage: ghcr.io/me/app:${TAG}") == [(APP, "1.2", None)]
    assert found("TAG=1.2\nTAG=$1\nimage: ghcr.io/me/app:${TAG}") == [(APP, "*", None)]
    assert found("TAG=1.2\nimage: ghcr.io/me/app:${TAG:-3}") == [(APP, "*", None)], "who knows when it is set"


def test_a_tag_of_whatever_image_is_one_of_all() -> None:
    assert {repository for repository, tag, _ in found("image: $IMAGE:1.2") if tag == "1.2"} == set(NAMES.all)


def test_lines_are_counted() -> None:
    assert [one.line for one in mentions("\n\nx: ghcr.io/me/app:1\n", NAMES, {})] == [3]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("image: $IMAGE", 1),
        ("a: b\n- image: ${IMAGE}", 2),
        ("container: ${{ matrix.image }}", 1),
        ("image: '{{ .Values.image }}:{{ .Values.tag }}'", 1),
        ("FROM $BASE AS x", 1),
        ('"image": "$IMAGE",', 1),
    ],
)
def test_an_image_of_which_nothing_is_known(text: str, line: int) -> None:
    assert [where for where, _ in unknown_images(text, assignments(text))] == [line]


@pytest.mark.parametrize(
    "text",
    [
        "ARG BASE=debian:12\nFROM $BASE",
        "variables:\n  IMAGE: debian:12\njob:\n  image: $IMAGE",
        "image: ${IMAGE:-debian:12}",
        "image: $REGISTRY/app:1",
        "strategy:\n  matrix:\n    image: debian\ncontainer: ${{ matrix.image }}",
        "echo $IMAGE",
    ],
)
def test_an_image_of_which_something_is_known(text: str) -> None:
    assert not list(unknown_images(text, assignments(text)))


def test_values_of_tag_keys() -> None:
    text = 'newTag: "1.2"\nimage_tag = 1.3\nimage.tag: 1.4\n"tag":"1.5",\nstage: x\nTAG ?= 1\nIMAGE_TAG:=1.6'
    assert [value for value, _ in tag_values(text)] == ["1.2", "1.3", "1.4", "1.5", "1.6"]


@pytest.mark.parametrize(
    "text",
    [
        "image: " + "{{a}}" * 60 + "x",
        "image: " + "{{" * 50_000,
        "a" * 300_000,
        "${" * 50_000,
        "tag" * 50_000,
        "a-" * 100_000 + "tag",
    ],
)
def test_odd_files_do_not_take_for_ever(text: str) -> None:
    assigned = assignments(text)
    assert not list(mentions(text, NAMES, assigned))
    list(unknown_images(text, assigned))
    list(tag_values(text))


def test_a_plain_name() -> None:
    names = Names(["docker.io/library/tool"])
    assert [one.tag for one in mentions("image: tool:1\nFROM tool\nmytool:2 tools:3", names, {})] == ["1", None]


@given(
    before=st.text(" \n\t'\",=(){}[]<>|;", max_size=5).map(lambda text: text or " "),
    after=st.text(" \n\t'\",=()<>|;", max_size=5).map(lambda text: text or " "),
    tag=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}[A-Za-z0-9_]", fullmatch=True),
    repository=st.sampled_from([APP, BASE, HUB, LOCAL]),
)
def test_no_reference_between_separators_is_overlooked(before: str, after: str, tag: str, repository: str) -> None:
    named = list(mentions(f"{before}{repository}:{tag}{after}", NAMES, {}))

    assert Mention(repository=repository, tag=tag, digest=None, line=before.count("\n") + 1) in named


@given(st.text("${}[]()<>%/:@.-_ \nab1`'\"", max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    assigned = assignments(text)
    list(mentions(text, NAMES, assigned))
    list(unknown_images(text, assigned))
    list(tag_values(text))
