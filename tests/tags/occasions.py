"""Images and occasions for the tests of names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import yaml

from imagewright.config.tags_models import Tags
from imagewright.events.ci import read_event
from imagewright.events.event import Event
from imagewright.tags.model import Occasion

if TYPE_CHECKING:
    from imagewright.tags.model import Naming

HEAD = "0123456789abcdef0123456789abcdef01234567"
MERGE = "f" * 40
DATE = "20251121"


@dataclass(frozen=True, kw_only=True)
class AnImage:
    """What `imagewright.tags.image.Named` asks for."""

    name: str = "app"
    repository: str = "ghcr.io/me/app"
    layer: str | None = None
    version: str | None = None
    publishes: tuple[str, ...] = ()
    alias_strategy: Literal["parts", "semver", "none"] | None = None
    own_tag: str | None = None
    variant_suffixes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    is_latest: bool = False


def member(tag: str, *aliases: str, is_latest: bool = False) -> AnImage:
    return AnImage(
        name=f"python:{tag}",
        repository="ghcr.io/me/python",
        version=tag,
        own_tag=tag,
        aliases=aliases,
        publishes=(tag, *aliases),
        is_latest=is_latest,
        variant_suffixes=("-semantic",),
    )


def settings(text: str = "") -> Tags:
    return Tags.model_validate(yaml.safe_load(text) or {})


def at(event: Event, *, commit: str | None = HEAD, dirty: bool = False) -> Occasion:
    return Occasion(event=event, commit=commit, dirty=dirty, date=DATE)


def tags(naming: Naming) -> list[str]:
    return [one.tag for one in naming.tags]


def withheld(naming: Naming) -> dict[str, str]:
    return {one.tag: one.why for one in naming.withheld}


def local(branch: str | None = "main", default: str | None = "main", tag: str | None = None) -> Event:
    return Event(kind="local", host="local", branch=branch, default_branch=default, tag=tag)


def github(name: str, ref: str, payload: dict[str, Any] | None = None) -> Event:
    """As a workflow run reads it; the file has the shape of GitHub's own."""
    repository = {"default_branch": "main", "full_name": "me/images"}
    content = json.dumps({"repository": repository, **(payload or {})}).encode()
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": "/event.json"}
    return read_event(environ | {"GITHUB_SHA": HEAD, "GITHUB_REF": ref}, {"/event.json": content}.__getitem__)


def push(branch: str = "main") -> Event:
    return github("push", f"refs/heads/{branch}", {"before": "0" * 40, "forced": False})


def tagged(tag: str) -> Event:
    return github("push", f"refs/tags/{tag}", {"before": "0" * 40, "forced": False})


def pull_request(branch: str = "feature/a", *, fork: str = "me/images") -> Event:
    head = {"ref": branch, "sha": HEAD, "repo": {"full_name": fork}}
    base = {"ref": "main", "sha": "b" * 40, "repo": {"full_name": "me/images"}}
    event = github("pull_request", "refs/pull/7/merge", {"pull_request": {"number": 7, "head": head, "base": base}})
    assert event.kind == "pull-request"
    return event


def gitlab(source: str, **variables: str) -> Event:
    environ = {"GITLAB_CI": "true", "CI_PIPELINE_SOURCE": source, "CI_COMMIT_SHA": HEAD, "CI_DEFAULT_BRANCH": "main"}
    return read_event(environ | variables, dict[str, bytes]().__getitem__)
