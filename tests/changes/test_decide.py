"""The reasons: which kind, which file, which line, and the chain of parents."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from imagewright.changes.decide import Against, Decision, decide, differences, removed
from imagewright.changes.reason import Reason
from tests.changes.states import LAYERED, snapshot


def compare(
    before: Mapping[str, str],
    after: Mapping[str, str],
    forced: Mapping[str, str] | None = None,
    modes: Mapping[str, str] | None = None,
) -> Mapping[str, Decision]:
    state = Against(snapshot=snapshot(before), why="")
    return decide(snapshot(after, modes), lambda _: (state,), forced=forced)


def kinds(found: Mapping[str, Decision]) -> dict[str, list[tuple[str, str | None]]]:
    return {name: [(r.kind, r.path or r.parent) for r in one.reasons] for name, one in found.items() if one.changed}


def test_nothing_changed() -> None:
    assert kinds(compare(LAYERED, LAYERED)) == {}


def test_a_file_with_the_line_that_makes_it_an_input_and_what_follows() -> None:
    found = compare(LAYERED, LAYERED | {"base.txt": "2"})
    assert kinds(found) == {
        "base": [("file", "base.txt")],
        "tooling": [("parent", "base")],
        "app": [("parent", "tooling")],
    }
    assert found["base"].reasons[0] == Reason(
        kind="file", path="base.txt", line=2, detail="modified; COPY base.txt (Dockerfiles/Dockerfile.base:2)"
    )
    assert found["tooling"].reasons[0].line == 1
    assert list(found) == ["base", "other", "tooling", "app"]


@pytest.mark.parametrize(
    ("after", "kind", "path", "detail"),
    [
        ({"shared/b": "1"}, "file", "shared/b", "added; COPY shared"),
        ({"Dockerfiles/Dockerfile.other": "FROM debian\nCOPY  shared /x/\n"}, "dockerfile",
         "Dockerfiles/Dockerfile.other", "modified"),
        ({"Dockerfiles/Dockerfile.other.dockerignore": "x\n"}, "ignore-file",
         "Dockerfiles/Dockerfile.other.dockerignore", "added"),
        ({"config/images.yml": "images:\n  other: {build_args: {A: '1'}}\n"}, "config", "config/images.yml",
         "build_args.A: nothing became `1`"),
        ({"config/images.yml": "images:\n  other: {target: x}\n",
          "Dockerfiles/Dockerfile.other": "FROM debian AS x\nCOPY shared /x/\n"}, "config", "config/images.yml",
         "target: nothing became `x`"),
        ({"config/images.yml": "bases:\n  debian: {debootstrap: sid}\n"}, "config", "config/images.yml", "bases"),
        ({"config/images.yml": "images:\n  other: {paths: [app.txt]}\n"}, "config", "app.txt", "added; paths: app.txt"),
    ],
)  # fmt: skip
def test_kinds_of_reasons(after: dict[str, str], kind: str, path: str, detail: str) -> None:
    found = compare(LAYERED, LAYERED | after)["other"].reasons
    assert [r.detail for r in found if r.kind == kind and r.path == path and detail in r.detail], found


def test_a_file_that_is_gone_and_one_that_became_executable() -> None:
    without = {path: text for path, text in LAYERED.items() if path != "shared/a"} | {"shared/b": "1"}
    assert [r.detail.partition(";")[0] for r in compare(LAYERED, without)["other"].reasons] == ["removed", "added"]
    (reason,) = compare(LAYERED, LAYERED, modes={"shared/a": "100755"})["other"].reasons
    assert reason.detail.startswith("became executable")


def test_a_renamed_dockerfile_of_the_same_image_is_no_change() -> None:
    config = {"config/images.yml": "discover: ['Dockerfiles/Dockerfile.<name>', '<name>.Dockerfile']\n"}
    before = LAYERED | config | {"web.Dockerfile": "FROM debian\nCOPY shared /x/\n"}
    after = {path: text for path, text in before.items() if path != "web.Dockerfile"}
    after["Dockerfiles/Dockerfile.web"] = before["web.Dockerfile"]
    assert kinds(compare(before, after)) == {}
    more = kinds(compare(before, after | {"shared/a": "2"}))
    assert more["web"] == [("file", "shared/a")]


def test_added_and_removed_images() -> None:
    after = {path: text for path, text in LAYERED.items() if not path.endswith(".other")}
    after["Dockerfiles/Dockerfile.new"] = "FROM scratch\n"
    found = compare(LAYERED, after)
    assert kinds(found) == {"new": [("added", "Dockerfiles/Dockerfile.new")]}
    assert removed(snapshot(after), snapshot(LAYERED)) == ("other",)


def test_unknown_is_built_before_and_after() -> None:
    broken = LAYERED | {"Dockerfiles/Dockerfile.other": "COPPY\n"}
    assert kinds(compare(LAYERED, broken))["other"][0][0] == "unknown"
    assert kinds(compare(broken, LAYERED))["other"][0][0] == "unknown"
    assert kinds(compare(broken, broken))["other"][0][0] == "unknown"
    unreadable = Against(snapshot=None, why="its configuration is broken")
    found = decide(snapshot(LAYERED), lambda _: (unreadable,))
    assert {one.reasons[0].detail for one in found.values()} == {"its configuration is broken"}
    assert all(one.reasons[0].kind == "unknown" for one in found.values())


def test_forced_images_take_what_stands_on_them_along() -> None:
    found = compare(LAYERED, LAYERED, forced={"tooling": "--layer tooling"})
    assert kinds(found) == {"tooling": [("forced", None)], "app": [("parent", "tooling")]}


def test_a_parent_that_comes_or_goes() -> None:
    after = LAYERED | {"config/images.yml": 'images:\n  base: {repository: "{registry}/elsewhere"}\n'}
    reasons = compare(LAYERED, after)["tooling"].reasons
    assert [(r.kind, r.detail) for r in reasons] == [("parent", "is no longer built on base")]
    reasons = compare(after, LAYERED)["tooling"].reasons
    assert [r.detail for r in reasons] == ["is now built on base (Dockerfiles/Dockerfile.tooling:1)"]


def test_an_image_that_is_known_to_differ_changes_whatever_is_compared() -> None:
    differs = Reason(kind="unknown", detail="it differs from what is published")
    state = Against(snapshot=snapshot(LAYERED), why="", differs=differs)
    assert differences(snapshot(LAYERED), state, "app") == (differs,)
    assert [r.path for r in differences(snapshot(LAYERED | {"app.txt": "2"}), state, "app")] == ["app.txt"]


def test_several_states_each_count() -> None:
    one = Against(snapshot=snapshot(LAYERED | {"app.txt": "0"}), why="")
    other = Against(snapshot=snapshot(LAYERED | {"shared/a": "0"}), why="")
    found = decide(snapshot(LAYERED), lambda _: (one, other))
    assert kinds(found) == {"app": [("file", "app.txt"), ("file", "shared/a")], "other": [("file", "shared/a")]}
