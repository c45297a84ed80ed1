"""From image.yml to images: image -> tag -> variant, the later wins."""

from __future__ import annotations

import pytest

from imagewright.images.model import BuildSecret
from tests.images.families.repository import dockerfile, family, surveyed

FULL = """\
description: Python
licenses: PSF-2.0
versions: {python: "0", debian: trixie}
variables: {packages: [a, b], who: image}
build_args: {A: image, B: image}
platforms: [linux/amd64]
tags:
  - 3.12.9
  - name: 3.13.7
    versions: {python: 3.13.7}
    variables: {who: tag}
    build_args: {B: tag, R: "{registry}/x"}
    platforms: [linux/arm64]
    aliases: [stable]
variants:
  - name: semantic
    variables: {packages: [c]}
    description: Python with meaning
    target: semantic
    labels: {k: v}
  - name: slim
    suffix: _s
"""
TEMPLATE = (
    "{{ who }} {{ packages | join(',') }} {{ versions.python }} {{ debian }} {{ version }}|{{ tag }}|{{ variant }}"
)


def test_each_variant_exists_for_each_tag_with_its_suffix() -> None:
    found = surveyed(family(FULL))
    assert [image.name for image in found.images] == [
        "python:3.12.9",
        "python:3.12.9-semantic",
        "python:3.12.9_s",
        "python:3.13.7",
        "python:3.13.7-semantic",
        "python:3.13.7_s",
    ]
    assert {image.repository for image in found.images} == {"localhost:5050/python"}
    assert {image.context for image in found.images} == {"images/python"}
    assert {image.variant_suffixes for image in found.images} == {("-semantic", "_s")}
    assert {image.family for image in found.images} == {"python"}


def test_the_later_wins_and_mappings_are_merged() -> None:
    found = surveyed(family(FULL, dockerfile=TEMPLATE))
    assert dockerfile(found, "python:3.12.9") == "image a,b 0 trixie 3.12.9|3.12.9|"
    assert dockerfile(found, "python:3.13.7") == "tag a,b 3.13.7 trixie 3.13.7|3.13.7|"
    assert dockerfile(found, "python:3.13.7-semantic") == "tag c 3.13.7 trixie 3.13.7|3.13.7-semantic|semantic"
    images = {image.name: image for image in found.images}
    assert images["python:3.12.9"].build_args == {"A": "image", "B": "image"}
    semantic = images["python:3.13.7-semantic"]
    assert semantic.build_args == {"A": "image", "B": "tag", "R": "localhost:5050/x"}
    assert (semantic.platforms, semantic.target) == (("linux/arm64",), "semantic")
    assert semantic.labels == {
        "org.opencontainers.image.description": "Python with meaning",
        "org.opencontainers.image.licenses": "PSF-2.0",
        "io.imagewright.version.python": "3.13.7",
        "io.imagewright.version.debian": "trixie",
        "k": "v",
    }
    assert (semantic.title, semantic.version) == ("python", "3.13.7-semantic")
    assert semantic.dockerfile == "dist/python/3.13.7-semantic/Dockerfile"


def test_own_tags_aliases_and_latest() -> None:
    images = {image.own_tag: image for image in surveyed(family(FULL)).images}
    assert images["3.13.7"].aliases == ("3.13", "3", "stable")
    assert images["3.13.7"].publishes == ("3.13.7", "3.13", "3", "stable", "latest")
    assert images["3.13.7-semantic"].aliases == ("3.13-semantic", "3-semantic", "stable-semantic")
    assert images["3.12.9"].aliases == ("3.12",)
    assert [tag for tag, image in images.items() if image.is_latest] == ["3.13.7"]


def test_tags_are_text_exactly_as_written() -> None:
    found = surveyed(family("tags: [2025.10, 2025.09, 1e3, no, 010, 0x1F, 1_000]\n", dockerfile="{{ tag }}"))
    assert [image.own_tag for image in found.images] == ["2025.10", "2025.09", "1e3", "no", "010", "0x1F", "1_000"]
    assert dockerfile(found, "python:2025.10") == "2025.10"
    values = surveyed(family("tags: [1]\nvariables: {a: 1.10, b: yes}\n", dockerfile="{{ a }} {{ b }}"))
    assert dockerfile(values, "python:1") == "1.10 yes"


@pytest.mark.parametrize(
    ("yaml", "latest", "aliases"),
    [
        ("tags: [1.9, 1.10, 2.0-rc1]\n", "1.10", {"1.10": ("1",), "1.9": (), "2.0-rc1": ()}),
        ("tags: [9, 9.0.1]\n", "9.0.1", {"9": (), "9.0.1": ("9.0",)}),
        ("aliases: none\ntags: [1.9, {name: 1.10, aliases: [new]}]\n", None, {"1.10": ("new",), "1.9": ()}),
        ("aliases: {latest: 1.9, old: 1.9}\ntags: [1.9, 1.10]\n", "1.9", {"1.9": ("old",), "1.10": ("1",)}),
        ("aliases: {1: 1.9}\ntags: [1.9, 1.10]\n", "1.10", {"1.9": ("1",), "1.10": ()}),
        ("tags: [latest, 1.0]\n", None, {"latest": (), "1.0": ("1",)}),
        ("aliases: semver\ntags: [1.2.3, 1.3]\n", "1.2.3", {"1.2.3": ("1.2", "1"), "1.3": ()}),
    ],
)
def test_aliases_within_the_family(yaml: str, latest: str | None, aliases: dict[str, tuple[str, ...]]) -> None:
    images = surveyed(family(yaml)).images
    assert {image.own_tag: image.aliases for image in images} == aliases
    assert next((image.own_tag for image in images if image.is_latest), None) == latest


def test_a_tag_that_is_the_alias_of_another_wins_and_it_is_said() -> None:
    found = surveyed(family("tags:\n- 9\n- 9.0.1\n"))
    assert found.notices == ("images/python/image.yml:2: `9` is a tag of its own, and so no alias of `9.0.1`",)


def test_a_tag_may_have_some_of_the_variants() -> None:
    yaml = "tags: [1, {name: 2, variants: [b]}, {name: 3, variants: []}]\nvariants: [a, b]\n"
    assert [image.own_tag for image in surveyed(family(yaml)).images] == ["1", "1-a", "1-b", "2", "2-b", "3"]


def test_the_name_is_the_folders_or_its_own() -> None:
    found = surveyed(family("name: cpython\ntags: [3]\n"))
    assert found.images[0].name == "cpython:3"
    assert found.images[0].dockerfile == "dist/cpython/3/Dockerfile"
    assert found.images[0].context == "images/python"


def test_settings_of_the_configuration_hold_for_all_members_below_the_files_own() -> None:
    own = {
        "build_args": {"A": "config", "C": "config"},
        "labels": {"l": "config"},
        "secrets": [{"id": "s", "env": "S"}],
        "repository": "{registry}/runtimes/{name}",
        "title": "The snake",
        "aliases": "none",
        "paths": ["shared.txt"],
    }
    layers = {"low": {"images": ["pyth*"], "paths": ["low.sh"]}}
    images = surveyed(family(FULL), images={"python": own}, layers=layers).images
    for image in images:
        assert image.repository == "localhost:5050/runtimes/python"
        assert image.secrets == (BuildSecret("s", "env", "S"),)
        assert (image.layer, image.paths) == ("low", ("low.sh", "shared.txt"))
        assert image.build_args["A"] == "image"
        assert image.build_args["C"] == "config"
        assert image.title == "The snake"
        assert image.alias_strategy == "none"
        assert image.aliases in ((), ("stable",), ("stable-semantic",), ("stable_s",))


def test_families_and_dockerfiles_stand_side_by_side() -> None:
    found = surveyed(family("tags: [1]\n") | {"Dockerfiles/Dockerfile.app": "FROM localhost:5050/python:1\n"})
    assert [image.name for image in found.images] == ["app", "python:1"]
    assert found.images[0].family is None
    assert set(found.generated) == {"dist/python/1/Dockerfile"}
