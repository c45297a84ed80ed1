"""A plan is carried out as it was shown, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from imagewright.cleanup import planfile
from imagewright.cleanup.model import RepositoryPlan
from imagewright.cleanup.plan import plan_repository
from imagewright.cleanup.planfile import load, plans_to_json, save
from imagewright.errors import ImagewrightError, UsageError
from tests.cleanup.pictures import NOW, World, digest, keeping
from tests.cleanup.test_invariants import Case, cases


def a_plan(**more: object) -> RepositoryPlan:
    world = World(lists_untagged=True)
    world.put("part", age=8)
    world.put("old", "1.0", kind="index", children=("part",), age=8)
    world.put("new", "2.0", "latest", age=1)
    world.put("lost", age=9)
    return plan_repository(world.picture(), keeping(1, protect=("x*",), **more), now=NOW, deletes_tags=True)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_what_is_saved_is_loaded(case: Case, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "plan.json"
    plans = (case.plan(),)
    save(path, plans)
    assert load(path) == plans
    assert path.read_text() == plans_to_json(plans)


def test_nothing_else_is_left_behind(tmp_path: Path) -> None:
    save(tmp_path / "plan.json", [a_plan(), replace(a_plan(max_share=0.0), repository="ghcr.io/me/other")])
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]
    assert load(tmp_path / "plan.json")[1].refused
    assert load(tmp_path / "plan.json")[0].unmatched == ("protect x*",)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ImagewrightError, match="the plan cannot be written: No such file"):
        save(tmp_path / "nowhere/plan.json", [])
    with pytest.raises(UsageError, match="the plan cannot be read: No such file"):
        load(tmp_path / "nowhere/plan.json")


def hashed(document: dict[str, Any]) -> str:
    """As somebody would write it who knows how the hash is made."""
    body = {key: value for key, value in document.items() if key != "hash"}
    return json.dumps({**body, "hash": planfile._hash(body)}, sort_keys=True, indent=1) + "\n"


def moved(change: Callable[[dict[str, Any]], None]) -> Callable[[str], str]:
    def changed(text: str) -> str:
        document = json.loads(text)
        change(document["repositories"][0])
        return hashed(document)

    return changed


def _keep_the_old(plan: dict[str, Any]) -> None:
    for verdict in plan["verdicts"]:
        verdict["keep"] = True
    plan["roots"]["1.0"] = digest("old")


@pytest.mark.parametrize(
    "change",
    [
        lambda _: "",
        lambda _: "[]",
        lambda _: "{}",
        lambda text: text[:-20],
        lambda text: text.replace('"1.0"', '"2.0"', 1),
        lambda text: text.replace('"keep": false', '"keep": true'),
        lambda text: text.replace("\n ", "\n  "),
        lambda text: text + " ",
        lambda text: text.replace('"schema": 1', '"schema": 2'),
        lambda text: text.replace('"freed": ', '"freed": 5, "freed": '),
        lambda text: hashed(json.loads(text) | {"schema": 2}),
        lambda text: hashed(json.loads(text) | {"more": 2}),
        lambda text: hashed(json.loads(text) | {"repositories": {}}),
        lambda text: hashed({key: value for key, value in json.loads(text).items() if key != "repositories"}),
        lambda _: "[" * 100_000,
        moved(lambda plan: plan.pop("roots")),
        moved(lambda plan: plan.update(roots=[])),
        moved(lambda plan: plan.update(more=1)),
        moved(lambda plan: plan.update(repository="ghcr.io/me/app:1")),
        moved(lambda plan: plan.update(repository="UPPER case")),
        moved(lambda plan: plan.update(freed=-1)),
        moved(lambda plan: plan.update(freed=True)),
        moved(lambda plan: plan.update(refused="no")),
        moved(lambda plan: plan.update(refused=0)),
        moved(lambda plan: plan.update(unmatched="x")),
        moved(lambda plan: plan["tags"].append("2.0")),
        moved(lambda plan: plan["tags"].append("1.0")),
        moved(lambda plan: plan["tags"].append("../x")),
        moved(lambda plan: plan["tags"].clear()),
        moved(lambda plan: plan["manifests"].append(digest("new"))),
        moved(lambda plan: plan["manifests"].append(plan["manifests"][0])),
        moved(lambda plan: plan["manifests"].append("sha256:0")),
        moved(lambda plan: plan["roots"].pop("latest")),
        moved(lambda plan: plan["roots"].update(latest=digest("old"))),
        moved(lambda plan: plan["verdicts"][0].update(keep=1)),
        moved(lambda plan: plan["verdicts"][0].update(dated="2026-01-01T00:00:00")),
        moved(lambda plan: plan["verdicts"][0].update(dated="yesterday")),
        moved(lambda plan: plan["verdicts"][0].update(size=None)),
        moved(lambda plan: plan["verdicts"][0].pop("size")),
        moved(lambda plan: plan["verdicts"].append(plan["verdicts"][0])),
        moved(lambda plan: plan["verdicts"].pop(0)),
        moved(_keep_the_old),
    ],
)
def test_a_plan_that_was_changed_is_refused(tmp_path: Path, change: Callable[[str], str]) -> None:
    path = tmp_path / "plan.json"
    save(path, [a_plan()])
    before = path.read_text()
    path.write_text(change(before))
    assert path.read_text() != before
    with pytest.raises(UsageError, match="this file is not carried out") as caught:
        load(path)
    assert caught.value.where == str(path)


def test_other_bytes_are_no_plan(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="it is no plan"):
        load(tmp_path / "plan.json")


def test_a_repository_stands_once(tmp_path: Path) -> None:
    save(tmp_path / "plan.json", [a_plan(), replace(a_plan(), repository="ghcr.io/me/other")])
    assert len(load(tmp_path / "plan.json")) == 2
    save(tmp_path / "plan.json", [a_plan(), a_plan()])
    with pytest.raises(UsageError, match="stands twice"):
        load(tmp_path / "plan.json")
