"""A remote of a clone, asked within one limit of time; only objects come here, no branch, tag or FETCH_HEAD moves."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterable

from imagewright.tools.git import Repository
from imagewright.tools.process import Completed

_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=", "--no-recurse-submodules")
_NO_UPKEEP = ("-c", "gc.auto=0", "-c", "maintenance.auto=false")  # it goes on in the background, and would outlive us
# Texts that say "gone", not "will not give this": asking for something else would only take time.
_GONE = (
    "Could not resolve host",
    "unable to access",
    "does not appear to be a git repository",
    "could not read Username",
    "Authentication failed",
    "Permission denied",
    "Connection refused",
    "Connection timed out",
)


class Remote:
    """The remote `name` of `repository`. Each step is said before it is taken; one that fails says how in `trouble`."""

    def __init__(
        self,
        repository: Repository,
        name: str,
        say: Callable[[str], None],
        *,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`seconds` bounds all steps together."""
        self.name = name
        self.trouble = "does not have it"
        self.is_cut_off = False  # it is gone, or time is up: nothing more is asked
        self._repository = repository
        self._say = say
        self._seconds = seconds
        self._clock = clock
        self._deadline: float | None = None

    def fetch(self, what: str, wanted: Iterable[str], *options: str) -> bool:
        """Fetch commits by their ids, or full ref names; whether that went well. `what` is for people."""
        lines = "".join(f"{one}\n" for one in wanted).encode()
        step = f"fetching {what} from {self.name}"
        return self._run(step, *_FETCH, *options, "--stdin", "--", self.name, stdin=lines) is not None

    def refs(self, *names: str) -> dict[str, str] | None:
        """The ids of those refs (full names) that there are; None where it does not answer."""
        shown = ", ".join(name for name in names if not name.endswith("^{}"))
        return self._listed(shown, "--", self.name, *names)

    def tags(self) -> dict[str, str] | None:
        """The commits of all tags by short name; None where it does not answer."""
        listed = self._listed("its tags", "--tags", "--", self.name)
        if listed is None:
            return None
        # An annotated tag is listed twice: its own id, then, with "^{}", its commit.
        return {ref.removeprefix("refs/tags/").removesuffix("^{}"): oid for ref, oid in listed.items()}

    def default_branch(self) -> str | None:
        """The branch that its HEAD names; None where it does not answer, or names none."""
        step = f"asking {self.name} for its default branch"
        done = self._run(step, "ls-remote", "--symref", "--", self.name, "HEAD")
        match = re.search(r"^ref: refs/heads/(\S+)\tHEAD$", done.text, re.MULTILINE) if done else None
        return match[1] if match else None

    def _listed(self, shown: str, *args: str) -> dict[str, str] | None:
        done = self._run(f"asking {self.name} for {shown}", "ls-remote", *args)
        if done is None:
            return None
        return {ref: oid for oid, _, ref in (line.partition("\t") for line in done.text.splitlines())}

    def _run(self, step: str, *args: str, stdin: bytes | None = None) -> Completed | None:
        """What git answered; None where it failed."""
        if self.is_cut_off:
            return None
        self._say(f"git: {step}")
        now = self._clock()
        if self._deadline is None:
            self._deadline = now + self._seconds
        try:
            done = self._repository.run(*_NO_UPKEEP, *args, stdin=stdin, seconds=max(0.0, self._deadline - now))
        except subprocess.TimeoutExpired:
            self.trouble = f"did not answer within {self._seconds:g} seconds"
            self.is_cut_off = True
            return None
        if done.code == 0:
            return done
        self.trouble = f"fails: {cause(done)}"
        self.is_cut_off = any(text in done.error_text for text in _GONE)
        return None


def cause(done: Completed) -> str:
    """In git's own words, without credentials of an address."""
    lines = [line for line in done.error_text.splitlines() if line.startswith(("fatal:", "error:"))]
    text = lines[0].partition(":")[2].strip() if lines else f"git ended with code {done.code}"
    return re.sub(r"//[^/@\s]+@", "//", text)
