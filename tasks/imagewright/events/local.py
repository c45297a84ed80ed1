"""What the local git state says, and what the command line says in its place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast, get_args

from imagewright.errors import UsageError
from imagewright.events.event import Event, Kind
from imagewright.events.trust import restriction

if TYPE_CHECKING:
    from imagewright.tools.git import Repository

_HEADS, _REMOTES = "refs/heads/", "refs/remotes/"
_USUAL = ("main", "master")
_VERSION = re.compile(r"[vV]?([0-9]+(?:\.[0-9]+)*)")
_REF_NAME = re.compile(r"(?![-/.])(?!.*(?:\.\.|//|@\{|/\.|\.lock(?:/|$)))[^\x00-\x20\x7f~^:?*\[\\]+(?<![/.])")


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """What the command line says about the run: `--event`, `--branch`, `--git-tag`."""

    event: str | None = None
    branch: str | None = None
    git_tag: str | None = None


def local_event(repository: Repository | None) -> Event:
    """The event of a run outside of a CI: the branch that is checked out, or the tag, and the default branch.

    The default branch is what the remote's HEAD was when it was cloned, else its main or master; without a remote
    main or master, or the only branch that there is. Two processes, a third for a detached head.
    """
    if repository is None:
        return Event(kind="local", host="local")
    branch = repository.branch()
    layout = "--format=%(refname) %(symref)"
    patterns = (f"{_REMOTES}*/HEAD", *(f"{_REMOTES}*/{name}" for name in _USUAL), _HEADS.rstrip("/"))
    lines = repository.run("for-each-ref", layout, *patterns).text.splitlines()
    refs = {ref: target for ref, _, target in (line.partition(" ") for line in lines)}
    tag = None
    if branch is None:
        tag = _best(repository.run("tag", "--list", "--points-at", "HEAD").text.splitlines())
    return Event(kind="local", host="local", branch=branch, tag=tag, default_branch=_default_branch(refs, branch))


def given_event(read: Event, by_hand: ByHand | None) -> Event:
    """The event, with what was said by hand over what was read.

    UsageError: no such kind, a name that git would refuse, options that contradict each other, and words that would
    let a CI's pull request, fork or feature branch move what the CI would not let it move.
    """
    if by_hand is None or by_hand == ByHand():
        return read
    for option, name in (("--branch", by_hand.branch), ("--git-tag", by_hand.git_tag)):
        if name is not None and not _REF_NAME.fullmatch(name):
            raise UsageError(f"{option}: git allows no name {name!r}", hint="its short name, such as `main` or `v1.2`")
    if by_hand.branch is not None and by_hand.git_tag is not None:
        raise UsageError("--branch and --git-tag: a run is about one of them", hint="leave one out")
    event = _with(read, by_hand)
    if read.host != "local" and (held := restriction(read)) and not restriction(event):
        where = {"github": "GitHub", "gitlab": "GitLab"}.get(read.host, read.host)
        raise UsageError(
            f"{where} says that this is {held}: the command line cannot say otherwise",
            hint="run it on the default branch, or for a tag",
        )
    return event


def _with(read: Event, by_hand: ByHand) -> Event:
    kinds = get_args(Kind)
    if by_hand.event is not None and (by_hand.event not in kinds or by_hand.event == "unreadable"):
        known = ", ".join(kind for kind in kinds if kind != "unreadable")
        raise UsageError(f"--event: there is no event `{by_hand.event}`", hint=f"one of {known}")
    kind = cast("Kind", by_hand.event) if by_hand.event else read.kind
    branch, tag = read.branch, read.tag
    if by_hand.git_tag is not None:
        kind = kind if by_hand.event else "tag"
        branch, tag = None, by_hand.git_tag
    elif by_hand.branch is not None:
        kind = "push" if kind == "tag" and not by_hand.event else kind
        branch, tag = by_hand.branch, None
    elif by_hand.event in ("push", "pull-request", "merge-group"):
        tag = None
    if kind == "tag" and tag is None:
        raise UsageError("--event tag: no tag is checked out", hint="say which one: --git-tag v1.2.3")
    if kind == "push" and branch is None:
        raise UsageError(f"--event {kind}: no branch is checked out", hint="say which one: --branch main")
    return replace(read, kind=kind, branch=None if kind == "tag" else branch, tag=tag)


def _default_branch(refs: dict[str, str], current: str | None) -> str | None:
    """As `changes.git_history` finds it, from what is here: a fork's clone calls what it comes from `upstream`."""
    remotes = {ref.split("/")[2] for ref in refs if ref.startswith(_REMOTES)}
    known = {"upstream", "origin"} & remotes or (remotes if len(remotes) == 1 else set[str]())
    remote = max(known, default=None)  # upstream rather than origin
    if remote is not None:
        start = f"{_REMOTES}{remote}/"
        head = refs.get(f"{start}HEAD", "").removeprefix(start)
        return head or next((name for name in _USUAL if start + name in refs), None)
    branches = [ref.removeprefix(_HEADS) for ref in refs if ref.startswith(_HEADS)] or [current or ""]
    usual = next((name for name in _USUAL if name in branches), None)
    return usual or (branches[0] if len(branches) == 1 and branches[0] else None)


def _best(tags: Iterable[str]) -> str | None:
    """Of several at one commit (v1, v1.2, v1.2.3) the longest of the highest version, else the last by name."""

    def order(tag: str) -> tuple[bool, tuple[int, ...], str]:
        found = _VERSION.match(tag)
        whole = found is not None and found.end() == len(tag)
        return whole, tuple(map(int, found[1].split("."))) if found else (), tag

    return max(tags, key=order, default=None)
