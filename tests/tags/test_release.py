"""What a release may not take from a newer one that the registry has."""

from __future__ import annotations

import pytest

from imagewright.tags.model import Naming, Tag
from imagewright.tags.release import held_back, settle_naming

PROTECTED = ("latest", "stable", "*-stable")


def naming(version: str, *aliases: str, moving: tuple[str, ...] = ("latest", "main")) -> Naming:
    return Naming(
        tags=(
            Tag(tag=version, kind="version", rule="version", why="", version=version),
            *(Tag(tag=alias, kind="alias", rule="version", why="", version=version) for alias in aliases),
            *(Tag(tag=tag, kind="moving", rule="latest", why="") for tag in moving),
            Tag(tag="sha-0123456", kind="fixed", rule="commit", why=""),
        )
    )


def tags(found: Naming) -> list[str]:
    return [tag.tag for tag in found.tags]


def settled(wanted: Naming, *published: str, prefix: str = "", allow_downgrade: bool = False) -> Naming:
    return settle_naming(
        wanted, published, strategy="parts", protected=PROTECTED, prefix=prefix, allow_downgrade=allow_downgrade
    )


def test_a_new_version_takes_everything() -> None:
    wanted = naming("1.3.0", "1.3", "1")
    assert settled(wanted, "1.2.9", "1.2", "1", "latest", "main") == wanted
    assert settled(wanted) == wanted


def test_a_patch_to_an_old_line_takes_that_line_only() -> None:
    found = settled(naming("1.2.5", "1.2", "1"), "1.2.4", "1.10.0", "1.10", "1", "latest")
    assert tags(found) == ["1.2.5", "1.2", "main", "sha-0123456"]
    assert {(one.tag, one.why) for one in found.withheld} == {
        ("1", "1.10.0 is newer than 1.2.5"),
        ("latest", "1.10.0 is newer than 1.2.5"),
    }


def test_in_a_shared_repository_only_its_own_tags_count() -> None:
    wanted = naming("base-1.1.5", "base-1.1", "base-1", moving=("base-latest",))
    found = settled(wanted, "base-1.2.0", "2.0.0", "tooling-3.0.0", prefix="base-")
    assert tags(found) == ["base-1.1.5", "base-1.1", "sha-0123456"]
    assert settled(wanted, "1.2.0", "tooling-3.0.0", prefix="base-") == wanted


def test_a_downgrade_can_be_asked_for() -> None:
    wanted = naming("1.2.5", "1.2", "1")
    assert settled(wanted, "1.10.0", allow_downgrade=True) == wanted


def test_a_pre_release_never_becomes_latest_where_there_is_a_release() -> None:
    wanted = naming("2.0.0-rc1")
    assert "latest" not in tags(settled(wanted, "1.0.0"))
    assert "latest" in tags(settled(wanted, "sha-abcdef0", "20251121"))


@pytest.mark.parametrize("tag", ["latest", "tooling-stable"])
def test_what_was_given_by_hand_is_kept(tag: str) -> None:
    by_hand = Naming(
        tags=(
            Tag(tag="1.0.0", kind="version", rule="given", why="", version="1.0.0"),
            Tag(tag=tag, kind="moving", rule="given", why=""),
        )
    )
    assert tags(settled(by_hand, "1.1.0")) == ["1.0.0", tag]
    assert held_back(by_hand, "older") == by_hand


def test_what_is_held_back_is_all_that_follows_a_branch() -> None:
    found = held_back(naming("1.3.0", "1.3", "1"), "it is of a newer commit")
    assert tags(found) == ["1.3.0", "1.3", "1", "sha-0123456"]
    assert {one.tag for one in found.withheld} == {"latest", "main"}
