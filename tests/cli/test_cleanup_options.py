from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from imagewright.cli.cleanup_options import Wishes, mode_of, wishes
from imagewright.errors import UsageError

NOTHING: dict[str, Any] = {
    "apply": None, "undo": None, "verify": False, "plan": None, "dry_run": False, "yes": False
}  # fmt: skip


def test_what_is_read() -> None:
    found = wishes(
        keep="10",
        keep_younger="2w",
        sort="version",
        protect=["v*", "sha256:" + "a" * 64],
        only=["pr-*"],
        max_delete="5",
        max_share="30%",
        repositories=["ghcr.io/me/app", "me/tool", "ghcr.io/me/app"],
    )
    assert found.given.keep == 10
    assert found.given.younger == timedelta(days=14)
    assert found.given.sort == "version"
    assert found.given.protect == ("v*", "sha256:" + "a" * 64)
    assert found.given.only == ("pr-*",)
    assert (found.given.max_delete, found.given.max_share) == (5, 0.3)
    assert found.repositories == ("ghcr.io/me/app", "docker.io/me/tool")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keep": "0"}, "--allow-keep-zero"),
        ({"keep": "-1"}, "--keep takes a whole number, not `-1`"),
        ({"keep": "1.5"}, "whole number"),
        ({"keep": "ten"}, "whole number"),
        ({"keep": ""}, "whole number"),
        ({"keep": "٣"}, "whole number"),
        ({"keep_younger": "7"}, "no length of time"),
        ({"keep_younger": "7m"}, "minutes are `min`"),
        ({"keep_younger": "0d"}, "no time at all"),
        ({"sort": "name"}, "--sort takes `date`, `version`, `parts`"),
        ({"protect": ["rel ease"]}, "--protect: "),
        ({"protect": ["sha256:abc"]}, "no whole digest"),
        ({"only": [""]}, "--only: "),
        ({"only": ["[a-"]}, "--only: "),
        ({"max_delete": "many"}, "--max-delete takes a whole number"),
        ({"max_share": "1.5"}, "--max-share takes a number from 0 to 1"),
        ({"max_share": "150%"}, "--max-share"),
        ({"max_share": "nan"}, "--max-share"),
        ({"repositories": ["ghcr.io/me/app:1"]}, "takes no tag"),
        ({"repositories": ["ghcr.io/Me/App"]}, "--repository: "),
        ({"in_use": [""]}, "take a path"),
        ({"policy": ""}, "take a path"),
    ],
)
def test_what_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(")) as raised:
        wishes(**options)
    assert raised.value.exit_code == 2


def test_keep_zero_if_that_is_meant() -> None:
    assert wishes(keep="0", allow_keep_zero=True).given.keep == 0


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        ({}, "clean"),
        ({"dry_run": True, "yes": True}, "clean"),
        ({"plan": "p"}, "save"),
        ({"apply": "p", "yes": True}, "apply"),
        ({"undo": "j"}, "undo"),
        ({"verify": True}, "verify"),
        ({"verify": True, "apply": "p"}, "verify"),
    ],
)
def test_what_is_to_be_done(options: dict[str, Any], mode: str) -> None:
    assert mode_of(Wishes(), **{**NOTHING, **options}) == mode


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ({}, {"apply": "p", "undo": "j"}),
        ({}, {"apply": "p", "plan": "q"}),
        ({}, {"plan": "p", "yes": True}),
        ({}, {"verify": True, "yes": True}),
        ({}, {"verify": True, "undo": "j"}),
        ({}, {"apply": ""}),
        ({"keep": "3"}, {"apply": "p"}),
        ({"keep": "3"}, {"undo": "j"}),
        ({"protect": ["x"]}, {"verify": True}),
        ({"in_use": ["x"]}, {"undo": "j"}),
        ({"repositories": ["ghcr.io/me/app"]}, {"apply": "p"}),
    ],
)
def test_what_contradicts(words: dict[str, Any], options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        mode_of(wishes(**words), **{**NOTHING, **options})


def test_a_plan_is_carried_out_with_a_look_at_what_is_in_use() -> None:
    assert mode_of(wishes(in_use=["deploy"]), **{**NOTHING, "apply": "p"}) == "apply"
