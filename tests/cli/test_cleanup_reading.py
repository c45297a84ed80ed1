"""What is kept because of what else is kept: for any repositories that are built on each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st

from imagewright.cleanup.inuse.scan import Scan
from imagewright.cleanup.model import Picture, Policy, Rule, Stored
from imagewright.cleanup.vendors.model import Capabilities
from imagewright.cli.cleanup_reading import InUse, Target, plan_all
from imagewright.registry.copy import Place
from tests.cleanup.stock import NOW
from tests.registry.memory import Memory

if TYPE_CHECKING:
    from imagewright.cleanup.vendors.model import Deleter

NAMES = ("base", "tool", "app")
LAYERS = st.lists(st.integers(1, 2), min_size=1, max_size=3).map(tuple)  # few, so that many are built on others


@dataclass
class Able:
    can: Capabilities


def picture(name: str, images: list[tuple[int, ...]], unread: bool) -> Picture:
    """Images by their filesystem layers, each a day older than the one before; the same layers may come twice."""
    tags: dict[str, str] = {}
    manifests: dict[str, Stored] = {}
    for number, layers in enumerate(images):
        digest = f"sha256:{sha256(f'{name} {number}'.encode()).hexdigest()}"
        blobs = {f"config of {name} {number}": 1, **{f"layer {layers[: end + 1]}": 10 for end in range(len(layers))}}
        created = NOW - timedelta(days=number + 1)
        manifests[digest] = Stored(digest=digest, media_type="", kind="image", size=1, blobs=blobs, created=created)
        tags[f"t{number}"] = digest
    problems = ("it failed",) if unread else ()
    return Picture(repository=f"r.example/{name}", taken=NOW, tags=tags, manifests=manifests, problems=problems)


@settings(max_examples=300)
@given(
    images=st.tuples(*(st.lists(LAYERS, min_size=1, max_size=6) for _ in NAMES)),
    keep=st.tuples(*(st.integers(1, 4) for _ in NAMES)),
    unread=st.sets(st.sampled_from(NAMES), max_size=1),
    looked_at=st.sets(st.sampled_from(NAMES), max_size=2),
    edges=st.sets(st.sampled_from([("base", "tool"), ("tool", "app"), ("base", "app"), ("app", "app")])),
)
@example(
    images=([(2,), (1,)], [(2, 2), (1, 1)], [(1, 1, 1)]),
    keep=(1, 1, 1),
    unread=set(),
    looked_at=set(),
    edges={("base", "tool"), ("tool", "app")},
)
def test_nothing_goes_that_something_which_stays_is_built_on(
    images: tuple[list[tuple[int, ...]], ...],
    keep: tuple[int, ...],
    unread: set[str],
    looked_at: set[str],
    edges: set[tuple[str, str]],
) -> None:
    registry = Memory().client()
    door: Deleter = Able(Capabilities(kind="distribution", deletes_tags=True, deletes_manifests=True))  # type: ignore[assignment]
    targets = {
        name: Target(
            place=Place(registry, name),
            deleter=None if name in looked_at else door,
            policy=None if name in looked_at else Policy(rules=(Rule(name="keep", keep=limit),), max_share=1),
            picture=picture(name, of, name in unread),
        )
        for name, of, limit in zip(NAMES, images, keep, strict=True)
    }
    children = {
        f"r.example/{parent}": frozenset(f"r.example/{child}" for of, child in edges if of == parent)
        for parent, _ in edges
    }

    plan_all(list(targets.values()), InUse(scan=Scan(), children=children), now=NOW)

    for parent, child in edges:
        doomed = targets[parent].doomed()
        for digest in doomed:
            assert child not in unread, "what is built on it is not known"
            gone = set(list(_of(targets[parent], digest).blobs)[1:])
            for kept in targets[child].kept():
                blobs = set(list(_of(targets[child], kept).blobs)[1:])
                assert not gone < blobs
                assert gone != blobs or parent == child
    for name, limit in zip(NAMES, keep, strict=True):
        target = targets[name]
        if target.plan and not target.plan.refused and not any(parent == name for parent, _ in edges):
            assert len(target.kept()) == min(limit, len(target.picture.tags if target.picture else ())), "and no more"


def _of(target: Target, digest: str) -> Stored:
    assert target.picture
    return target.picture.manifests[digest]
