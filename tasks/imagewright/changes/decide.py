"""What has changed between two snapshots, image by image, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from imagewright.changes.reason import Reason
from imagewright.changes.snapshot import Snapshot, Unknown
from imagewright.config.load import FILE
from imagewright.images.inputs import InputKind, Inputs, Source
from imagewright.images.model import Image
from imagewright.images.tree import EXECUTABLE, LINK, SUBMODULE, Entry

_MODES = {EXECUTABLE: "executable", LINK: "a link", SUBMODULE: "a submodule"}
_SETTINGS = ("build_args", "contexts", "labels")
_VALUES = ("target", "platforms", "title", "version", "secret_build_args")


class Against(NamedTuple):
    """A state that an image is compared with. `snapshot` is None where nothing is known, and `why` says why.

    `differs` is a reason that holds where the comparison finds none: the image is known to have changed already.
    """

    snapshot: Snapshot | None
    why: str
    differs: Reason | None = None


class Decision(NamedTuple):
    """Whether an image has changed: it has where there are reasons."""

    name: str
    reasons: tuple[Reason, ...]

    @property
    def changed(self) -> bool:
        """Whether the image is to be built."""
        return bool(self.reasons)


def decide(
    head: Snapshot, against: Callable[[str], Sequence[Against]], *, forced: Mapping[str, str] | None = None
) -> Mapping[str, Decision]:
    """A decision for every image of `head`, in build order.

    An image has changed where it differs from one of the states that `against` gives for it, where one of its parents
    has changed, and where `forced` says so, with why.
    """
    decisions: dict[str, Decision] = {}
    for name in head.graph.order():
        found: dict[Reason, None] = {}
        if forced and name in forced:
            found[Reason(kind="forced", detail=forced[name])] = None
        for state in against(name):
            found |= dict.fromkeys(differences(head, state, name))
        told = {reason.parent for reason in found}
        for edge in head.graph.uses(name):
            if decisions[edge.parent].changed and edge.parent not in told:
                told.add(edge.parent)
                found[_parent(head, name, edge.parent, f"{edge.parent} is built anew")] = None
        decisions[name] = Decision(name=name, reasons=tuple(found))
    return decisions


def removed(head: Snapshot, base: Snapshot | None) -> tuple[str, ...]:
    """The images that `base` has and `head` has not, by name."""
    return tuple(sorted(base.images.keys() - head.images.keys())) if base else ()


def differences(head: Snapshot, against: Against, name: str) -> tuple[Reason, ...]:
    """Why an image's fingerprint differs from that in another state; empty where it is the same."""
    found = _differences(head, against, name)
    return found or ((against.differs,) if against.differs else ())


def _differences(head: Snapshot, against: Against, name: str) -> tuple[Reason, ...]:
    base = against.snapshot
    after = head.inputs(name)
    if isinstance(after, Unknown):
        return (Reason(kind="unknown", detail=after.detail, path=after.path),)
    if base is None:
        return (Reason(kind="unknown", detail=against.why),) if against.why else ()
    if name not in base.images:
        detail = f"the image is new: {head.images[name].dockerfile}"
        return (Reason(kind="added", detail=detail, path=head.images[name].dockerfile),)
    before = base.inputs(name)
    if isinstance(before, Unknown):
        detail = f"what it was made from before cannot be told: {before.detail}"
        return (Reason(kind="unknown", detail=detail, path=before.path),)
    now, then = head.fingerprint(name), base.fingerprint(name)
    if now is not None and now == then:
        return ()
    found = (*_files(head, base, name, before, after), *_config(head, base, name), *_parents(head, base, name))
    return found or (Reason(kind="unknown", detail="its fingerprint differs, and nothing tells why"),)


def _files(head: Snapshot, base: Snapshot, name: str, before: Inputs, after: Inputs) -> Iterator[Reason]:
    if before.digest() == after.digest():
        return
    old, new = _by_kind(before), _by_kind(after)
    if _dockerfile(before) == _dockerfile(after):  # only its content counts, not its name
        for kept in [key for key in (*old, *new) if key[0] == "dockerfile"]:
            old.pop(kept, None)
            new.pop(kept, None)
    for kind, path in sorted(old.keys() | new.keys(), key=lambda key: (_ORDER[key[0]], key[1])):
        was, now = old.get((kind, path)), new.get((kind, path))
        what = _what(was and was[0], now and now[0])
        if what is None:
            continue
        images = (head if now else base).images
        source = (now or was or (None, None))[1]
        line = source.line or None if source else None
        by = f"; {source.detail}{_at(images[name], line)}" if source and kind in ("file", "config") else ""
        if source and kind == "dockerfile" and source.made_from:
            by = f"; made from {source.made_from}"
        yield Reason(kind=kind, detail=f"{what}{by}", path=path, line=line)


_ORDER: Mapping[InputKind, int] = {"dockerfile": 0, "ignore-file": 1, "config": 2, "file": 3}


def _dockerfile(found: Inputs) -> str | None:
    return next((source.files.digest for source in found.sources if source.kind == "dockerfile"), None)


def _by_kind(found: Inputs) -> dict[tuple[InputKind, str], tuple[Entry, Source]]:
    by_kind: dict[tuple[InputKind, str], tuple[Entry, Source]] = {}
    for source in found.sources:
        for path, entry in source.files.files.items():
            known = by_kind.setdefault((source.kind, path), (entry, source))
            if known[1].whole and not source.whole:  # the line that names the file tells more
                by_kind[source.kind, path] = (entry, source)
    return by_kind


def _what(was: Entry | None, now: Entry | None) -> str | None:
    """What happened to an input, in words; None where nothing did."""
    if was == now:
        return None
    if was is None:
        return "added"
    if now is None:
        return "removed"
    if was.mode == now.mode:
        return "modified"
    became = _MODES.get(now.mode, "not executable" if was.mode == EXECUTABLE else "a plain file")
    return f"became {became}" if was.oid == now.oid or now.mode in (LINK, SUBMODULE) else f"modified, became {became}"


def _config(head: Snapshot, base: Snapshot, name: str) -> Iterator[Reason]:
    now, then = head.images[name], base.images[name]
    for setting in _settings(now, then):
        yield Reason(kind="config", detail=setting, path=FILE)
    if head.pinned(name) != base.pinned(name):
        yield Reason(kind="config", detail="`bases`: how its base image is made", path=FILE)


def _settings(now: Image, then: Image) -> Iterator[str]:
    for field in _SETTINGS:
        new, old = getattr(now, field), getattr(then, field)
        for key in sorted(new.keys() | old.keys()):
            if new.get(key) != old.get(key):
                yield f"{field}.{key}: {_shown(old.get(key))} became {_shown(new.get(key))}"
    for field in _VALUES:
        new, old = getattr(now, field), getattr(then, field)
        if (sorted(new) != sorted(old)) if isinstance(new, tuple) else (new != old):
            yield f"{field}: {_shown(old)} became {_shown(new)}"
    if now.paths != then.paths:
        yield f"paths: {_shown(then.paths)} became {_shown(now.paths)}"


def _shown(value: str | tuple[str, ...] | None) -> str:
    if value is None:
        return "nothing"
    return f"`{', '.join(value)}`" if isinstance(value, tuple) else f"`{value}`"


def _parents(head: Snapshot, base: Snapshot, name: str) -> Iterator[Reason]:
    now, then = head.graph.parents(name), base.graph.parents(name)
    for parent in sorted({*now, *then}):
        if parent not in then:
            yield _parent(head, name, parent, f"is now built on {parent}")
        elif parent not in now:
            yield Reason(kind="parent", detail=f"is no longer built on {parent}", parent=parent)
        elif head.fingerprint(parent) is None or head.fingerprint(parent) != base.fingerprint(parent):
            yield _parent(head, name, parent, f"{parent} has changed")


def _parent(head: Snapshot, name: str, parent: str, detail: str) -> Reason:
    line = next(edge.line for edge in head.graph.uses(name) if edge.parent == parent) or None
    return Reason(kind="parent", detail=f"{detail}{_at(head.images[name], line)}", line=line, parent=parent)


def _at(image: Image, line: int | None) -> str:
    return f" ({image.dockerfile}:{line})" if line else ""
