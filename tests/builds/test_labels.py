"""What stands on every image, and where the source is found, told from a remote."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.builds.bake import BakeOptions, bake_plan
from imagewright.builds.labels import labels, web_address
from imagewright.builds.plan import NO_BASE, NO_HEAD, Inputs, plan_changed
from imagewright.images.graph import Graph
from imagewright.images.model import Image
from imagewright.tags.model import Naming, Tag

IMAGE = Image(
    name="app", repository="localhost:5050/app", dockerfile="D", context=".", layer=None, platforms=("linux/amd64",)
)


def bases_label(bases: Mapping[str, str] | None, fingerprint: str | None = "sha256:f") -> str | None:
    found = labels(IMAGE, NO_HEAD, source=None, tag="dev", fingerprint=fingerprint, bases=bases)
    return found.get("io.imagewright.bases")


def test_the_digests_of_outside_images_are_json_with_sorted_keys() -> None:
    assert bases_label({"ghcr.io/me/b:1": "sha256:2", "docker.io/library/a:1": "sha256:1"}) == (
        '{"docker.io/library/a:1":"sha256:1","ghcr.io/me/b:1":"sha256:2"}'
    )


def test_an_image_without_outside_images_says_so_lest_its_parents_label_holds() -> None:
    assert bases_label({}) == bases_label(None) == "{}"
    assert bases_label({"a": "b"}, fingerprint=None) is None  # it is built each time in any case


def test_the_bake_file_has_them() -> None:
    plan = plan_changed(
        {"app": ()},
        images={"app": IMAGE},
        graph=Graph([IMAGE], ()),
        base=NO_BASE,
        head=NO_HEAD,
        namings={"app": Naming(tags=(Tag(tag="dev", kind="moving", rule="work", why="the work tree"),))},
        inputs={"app": Inputs(files=1, fingerprint="sha256:f")},
    )
    options = BakeOptions(bases=lambda name: {f"docker.io/library/of-{name}:1": "sha256:1"})
    label = bake_plan(plan, options)["target"]["app"]["labels"]["io.imagewright.bases"]
    assert json.loads(label) == {"docker.io/library/of-app:1": "sha256:1"}


@given(st.dictionaries(st.text(), st.text()))
def test_the_label_says_what_it_was_given_in_whatever_order(bases: Mapping[str, str]) -> None:
    label = bases_label(bases)
    assert label is not None
    assert json.loads(label) == bases
    assert label == bases_label(dict(reversed(list(bases.items()))))


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("git@github.com:me/images.git", "https://github.com/me/images"),
        ("ssh://git@github.com/me/images.git", "https://github.com/me/images"),
        ("ssh://git@git.example.org:2222/me/images", "https://git.example.org/me/images"),
        ("https://github.com/me/images.git", "https://github.com/me/images"),
        ("https://git.example.org:8443/me/images.git", "https://git.example.org:8443/me/images"),
        ("http://gitea.lan:3000/me/images", "http://gitea.lan:3000/me/images"),
        ("https://github.com/me/images/", "https://github.com/me/images"),
        ("/srv/git/images.git", "/srv/git/images.git"),
        ("../images", "../images"),
        ("file:///srv/git/images.git", "file:///srv/git/images.git"),
    ],
)
def test_the_address_is_one_that_a_browser_opens(remote: str, address: str) -> None:
    assert web_address(remote) == address
