"""Which references make an edge, and which are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imagewright.errors import ConfigError
from imagewright.images.edges import edges, lookalikes
from imagewright.images.model import Image, ImageUse, Reading, UseKind

DIGEST = "sha256:" + "a" * 64


def image(name: str, repository: str = "", **contexts: str) -> Image:
    return Image(
        name=name,
        repository=repository or f"localhost:5050/{name}",
        dockerfile=f"Dockerfiles/Dockerfile.{name}",
        context=".",
        layer=None,
        platforms=(),
        contexts=contexts,
    )


def reads(*references: str | None, kind: UseKind = "from") -> Reading:
    uses = enumerate(references, 1)
    return Reading(images=tuple(ImageUse(reference=r, raw=r or "$X", line=line, kind=kind) for line, r in uses))


def pairs(images: list[Image], readings: dict[str, Reading]) -> list[tuple[str, str]]:
    return [(edge.child, edge.parent) for edge in edges(images, readings)]


@pytest.mark.parametrize(
    "reference",
    [
        "localhost:5050/base",
        "localhost:5050/base:1.2",
        f"localhost:5050/base@{DIGEST}",
        f"localhost:5050/base:1.2@{DIGEST}",
    ],
)
def test_any_spelling_of_the_reference_is_an_edge(reference: str) -> None:
    (edge,) = edges([image("base"), image("app")], {"app": reads("debian:trixie-slim", reference)})
    assert (edge.child, edge.parent, edge.reference, edge.line, edge.kind) == ("app", "base", reference, 2, "from")


@pytest.mark.parametrize("reference", ["me/base", "docker.io/me/base", "index.docker.io/me/base:2"])
def test_docker_hub_has_several_names(reference: str) -> None:
    assert pairs([image("base", "docker.io/me/base"), image("app")], {"app": reads(reference)}) == [("app", "base")]


@pytest.mark.parametrize(
    "reference",
    ["base", "ghcr.io/me/base", "localhost:5051/base", "localhost:5050/base/more", "localhost:5050/Base", None],
)
def test_another_registry_another_path_and_what_is_unknown_are_no_edge(reference: str | None) -> None:
    assert pairs([image("base"), image("app")], {"app": reads(reference)}) == []


def test_each_different_reference_is_kept_once_with_its_first_line() -> None:
    written: list[tuple[int, str, UseKind]] = [(9, "a", "copy"), (3, "b", "mount"), (1, "a", "from")]
    reading = Reading(
        images=tuple(
            ImageUse(reference=f"localhost:5050/base:{tag}", raw="", line=line, kind=kind)
            for line, tag, kind in written
        )
    )
    found = edges([image("app"), image("base")], {"app": reading})
    assert [(edge.reference[-1], edge.line, edge.kind) for edge in found] == [("a", 1, "from"), ("b", 3, "mount")]


def test_named_contexts_are_edges_even_where_the_dockerfile_is_broken() -> None:
    images = [
        image("base"),
        image("tooling"),
        image("app", lib="docker-image://localhost:5050/base:x", os="target:tooling", src="./src", web="https://x/y"),
    ]
    found = edges(images, {})
    assert [(edge.parent, edge.reference, edge.line, edge.kind) for edge in found] == [
        ("base", "lib", 0, "context"),
        ("tooling", "os", 0, "context"),
    ]


def test_a_context_that_names_no_image_offers_the_near_one() -> None:
    with pytest.raises(ConfigError, match=r"images\.app\.contexts\.os: there is no image `toolin`") as caught:
        edges([image("tooling"), image("app", os="target:toolin")], {})
    assert caught.value.hint == "did you mean `tooling`?"


def test_a_context_with_an_illegal_reference_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"images\.app\.contexts\.os: .* is no tag"):
        edges([image("app", os="docker-image://debian:~")], {})


@pytest.mark.parametrize("reading", [reads("localhost:5050/app"), reads("localhost:5050/app:old", kind="copy")])
def test_an_image_from_itself_is_refused(reading: Reading) -> None:
    with pytest.raises(ConfigError, match=r"Dockerfiles/Dockerfile\.app:1: app is built from itself") as caught:
        edges([image("app")], {"app": reading})
    assert "@sha256:" in str(caught.value.hint)


def test_a_context_that_is_the_image_itself_is_refused() -> None:
    with pytest.raises(ConfigError, match="app is built from itself"):
        edges([image("app", os="target:app")], {})


def test_an_image_may_start_from_a_pinned_earlier_self() -> None:
    assert edges([image("app")], {"app": reads(f"localhost:5050/app@{DIGEST}")}) == ()


def publishing(name: str, *globs: str, repository: str = "ghcr.io/me/app") -> Image:
    return replace(image(name, repository), publishes=globs)


def test_an_image_may_start_from_a_tag_of_its_own_that_it_does_not_publish() -> None:
    readings = {"app": reads("localhost:5050/app:bootstrap")}
    assert edges([publishing("app", "[0-9]*", repository="localhost:5050/app")], readings) == ()


SHARED = [publishing("base", "base-*"), publishing("tooling", "tooling-*"), publishing("app")]


def test_in_a_shared_repository_the_tag_tells_the_parent() -> None:
    readings = {"app": reads("ghcr.io/me/app:tooling-stable"), "tooling": reads("ghcr.io/me/app:base-1")}
    found = edges(SHARED, readings)
    assert [(edge.child, edge.parent) for edge in found] == [("app", "tooling"), ("tooling", "base")]


@pytest.mark.parametrize("reference", ["ghcr.io/me/app", "ghcr.io/me/app:1.2"])
def test_in_a_shared_repository_the_one_without_globs_is_meant_by_all_other_tags(reference: str) -> None:
    (edge,) = edges([*SHARED, image("web")], {"web": reads(reference)})
    assert edge.parent == "app"


def test_in_a_shared_repository_a_tag_of_its_own_is_the_image_itself() -> None:
    with pytest.raises(ConfigError, match="app is built from itself"):
        edges(SHARED, {"app": reads("ghcr.io/me/app:1.0")})


def test_in_a_shared_repository_a_tag_that_nobody_publishes_is_an_outside_image() -> None:
    images = [publishing("base", "base-*"), publishing("app", "[0-9]*")]
    assert edges(images, {"app": reads("ghcr.io/me/app:other-1")}) == ()


@pytest.mark.parametrize("reference", ["ghcr.io/me/app:base-1", f"ghcr.io/me/app@{DIGEST}"])
def test_a_shared_repository_without_a_telling_tag_is_ambiguous(reference: str) -> None:
    images = SHARED if "@" in reference else [image(name, "ghcr.io/me/app") for name in ("base", "tooling", "app")]
    with pytest.raises(ConfigError, match=r"Dockerfile\.web:1: .*share the repository: app, base, tooling"):
        edges([*images, image("web")], {"web": reads(reference)})


def test_a_repository_of_another_registry_that_ends_like_ours_is_a_lookalike() -> None:
    images = [image("base"), image("app"), image("web")]
    readings = {"app": reads("ghcr.io/me/base:1", "localhost:5050/base"), "web": reads("base", "debian")}
    found = lookalikes(images, readings)
    assert [(child.name, use.raw, meant.name) for child, use, meant in found] == [
        ("app", "ghcr.io/me/base:1", "base"),
        ("web", "base", "base"),
    ]


def test_extending_the_outside_image_of_the_same_name_is_no_lookalike() -> None:
    images = [image("proxy"), image("nginx")]
    assert lookalikes(images, {"nginx": reads("nginx:1.29"), "proxy": reads("nginx")}) == ()


def member(tag: str, *aliases: str, family: str = "base") -> Image:
    return replace(image(f"{family}:{tag}", f"r.io/{family}"), family=family, own_tag=tag, publishes=(tag, *aliases))


FAMILY = [member("2025.09"), member("2025.10", "2025", "latest")]


@pytest.mark.parametrize(
    ("reference", "parent"),
    [
        ("r.io/base:2025.09", "base:2025.09"),
        ("r.io/base:2025.10", "base:2025.10"),
        ("r.io/base:2025", "base:2025.10"),
        ("r.io/base", "base:2025.10"),
        (f"r.io/base:2025.09@{DIGEST}", "base:2025.09"),
    ],
)
def test_the_tag_tells_the_member_of_a_family(reference: str, parent: str) -> None:
    assert pairs([*FAMILY, image("app")], {"app": reads(reference)}) == [("app", parent)]


@pytest.mark.parametrize("members", [FAMILY, FAMILY[:1]])
def test_a_tag_that_a_family_does_not_have_is_refused(members: list[Image]) -> None:
    with pytest.raises(ConfigError, match=r"r\.io/base:2024\.1: the family `base` has no tag `2024\.1`") as caught:
        edges([*members, image("app")], {"app": reads("debian", "r.io/base:2024.1")})
    assert caught.value.where == "Dockerfiles/Dockerfile.app:2"


@pytest.mark.parametrize("reference", [f"r.io/base:2024.1@{DIGEST}", f"r.io/base@{DIGEST}"])
def test_a_pinned_member_that_is_gone_is_an_outside_image(reference: str) -> None:
    assert pairs([*FAMILY, image("app")], {"app": reads(reference)}) == []


def test_a_variant_may_stand_on_its_own_family_and_no_member_on_itself() -> None:
    slim = member("2025.09-slim")
    assert pairs([*FAMILY, slim], {slim.name: reads("r.io/base:2025.09")}) == [(slim.name, "base:2025.09")]
    with pytest.raises(ConfigError, match="is built from itself"):
        edges([*FAMILY, slim], {slim.name: reads("r.io/base:2025.09-slim")})


def test_two_families_and_an_image_may_share_a_repository() -> None:
    one, other = (
        replace(member(tag, family=family), repository="r.io/all") for tag, family in (("1", "one"), ("2", "other"))
    )
    plain = image("plain", "r.io/all")
    images = [one, other, plain, image("app")]
    found = pairs(images, {"app": reads("r.io/all:1", "r.io/all:2", "r.io/all:3")})
    assert found == [("app", "one:1"), ("app", "other:2"), ("app", "plain")]
