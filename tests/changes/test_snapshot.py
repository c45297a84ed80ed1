"""What is read of one state of the repository, and the fingerprints in it."""

from __future__ import annotations

import pytest

from imagewright.changes.snapshot import Snapshot, Unknown
from imagewright.errors import ConfigError
from imagewright.images.tree import SUBMODULE, Entry
from tests.changes.states import GROUND, LAYERED, snapshot, tree
from tests.images.families.repository import family


def changed(before: Snapshot, after: Snapshot) -> set[str]:
    assert before.fingerprints.keys() == after.fingerprints.keys()
    return {name for name, own in after.fingerprints.items() if own != before.fingerprints[name]}


@pytest.mark.parametrize(
    ("files", "affected"),
    [
        ({"base.txt": "2"}, {"base", "tooling", "app"}),
        ({"tooling.txt": "2"}, {"tooling", "app"}),
        ({"app.txt": "2"}, {"app"}),
        ({"shared/a": "2"}, {"app", "other"}),
        ({"shared/new": "2"}, {"app", "other"}),
        ({"README.md": "2"}, set()),
        ({".dockerignore": "nothing\n"}, {"base", "tooling", "app", "other"}),
        ({"Dockerfiles/Dockerfile.other.dockerignore": "x\n"}, {"other"}),
        ({"Dockerfiles/Dockerfile.other": "FROM debian\n# a comment\nCOPY shared /x/\n"}, {"other"}),
        ({"config/images.yml": "builder: {jobs: 3, retries: 2}\n"}, set()),
        ({"config/images.yml": "images:\n  other: {build_args: {A: '1'}}\n"}, {"other"}),
        ({"config/images.yml": "images:\n  base: {labels: {a: b}}\n"}, {"base", "tooling", "app"}),
        ({"config/images.yml": "images:\n  other: {platforms: [linux/arm64]}\n"}, {"other"}),
        ({"config/images.yml": "images:\n  other: {paths: [app.txt]}\n"}, {"other"}),
        ({"config/images.yml": "bases:\n  debian: {debootstrap: trixie}\n"}, {"base", "tooling", "app", "other"}),
    ],
)
def test_what_a_change_affects(files: dict[str, str], affected: set[str]) -> None:
    assert changed(snapshot(LAYERED), snapshot(LAYERED | files)) == affected


def test_the_recipe_of_a_base_counts_where_it_is_used() -> None:
    recipe = {"config/images.yml": "bases:\n  debian: {debootstrap: trixie}\n  alpine: {debootstrap: sid}\n"}
    other = {"config/images.yml": "bases:\n  debian: {debootstrap: trixie}\n  alpine: {debootstrap: forky}\n"}
    assert changed(snapshot(LAYERED | recipe), snapshot(LAYERED | other)) == set()


def test_an_executable_bit_counts() -> None:
    assert changed(snapshot(LAYERED), snapshot(LAYERED, {"shared/a": "100755"})) == {"app", "other"}


def test_the_configuration_of_the_tree_counts_with_todays_environment() -> None:
    files = LAYERED | {"config/images.yml": "registry: ghcr.io/me\n"}
    assert snapshot(files).graph.parents("app") == ()
    assert snapshot(files, IMAGEWRIGHT_REGISTRY="localhost:5050").graph.parents("app") == ("tooling",)


def test_a_broken_dockerfile_hides_no_other_and_makes_what_stands_on_it_unknown() -> None:
    found = snapshot(LAYERED | {"Dockerfiles/Dockerfile.tooling": "FROM localhost:5050/base\nCOPPY x /\n"})
    assert {name for name, own in found.fingerprints.items() if own is None} == {"tooling", "app"}
    unknown = found.inputs("tooling")
    assert isinstance(unknown, Unknown)
    assert "Dockerfiles/Dockerfile.tooling:2" in unknown.detail


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ("images:\n  other: {context: nowhere}\n", "nowhere"),
        ("images:\n  other: {contexts: {debian: ../elsewhere}}\n", "elsewhere"),
    ],
)
def test_what_git_cannot_see_is_unknown(config: str, why: str) -> None:
    found = snapshot(LAYERED | {"config/images.yml": config})
    unknown = found.inputs("other")
    assert isinstance(unknown, Unknown)
    assert why in unknown.detail
    assert found.fingerprint("other") is None


def test_an_ignore_file_that_cannot_be_read_is_unknown() -> None:
    found = snapshot(LAYERED | {"Dockerfiles/Dockerfile.other.dockerignore": "[\n"})
    assert [name for name, own in found.fingerprints.items() if own is None] == ["other"]


def test_a_submodule_counts_by_its_commit() -> None:
    files = LAYERED | {"Dockerfiles/Dockerfile.other": "FROM debian\nCOPY sub/x /x/\n"}
    first, second = (
        Snapshot.of_tree(tree(files).plus({"sub": Entry(SUBMODULE, digit * 40)}), GROUND) for digit in "12"
    )
    assert changed(first, second) == {"other"}


def test_a_broken_configuration_is_an_error() -> None:
    with pytest.raises(ConfigError, match="unknown key `nonsense`"):
        snapshot(LAYERED | {"config/images.yml": "nonsense: 1\n"})


def test_no_dockerfile_is_no_error_in_a_snapshot() -> None:
    assert snapshot({"README.md": ""}).images == {}


FAMILIES = {
    **family("tags: [1.0, 1.1]\n", name="low", dockerfile="FROM debian\nRUN {{ tag }}\n"),
    **family("tags: [1]\nextends: low\n", name="high", dockerfile="FROM {{ base }}\nCOPY a /a\n"),
    "images/high/a": "1",
}


@pytest.mark.parametrize(
    ("files", "affected"),
    [
        ({"images/low/Dockerfile.jinja2": "FROM debian\nRUN {{ tag }} \n"}, {"low:1.0", "low:1.1", "high:1"}),
        ({"images/low/Dockerfile.jinja2": "FROM debian\n{# said #}RUN {{ tag }}\n"}, set()),
        (
            {"images/low/Dockerfile.jinja2": "FROM debian\nRUN {{ '1.0' if tag == '1.0' else 'x' }}\n"},
            {"low:1.1", "high:1"},
        ),
        ({"images/low/image.yml": "tags: [1.1, 1.0] # in another order\n"}, set()),
        ({"images/low/image.yml": "tags: [1.0, {name: 1.1, labels: {a: b}}]\n"}, {"low:1.1", "high:1"}),
        ({"images/low/image.yml": "licenses: MIT\ntags: [1.0, 1.1]\n"}, {"low:1.0", "low:1.1", "high:1"}),
        ({"images/high/image.yml": "tags: [1]\nextends: low:1.0\n"}, {"high:1"}),
        ({"images/high/a": "2"}, {"high:1"}),
        ({"config/images.yml": "images:\n  low: {target: x}\n"}, {"low:1.0", "low:1.1", "high:1"}),
        ({"dist/low/1.0/Dockerfile": "FROM elsewhere\n"}, set()),
    ],
)
def test_what_a_change_of_a_family_affects(files: dict[str, str], affected: set[str]) -> None:
    assert changed(snapshot(FAMILIES), snapshot(FAMILIES | files)) == affected


def test_a_new_version_leaves_the_others_alone() -> None:
    more = {"images/low/image.yml": "tags: [1.0, 1.1, 1.0.5]\n"}
    before, after = snapshot(FAMILIES).fingerprints, snapshot(FAMILIES | more).fingerprints
    assert after.keys() - before.keys() == {"low:1.0.5"}
    assert {name: after[name] for name in before} == before


def test_a_template_that_fails_makes_its_members_unknown_and_no_others() -> None:
    found = snapshot(FAMILIES | {"images/high/Dockerfile.jinja2": "FROM {{ bse }}\n"})
    assert [name for name, own in found.fingerprints.items() if own is None] == ["high:1"]
    unknown = found.inputs("high:1")
    assert isinstance(unknown, Unknown)
    assert "images/high/Dockerfile.jinja2:1: `bse` is not defined" in unknown.detail
