from __future__ import annotations

import json
from typing import Any

import pytest

from imagewright.builds.failure import Failure
from imagewright.builds.result import ImageResult, Status, exit_code, to_json


def made_result(name: str, status: Status = "built", **values: Any) -> ImageResult:
    defaults = {"reference": f"localhost:5050/{name}:dev", "digest": None, "platforms": ("linux/amd64",)}
    return ImageResult(name=name, status=status, tags=(f"localhost:5050/{name}:dev",), **{**defaults, **values})


BROKEN = Failure(kind="run", image="app", message="failed", detail="")
AWAY = Failure(kind="unreachable", image="app", message="away", detail="")


def test_the_json_contract() -> None:
    result = made_result(
        "app",
        digest="sha256:12",
        seconds=4.21,
        cached_steps=3,
        steps=5,
        log="/l",
        sizes={"linux/amd64": 7},
        growth=-1,
        why="a.txt: changed",
    )
    document = to_json([result], seconds=12.34567)
    assert json.loads(json.dumps(document)) == {
        "schema": 1,
        "ok": True,
        "seconds": 12.346,
        "images": [
            {
                "name": "app",
                "status": "built",
                "reference": "localhost:5050/app:dev",
                "digest": "sha256:12",
                "platforms": ["linux/amd64"],
                "tags": ["localhost:5050/app:dev"],
                "unpublished": [],
                "sizes": {"linux/amd64": 7},
                "growth": -1,
                "why": "a.txt: changed",
                "seconds": 4.21,
                "cached_steps": 3,
                "steps": 5,
                "log": "/l",
                "error": None,
                "because": None,
            }
        ],
    }


def test_a_failure_is_told_in_the_json() -> None:
    results = [
        made_result("app", "failed", failure=BROKEN),
        made_result("web", "skipped", because="parent app failed"),
    ]
    document = to_json(results, seconds=1)
    assert document["ok"] is False
    assert [(image["error"], image["because"]) for image in document["images"]] == [
        ("app: failed", None),
        (None, "parent app failed"),
    ]


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([], 0),
        ([made_result("a"), made_result("b", "reused"), made_result("c", "skipped")], 0),
        ([made_result("a"), made_result("b", "failed", failure=BROKEN)], 1),
        ([made_result("a", "failed", failure=AWAY), made_result("b", "skipped", because="parent a failed")], 3),
        ([made_result("a", "failed", failure=AWAY), made_result("b", "failed", failure=BROKEN)], 1),
    ],
)
def test_the_exit_code(results: list[ImageResult], code: int) -> None:
    assert exit_code(results) == code
