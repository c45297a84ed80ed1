"""The repository compared with an earlier state: what `changed`, `build-changed` and `why` have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from imagewright.builds.plan import Head
from imagewright.changes.base import Comparison, choose, everything, for_images
from imagewright.changes.decide import Against, Decision, decide, removed
from imagewright.changes.git_history import GitHistory
from imagewright.changes.places import find
from imagewright.changes.reason import Reason
from imagewright.changes.snapshot import Ground, Snapshot
from imagewright.cli.naming import Names
from imagewright.cli.project import Project, host_platform
from imagewright.cli.recording import adjusted
from imagewright.errors import EnvironmentMissingError, ImagewrightError, UsageError
from imagewright.events.ci import read_event
from imagewright.events.local import ByHand
from imagewright.tools.git import Change
from imagewright.tools.later import Later

if TYPE_CHECKING:
    from imagewright.builds.request import Request
    from imagewright.changes.published import Answer
    from imagewright.events.event import Event
    from imagewright.images.tree import Tree
    from imagewright.tools.git import Repository


_DIFFERS = Reason(kind="unknown", detail="it differs from what is published")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Every image of `head` decided upon, and what with."""

    comparison: Comparison
    base: Snapshot | None  # of the comparison's commit, where one was needed
    head: Head
    snapshot: Snapshot
    decisions: Mapping[str, Decision]
    against: Mapping[str, Sequence[Against]]
    removed: tuple[str, ...]
    names: Names
    event: Event


def compare(
    project: Project, asked: Request, *, since: str | None, head: str | None = None, forced: str | None = None
) -> Compared:
    """Compare the work tree (or the commit `head`) with the base that `since` or the environment chooses.

    `forced` is a layer whose images are built in any case. UsageError: no such revision, no such layer.
    """
    comparing = _Comparing(project, asked, since=since, head=head)
    comparing.look_ahead()
    snapshot = comparing.snapshot
    against = comparing.against()
    decisions = decide(snapshot, against.__getitem__, forced=_forced(project, snapshot, forced))
    return Compared(
        comparison=comparing.comparison,
        base=comparing.base,
        head=comparing.head,
        snapshot=snapshot,
        decisions=decisions,
        against=against,
        removed=removed(snapshot, comparing.base),
        names=comparing.names,
        event=comparing.event,
    )


class _Comparing:
    """One comparison, its parts read when they are first asked for."""

    def __init__(self, project: Project, asked: Request, *, since: str | None, head: str | None) -> None:
        self._project = project
        self._asked = asked
        self._since = since
        self._revision = head
        self._snapshots: dict[str, Against] = {}
        self._touched: dict[str, frozenset[str]] = {}  # by commit: the images that may differ from it
        self._between: dict[str, Later[tuple[Change, ...]]] = {}  # by commit: what differs between it and HEAD

    @cached_property
    def repository(self) -> Repository | None:
        return self._project.repository

    @cached_property
    def ground(self) -> Ground:
        return Ground(
            environ=self._project.environ,
            host_platform=host_platform(),
            cache=self._project.reading_cache,
            adjust=lambda image: adjusted(image, self._asked),
        )

    @cached_property
    def head(self) -> Head:
        if self._revision is None:
            return self._project.head
        commit = self.repository.commit(self._revision) if self.repository else None
        if commit is None:
            raise UsageError(f"--head {self._revision}: there is no such commit", hint="a branch, a tag or a commit")
        return Head(commit=commit.oid, time=commit.time, dirty=False)

    @cached_property
    def _commit(self) -> str | None:
        """That of `head`, without a wait until git has looked at the work tree."""
        if self._revision is not None:
            return self.head.commit
        return self._project.checked_out.oid if self._project.checked_out else None

    @cached_property
    def event(self) -> Event:
        """Not the project's own: what a person's work tree is compared with does not depend on its branch."""
        if self._project.by_hand != ByHand():
            return self._project.event
        return read_event(self._project.environ, _read_file)

    @cached_property
    def history(self) -> GitHistory:
        return GitHistory(self._git, self.event, self._project.say)

    @property
    def _git(self) -> Repository:
        """The repository, where there is known to be one: without it there is no commit to ask about."""
        assert self.repository is not None  # noqa: S101
        return self.repository

    def _tree(self, commit: str) -> Tree:
        from imagewright.images.tree import tree_at

        return tree_at(self._git, commit)

    @cached_property
    def names(self) -> Names:
        return Names(self._project, all_given=self._asked.tags)

    @cached_property
    def comparison(self) -> Comparison:
        if self.repository is None and self._since != "registry":
            return everything("this is no git repository")
        if self.repository is None:
            return Comparison(commit=None, source="registry", why="asked for: --since registry", against="registry")
        return choose(self.event, self.history, head=self._commit, since=self._since)

    def look_ahead(self) -> None:
        """Have git compare the commits while the images are read."""
        commit = self.comparison.commit if self.comparison.against == "commit" else None
        if commit:
            self._between[commit] = Later(partial(self._git.changes, commit, self._commit or "HEAD"))

    @cached_property
    def snapshot(self) -> Snapshot:
        """Of what is to be built."""
        if self._is_worktree or self.head.commit is None:
            return self._project.snapshot(self.ground.adjust)
        return Snapshot.of_tree(self._tree(self.head.commit), self.ground)

    @property
    def _is_worktree(self) -> bool:
        return self._revision is None or self.head.commit is None

    @property
    def base(self) -> Snapshot | None:
        commit = self.comparison.commit
        return self._at(commit, "").snapshot if commit else None

    def against(self) -> Mapping[str, Sequence[Against]]:
        """What each image is compared with; nothing where it is known to be unchanged."""
        names = tuple(self.snapshot.images)
        match self.comparison.against:
            case "everything":
                return dict.fromkeys(names, (Against(snapshot=None, why=self.comparison.why),))
            case "commit":
                return {name: self._states(self.comparison, name) for name in names}
            case "published" | "registry":
                return self._published(names)

    def _states(self, comparison: Comparison, name: str) -> tuple[Against, ...]:
        """What an image is compared with; nothing where it is known to be the same."""
        if comparison.commit is None:
            return (Against(snapshot=None, why=comparison.why),)
        commits = (comparison.commit, *([comparison.discarded] if comparison.discarded else []))
        states = ((commit, self._at(commit, comparison.why)) for commit in commits)
        return tuple(state for commit, state in states if name in self._touched.get(commit, (name,)))

    def _at(self, commit: str, why: str) -> Against:
        known = self._snapshots.get(commit)
        if known is None:
            try:
                known = Against(snapshot=self._earlier(commit), why=why)
            except ImagewrightError as error:
                known = Against(snapshot=None, why=f"{commit[:7]} cannot be understood: {error}")
            self._snapshots[commit] = known
        return known

    def _earlier(self, commit: str) -> Snapshot:
        """The snapshot of a commit: from that of what is to be built where that will do."""
        from imagewright.changes.earlier import earlier
        from imagewright.images.tree import tree_of_records

        after = self.snapshot
        changes = self._changes(commit)
        records = after.tree.records.changed({change.path: change.before for change in changes})
        before = tree_of_records(self._git, records)
        content = self._project.content if self._is_worktree else partial(_content, after.tree)
        found = earlier(after, changes, before, self.ground, content)
        if found is None:
            return Snapshot.of_tree(before, self.ground)
        self._touched[commit] = found.touched
        return found.snapshot

    def _changes(self, commit: str) -> tuple[Change, ...]:
        """What differs between a commit and what is to be built."""
        begun = self._between.pop(commit, None)
        between = begun.result() if begun else self._git.changes(commit, self._commit or "HEAD")
        found = {change.path: change for change in between}
        for change in self._project.changes if self._is_worktree else ():
            before = found[change.path].before if change.path in found else change.before
            found[change.path] = Change(change.path, before, change.after)
        return tuple(change for _, change in sorted(found.items()) if change.before != change.after)

    def _published(self, names: Sequence[str]) -> Mapping[str, Sequence[Against]]:
        """By fingerprint where the published image carries one; else, or where it differs, by revision."""
        from imagewright.changes.published import Published

        places = {name: self.names.places(self.snapshot.images[name]) for name in names}
        fingerprints = {name: self.snapshot.fingerprint(name) for name in names}
        try:
            finds = find(places, fingerprints, self._project.published)
        except EnvironmentMissingError as error:
            if self.comparison.against == "registry":
                raise
            self._project.say(f"the registry cannot be asked what it has: {error.message}")
            return {name: self._states(self.comparison, name) for name in names}
        found: dict[str, Sequence[Against]] = {name: () for name, one in finds.items() if one.is_same}
        # What another branch has published says nothing about this one's last build, unless no event names one.
        strict = self.comparison.against == "registry"
        others = {
            name: one.answer if strict and one.last is None else one.last
            for name, one in finds.items()
            if not one.is_same
        }
        if self.comparison.bases:
            found |= self._on_other_bases({name: finds[name].answer for name in found})
        revisions = {
            name: answer.revision if isinstance(answer, Published) else None for name, answer in others.items()
        }
        for name, comparison in self._by_revision(revisions).items():
            found[name] = self._other(name, others[name], comparison)
        return found

    def _on_other_bases(self, answers: Mapping[str, Answer]) -> Mapping[str, Sequence[Against]]:
        """Those unchanged images of which it is not known that they stand on today's outside images, and why."""
        from imagewright.changes.bases import moved
        from imagewright.changes.published import Published
        from imagewright.cli.outside import outside_of, todays_digests

        uses = outside_of(self.snapshot, tuple(answers))
        today = todays_digests(self._project, self._asked, uses)
        found: dict[str, Sequence[Against]] = {}
        for name, use in uses.items():
            answer, dockerfile = answers[name], self.snapshot.images[name].dockerfile
            recorded = answer.bases if isinstance(answer, Published) else {}
            reasons = moved(use, recorded, today, dockerfile=dockerfile)
            found[name] = tuple(Against(snapshot=self.snapshot, why="", differs=reason) for reason in reasons)
        return found

    def _by_revision(self, revisions: Mapping[str, str | None]) -> Mapping[str, Comparison]:
        if self.repository is None or self.head.commit is None:
            return dict.fromkeys(revisions, everything("there is no commit to compare with"))
        comparison = self.comparison
        if comparison.against == "registry":
            comparison = replace(comparison, against="published")
        return for_images(comparison, revisions, self.history, head=self.head.commit)

    def _other(self, name: str, answer: Answer, comparison: Comparison) -> Sequence[Against]:
        """What an image is compared with whose fingerprint is not the published one, or not known."""
        from imagewright.changes.published import Published

        strict = self.comparison.against == "registry"
        if answer is None and strict:
            return (Against(snapshot=None, why="", differs=Reason(kind="missing", detail="it is not in the registry")),)
        if isinstance(answer, ImagewrightError):
            return (Against(snapshot=None, why=f"the registry does not say what it has: {answer}"),)
        if strict and isinstance(answer, Published) and answer.revision is None:
            return (Against(snapshot=None, why="the published image does not say what it was made from"),)
        states = self._states(comparison, name)
        if isinstance(answer, Published) and (strict or answer.fingerprint is not None):
            same = Against(snapshot=self.snapshot, why="", differs=_DIFFERS)  # by git alone, it is unchanged
            return tuple(state._replace(differs=_DIFFERS) for state in states) or (same,)
        return states


def _forced(project: Project, snapshot: Snapshot, layer: str | None) -> Mapping[str, str]:
    if layer is None:
        return {}
    from imagewright.config.problems import listed, near

    layers = tuple(project.known_settings.layers)
    if layer not in layers:
        known = f"known layers: {listed(layers)}" if layers else "config/images.yml names none, under `layers`"
        raise UsageError(f"there is no layer `{layer}`", hint=near(layer, layers) or known)
    return {name: f"--layer {layer}" for name, image in snapshot.images.items() if image.layer == layer}


def _content(tree: Tree, path: str) -> bytes | None:
    try:
        return tree.read(path)
    except FileNotFoundError:
        return None


def _read_file(path: str) -> bytes:
    from pathlib import Path

    return Path(path).read_bytes()


def say_comparison(project: Project, compared: Compared) -> None:
    """What was compared with what, and why that; always said, and never on standard output."""
    head, comparison = compared.head, compared.comparison
    commit = f"commit {head.commit[:7]}" if head.commit else "no commit yet"
    what = f"the work tree, which differs from {commit}" if head.dirty else commit
    project.say(f"looking at {what if head.commit or project.repository else 'the folder as it is'}")
    project.say(f"compared with {comparison.commit[:7] if comparison.commit else 'no commit'}: {comparison.why}")
    for name in compared.removed:
        project.say(f"removed: {name}")


def require_checked_out(project: Project, revision: str) -> None:
    """What is built is the work tree: UsageError where it is not exactly that commit."""
    wanted = project.repository.commit(revision) if project.repository else None
    if wanted is None:
        raise UsageError(f"--head {revision}: there is no such commit", hint="a branch, a tag or a commit")
    if wanted.oid != project.head.commit or project.head.dirty:
        state = "the work tree differs from it" if wanted.oid == project.head.commit else "another one is checked out"
        raise UsageError(
            f"--head {revision} cannot be built: {state}", hint="check it out first, or add --dry-run to see the plan"
        )
