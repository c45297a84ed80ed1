"""What to compare with: one commit, each image's published revision, the registry's state, or nothing at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from imagewright.changes.history import History, UnknownHistoryError
from imagewright.errors import UsageError
from imagewright.events.event import Event, Kind, is_full_id, is_zero_id

Source = Literal[
    "argument",
    "github-pr",
    "github-push",
    "gitlab-mr",
    "gitlab-push",
    "new-branch",
    "force-push",
    "merge-group",
    "tag",
    "schedule",
    "manual",
    "local",
    "registry",
    "everything",
]
Against = Literal["commit", "published", "registry", "everything"]

REGISTRY = "registry"  # of --since


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What decides whether an image has changed, and why that: `commit`, `source` and `why` are the plan's base.

    `against` says how:
    "commit"      all images with `commit`, which is here;
    "published"   each image with the revision that it was last published from (`for_images`), and those that the
                  registry knows no revision of with `commit`; with None, these are built;
    "registry"    each image's fingerprint with the one that its published image carries; no history is needed;
    "everything"  with nothing: every image is built.
    """

    commit: str | None  # a full id
    source: Source
    why: str  # one sentence, for people
    against: Against
    tag: str | None = None  # the git tag that `commit` was found by
    discarded: str | None = None
    """A commit that a force push took away, whose content may be published: what differs from it has changed too."""
    bases: bool = False
    """Of "registry": an image has changed, too, where an outside image that it was built on has another digest now."""


def choose(event: Event, history: History, *, head: str | None, since: str | None = None) -> Comparison:
    """The comparison for `head` (the full id of the commit that is to be built; None before the first commit).

    `since` overrules the event: a revision, or "registry". UsageError: it names no commit.
    """
    if since == REGISTRY:
        why = "asked for: each image's fingerprint is compared with that of the published image"
        return Comparison(commit=None, source="registry", why=why, against="registry")
    try:
        if since is not None:
            return _argument(since, history)
        if event.kind == "unreadable":
            return everything(f"the CI's event is not understood ({event.problem})")
        if head is None:
            return everything("there is no commit yet")
        return _RULES[event.kind](event, history, head)
    except UnknownHistoryError as error:
        return everything(str(error))


def everything(why: str) -> Comparison:
    """Every image is built, because of `why`."""
    return Comparison(
        commit=None, source="everything", why=f"everything counts as changed: {why}", against="everything"
    )


def for_images(
    comparison: Comparison, published: Mapping[str, str | None], history: History, *, head: str
) -> Mapping[str, Comparison]:
    """The comparison of each image; `published` gives, by name, the revision that it was last published from.

    That is the label org.opencontainers.image.revision of the published image, or None where it has none. Where it
    is an ancestor of `head` it is compared with: all that changed since the image's last success is found, whatever
    failed or was skipped in between. Where a force push took it away, it is the merge base. git is started a constant
    number of times, and once more for each revision that is no ancestor.
    """
    if comparison.against != "published":
        return dict.fromkeys(published, comparison)
    revisions = {revision for revision in published.values() if revision and is_full_id(revision)}
    missing = history.fetch(sorted(revisions))
    here = revisions - missing.keys()
    found: dict[str | None, Comparison] = {None: _unpublished(comparison)}
    for revision in sorted({revision for revision in published.values() if revision} - here):
        found[revision] = everything(f"the image was published from {_unusable(revision, missing)}")
    ancestors = history.ancestors(here, head)
    for revision in sorted(here):
        if revision in ancestors:
            why = f"the image was last published from {_short(revision)}"
            found[revision] = replace(comparison, commit=revision, why=why, against="commit", discarded=None)
        else:
            found[revision] = _not_an_ancestor(comparison, revision, history, head)
    return {name: found[revision or None] for name, revision in published.items()}


def _argument(since: str, history: History) -> Comparison:
    if is_zero_id(since):
        return everything("--since is all zeros, which is no commit")
    commit = history.resolve(since)
    if commit is None:
        raise UsageError(
            f"--since {since}: there is no such commit", hint="a branch, a tag, a commit, or the word registry"
        )
    named = "" if commit == since else f" ({_short(commit)})"
    return Comparison(commit=commit, source="argument", why=f"asked for: --since {since}{named}", against="commit")


def _pull_request(event: Event, history: History, head: str) -> Comparison:
    source: Source = "gitlab-mr" if event.host == "gitlab" else "github-pr"
    sign = "!" if event.host == "gitlab" else "#"
    title = f"pull request {sign}{event.pull_request}" if event.pull_request else "a pull request"
    if event.base:
        _need(history, event.base)
        why = f"{title}: the commit that GitLab names as its base ({_short(event.base)})"
        return Comparison(commit=event.base, source=source, why=why, against="commit")
    parents = history.parents(head)
    # The pull request's own last commit may be a merge too: its first parent is the commit before, not the target.
    if len(parents) == 2 and event.head is not None and parents[1] == event.head:
        _need(history, parents[0])
        why = f"{title}: the first parent of its merge commit ({_short(parents[0])})"
        return Comparison(commit=parents[0], source=source, why=why, against="commit")
    target = event.target
    if target is None or history.fetch([target]):
        branch = history.branch(event.target_branch) if event.target_branch else None
        if branch is None:
            return everything(f"{title}: the commit that it starts from is not known")
        target = branch.commit
    name = event.target_branch or _short(target)
    base = history.merge_base(target, head)
    if base is None:
        return everything(f"{title} has no commit in common with {name}")
    why = f"{title}: its merge base with {name} ({_short(base)})"
    if base == head:
        why += "; the target itself is checked out, not the pull request"
    return Comparison(commit=base, source=source, why=why, against="commit")


def _push(event: Event, history: History, head: str) -> Comparison:
    source: Source = "gitlab-push" if event.host == "gitlab" else "github-push"
    before = event.before
    if before is None:
        return _new_branch(event, history, head, "there is no commit before this push")
    missing = history.fetch([before])
    if missing and history.is_cut_off:
        return everything(f"the commit before this push ({_short(before)}) is not here: {missing[before]}")
    if missing:
        return _new_branch(event, history, head, f"the commit before this push ({_short(before)}) is unknown")
    # GitHub says whether the push was forced, so that no history is needed; otherwise only history tells.
    is_plain = event.host == "github" and not event.is_forced and event.commit == head
    base = before if is_plain else history.merge_base(before, head)
    if base is None:
        return replace(everything("a force push put an unrelated history in place"), against="published")
    if base == before:
        why = f"a push: the commit before it ({_short(before)}), unless an image was published from another"
        return Comparison(commit=before, source=source, why=why, against="published")
    why = f"a force push: the merge base with the commit before it ({_short(base)}), and what it discarded"
    return Comparison(commit=base, source="force-push", why=why, against="published", discarded=before)


def _new_branch(event: Event, history: History, head: str, because: str) -> Comparison:
    def nothing(why: str) -> Comparison:
        why = f"{because}, and {why}: everything counts as changed, unless the registry knows better"
        return Comparison(commit=None, source="new-branch", why=why, against="published")

    if not history.parents(head):
        return nothing("this is a root commit")
    if event.branch is None:
        return nothing("no branch is known")
    if event.branch == event.default_branch:
        # The merge base would be the commit itself, and nothing would be built.
        return nothing(f"{event.branch} is the default branch itself")
    default = history.default_branch(event.default_branch)
    if default is None or default.name == event.branch:
        return nothing("no other branch is known to compare with")
    base = history.merge_base(default.commit, head)
    if base is None:
        return nothing(f"none is shared with {default.name}")
    why = f"{because}: the merge base with {default.name} ({_short(base)})"
    return Comparison(commit=base, source="new-branch", why=why, against="published")


def _merge_group(event: Event, history: History, _head: str) -> Comparison:
    if event.base is None:
        return everything("the merge group names no base")
    _need(history, event.base)
    why = f"a merge group: its base ({_short(event.base)})"
    return Comparison(commit=event.base, source="merge-group", why=why, against="commit")


def _tag(event: Event, history: History, head: str) -> Comparison:
    title = f"the tag {event.tag}" if event.tag else "a tag"
    previous = history.previous_tag(head)
    if previous is None:
        why = f"{title} is the first one: everything counts as changed"
        return Comparison(commit=None, source="tag", why=why, against="everything")
    why = f"{title}: the tag before it, {previous.name} ({_short(previous.commit)})"
    return Comparison(commit=previous.commit, source="tag", why=why, against="commit", tag=previous.name)


def _registry_state(event: Event, _history: History, _head: str) -> Comparison:
    source: Source = "schedule" if event.kind == "schedule" else "manual"
    why = (
        f"{event.name} is about no commit: each image is compared with what is published, and the outside images "
        "that it was built on with what they are today"
    )
    return Comparison(commit=None, source=source, why=why, against="registry", bases=True)


def _local(_event: Event, history: History, head: str) -> Comparison:
    default = history.default_branch(None)
    base = history.merge_base(default.commit, head) if default else None
    if default is None or base is None:
        why = f"no commit is shared with {default.name}" if default else "no default branch is known"
    elif base == head and history.remote is None:
        # What is committed here is pushed nowhere: that does not say that it was built.
        why = f"there is no remote, and nothing but {default.name}"
    else:
        name = f"{history.remote}/{default.name}" if history.remote else default.name
        why = f"the merge base with {name} ({_short(base)}), and what is not committed"
        return Comparison(commit=base, source="local", why=why, against="commit")
    why += ": everything counts as changed, unless the registry knows better"
    return Comparison(commit=None, source="local", why=why, against="published")


def _unpublished(comparison: Comparison) -> Comparison:
    return replace(comparison, against="commit" if comparison.commit else "everything")


def _not_an_ancestor(comparison: Comparison, revision: str, history: History, head: str) -> Comparison:
    try:
        base = history.merge_base(revision, head)
    except UnknownHistoryError as error:
        return everything(f"the image was last published from {_short(revision)}: {error}")
    if base is None:
        return everything(f"the image was last published from {_short(revision)}, which has no commit in common")
    if base == revision:  # a shallow clone that was deepened meanwhile
        why = f"the image was last published from {_short(revision)}"
        return replace(comparison, commit=revision, why=why, against="commit", discarded=None)
    why = f"the image was last published from {_short(revision)}, which is no ancestor: the merge base ({_short(base)})"
    return replace(comparison, commit=base, why=why, against="commit", discarded=revision)


def _unusable(revision: str, missing: Mapping[str, str]) -> str:
    if revision in missing:
        return f"{_short(revision)}: {missing[revision]}"
    if is_full_id(revision.partition("-")[0]):
        return f"a work tree that differed from {_short(revision)}"
    return f"{revision!r}, which is no commit"


def _need(history: History, commit: str) -> None:
    missing = history.fetch([commit])
    if missing:
        raise UnknownHistoryError(f"{_short(commit)} is not here: {missing[commit]}")


def _short(commit: str) -> str:
    return commit[:7]


_RULES: Mapping[Kind, Callable[[Event, History, str], Comparison]] = {
    "push": _push,
    "tag": _tag,
    "pull-request": _pull_request,
    "merge-group": _merge_group,
    "schedule": _registry_state,
    "manual": _registry_state,
    "local": _local,
}
