"""Which CI this is, if any, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from imagewright.events.event import Event, Host
from imagewright.events.facts import MalformedEventError


def read_event(environ: Mapping[str, str], read_file: Callable[[str], bytes]) -> Event:
    """The event that the environment tells of; "local" outside of GitHub Actions and GitLab CI.

    `read_file` gives a file's content or raises OSError. An event that cannot be understood raises nothing: it is
    "unreadable", with the reason, so that everything is built.
    """
    host: Host = "local"
    try:
        if environ.get("GITHUB_ACTIONS") == "true":
            host = "github"
            from imagewright.events import github

            return github.read(environ, read_file)
        if environ.get("GITLAB_CI") == "true":
            host = "gitlab"
            from imagewright.events import gitlab

            return gitlab.read(environ)
    except MalformedEventError as error:
        return Event(kind="unreadable", host=host, problem=str(error))
    return Event(kind="local", host=host)
