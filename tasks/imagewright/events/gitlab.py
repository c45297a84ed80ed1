"""GitLab CI: https://docs.gitlab.com/ci/variables/predefined_variables/."""

from __future__ import annotations

from collections.abc import Mapping

from imagewright.events.event import Event, Kind
from imagewright.events.facts import Facts, MalformedEventError


def read(environ: Mapping[str, str]) -> Event:
    """The event of this pipeline; MalformedEventError where a variable cannot be what it is."""
    name = environ.get("CI_PIPELINE_SOURCE", "")
    if not name:
        raise MalformedEventError("CI_PIPELINE_SOURCE is not set")
    facts = Facts(environ)
    # A child pipeline of a merge request's is a "parent_pipeline" that has the merge request's variables.
    if name == "merge_request_event" or environ.get("CI_MERGE_REQUEST_IID"):
        return _merge_request(name, facts)
    if name == "external_pull_request_event":
        return _external_pull_request(name, facts)
    tag = facts.variable("tag", "CI_COMMIT_TAG")
    branch = facts.variable("branch", "CI_COMMIT_BRANCH")
    kind: Kind = "manual"
    if name == "push":
        kind = "tag" if tag else "push"
    elif name == "schedule":
        kind = "schedule"
    return Event(
        kind=kind,
        host="gitlab",
        name=name,
        commit=facts.commit_variable("commit", "CI_COMMIT_SHA"),
        branch=branch,
        tag=tag,
        default_branch=facts.variable("default_branch", "CI_DEFAULT_BRANCH"),
        before=facts.commit_variable("before", "CI_COMMIT_BEFORE_SHA") if kind == "push" else None,
        origins=facts.origins,
    )


def _merge_request(name: str, facts: Facts) -> Event:
    source = facts.variable("is_fork", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID")
    return Event(
        kind="pull-request",
        host="gitlab",
        name=name,
        commit=facts.commit_variable("commit", "CI_COMMIT_SHA"),
        branch=facts.variable("branch", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"),
        default_branch=facts.variable("default_branch", "CI_DEFAULT_BRANCH"),
        pull_request=facts.number_variable("pull_request", "CI_MERGE_REQUEST_IID"),
        is_fork=source != facts.variable("is_fork", "CI_MERGE_REQUEST_PROJECT_ID"),
        head=facts.commit_variable("head", "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA"),
        target_branch=facts.variable("target_branch", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME"),
        target=facts.commit_variable("target", "CI_MERGE_REQUEST_TARGET_BRANCH_SHA"),
        base=facts.commit_variable("base", "CI_MERGE_REQUEST_DIFF_BASE_SHA"),
        origins=facts.origins,
    )


def _external_pull_request(name: str, facts: Facts) -> Event:
    branch = facts.variable("branch", "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME")
    source = facts.variable("is_fork", "CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY")
    return Event(
        kind="pull-request",
        host="gitlab",
        name=name,
        commit=facts.commit_variable("commit", "CI_COMMIT_SHA"),
        branch=branch,
        default_branch=facts.variable("default_branch", "CI_DEFAULT_BRANCH"),
        pull_request=facts.number_variable("pull_request", "CI_EXTERNAL_PULL_REQUEST_IID"),
        is_fork=source != facts.variable("is_fork", "CI_EXTERNAL_PULL_REQUEST_TARGET_REPOSITORY"),
        head=facts.commit_variable("head", "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA"),
        target_branch=facts.variable("target_branch", "CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME"),
        target=facts.commit_variable("target", "CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_SHA"),
        origins=facts.origins,
    )
