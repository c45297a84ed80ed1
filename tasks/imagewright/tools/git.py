"""The one door to git: what a commit and the work tree hold, and who they are.

Every answer costs a constant number of processes. Names are separated by NUL and may be any bytes (those that are no
UTF-8 come as surrogates, PEP 383). Variables such as GIT_DIR, which git sets for its hooks, are kept from it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from imagewright.errors import EnvironmentMissingError, ImagewrightError
from imagewright.tools.process import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from imagewright.tools.process import Completed

FILE, EXECUTABLE, LINK, SUBMODULE, FOLDER = "100644", "100755", "120000", "160000", "040000"

# What a user sets to reach a repository; the rest of GIT_* is about one that git itself has opened.
_KEPT = (
    "GIT_ALLOW_PROTOCOL",
    "GIT_ASKPASS",
    "GIT_CEILING_DIRECTORIES",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_KEY_",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_VALUE_",
    "GIT_EXEC_PATH",
    "GIT_HTTP_",
    "GIT_SSH",
    "GIT_SSL_",
    "GIT_TERMINAL_PROMPT",
    "GIT_TRACE",
)


class Entry(NamedTuple):
    """What stands at a path: git's mode (six octal digits) and object id."""

    mode: str
    oid: str


class Commit(NamedTuple):
    """A commit's id (hexadecimal) and committer time (seconds since 1970, UTC)."""

    oid: str
    time: int


class WorkTree(NamedTuple):
    """Every file that is tracked, or neither tracked nor ignored; `changed` are those that differ from HEAD."""

    entries: dict[str, Entry]
    changed: frozenset[str]


class Change(NamedTuple):
    """One path that differs between two commits; a side that lacks it is None."""

    path: str
    before: Entry | None
    after: Entry | None


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository seen from `root`, which may be a folder below `top`; all paths are relative to `root`."""

    root: Path
    top: Path
    prefix: str  # of `root` below `top`, with a slash at the end; "" where they are the same

    def run(self, *args: str, stdin: bytes | None = None, seconds: float | None = None) -> Completed:
        """Run git in `root`; the exit code is the caller's to judge. Past `seconds`: `subprocess.TimeoutExpired`."""
        return _git(self.root, *args, stdin=stdin, seconds=seconds)

    def head(self) -> Commit | None:
        """The commit that is checked out; None where there is none yet."""
        return self.commit("HEAD")

    def commit(self, revision: str) -> Commit | None:
        """The commit that `revision` means; None where it means none here."""
        name = f"{revision}^{{commit}}"
        done = self.run("log", "-1", "--no-show-signature", "--format=%H %ct", "--end-of-options", name, "--")
        if done.code:
            return None
        oid, seconds = done.text.split()
        return Commit(oid, int(seconds))

    def branch(self) -> str | None:
        """The branch that is checked out; None for a detached head."""
        done = self.run("symbolic-ref", "--short", "-q", "HEAD")
        return done.text if done.code == 0 else None

    def origin(self) -> str | None:
        """The address of the remote `origin`, without credentials; None where there is none."""
        done = self.run("config", "--get", "remote.origin.url")
        return without_credentials(done.text) if done.code == 0 and done.text else None

    def entries_at(self, revision: str) -> dict[str, Entry]:
        """Every file, link and submodule of a commit below `root`; a commit that lacks `root` has none.

        ImagewrightError: the repository has no such commit.
        """
        return _entries(self.listing(revision))

    def listing(self, revision: str) -> bytes:
        """`entries_at` as git writes it: `MODE TYPE OID<tab>PATH<NUL>`, sorted by the bytes of the path."""
        tree = f"{revision}:{self.prefix.rstrip('/')}" if self.prefix else f"{revision}^{{tree}}"
        done = _git(self.root, "ls-tree", "-r", "-z", "--full-tree", "--end-of-options", tree, is_long=True)
        if done.code and self.prefix and self.commit(revision):
            return b""
        return _checked(done)

    def entries_of_worktree(self) -> WorkTree:
        """The same of the work tree: staged, changed and untracked files as they would be if they were committed.

        A file that git holds for unchanged has the id that git knows: line ends (autocrlf) and executable bits
        (fileMode) of the checkout do not count. A sparse checkout has all files.
        """
        entries = self.entries_at("HEAD") if self.head() else {}
        changes = self.changes_of_worktree()
        for change in changes:
            if change.after is None:
                entries.pop(change.path, None)
            else:
                entries[change.path] = change.after
        return WorkTree(entries, frozenset(change.path for change in changes))

    def changes_of_worktree(self) -> tuple[Change, ...]:
        """What differs between HEAD and the work tree, as `entries_of_worktree` sees it."""
        before: dict[str, Entry | None] = {}
        after: dict[str, Entry | None] = {}
        rehash: dict[str, str] = {}  # path: mode, "" where it is to be found
        submodules: list[str] = []
        options = ("--porcelain=v2", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=none")
        for record in _text(self._must("status", *options, "--", ".")).split("\0")[:-1]:
            kind = record[0]
            if kind == "?":
                path = record[2:].removeprefix(self.prefix)
                rehash.update(_files_below(self.root, path) if path.endswith("/") else [(path, "")])
                continue
            fields = record.split(" ", 10 if kind == "u" else 8)
            path, state = fields[-1].removeprefix(self.prefix), fields[1]
            head, mode = ((fields[4], fields[8]), fields[6]) if kind == "u" else ((fields[3], fields[6]), fields[5])
            before[path] = _entry(*head)
            if mode == SUBMODULE and state[1] != ".":
                submodules.append(path)
            elif kind == "u" or state[1] in "MTA":
                rehash[path] = mode
            else:
                after[path] = None if state[1] == "D" else _entry(fields[4], fields[7])
        after.update(self._hash(rehash))
        after.update({path: self._submodule(path) for path in submodules})
        paths = sorted({**before, **after})
        changes = (Change(path, before.get(path), after.get(path)) for path in paths)
        return tuple(change for change in changes if change.before != change.after)

    def ignored(self) -> tuple[str, ...]:
        """What git ignores below `root`, whole folders as one name with a slash at the end."""
        args = ("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z")
        return tuple(_text(self._must(*args)).split("\0")[:-1])

    def read_blobs(self, oids: Iterable[str]) -> dict[str, bytes]:
        """The contents of blobs by id; ids that the repository lacks are left out."""
        wanted = list(dict.fromkeys(oids))
        if not wanted:
            return {}
        output = self._must("cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in wanted).encode())
        blobs: dict[str, bytes] = {}
        at = 0
        for oid in wanted:
            end = output.index(b"\n", at)
            header = output[at:end].split()
            at = end + 1
            if header[-1] == b"missing":
                continue
            size = int(header[2])
            blobs[oid] = output[at : at + size]
            at += size + 1
        return blobs

    def changes(self, before: str, after: str) -> tuple[Change, ...]:
        """The paths below `root` that differ between two commits; a rename is a removal and an addition.

        ImagewrightError: the repository lacks one of them.
        """
        options = ("-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--ignore-submodules=none", "--relative")
        output = _text(self._must("diff-tree", *options, "--end-of-options", before, after, "--"))
        fields = iter(output.split("\0")[:-1])
        found: list[Change] = []
        for head, path in zip(fields, fields, strict=True):
            old_mode, mode, old_oid, oid, _ = head[1:].split(" ")
            found.append(Change(path, _entry(old_mode, old_oid), _entry(mode, oid)))
        return tuple(found)

    def _must(self, *args: str, stdin: bytes | None = None) -> bytes:
        return _checked(self.run(*args, stdin=stdin))

    def _hash(self, modes: dict[str, str]) -> dict[str, Entry]:
        """Entries for files of the work tree; a mode of "" is still to be found."""
        if not modes:
            return {}
        trust_mode = self.run("config", "--type=bool", "--get", "core.fileMode").text != "false"
        width = len(self.run("hash-object", "--stdin", stdin=b"").text)
        found: dict[str, Entry] = {}
        plain: list[tuple[str, str]] = []
        for path, known in modes.items():
            try:
                status = os.lstat(self.root / path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if stat.S_ISLNK(status.st_mode):
                found[path] = Entry(LINK, blob_id(os.fsencode(os.readlink(self.root / path)), width))  # noqa: PTH115
            elif stat.S_ISREG(status.st_mode):
                executable = bool(status.st_mode & stat.S_IXUSR) and trust_mode
                plain.append((path, known if known in (FILE, EXECUTABLE) else (EXECUTABLE if executable else FILE)))
        if plain:
            # quoted as git quotes them, since lines end them; below the top, git would look for them at the top
            lines = "".join(f"{_quoted(self.prefix + path)}\n" for path, _ in plain)
            done = _git(self.top, "hash-object", "--stdin-paths", stdin=os.fsencode(lines))
            oids = _checked(done).decode().split()
            found.update({path: Entry(mode, oid) for (path, mode), oid in zip(plain, oids, strict=True)})
        return found

    def _submodule(self, path: str) -> Entry:
        """A submodule at another commit has that id; one with changes of its own a digest of all it holds."""
        inner = find(self.root / path)
        if inner is None:
            return Entry(SUBMODULE, "0" * 40)
        tree = inner.entries_of_worktree()
        head = inner.head()
        if head and not tree.changed:
            return Entry(SUBMODULE, head.oid)
        content = "".join(f"{mode} {oid}\t{name}\0" for name, (mode, oid) in sorted(tree.entries.items()))
        return Entry(SUBMODULE, hashlib.sha256(os.fsencode(content)).hexdigest())


def find(folder: Path) -> Repository | None:
    """The repository that `folder` is in; None where it is in none, or the repository has no work tree.

    EnvironmentMissingError: git is not installed, or refuses a repository that another user owns.
    """
    done = _git(folder, "rev-parse", "--show-toplevel")
    if done.code:
        if "dubious ownership" in done.error_text:
            hint = f"git config --global --add safe.directory {folder}"
            raise EnvironmentMissingError(f"git refuses {folder}: another user owns it", hint=hint)
        return None
    root, top = Path(os.path.realpath(folder)), Path(os.fsdecode(done.stdout.removesuffix(b"\n")))
    prefix = root.relative_to(top).as_posix()
    return Repository(root, top, "" if prefix == "." else f"{prefix}/")


def blob_id(content: bytes, width: int = 40) -> str:
    """The id that git gives a blob, in a repository whose ids have `width` digits (40 SHA-1, 64 SHA-256)."""
    digest = hashlib.new("sha256" if width == 64 else "sha1", b"blob %d\0" % len(content), usedforsecurity=False)
    digest.update(content)
    return digest.hexdigest()


def without_credentials(address: str) -> str:
    """A remote's address fit to be shown: no password, and no user either where the user may be a token."""
    parts = urlsplit(address)
    if "@" not in parts.netloc:
        return address
    user, _, host = parts.netloc.rpartition("@")
    user = user.partition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{user}@{host}" if parts.scheme == "ssh" else host))


def _git(
    folder: Path, *args: str, stdin: bytes | None = None, seconds: float | None = None, is_long: bool = False
) -> Completed:
    env: dict[str, str | None] = {name: None for name in os.environ if name.startswith("GIT_") and not _is_kept(name)}
    env |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    settings = ("-c", "core.quotepath=off", "-c", "status.relativePaths=false")
    return run(("git", *settings, *args), cwd=folder, env=env, stdin=stdin, seconds=seconds, is_long=is_long)


def _is_kept(name: str) -> bool:
    return name in _KEPT or any(name.startswith(kept) for kept in _KEPT if kept.endswith("_"))


def _checked(done: Completed) -> bytes:
    if done.code:
        subcommand = next((arg for arg in done.args[5:] if not arg.startswith("-")), "")
        raise ImagewrightError(f"git {subcommand} failed: {done.error_text or done.code}")
    return done.stdout


def _entries(records: bytes) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for record in _text(records).split("\0")[:-1]:
        head, _, path = record.partition("\t")
        entries[path] = Entry(sys.intern(head[:6]), head[head.rindex(" ") + 1 :])
    return entries


def _entry(mode: str, oid: str) -> Entry | None:
    return None if mode == "000000" else Entry(mode, oid)


def _text(output: bytes) -> str:
    return output.decode("utf-8", "surrogateescape")


def _quoted(path: str) -> str:
    if not any(char in '"\\' or ord(char) < 32 or char == "\x7f" for char in path):
        return path
    escaped = "".join(f"\\{ord(char):03o}" if char in '"\\' or ord(char) < 32 else char for char in path)
    return f'"{escaped}"'


def _files_below(root: Path, folder: str) -> Iterator[tuple[str, str]]:
    """Files of another repository inside this one, which git names as a folder; its .git is left out."""
    for name, folders, files in os.walk(root / folder):
        folders[:] = [one for one in folders if one != ".git"]
        links = [one for one in folders if os.path.islink(Path(name) / one)]  # noqa: PTH114
        for file in (*files, *links):
            if file != ".git":
                yield (Path(name) / file).relative_to(root).as_posix(), ""
