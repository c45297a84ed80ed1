from __future__ import annotations

from datetime import UTC, datetime

from imagewright.cleanup.inuse.parents import Built
from imagewright.cleanup.model import Picture, Stored

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def image(name: str, *layers: str) -> Stored:
    blobs = {f"config of {name}": 100, **dict.fromkeys(layers, 1000)}
    return Stored(digest=name, media_type="", kind="image", size=1, blobs=blobs)


def index(name: str, *children: str, attestation: str = "") -> Stored:
    attests = {attestation: children[0]} if attestation else {}
    return Stored(digest=name, media_type="", kind="index", size=1, children=(*children, *attests), attests=attests)


def picture(repository: str, *stored: Stored) -> Picture:
    return Picture(
        repository=repository, taken=NOW, tags={one.digest: one.digest for one in stored},
        manifests={one.digest: one for one in stored},
    )  # fmt: skip


BASE = picture("r/base", image("old", "a"), image("new", "b"), image("empty"), image("wide", "a", "z"))


def parents(*kept: Stored) -> set[str]:
    built = Built()
    built.add(picture("r/app", *kept), {one.digest: f"r/app:{one.digest}" for one in kept})
    return {use.reference.removeprefix("r/base@") for use in built.parents(BASE, BASE.tags.values(), ["r/app"])}


def test_a_child_has_all_layers_of_its_parent() -> None:
    assert parents(image("app", "a", "c")) == {"old"}
    assert parents(image("app", "a", "c"), image("other", "b", "c")) == {"old", "new"}
    assert parents(image("app", "c")) == set()
    assert parents(image("app", "z", "c")) == set(), "some layers are not enough"


def test_a_child_without_layers_of_its_own() -> None:
    assert parents(image("app", "b")) == {"new"}


def test_who_is_built_on_it_is_said() -> None:
    built = Built()
    built.add(picture("r/app", image("app", "a")), {"app": "r/app:1.2"})
    (use,) = built.parents(BASE, ["old"], ["r/app"])
    assert use.where == "r/app:1.2, which is built on it"


def test_an_index_is_built_on_the_parents_of_its_platforms() -> None:
    platforms = (image("amd64", "a", "c"), image("arm64", "b", "c"))
    built = Built()
    built.add(picture("r/app", *platforms, index("app", "amd64", "arm64")), {"app": "r/app:1"})
    assert {use.reference for use in built.parents(BASE, ["old", "new", "empty"], ["r/app"])} == {
        "r/base@old",
        "r/base@new",
    }


def test_an_index_is_a_parent_by_one_of_its_platforms() -> None:
    shelf = picture("r/base", image("amd64", "a"), image("arm64", "b"), index("both", "amd64", "arm64"))
    built = Built()
    built.add(picture("r/app", image("app", "b", "c")), {"app": "r/app:1"})
    assert [use.reference for use in built.parents(shelf, ["both"], ["r/app"])] == ["r/base@both"]


def test_an_attestation_is_no_parent() -> None:
    shelf = picture("r/base", image("amd64", "x"), image("said", "b"), index("both", "amd64", attestation="said"))
    built = Built()
    built.add(picture("r/app", image("app", "b", "c")), {"app": "r/app:1"})
    assert built.parents(shelf, ["both"], ["r/app"]) == ()


def test_only_repositories_of_children_count() -> None:
    built = Built()
    built.add(picture("r/app", image("app", "a", "c")), {"app": "r/app:1"})
    assert built.parents(BASE, ["old"], ["r/other"]) == ()


def test_the_same_image_elsewhere_is_no_child() -> None:
    built = Built()
    built.add(picture("r/copy", image("old", "a")), {"old": "r/copy:1"})
    assert built.parents(BASE, ["old"], ["r/copy"]) == ()


def test_within_one_repository_a_child_has_more() -> None:
    one = picture("r/one", image("base", "a"), image("labelled", "a"), image("app", "a", "b"))
    built = Built()
    built.add(one, {"labelled": "r/one:labelled"})
    assert built.parents(one, ["base"], ["r/one"]) == (), "only its labels differ"
    built.add(one, {"app": "r/one:app"})
    assert [use.where for use in built.parents(one, ["base"], ["r/one"])] == ["r/one:app, which is built on it"]
