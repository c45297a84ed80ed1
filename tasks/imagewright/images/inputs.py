"""What an image depends on: every file, with the line or the setting that says so; and one digest of it all."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from imagewright.images.dockerfile.frontend import is_foreign
from imagewright.images.dockerfile.ignore import Patterns, read_ignore_file
from imagewright.images.dockerfile.match import Context, Selection
from imagewright.images.dockerfile.remotes import remote_kind
from imagewright.images.tree import FILE, FOLDER, SUBMODULE, Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from imagewright.images.model import ContextUse, Image, Reading
    from imagewright.images.tree import Tree

FORMAT = 2  # part of every fingerprint: raise it when the rules of this package change
IGNORE_FILE = ".dockerignore"

InputKind = Literal["dockerfile", "ignore-file", "file", "config"]
NoteKind = Literal["unknown", "unseen", "missing", "remote", "base"]


class FileSet(NamedTuple):
    """Files of the tree by path, and their digest (hexadecimal SHA-256); shared by the images that use the same.

    A folder, `docs/` with a slash at the end, counts where it is used and none of its files is.
    """

    files: Mapping[str, Entry]
    digest: str


class Source(NamedTuple):
    """Why some files are inputs. `line` is that of the Dockerfile; 0 for a setting, and for what holds always."""

    kind: InputKind
    detail: str  # the instruction or the setting, for people
    line: int
    files: FileSet
    whole: bool = False  # the whole context, where only a part may be used
    made_from: str = ""  # of a Dockerfile that is generated: the files, for people


class Note(NamedTuple):
    """What the reader should know: why something is not known, not there, or not for git to decide.

    "unseen" is the grave one: the image depends on something whose changes nothing here can tell.
    """

    kind: NoteKind
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Inputs:
    """All inputs of one image in one tree."""

    sources: tuple[Source, ...]
    notes: tuple[Note, ...]

    @property
    def files(self) -> dict[str, Entry]:
        """Every file by path, and every folder that is used empty, with a slash at the end."""
        return {path: entry for source in self.sources for path, entry in source.files.files.items()}

    @property
    def count(self) -> int:
        """How many files there are."""
        paths: set[str] = set().union(*(source.files.files.keys() for source in self.sources))
        return sum(not path.endswith("/") for path in paths)

    def why(self, path: str) -> tuple[Source, ...]:
        """What makes a file an input; empty where it is none."""
        return tuple(source for source in self.sources if path in source.files.files)

    def digest(self) -> str:
        """One digest of all files (hexadecimal SHA-256). The Dockerfile counts by content alone."""
        hashed = hashlib.sha256()
        for source in sorted(self.sources, key=lambda source: (source.kind, source.files.digest)):
            hashed.update(f"{source.kind} {source.files.digest}\n".encode())
        return hashed.hexdigest()


def inputs(image: Image, reading: Reading, tree: Tree) -> Inputs:
    """The inputs of an image, `tree` being that of the whole repository.

    DockerfileError: an ignore file, or an `--exclude`, with a pattern that BuildKit refuses.
    """
    collector = _Collector(image, tree, ignores=not is_foreign(reading.syntax))
    collector.dockerfile()
    for use in reading.context:
        collector.context_use(use)
    for line, why in reading.unknowns:
        collector.whole(None, line, "the whole context", why)
        for name in image.contexts:
            if is_local(image.contexts[name]):
                collector.whole(name, line, f"the whole context {name}", why)
    collector.paths()
    for remote in reading.remotes:
        if not remote.pinned:
            text = f"{remote.address} is fetched when the image is built, and carries no checksum and no commit"
            collector.notes[Note("remote", text, remote.line)] = None
            collector.whole(None, remote.line, f"the whole context, because of {remote.address}", "")
    for reference in reading.unread_bases:
        text = f"what {reference} sets with ENV and ONBUILD is not known"
        collector.notes[Note("base", text, 0)] = None
    return Inputs(tuple(collector.sources.values()), tuple(collector.notes))


def unseen(image: Image, reading: Reading, tree: Tree, ignored: Iterable[str]) -> tuple[str, ...]:
    """Those of `ignored` that the image uses all the same: git ignores them, so no comparison of trees sees a change.

    `ignored` is what `Repository.ignored` lists: files, and whole folders with a slash at the end.
    """
    # a folder whose content nobody lists is for a tree what a submodule is
    hidden = {path.rstrip("/"): Entry(SUBMODULE if path.endswith("/") else FILE, "") for path in ignored}
    used = inputs(image, reading, tree.plus(hidden))
    return tuple(sorted(path for path in used.files if path in hidden and tree.get(path) is None))


def preload(images: Iterable[Image], tree: Tree) -> None:
    """Fetch at once what `read` and `inputs` will open of these images."""
    wanted: dict[str, None] = {}
    for image in images:
        folders = [image.context, *(value for value in image.contexts.values() if is_local(value))]
        ignore_files = [posixpath.normpath(f"{folder}/{IGNORE_FILE}") for folder in folders]
        wanted |= dict.fromkeys((image.dockerfile, f"{image.dockerfile}{IGNORE_FILE}", *ignore_files))
    tree.preload(wanted)


def fingerprint(
    image: Image, files: Inputs, *, parents: Mapping[str, str] | None = None, pinned: Mapping[str, str] | None = None
) -> str:
    """`sha256:…` over everything that can change the image: files, settings, parents.

    `parents` are the fingerprints of the images that it is built on, by name; `pinned` the digests of outside images,
    by reference, where they are locked. Equal on every machine: no time, no path of the machine, no order counts.
    """
    document = {
        "format": FORMAT,
        "files": files.digest(),
        "build_args": dict(image.build_args),
        "secret_build_args": sorted(image.secret_build_args),
        "target": image.target,
        "platforms": sorted(image.platforms),
        "contexts": dict(image.contexts),
        "labels": dict(image.labels),
        "title": image.title,
        "version": image.version,
        "parents": dict(parents or {}),
        "pinned": dict(pinned or {}),
    }
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def is_local(context: str) -> bool:
    """Whether a named context's value is a folder."""
    return not context.startswith(("docker-image://", "target:", "oci-layout://")) and remote_kind(context) is None


class _Collector:
    def __init__(self, image: Image, tree: Tree, *, ignores: bool) -> None:
        """`ignores` says whether the front end is known to heed ignore files."""
        self.image = image
        self._ignores = ignores
        self.tree = tree
        self.sources: dict[tuple[str, str, int], Source] = {}
        self.notes: dict[Note, None] = {}
        self._contexts: dict[str | None, Context | None] = {}
        self._ignore_files = _ignore_files(image.dockerfile, image.context, tree)

    def dockerfile(self) -> None:
        """The Dockerfile and the ignore files in force."""
        image = self.image
        end, links = self.tree.follow(image.dockerfile)
        entry = self.tree.get(end) if end else None
        if end is None or entry is None:
            self.notes[Note("unseen", f"{image.dockerfile} is not in git", 0)] = None
        else:
            # what it is called, and whether it may be executed, changes no image
            contents = FileSet({path: self._entry(path) for path in (*links, end)}, _digest({"": Entry("", entry.oid)}))
            made = self.tree.generated.get(self.tree.prefix + end)
            origin = made.origin if made else ""
            detail = f"Dockerfile, made from {origin}" if made else "Dockerfile"
            self.sources["dockerfile", "", 0] = Source("dockerfile", detail, 0, contents, made_from=origin)
        for path in self._ignore_files:
            self._add_ignore_file(path)

    def context_use(self, use: ContextUse) -> None:
        """The files of one COPY, ADD or bind mount."""
        if use.sources is None:
            detail = f"{use.kind.upper()} of {use.context or 'the context'}"
            self.whole(use.context, use.line, detail, use.why_whole or "", noted=use.why_whole is None)
            return
        where = f"{self.image.dockerfile}:{use.line}"
        context = self._context(use.context, use.line)
        if context is None:
            return
        options = (use.kind, use.sources, use.excludes, use.parents)
        key = ("selected", context, options)
        selection: Selection | None = self.tree.memo.get(key)
        if selection is None:
            if use.kind == "bind":
                selection = context.mounted(use.sources[0])
            else:
                selection = context.copied(use.sources, excludes=use.excludes, parents=use.parents, where=where)
            self.tree.memo[key] = selection
        detail = f"{use.kind.upper()} {' '.join(source or '/' for source in use.sources)}"
        self._add("file", detail, use.line, selection, context.tree, key=key)
        for source in selection.missing:
            text = f"{source} is not in {use.context or 'the context'}, or is ignored there: the build will fail"
            self.notes[Note("missing", text, use.line)] = None

    def whole(self, name: str | None, line: int, detail: str, why: str, *, noted: bool = True) -> None:
        """Everything in a context."""
        context = self._context(name, line)
        if context is not None:
            key = ("everything", context)
            selection: Selection | None = self.tree.memo.get(key)
            if selection is None:
                selection = self.tree.memo[key] = context.everything()
            self._add("file", detail, line, selection, context.tree, key=key, whole=True)
        if noted and why:
            self.notes[Note("unknown", why, line)] = None

    def paths(self) -> None:
        """The files that the configuration adds; no ignore file counts for them."""
        for pattern in self.image.paths:
            key = ("paths", pattern)
            selection: Selection | None = self.tree.memo.get(key)
            if selection is None:
                context = Context(self.tree, Patterns((), where=""))
                selection = context.included([pattern], where=f"paths of {self.image.name}")
                self.tree.memo[key] = selection
            self._add("config", f"paths: {pattern}", 0, selection, self.tree, key=key)
            if selection.missing:
                self.notes[Note("missing", f"`paths`: {pattern} matches no file", 0)] = None

    def _context(self, name: str | None, line: int) -> Context | None:
        """The main context, or a named one; None where it is not in this tree, which is noted."""
        if name not in self._contexts:
            self._contexts[name] = self._find_context(name, line)
        return self._contexts[name]

    def _find_context(self, name: str | None, line: int) -> Context | None:
        folder = self.image.context if name is None else self.image.contexts[name]
        path: str | None = None
        links: tuple[str, ...] = ()
        if not posixpath.isabs(folder) and not posixpath.normpath(folder).startswith(".."):
            path, links = self.tree.follow(folder)
        entry = self.tree.get(path) if path else None
        if (
            path is not None and entry is not None and entry.mode == SUBMODULE
        ):  # its commit stands for all that is in it
            self._add("file", f"context: {folder}", 0, Selection((path,)), self.tree)
            return None
        if path is None or entry is not None:
            self.notes[Note("unseen", f"the context {folder!r} is no folder of this repository", line)] = None
            return None
        if links:
            self._add("config", f"context: {folder}", 0, Selection(links), self.tree)
        ignore_files = self._ignore_files if name is None else _ignore_files(None, path, self.tree)
        if name is not None:
            for ignore_file in ignore_files:
                self._add_ignore_file(ignore_file)
        # an empty own file comes first, and ignores nothing
        ignore_file = ignore_files[0] if ignore_files and self._ignores else ""
        key = ("context", path, ignore_file)
        context: Context | None = self.tree.memo.get(key)
        if context is None:
            patterns = read_ignore_file(self.tree.read(ignore_file)) if ignore_file else ()
            context = self.tree.memo[key] = Context(self.tree.at(path), Patterns(patterns, where=ignore_file))
        return context

    def _add_ignore_file(self, path: str) -> None:
        end, links = self.tree.follow(path)
        self._add("ignore-file", path, 0, Selection((*links, end or path)), self.tree)

    def _add(
        self,
        kind: InputKind,
        detail: str,
        line: int,
        selection: Selection,
        tree: Tree,
        *,
        key: object = None,
        whole: bool = False,
    ) -> None:
        if not selection.files:
            return
        memo = ("files", key)
        files: FileSet | None = self.tree.memo.get(memo) if key else None
        if files is None:
            entries = {tree.prefix + path: self._entry(tree.prefix + path) for path in selection.files}
            files = FileSet(entries, _digest(entries))
            if key:
                self.tree.memo[memo] = files
        self.sources[files.digest, detail, line] = Source(kind, detail, line, files, whole)

    def _entry(self, path: str) -> Entry:
        entry = Entry(FOLDER, "") if path.endswith("/") else self.tree.get(path)
        assert entry is not None, path  # noqa: S101 - every path comes from this tree
        return entry


def _ignore_files(dockerfile: str | None, context: str, tree: Tree) -> tuple[str, ...]:
    """The ignore files in force, the one whose patterns count first (dockerui `ReadEntrypoint`).

    The Dockerfile's own replaces the one at the context's root. An empty one does so for the front end that BuildKit
    has built in, and not for one that a `# syntax=` line starts: then both are inputs, and nothing is ignored.
    """
    root = IGNORE_FILE if context in ("", ".") else posixpath.normpath(f"{context}/{IGNORE_FILE}")
    found = (root,) if tree.is_file(root) else ()
    own = f"{dockerfile}{IGNORE_FILE}" if dockerfile else ""
    if not own or not tree.is_file(own):
        return found
    return (own,) if tree.read(own) else (own, *found)


def _digest(entries: Mapping[str, Entry]) -> str:
    lines = [f"{entry.mode} {entry.oid}\t{path}\0" for path, entry in entries.items()]
    return hashlib.sha256(os.fsencode("".join(lines))).hexdigest()
