"""Repositories that were never pushed: by hand for single cases, drawn by hypothesis for all others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from imagewright.cleanup.model import ManifestKind, Picture, Policy, Rule, Sort, Stored, Use

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HERE = "ghcr.io/me/app"
TYPE = "application/vnd.oci.image.manifest.v1+json"


def digest(name: str) -> str:
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def beside(name: str, suffix: str = ".sig") -> str:
    """The tag under which something about the manifest is kept."""
    return f"sha256-{digest(name).removeprefix('sha256:')}{suffix}"


@dataclass
class World:
    """All that a repository holds, also what no client can see."""

    manifests: dict[str, Stored] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    lists_referrers: bool = True
    lists_untagged: bool = False
    taken: datetime = NOW

    def put(
        self,
        name: str,
        *tags: str,
        age: float | None = None,
        kind: ManifestKind = "image",
        children: tuple[str, ...] = (),
        attests: Mapping[str, str] | None = None,
        subject: str | None = None,
        blobs: Mapping[str, int] | None = None,
        created: datetime | None = None,
        pushed: datetime | None = None,
    ) -> str:
        """A manifest by its name; `age` is in days. Its parts are names, too."""
        found = digest(name)
        self.manifests[found] = Stored(
            digest=found,
            media_type=TYPE,
            kind=kind,
            size=100,
            children=tuple(map(digest, children)),
            attests={digest(one): digest(about) for one, about in (attests or {}).items()},
            subject=digest(subject) if subject else None,
            blobs=dict(blobs) if blobs is not None else ({} if children else {digest(f"blob of {name}"): 1000}),
            created=NOW - age * DAY if age is not None else created,
            pushed=pushed,
        )
        self.tags |= dict.fromkeys(tags, found)
        return found

    def picture(self, *extra: str) -> Picture:
        """What can be read: from tags on, and with the lists that the registry keeps. `extra` is read by digest."""
        seen: set[str] = set()
        waiting = {*self.tags.values(), *(one for one in extra if one in self.manifests)}
        hidden = set(self.manifests) - {child for one in self.manifests.values() for child in one.children}
        untagged = hidden - set(self.tags.values()) if self.lists_untagged else set()
        waiting |= untagged
        while waiting:
            one = waiting.pop()
            if one in seen or one not in self.manifests:
                continue
            seen.add(one)
            waiting |= set(self.manifests[one].children)
            if self.lists_referrers:
                waiting |= {other.digest for other in self.manifests.values() if other.subject == one}
        return Picture(
            repository=HERE,
            taken=self.taken,
            tags=dict(self.tags),
            manifests={one: self.manifests[one] for one in sorted(seen)},
            untagged=frozenset(untagged),
            absent=frozenset(one for one in extra if one not in self.manifests),
        )

    def copy(self) -> World:
        return replace(self, manifests=dict(self.manifests), tags=dict(self.tags))


def keeping(number: int, **more: object) -> Policy:
    """`--keep N` without any configuration, and without breakers."""
    values: dict[str, object] = {
        "rules": (Rule(name=f"keep {number}", keep=number),),
        "usual": ("latest", "stable", "*-stable", "main"),
        "max_share": 1.0,
        "allow_empty": True,
        "allow_keep_zero": True,
    }
    return Policy(**(values | more))  # type: ignore[arg-type]


_SORTS: tuple[Sort, ...] = ("date", "version", "parts")
_TAGS = ("latest", "x-stable", "main", "base-1", "base-2", "pr-1", "pr-2", "pr-10", "1.9", "1.10", "1.10.1", "2.0-rc1")
_GLOBS = ("*", "base-*", "pr-*", "1.*", "latest", "sha256-*", "nothing-*", "pr-?", "*-stable")
_BESIDE: tuple[ManifestKind, ...] = ("referrer", "referrer", "artifact", "cache", "unknown")
_UNBELIEVABLE = (
    None,
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    NOW + DAY,
)
_AGES = (0.01, 1, 1, 2, 5, 8, 30, 30, 31, 32, 400)


def rarely(draw: st.DrawFn, one_in: int) -> bool:
    """Never where hypothesis makes an example small."""
    return draw(st.integers(1, one_in)) == one_in


@st.composite
def _dates(draw: st.DrawFn) -> datetime | None:
    if rarely(draw, 10):
        return draw(st.sampled_from(_UNBELIEVABLE))
    return NOW - draw(st.sampled_from(_AGES)) * DAY


@st.composite
def _pushed(draw: st.DrawFn) -> datetime | None:
    return draw(_dates()) if rarely(draw, 8) else None


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Up to some twenty manifests that share parts, speak about each other, and lie under all kinds of tags."""
    world = World(
        lists_referrers=draw(st.booleans()),
        lists_untagged=draw(st.booleans()),
        taken=NOW + draw(st.sampled_from([timedelta(0), timedelta(0), -DAY, DAY])),
    )
    plain: list[str] = []
    for number in range(draw(st.integers(2, 7))):
        blobs = {digest(f"layer {one}"): 10**one for one in sorted(draw(st.sets(st.integers(0, 4), max_size=3)))}
        plain.append(f"image {number}")
        world.put(plain[-1], created=draw(_dates()), pushed=draw(_pushed()), blobs=blobs)
    for number in range(draw(st.integers(0, 4))):
        children = draw(st.lists(st.sampled_from(plain), min_size=1, max_size=3, unique=True))
        attests: dict[str, str] = {}
        if draw(st.booleans()):
            attests[f"attestation {number}"] = children[0]
            world.put(f"attestation {number}", kind="artifact")
        plain.append(f"index {number}")
        world.put(
            plain[-1],
            kind="index",
            children=(*children, *attests),
            attests=attests,
            created=draw(_dates()),
            pushed=draw(_pushed()),
        )
    spoken_about = [*plain, "nowhere"]
    for number in range(draw(st.integers(0, 3))):
        spoken_about.append(f"referrer {number}")
        subject = draw(st.sampled_from(spoken_about[:-1]))
        world.put(spoken_about[-1], kind="referrer", subject=subject, created=draw(_dates()))
    for number in range(draw(st.integers(0, 3))):
        name, about = f"signature {draw(st.integers(0, number))}", draw(st.sampled_from(spoken_about))
        if digest(name) not in world.manifests:
            world.put(name, kind=draw(st.sampled_from(_BESIDE)))
        world.tags[beside(about, draw(st.sampled_from([".sig", ".att", ".sbom"])))] = digest(name)
    referrers = [name for name in spoken_about if name.startswith("referrer")]
    if draw(st.booleans()) and referrers:
        about = draw(st.sampled_from(plain))
        world.put("fallback", beside(about, ""), kind="referrer", children=tuple(referrers))
    if rarely(draw, 4):
        kinds: tuple[ManifestKind, ...] = ("cache", "artifact", "unknown")
        for kind in sorted(draw(st.sets(st.sampled_from(kinds), max_size=2))):
            plain.append(kind)
            world.put(kind, kind=kind, created=draw(_dates()))
    everything = [*world.manifests]
    for tag in sorted(draw(st.sets(st.sampled_from(_TAGS), min_size=3, max_size=len(_TAGS)))):
        # Rarely on anything at all, such as an attestation or a signature.
        where = everything if rarely(draw, 10) else [digest(name) for name in plain]
        world.tags[tag] = draw(st.sampled_from(where))
    if rarely(draw, 5):
        name = draw(st.sampled_from(plain))
        world.tags[beside(name, "")] = digest(name)  # some registries' idea of a fallback tag
    return world


@st.composite
def rules(draw: st.DrawFn, number: int, *, last: bool) -> Rule:
    return Rule(
        name=f"rule {number}",
        tags=("*",) if last else tuple(draw(st.lists(st.sampled_from(_GLOBS), min_size=1, max_size=2, unique=True))),
        keep=draw(st.sampled_from([1, 0, 0, 1, 1, 2, 2, 3, None])),
        younger=draw(st.sampled_from([3 * DAY, 20 * DAY, 60 * DAY])) if rarely(draw, 4) else None,
        sort=draw(st.sampled_from(_SORTS)),
        forever=rarely(draw, 12),
    )


@st.composite
def policies(draw: st.DrawFn, world: World) -> Policy:
    """Without breakers: these are tested for themselves."""
    digests = sorted(world.manifests)
    number = draw(st.integers(0, 2))
    protect = draw(st.sampled_from(_GLOBS[1:]) | st.sampled_from(digests)) if rarely(draw, 4) else None
    return Policy(
        rules=tuple(draw(rules(at, last=at == number)) for at in range(number + 1)),
        protect=(protect,) if protect else (),
        usual=("latest", "stable", "*-stable", "main") if rarely(draw, 5) else (),
        only=draw(st.sampled_from([("pr-*",), ("1.*", "base-*")])) if rarely(draw, 6) else (),
        untagged=draw(st.sampled_from([None, timedelta(0), 7 * DAY])),
        grace=draw(st.sampled_from([timedelta(hours=1), timedelta(0), DAY + timedelta(hours=1)])),
        max_share=1.0,
        allow_empty=True,
        allow_keep_zero=True,
    )


@st.composite
def uses(draw: st.DrawFn, world: World) -> tuple[Use, ...]:
    known = draw(st.sampled_from(sorted(world.manifests)))
    tag = draw(st.sampled_from([*sorted(world.tags), "gone"]))
    texts = [
        *(f"{HERE}@{known}", f"{HERE}:{tag}", known, f"docker.io/me/other@{known}", f"docker.io/me/other:{tag}"),
        *(f"{HERE}:{tag}@{known}", f"{HERE}@{digest('gone')}", HERE),
    ]
    some = st.lists(st.sampled_from(texts), min_size=1, max_size=2, unique=True)
    chosen: list[str] = draw(some) if rarely(draw, 5) else []
    return tuple(Use(reference=text, where=f"deploy.yaml:{line}") for line, text in enumerate(chosen, start=1))
