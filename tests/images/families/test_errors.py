"""What can be wrong in image.yml and in templates: each says where, and what to do."""

from __future__ import annotations

import re

import pytest

from imagewright.errors import ConfigError
from tests.images.families.repository import family, surveyed

FILE = "images/python/image.yml"


def refusal(yaml: str, **more: str) -> str:
    with pytest.raises(ConfigError) as caught:
        surveyed(family(yaml) | {f"images/{path.replace('__', '/')}": text for path, text in more.items()})
    return str(caught.value)


@pytest.mark.parametrize(
    ("yaml", "line", "message"),
    [
        ("tags: [1]\ntag: 2\n", 2, "unknown key `tag`\n  did you mean `tags` or `target`?"),
        ("tags:\n- name: 1\n  variable: {}\n", 3, "unknown key `tags[0].variable`\n  did you mean `variables`"),
        (
            "tags: [1]\nvariants: [{name: x, sufix: -y}]\n",
            2,
            "unknown key `variants[0].sufix`\n  did you mean `suffix`?",
        ),
        ("description: x\n", 1, "`tags` is missing"),
        ("tags: []\n", 1, "`tags` must not be empty"),
        ("", 1, "`tags` is missing"),
        ("tags:\n- {versions: {a: 1}}\n", 2, "`tags[0].name` is missing"),
        ("tags:\n- 1.0\n- 1+build\n", 3, "`1+build` is no legal tag"),
        ("tags:\n- .x\n", 2, "`.x` is no legal tag"),
        (f"tags:\n- {'1' * 129}\n", 2, f"`{'1' * 129}` is no legal tag"),
        (f"tags:\n- {'1' * 125}\nvariants: [slim]\n", 2, "is no legal tag (the tag"),
        ("tags:\n- 1.0\n- 1.1\n- 1.0\n", 4, "the tag `1.0` stands twice: here and in line 2"),
        (
            "tags:\n- 1.0\n- 1.0-slim\nvariants: [slim]\n",
            3,
            "the tag `1.0-slim` stands twice: here and in line 2",
        ),
        ("tags: [1]\nvariants:\n- slim\n- slim\n", 4, "the variant `slim` stands twice: here and in line 3"),
        ("tags: [1]\nvariants: [a b]\n", 2, "`-a b` is no legal end of a tag\n  give the variant a `suffix`"),
        ("tags: [1]\nvariants: [{name: x, suffix: y}]\n", 2, "must begin with `-` or `_`"),
        (
            "tags:\n- {name: 1, variants: [slm]}\nvariants: [slim]\n",
            2,
            "there is no variant `slm`\n  did you mean `slim`?",
        ),
        ("tags:\n- 1\n- {name: 2, aliases: [1]}\n", 3, "the alias `1` of `2` is a tag of its own (line 2)"),
        ("tags: [1, 2]\naliases:\n  x: 3\n", 3, "the alias `x` is for `3`, which is no tag here"),
        ("tags: [1, 2]\naliases:\n  x y: 1\n", 3, "the alias `x y` is no legal tag"),
        (
            "tags:\n- {name: 1, aliases: [x]}\n- {name: 2, aliases: [x]}\n",
            3,
            "the alias `x` is for `2`, and for `1` in line 2",
        ),
        ("tags: [1]\naliases: parst\n", 2, "must be one of `parts`, `semver`, `none`, or a mapping"),
        ("tags: [1]\nvariables: {tag: x}\n", 2, "the name `tag` has a meaning of its own in templates"),
        ("tags: [1]\nvariables: {a: [x, ~]}\n", 2, '`a` has no value: write "" for the empty text'),
        ("tags: [1]\nversions: {a: 1}\nvariables:\n  a: 2\n", 4, "`a` is among `versions` and `variables`"),
        ("tags: [1]\nis_base_image: true\nextends: other\n", 3, "`extends` contradicts `is_base_image: true`"),
        ("tags: [1]\nplatforms: [linux]\n", 2, "`platforms[0]`: `linux` is no platform"),
        ("tags: [1]\ntags: [2]\n", 2, "`tags` stands twice: here and in line 1"),
        ("tags: [\n", 1, "this is not YAML"),
        ("tags:\n- name: 1\n  extends: bse:1\n", 3, "`extends: bse:1`: no image of this repository is called `bse`"),
        ("extends: python:4\ntags: [1]\n", 1, "`extends: python:4`: `python` has no tag `4`"),
        ("tags: [1]\ncontext: ../x\n", 1, "`context`: `../x` lies outside of the repository"),
    ],
)
def test_where_and_what(yaml: str, line: int, message: str) -> None:
    said = refusal(yaml)
    assert message in said
    assert re.search(rf"^{re.escape(FILE)}:{line}: ", said, re.MULTILINE), said


def test_all_problems_of_all_files_are_listed_at_once() -> None:
    said = refusal("tags: [1, 1, +]\n", base__image_yml="nothing")
    said = refusal("tags: [1, 1, +]\n", **{"base__image.yml": "tagz: [1]\n"})
    assert "`+` is no legal tag" in said
    assert "the tag `1` stands twice" in said
    assert "images/base/image.yml:1: unknown key `tagz`" in said


def test_a_variant_without_its_parents_tag() -> None:
    base = "tags: [2025.09, {name: 2025.10, variants: []}]\nvariants: [semantic]\n"
    python = "tags:\n- 3.13.7\nextends: base:2025.10\nvariants:\n- name: semantic\n  extends: base:2025.10-semantic\n"
    said = refusal(python, **{"base__image.yml": base, "base__Dockerfile.jinja2": "FROM debian\n"})
    assert said.startswith(f"{FILE}:6: `extends: base:2025.10-semantic`: `base` has no tag `2025.10-semantic`")
    assert "did you mean" in said


def test_members_that_extend_each_other_in_a_circle() -> None:
    python = "tags: [1]\nextends: node:1\n"
    node = "tags: [1, 2]\nextends: base:1\n"
    base = "tags: [1]\n\nextends: python:1\n"
    said = refusal(python, **{"node__image.yml": node, "base__image.yml": base})
    assert "images extend each other in a circle: base:1 -> python:1 -> node:1 -> base:1" in said
    for line in (
        "images/base/image.yml:3: base:1 extends python:1",
        "images/python/image.yml:2: python:1 extends node:1",
        "images/node/image.yml:2: node:1 extends base:1",
    ):
        assert line in said


def test_an_image_that_extends_itself() -> None:
    assert "in a circle: python:1 -> python:1" in refusal("tags: [1]\nextends: python:1\n")


def test_two_images_of_one_name() -> None:
    with pytest.raises(ConfigError, match="the image `python` has two Dockerfiles"):
        surveyed(family("tags: [1]\n") | {"Dockerfiles/Dockerfile.python": "FROM debian\n"})
    with pytest.raises(ConfigError, match="the image `python` has two Dockerfiles"):
        surveyed(family("tags: [1]\n") | family("name: python\ntags: [1]\n", name="other"))
    with pytest.raises(ConfigError, match="`all` cannot be an image's name"):
        surveyed(family("name: all\ntags: [1]\n"))
    with pytest.raises(ConfigError, match=r"`Py` is no legal repository name"):
        surveyed(family("name: Py\ntags: [1]\n"))


@pytest.mark.parametrize("key", ["version", "publishes"])
def test_what_the_configuration_cannot_say_of_a_family(key: str) -> None:
    value = "1" if key == "version" else ["1"]
    with pytest.raises(ConfigError, match=f"`images.python.{key}`: the tags of a family"):
        surveyed(family("tags: [1]\n"), images={"python": {key: value}})


def broken(dockerfile: str, yaml: str = "tags: [1]\n", **files: str) -> str:
    """What is wrong with python:1; another image is not hidden by it."""
    found = surveyed(family(yaml, dockerfile=dockerfile, **files) | {"Dockerfiles/Dockerfile.app": "FROM debian\n"})
    assert {image.name for image in found.images} >= {"app", "python:1"}
    assert "app" not in found.broken
    return str(found.broken["python:1"])


@pytest.mark.parametrize(
    ("dockerfile", "line", "message"),
    [
        ("FROM debian\nRUN {{ pakages }}\n", 2, "`pakages` is not defined\n  did you mean `packages`?"),
        ("FROM debian\n\nRUN {{ versions.pyton }}\n", 3, "`pyton` is not defined\n  did you mean `python`?"),
        ("FROM {{ base }}\n", 1, "`base` is not defined\n  `extends` in image.yml"),
        ("FROM {{ parent }}\n", 1, "`parent` is not defined\n  only a variant has a parent"),
        ("{% if nope %}\nx\n{% endif %}\n", 1, "`nope` is not defined"),
        ("a\n{% for x in %}\n", 2, "the template cannot be read: "),
        (
            "a\n{% include 'no.jinja2' %}\n",
            2,
            "there is no template `no.jinja2`, neither images/python/no.jinja2 nor images/no",
        ),
        ("{% include '../../etc/passwd' %}\n", 1, "it would lie outside of the families' folder"),
        ("a\n{{ resolve('bse') }}\n", 2, "no image of this repository is called `bse`"),
        ("a\n{{ resolve('python:2') }}\n", 2, "`python` has no tag `2`"),
        ("RUN {{ packages }}\n", 1, "a list or a mapping cannot stand in the text"),
        ("RUN {{ none }}\n", 1, "this cannot stand in the text: it has no value"),
        ("RUN {{ resolve }}\n", 1, "this cannot stand in the text"),
        ("{{ packages.append('x') }}\n", 1, "is unsafe"),
        ("{{ ''.__class__.__mro__ }}\n", 1, "is unsafe"),
        ("{{ packages | random }}\n", 1, "No filter named 'random'"),
        ("{{ lipsum() }}\n", 1, "`lipsum` is not defined"),
        ("{{ 1 / 0 }}\n", 1, "the template fails: ZeroDivisionError"),
    ],
)
def test_a_template_that_fails(dockerfile: str, line: int, message: str) -> None:
    said = broken(dockerfile, "tags: [1]\nvariables: {packages: [a]}\nversions: {python: 3}\n")
    assert said.startswith(f"images/python/Dockerfile.jinja2:{line}: ")
    assert message in said


def test_an_included_template_is_the_one_that_is_named() -> None:
    said = broken("{% include 'more.jinja2' %}\n", more_jinja2="\n\n{{ nope }}\n")
    assert said.startswith("images/python/more.jinja2:3: `nope` is not defined")


def test_no_template() -> None:
    found = surveyed({"images/python/image.yml": "tags: [1]\n"})
    said = str(found.broken["python:1"])
    assert said.startswith("images/python/image.yml:1: there is no template `Dockerfile.jinja2`")
    said = broken("FROM debian\n", "tags: [1]\ntemplate: Other.jinja2\n")
    assert said.startswith("images/python/image.yml:2: there is no template `Other.jinja2`")
    said = broken("FROM debian\n", "tags: [1]\n\ntest_template: t.yml\n")
    assert said.startswith("images/python/image.yml:3: there is no template `t.yml`")


def test_what_is_no_text() -> None:
    with pytest.raises(ConfigError, match=r"images/python/image\.yml:2: this is not UTF-8"):
        surveyed_bytes(b"tags: [1]\n# \xff\n")


def surveyed_bytes(yaml: bytes) -> None:
    from imagewright.images.families.read import read
    from imagewright.images.model import Found

    read(Found(name="python", dockerfile=FILE, context="images/python", pattern=""), yaml)
