"""What git knows about commits, and fetching what a shallow clone lacks.

Nothing here touches the work tree, a branch, a tag or FETCH_HEAD: only objects are added, and the line where a shallow
clone ends moves back.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from imagewright.changes.event import is_full_id
from imagewright.tools.git import Repository
from imagewright.tools.process import Completed

_DEEPEN = ("--deepen=50", "--deepen=500", "--unshallow")
# No tags, no remote branches, no FETCH_HEAD, no clean-up in the background that would outlive us.
_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=", "--no-recurse-submodules")
_NO_UPKEEP = ("-c", "gc.auto=0", "-c", "maintenance.auto=false")


class UnknownHistoryError(Exception):
    """Git cannot tell, here and with what could be fetched; the text says why."""


@dataclass(frozen=True, slots=True)
class Named:
    """A branch or tag (its short name) and the commit that it stands for."""

    name: str
    commit: str


class History(Protocol):
    """The questions that choosing a base of comparison asks. Commits are full ids.

    Each method fetches what it lacks, and raises UnknownHistoryError where that fails and the answer depends on it.
    """

    @property
    def remote(self) -> str | None:
        """The remote that is asked; None where there is none."""

    def resolve(self, revision: str) -> str | None:
        """The commit that a user's word means; None where it means none."""

    def fetch(self, commits: Iterable[str]) -> Mapping[str, str]:
        """Have these commits here; those that cannot be had, each with why."""

    def parents(self, commit: str) -> tuple[str, ...]:
        """The parents that a commit names, whether they are here or not."""

    def merge_base(self, one: str, other: str) -> str | None:
        """The best common ancestor; None where the histories are unrelated."""

    def ancestors(self, commits: Collection[str], of: str) -> frozenset[str]:
        """Those of `commits` (which are here) that are known to be `of` or ancestors of it. Never fetches."""

    def branch(self, name: str) -> Named | None:
        """The remote's branch; None where it has none of that name."""

    def default_branch(self, said: str | None) -> Named | None:
        """The default branch: `said` (the CI's word), else the remote's; None where nothing tells."""

    def previous_tag(self, commit: str) -> Named | None:
        """The nearest tag that `commit` descends from, not counting its own; None where there is none."""


class GitHistory:
    """`History` of a real repository; each step that uses the network is said before it is taken."""

    def __init__(
        self,
        repository: Repository,
        say: Callable[[str], None],
        *,
        refs: Iterable[str | None] = (),
        seconds: float = 120,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`refs` are full names on the remote that the event is about: where the remote refuses to give a commit by
        its id, history is deepened from them. `seconds` bounds the network steps together.
        """
        self._repository = repository
        self._say = say
        self._refs = tuple(dict.fromkeys(ref for ref in refs if ref))
        self._seconds = seconds
        self._clock = clock
        self._deadline: float | None = None
        self._ladder = iter(_DEEPEN)
        self._trouble = ""  # what the last network step failed with
        self._is_cut_off = False  # the remote is gone or out of time: further steps would fail like the last one
        self.remote = _remote(repository)

    def resolve(self, revision: str) -> str | None:
        """See `History`. A full id that is not here is fetched, and so is, in a shallow clone, what a name needs."""
        if is_full_id(revision):
            missing = self.fetch([revision])
            if missing:
                raise UnknownHistoryError(missing[revision])
            return revision
        found = self._repository.commit(revision)
        if found:
            return found.oid
        if self.remote and _REF_NAME.fullmatch(revision):
            name = revision.removeprefix(f"{self.remote}/")
            listed = self._list_remote(f"refs/heads/{name}", f"refs/tags/{name}", f"refs/tags/{name}^{{}}")
            for oid in (listed or {}).values():
                if not self.fetch([oid]):
                    found = self._repository.commit(oid)  # an annotated tag's commit
                    return found.oid if found else None
        for _ in self._deepened():
            found = self._repository.commit(revision)
            if found:
                return found.oid
        if self._is_shallow():
            raise UnknownHistoryError(f"{revision} is not in this shallow clone, and {self._why_not()}")
        return None

    def fetch(self, commits: Iterable[str]) -> Mapping[str, str]:
        """See `History`: by their ids in one step, then each by itself, then by deepening and unshallowing."""
        missing = self._missing(commits)
        if not missing:
            return {}
        if self.remote is None:
            return dict.fromkeys(missing, "it is not in this clone, which has no remote")
        depth = ("--depth=1",) if self._is_shallow() else ()
        self._say(f"git: fetching {_listed(missing)} from {self.remote}")
        if not self._fetch(depth, missing) and len(missing) > 1:
            for oid in missing:
                self._fetch(depth, [oid])
        missing = self._missing(missing)
        if missing:
            for _ in self._deepened():
                missing = self._missing(missing)
                if not missing:
                    break
        return dict.fromkeys(missing, self._why_not())

    def parents(self, commit: str) -> tuple[str, ...]:
        """See `History`. The commit object names its parents also where a shallow clone ends."""
        lines = self._repository.run("cat-file", "commit", commit).stdout.partition(b"\n\n")[0].splitlines()
        return tuple(line[7:].decode() for line in lines if line.startswith(b"parent "))

    def merge_base(self, one: str, other: str) -> str | None:
        """See `History`. A shallow clone may give an older ancestor than the best: more counts as changed, not less."""
        base = self._merge_base(one, other)
        if base:
            return base
        for _ in self._deepened():
            base = self._merge_base(one, other)
            if base:
                return base
        if self._is_shallow():
            raise UnknownHistoryError(f"this clone is too shallow for a common ancestor, and {self._why_not()}")
        return None

    def ancestors(self, commits: Collection[str], of: str) -> frozenset[str]:
        """See `History`: one process for all."""
        if not commits:
            return frozenset()
        lines = "".join(f"{oid}\n" for oid in (*commits, f"^{of}")).encode()
        done = self._repository.run("rev-list", "--stdin", stdin=lines)
        if done.code:
            raise UnknownHistoryError(f"git rev-list failed: {_last_line(done)}")
        return frozenset(commits) - set(done.text.split())

    def branch(self, name: str) -> Named | None:
        """See `History`: as it was last fetched, else as the remote has it now."""
        if self.remote is None:
            found = self._repository.commit(f"refs/heads/{name}")
            return Named(name, found.oid) if found else None
        found = self._repository.commit(f"refs/remotes/{self.remote}/{name}")
        if found:
            return Named(name, found.oid)
        ref = f"refs/heads/{name}"
        listed = self._list_remote(ref)
        if listed is None:
            raise UnknownHistoryError(f"the branch {name} is not in this clone, and {self._why_not()}")
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
        if self.remote is None:
            return self.branch("main") or self.branch("master")
        start = f"refs/remotes/{self.remote}/"
        head = self._repository.run("symbolic-ref", "-q", f"{start}HEAD").text.removeprefix(start)
        for name in filter(None, (head, "main", "master")):
            found = self._repository.commit(start + name)
            if found:
                return Named(name, found.oid)
        self._say(f"git: asking {self.remote} for its default branch")
        done = self._network("ls-remote", "--symref", "--", self.remote, "HEAD")
        if done is None:
            raise UnknownHistoryError(f"the default branch is not known, and {self._why_not()}")
        match = re.match(r"ref: refs/heads/(\S+)\tHEAD$", done.text, re.MULTILINE)
        return self.branch(match[1]) if match else None

    def previous_tag(self, commit: str) -> Named | None:
        """See `History`: by commit date where several lines of history lead to one. Local tags first."""
        tags = {oid: name for oid, name in self._local_tags().items() if oid != commit}
        found = self._nearest(tags, commit)
        if found or self.remote is None:
            return found
        self._say(f"git: asking {self.remote} for its tags")
        done = self._network("ls-remote", "--tags", "--", self.remote)
        if done is None:
            raise UnknownHistoryError(f"no earlier tag is in this clone, and {self._why_not()}")
        for line in reversed(sorted(done.text.splitlines(), key=lambda line: line.partition("\t")[2])):
            oid, _, name = line.partition("\t")
            tags[oid] = name.removeprefix("refs/tags/").removesuffix("^{}")
        tags.pop(commit, None)
        found = self._nearest(tags, commit)
        if found or not tags:
            return found
        for _ in self._deepened():
            found = self._nearest(tags, commit)
            if found:
                return found
        if self._is_shallow():
            raise UnknownHistoryError(f"no earlier tag is in this shallow clone, and {self._why_not()}")
        return None

    def _missing(self, commits: Iterable[str]) -> list[str]:
        """Those that are not here. A partial clone must not fetch them on its own, at any length: it may not connect."""
        wanted = list(dict.fromkeys(commits))
        lines = "".join(f"{oid}\n" for oid in wanted).encode()
        check = ("cat-file", "--batch-check=%(objectname)")
        found = self._repository.run("-c", "protocol.allow=never", *check, stdin=lines) if wanted else None
        here = set(found.text.splitlines()) if found else set()
        return [oid for oid in wanted if oid not in here]

    def _is_shallow(self) -> bool:
        return self._repository.run("rev-parse", "--is-shallow-repository").text == "true"

    def _merge_base(self, one: str, other: str) -> str | None:
        done = self._repository.run("merge-base", one, other)
        if done.code > 1:
            raise UnknownHistoryError(f"git merge-base failed: {_last_line(done)}")
        return done.text or None

    def _local_tags(self) -> dict[str, str]:
        """Short names by commit; the first by name where one has several."""
        layout = "%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end) %(refname:lstrip=2)"
        lines = self._repository.run("for-each-ref", "--sort=-refname", f"--format={layout}", "refs/tags").text
        return {oid: name for oid, _, name in (line.partition(" ") for line in lines.splitlines())}

    def _nearest(self, tags: Mapping[str, str], commit: str) -> Named | None:
        if not tags:
            return None
        for oid in self._repository.run("rev-list", "--date-order", commit, "--").text.split():
            if oid in tags:
                return Named(tags[oid], oid)
        return None

    def _list_remote(self, *refs: str) -> dict[str, str] | None:
        """The ids of those refs that the remote has, peeled ones first; None where it does not answer."""
        assert self.remote is not None
        self._say(f"git: asking {self.remote} for {', '.join(ref for ref in refs if not ref.endswith('^{}'))}")
        done = self._network("ls-remote", "--", self.remote, *refs)
        if done is None:
            return None
        listed = {ref: oid for oid, _, ref in (line.partition("\t") for line in done.text.splitlines()) if ref in refs}
        return dict(sorted(listed.items(), key=lambda item: not item[0].endswith("^{}")))

    def _deepened(self) -> Iterator[None]:
        """Yields each time that a shallow clone has got more history; ends when there is no more to be had."""
        while self._is_shallow() and not self._is_cut_off:
            option = next(self._ladder, None)
            if option is None or not self._deepen(option):
                return
            yield

    def _deepen(self, option: str) -> bool:
        if self.remote is None:
            return False
        what = "all of the history" if option == "--unshallow" else f"{option.partition('=')[2]} commits more"
        self._say(f"git: this clone is shallow: fetching {what} from {self.remote}")
        # From where it ends, since that is what has to grow, wherever the branches have gone since.
        if self._fetch((option,), self._shallow_ends()):
            return True
        if self._is_cut_off:
            return False
        listed = self._list_remote(*self._refs) if self._refs else {}
        return self._fetch((option,), tuple(listed or {}) or ("HEAD",))

    def _shallow_ends(self) -> list[str]:
        name = self._repository.run("rev-parse", "--git-path", "shallow").text
        return (self._repository.root / Path(name)).read_text().split()

    def _fetch(self, options: Iterable[str], wanted: Iterable[str]) -> bool:
        assert self.remote is not None
        lines = "".join(f"{one}\n" for one in wanted).encode()
        return self._network(*_FETCH, *options, "--stdin", "--", self.remote, stdin=lines) is not None

    def _network(self, *args: str, stdin: bytes | None = None) -> Completed | None:
        """What git answered; None where it failed, with `_trouble` saying how."""
        if self._is_cut_off:
            return None
        now = self._clock()
        if self._deadline is None:
            self._deadline = now + self._seconds
        try:
            done = self._repository.run(*_NO_UPKEEP, *args, stdin=stdin, seconds=max(0.1, self._deadline - now))
        except subprocess.TimeoutExpired:
            self._trouble = f"did not answer within {self._seconds:g} seconds"
            self._is_cut_off = True
            return None
        if done.code == 0:
            return done
        self._trouble = f"refused: {_last_line(done)}"
        # These texts say "gone", not "will not give this": asking for something else would only take time.
        self._is_cut_off = any(text in done.error_text for text in _GONE)
        return None

    def _why_not(self) -> str:
        if self.remote is None:
            return "there is no remote to fetch from"
        return f"{self.remote} {self._trouble}" if self._trouble else f"{self.remote} does not have it"


_REF_NAME = re.compile(r"(?!-)[^\s~^:?*\[\\@]+")
_GONE = (
    "Could not read from remote repository",
    "Could not resolve host",
    "unable to access",
    "does not appear to be a git repository",
    "could not read Username",
    "Authentication failed",
)


def _remote(repository: Repository) -> str | None:
    """`upstream`, as forks name what they come from, else `origin`, else the only one."""
    names = repository.run("remote").text.split()
    for name in ("upstream", "origin"):
        if name in names:
            return name
    return names[0] if len(names) == 1 else None


def _listed(commits: Collection[str]) -> str:
    return next(iter(commits))[:7] if len(commits) == 1 else f"{len(commits)} commits"


def _last_line(done: Completed) -> str:
    """The cause in git's own words, without credentials of an address."""
    lines = [line for line in done.error_text.splitlines() if line.startswith(("fatal:", "error:"))]
    text = lines[-1].partition(":")[2].strip() if lines else f"exit code {done.code}"
    return re.sub(r"//[^/@\s]+@", "//", text)
