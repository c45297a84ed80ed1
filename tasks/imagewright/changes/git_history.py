"""What git knows about commits here, and what it can fetch that a shallow or partial clone lacks.

Nothing here touches the work tree, a branch or a tag: only objects are added, and the line where a shallow clone ends
moves back.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from imagewright.changes.history import Named, UnknownHistoryError
from imagewright.changes.remote import Remote
from imagewright.errors import ImagewrightError
from imagewright.events.event import Event, is_full_id
from imagewright.tools.git import Repository

_DEEPEN = ("--deepen=50", "--deepen=500", "--unshallow")
_REF_NAME = re.compile(r"(?!-)[^\s~^:?*\[\\@]+")


class GitHistory:
    """`History` of a real repository."""

    def __init__(
        self,
        repository: Repository,
        event: Event,
        say: Callable[[str], None],
        *,
        seconds: float = 300,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Each step on the network is said before it is taken; `seconds` bounds them together."""
        self._repository = repository
        self._ladder = iter(_DEEPEN)
        name = _remote(repository, event)
        self._remote = Remote(repository, name, say, seconds=seconds, clock=clock) if name else None

    @property
    def remote(self) -> str | None:
        """See `History`."""
        return self._remote.name if self._remote else None

    @property
    def is_cut_off(self) -> bool:
        """See `History`."""
        return self._remote is not None and self._remote.is_cut_off

    def resolve(self, revision: str) -> str | None:
        """See `History`. A full id that is not here is fetched, and so is what a name means on the remote."""
        if is_full_id(revision):
            missing = self.fetch([revision])
            if missing:
                raise UnknownHistoryError(f"{revision[:7]} is not here: {missing[revision]}")
            return self._local(revision)
        found = self._local(revision)
        if found:
            return found
        if self._remote and _REF_NAME.fullmatch(revision):
            name = revision.removeprefix(f"{self._remote.name}/")
            refs = (f"refs/heads/{name}", f"refs/tags/{name}^{{}}", f"refs/tags/{name}")  # "^{}": an annotated tag's
            listed = self._remote.refs(*refs) or {}
            for oid in (listed[ref] for ref in refs if ref in listed):
                if not self.fetch([oid]):
                    return oid
        for _ in self._deepened():
            found = self._local(revision)
            if found:
                return found
        if self._is_shallow():
            raise UnknownHistoryError(f"{revision} is not in this shallow clone: {self._why_not()}")
        return None

    def fetch(self, commits: Iterable[str]) -> Mapping[str, str]:
        """See `History`: by their ids in one step, then each by itself, then by deepening and unshallowing."""
        missing = self._missing(commits)
        if missing and self._remote:
            options = ("--depth=1",) if self._is_shallow() else ()
            what = missing[0][:7] if len(missing) == 1 else f"{len(missing)} commits"
            if not self._remote.fetch(what, missing, *options) and len(missing) > 1:
                for oid in missing:
                    self._remote.fetch(oid[:7], [oid], *options)
            missing = self._missing(missing)
        if missing:
            for _ in self._deepened():
                missing = self._missing(missing)
                if not missing:
                    break
        return dict.fromkeys(missing, self._why_not())

    def parents(self, commit: str) -> tuple[str, ...]:
        """See `History`. The commit itself names its parents also where a shallow clone ends."""
        done = self._repository.run("cat-file", "commit", commit)
        lines = done.stdout.partition(b"\n\n")[0].splitlines()
        return tuple(line[7:].decode() for line in lines if line.startswith(b"parent "))

    def merge_base(self, one: str, other: str) -> str | None:
        """See `History`. A shallow clone may give an older ancestor than the best: more has changed since, not less."""
        base = self._merge_base(one, other)
        if base:
            return base
        for _ in self._deepened():
            base = self._merge_base(one, other)
            if base:
                return base
        if self._is_shallow():
            raise UnknownHistoryError(f"this clone is too shallow to find a common ancestor: {self._why_not()}")
        return None

    def ancestors(self, commits: Collection[str], of: str) -> frozenset[str]:
        """See `History`: one process for all."""
        if not commits:
            return frozenset()
        lines = "".join(f"{oid}\n" for oid in (*commits, f"^{of}")).encode()
        return frozenset(commits) - set(self._text("rev-list", "--stdin", stdin=lines).split())

    def branch(self, name: str) -> Named | None:
        """See `History`: as it was last fetched, else as the remote has it now."""
        ref = f"refs/heads/{name}"
        found = self._local(f"refs/remotes/{self._remote.name}/{name}" if self._remote else ref)
        if self._remote is None or found:
            return Named(name, found) if found else None
        listed = self._remote.refs(ref)
        if listed is None:
            raise UnknownHistoryError(f"the branch {name} is not in this clone: {self._why_not()}")
        if ref not in listed:
            return None
        missing = self.fetch([listed[ref]])
        if missing:
            raise UnknownHistoryError(f"the branch {name} is not in this clone: {missing[listed[ref]]}")
        return Named(name, listed[ref])

    def default_branch(self, said: str | None) -> Named | None:
        """See `History`: the CI's word, the remote's HEAD as it was cloned, main or master, the remote's HEAD now."""
        if said:
            return self.branch(said)
        if self._remote is None:
            return self.branch("main") or self.branch("master")
        start = f"refs/remotes/{self._remote.name}/"
        head = self._repository.run("symbolic-ref", "-q", f"{start}HEAD").text.removeprefix(start)
        for name in filter(None, (head, "main", "master")):
            found = self._local(start + name)
            if found:
                return Named(name, found)
        asked = self._remote.default_branch()
        if asked is None:
            raise UnknownHistoryError(f"the default branch is not known: {self._why_not()}")
        return self.branch(asked)

    def previous_tag(self, commit: str) -> Named | None:
        """See `History`: the newest commit's, where several lines of history lead to one. Tags that are here first."""
        found = self._nearest(self._local_tags(), commit)
        if found or self._remote is None:
            return found
        tags = self._remote.tags()
        if tags is None:
            raise UnknownHistoryError(f"no earlier tag is in this clone: {self._why_not()}")
        found = self._nearest(tags, commit)
        if found or set(tags.values()) <= {commit}:
            return found
        for _ in self._deepened():
            found = self._nearest(tags, commit)
            if found:
                return found
        if self._is_shallow():
            raise UnknownHistoryError(f"no earlier tag is in this shallow clone: {self._why_not()}")
        return None

    def _missing(self, commits: Iterable[str]) -> list[str]:
        """Those that are not here. A partial clone is kept from fetching them by itself, without a limit of time."""
        wanted = list(dict.fromkeys(commits))
        if not wanted:
            return []
        lines = "".join(f"{oid}\n" for oid in wanted).encode()
        check = ("-c", "protocol.allow=never", "cat-file", "--batch-check=%(objectname)")
        here = set(self._repository.run(*check, stdin=lines).text.splitlines())
        return [oid for oid in wanted if oid not in here]

    def _local(self, revision: str) -> str | None:
        found = self._repository.commit(revision)
        return found.oid if found else None

    def _is_shallow(self) -> bool:
        return self._text("rev-parse", "--is-shallow-repository") == "true"

    def _merge_base(self, one: str, other: str) -> str | None:
        done = self._repository.run("merge-base", one, other)
        if done.code > 1:
            raise ImagewrightError(f"git merge-base failed: {done.error_text}")
        return done.text or None

    def _local_tags(self) -> dict[str, str]:
        layout = "%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end) %(refname:lstrip=2)"
        lines = self._text("for-each-ref", f"--format={layout}", "refs/tags").splitlines()
        return {name: oid for oid, _, name in (line.partition(" ") for line in lines)}

    def _nearest(self, tags: Mapping[str, str], commit: str) -> Named | None:
        """Where a commit has several tags, the last one by name."""
        names = {oid: name for name, oid in sorted(tags.items()) if oid != commit}
        if not names:
            return None
        for oid in self._text("rev-list", "--date-order", commit, "--").split():
            if oid in names:
                return Named(names[oid], oid)
        return None

    def _deepened(self) -> Iterator[None]:
        """Yields each time that a shallow clone has got more history; ends when there is no more to be had."""
        while self._is_shallow():
            option = next(self._ladder, None)
            if option is None or self._remote is None or not self._deepen(self._remote, option):
                return
            yield

    def _deepen(self, remote: Remote, option: str) -> bool:
        many = "the rest" if option == "--unshallow" else f"{option.partition('=')[2]} commits more"
        what = f"{many} of a shallow clone's history"
        # Any ref does: the server moves the line where this clone ends, wherever the branches have gone since.
        return remote.fetch(what, ("HEAD",), option)

    def _text(self, *args: str, stdin: bytes | None = None) -> str:
        done = self._repository.run(*args, stdin=stdin)
        if done.code:
            raise ImagewrightError(f"git {args[0]} failed: {done.error_text or done.code}")
        return done.text

    def _why_not(self) -> str:
        if self._remote is None:
            return "there is no remote to fetch it from"
        return f"{self._remote.name} {self._remote.trouble}"


def _remote(repository: Repository, event: Event) -> str | None:
    """A fork's clone calls what it comes from `upstream`; a CI's commits are on what it cloned. Else the only one."""
    names = repository.run("remote").text.split()
    for name in ("upstream", "origin") if event.kind == "local" else ("origin",):
        if name in names:
            return name
    return names[0] if len(names) == 1 else None
