"""GitHub Actions, and Gitea and Forgejo, which set the same variables.

https://docs.github.com/en/actions/reference/workflows-and-actions/variables
https://docs.github.com/en/webhooks/webhook-events-and-payloads (the event file)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from imagewright.events.event import Event, Kind
from imagewright.events.facts import Facts, MalformedEventError

_BRANCHES, _TAGS = "refs/heads/", "refs/tags/"


def read(environ: Mapping[str, str], read_file: Callable[[str], bytes]) -> Event:
    """The event of this workflow run; MalformedEventError where the event file is none."""
    name = environ.get("GITHUB_EVENT_NAME", "")
    if not name:
        raise MalformedEventError("GITHUB_EVENT_NAME is not set")
    payload = _payload(environ, read_file)
    facts = Facts(environ, payload)
    if name.startswith("pull_request") and "pull_request" in payload:
        return _pull_request(name, facts)
    if name == "merge_group":
        return _merge_group(name, environ.get("GITHUB_REF"), facts)
    ref = environ.get("GITHUB_REF")
    kind: Kind = "manual"
    if name in ("push", "create", "release"):
        if ref and ref.startswith(_TAGS):
            kind = "tag"
        elif name != "release":
            kind = "push"
    elif name == "schedule":
        kind = "schedule"
    if name == "push":
        if "before" not in payload:
            raise MalformedEventError("the event file of a push has no `before`")
        if facts.flag("kind", "deleted"):
            kind = "manual"
    return Event(
        kind=kind,
        host="github",
        name=name,
        commit=facts.commit_variable("commit", "GITHUB_SHA"),
        branch=_below(_BRANCHES, ref, facts, "branch"),
        tag=_below(_TAGS, ref, facts, "tag"),
        default_branch=facts.text("default_branch", "repository", "default_branch"),
        before=facts.commit("before", "before") if name == "push" else None,
        is_forced=facts.flag("is_forced", "forced") if name == "push" else False,
        origins=facts.origins,
    )


def _pull_request(name: str, facts: Facts) -> Event:
    source = facts.value("pull_request", "head", "repo", "full_name")
    facts.origins["is_fork"] = "the event file's pull_request.head.repo"
    return Event(
        kind="pull-request",
        host="github",
        name=name,
        commit=facts.commit_variable("commit", "GITHUB_SHA"),
        branch=facts.text("branch", "pull_request", "head", "ref"),
        default_branch=facts.text("default_branch", "repository", "default_branch"),
        pull_request=facts.number("pull_request", "pull_request", "number"),
        is_fork=source is None or source != facts.value("pull_request", "base", "repo", "full_name"),
        head=facts.commit("head", "pull_request", "head", "sha"),
        target_branch=facts.text("target_branch", "pull_request", "base", "ref"),
        target=facts.commit("target", "pull_request", "base", "sha"),
        origins=facts.origins,
    )


def _merge_group(name: str, ref: str | None, facts: Facts) -> Event:
    target = facts.text("target_branch", "merge_group", "base_ref")
    return Event(
        kind="merge-group",
        host="github",
        name=name,
        commit=facts.commit_variable("commit", "GITHUB_SHA"),
        branch=_below(_BRANCHES, ref, facts, "branch"),
        default_branch=facts.text("default_branch", "repository", "default_branch"),
        target_branch=target.removeprefix(_BRANCHES) if target else None,
        base=facts.commit("base", "merge_group", "base_sha"),
        origins=facts.origins,
    )


def _below(start: str, ref: str | None, facts: Facts, field: str) -> str | None:
    if ref is None or not ref.startswith(start):
        return None
    facts.origins[field] = "GITHUB_REF"
    return ref.removeprefix(start)


def _payload(environ: Mapping[str, str], read_file: Callable[[str], bytes]) -> Mapping[str, Any]:
    path = environ.get("GITHUB_EVENT_PATH", "")
    if not path:
        raise MalformedEventError("GITHUB_EVENT_PATH is not set")
    try:
        payload = json.loads(read_file(path))
    except OSError as error:
        raise MalformedEventError(f"the event file cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise MalformedEventError("the event file is no JSON") from error
    if not isinstance(payload, dict):
        raise MalformedEventError("the event file is no JSON object")
    return payload
