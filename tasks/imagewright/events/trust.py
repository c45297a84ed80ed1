"""Whose run this is: whether it may move what users pull."""

from __future__ import annotations

from imagewright.events.event import Event


def restriction(event: Event) -> str | None:
    """Why this run may not move what belongs to the default branch and to releases; None where it may.

    The text is for people, and can stand before a verb: "pull request #7", "the branch x (the default one is main)".
    What a CI does not say is restricted; on a person's own machine, what nobody can know is not.
    """
    if event.kind == "pull-request":
        name = f"pull request #{event.pull_request}" if event.pull_request is not None else "a pull request"
        return f"{name}{' of a fork' if event.is_fork else ''}"
    if event.kind == "merge-group":
        return "a merge queue's trial"
    if event.kind == "unreadable":
        return "a run of which nothing is known"
    if event.tag is not None:
        return None
    if event.branch is not None and event.default_branch is not None:
        if event.branch == event.default_branch:
            return None
        return f"the branch {event.branch} (the default one is {event.default_branch})"
    if event.host == "local":
        return None
    return "a run of no branch" if event.branch is None else "a run whose default branch is not known"
