"""What templates can say, and which of them is taken."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.images.families.render import Renderer
from imagewright.images.tree import Tree
from tests.images.families.repository import dockerfile, family, surveyed


def rendered(template: str, **values: Any) -> str:
    return Renderer("images/x", {"images/x/t": template.encode()}.get).render("t", values)[0]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{% if true %}\nRUN x\n{% endif %}\n", "RUN x\n"),
        ("a\n    {% if true %}\nb\n    {% endif %}\nc\n", "a\nb\nc\n"),
        ("no newline", "no newline"),
        ("two\n\n", "two\n\n"),
        ("{# a comment #}\nFROM x\n", "FROM x\n"),
        ('CMD {{ ["a", "b"] | tojson }}\n', 'CMD ["a", "b"]\n'),
        ("RUN echo ${VARIABLE} $$ {{ '{{' }}\n", "RUN echo ${VARIABLE} $$ {{\n"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("{{ 3 + 4 }} {{ 'é' }}", "7 é"),
    ],
)
def test_the_text(template: str, text: str) -> None:
    assert rendered(template) == text


@given(st.text(alphabet=st.characters(exclude_characters="{}%#\r", exclude_categories=["Cs"])))
def test_what_is_no_template_stays_as_it_is(text: str) -> None:
    assert rendered(text) == text


FAMILIES = {
    **family("tags: [2025.09, 2025.10]\nis_base_image: true\nvariants: [slim]\n", name="base"),
    **family("tags: [1.0, 1.1, 1.2-rc1]\nvariants: [slim]\n", name="tool"),
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ name }} {{ tag }} {{ version }} {{ variant }} {{ suffix }}", "python 3.13.7-slim 3.13.7 slim -slim"),
        ("{{ registry }} {{ repository }}", "r.io/me r.io/me/python"),
        ("FROM {{ base }}", "FROM r.io/me/base:2025.09"),
        ("FROM {{ parent }}", "FROM r.io/me/python:3.13.7"),
        ("{{ resolve('tool') }}", "r.io/me/tool:1.1"),
        ("{{ resolve('tool:1') }}", "r.io/me/tool:1.1"),
        ("{{ resolve('tool:1.0') }}", "r.io/me/tool:1.0"),
        ("{{ resolve('tool:1-slim') }}", "r.io/me/tool:1.1-slim"),
        ("{{ resolve('app') }}", "r.io/me/app"),
        ("{{ variables.a }} {{ a }} {{ versions.v }} {{ v }}", "1 1 2 2"),
    ],
)
def test_what_templates_know(template: str, text: str) -> None:
    yaml = "tags: [3.13.7]\nextends: base:2025.09\nvariants: [slim]\nvariables: {a: 1}\nversions: {v: 2}\n"
    files = FAMILIES | family(yaml, Dockerfile_slim_jinja2=template) | {"Dockerfiles/Dockerfile.app": "FROM debian\n"}
    assert dockerfile(surveyed(files, registry="r.io/me"), "python:3.13.7-slim") == text


@pytest.mark.parametrize(
    ("extends", "reference"),
    [
        ("base:2025", "base:2025.10"),  # the exact tag, also where an alias is named
        ("base", "base:2025.10"),
        ("base:2025.09-slim", "base:2025.09-slim"),
        ("base:latest", "base:2025.10"),
        ("app", "app"),
        ("app:dev", "app:dev"),
    ],
)
def test_what_an_image_extends(extends: str, reference: str) -> None:
    files = FAMILIES | family(f"tags: [1]\nextends: {extends}\n", dockerfile="FROM {{ base }}\n")
    found = surveyed(files | {"Dockerfiles/Dockerfile.app": "FROM debian\n"})
    assert dockerfile(found, "python:1") == f"FROM localhost:5050/{reference}\n"


def test_repositories_are_the_configurations() -> None:
    settings = {"repository": "{registry}/x/{name}", "images": {"base": {"repository": "ghcr.io/low/base"}}}
    files = FAMILIES | family("tags: [1]\nextends: base\n", dockerfile="{{ base }} {{ repository }}")
    found = surveyed(files, **settings)
    assert dockerfile(found, "python:1") == "ghcr.io/low/base:2025.10 localhost:5050/x/python"


CHOICES = {
    "Dockerfile_jinja2": "plain",
    "Dockerfile_slim_jinja2": "slim",
    "Other_jinja2": "other",
    "More_jinja2": "more",
}


@pytest.mark.parametrize(
    ("yaml", "plain", "slim"),
    [
        ("tags: [1]\nvariants: [slim]\n", "plain", "slim"),
        ("tags: [1]\nvariants: [slim]\ntemplate: Other.jinja2\n", "other", "other"),
        ("tags: [{name: 1, template: Other.jinja2}]\nvariants: [slim]\ntemplate: More.jinja2\n", "other", "other"),
        ("tags: [1]\nvariants: [{name: slim, template: Other.jinja2}]\ntemplate: More.jinja2\n", "more", "other"),
        ("tags: [1]\nvariants: [{name: fat, suffix: -slim}]\n", "plain", "plain"),
    ],
)
def test_which_template_is_taken(yaml: str, plain: str, slim: str) -> None:
    found = surveyed(family(yaml, **CHOICES))
    assert (dockerfile(found, "python:1"), dockerfile(found, "python:1-slim")) == (plain, slim)


def test_the_test_file() -> None:
    found = surveyed(family("tags: [1]\nvariants: [slim]\n", test_yml_jinja2="{{ tag }}", test_slim_yml_jinja2="slim"))
    texts = {path: made.content for path, made in found.generated.items() if path.endswith(".yml")}
    assert texts == {"dist/python/1/test.yml": b"1", "dist/python/1-slim/test.yml": b"slim"}


def test_families_share_what_stands_above_them() -> None:
    files = family("tags: [1]\n", dockerfile="{% include 'a' %}{% include 'b' %}{% include 'sub/c' %}")
    files |= {"images/a": "shared ", "images/b": "shared ", "images/python/b": "own ", "images/sub/c": "deep"}
    found = surveyed(files)
    assert dockerfile(found, "python:1") == "shared own deep"
    made = found.generated["dist/python/1/Dockerfile"]
    assert made.sources == (
        *("images/python/Dockerfile.jinja2", "images/a", "images/python/b", "images/sub/c"),
        "images/python/image.yml",
    )
    assert {"images/python/a", "images/python/Dockerfile.jinja2", "images/python/image.yml"} <= found.consulted


def test_a_family_at_the_top_of_the_repository() -> None:
    found = surveyed({"x/image.yml": "tags: [1]\n", "x/Dockerfile.jinja2": "{{ tag }}"}, discover=["<name>/image.yml"])
    assert dockerfile(found, "x:1") == "1"


def test_the_same_files_give_the_same_bytes_in_any_process() -> None:
    program = (
        "from tests.images.families.test_render import many\n"
        "print(*(f'{path} {made.entry.oid}' for path, made in many().items()))\n"
    )
    root = Path(__file__).parents[3]
    answers = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=root,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "tasks", "TZ": zone},
            capture_output=True,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    }
    assert len(answers) == 1
    assert answers != {b"\n"}


def many() -> Mapping[str, Any]:
    yaml = "tags: [1.0, 1.1]\nvariants: [a, b]\nvariables: {m: {z: 1, y: 2, x: 3}, s: [c, b, a]}\n"
    template = "{% for k in m %}{{ k }}={{ m[k] }} {% endfor %}{{ s | unique | join }} {{ m | tojson }}"
    return surveyed(family(yaml, dockerfile=template)).generated


def test_generated_files_are_found_by_path_and_in_no_folder() -> None:
    made = surveyed(family("tags: [1]\n")).generated
    tree = Tree({}, lambda _path, _entry: b"").overlaid(made)
    assert tree.read("dist/python/1/Dockerfile") == b"FROM debian\n"
    assert tree.at("dist").read("python/1/Dockerfile") == b"FROM debian\n"
    assert tree.is_file("dist/python/1/Dockerfile")
    assert list(tree.below("")) == []
    assert tree.plus({}).generated == made
