"""Bytes of a repository."""

from __future__ import annotations

from imagewright.cleanup.model import Picture, RepositoryPlan, Stored
from imagewright.cleanup.sizes import bytes_together, sizes_of
from tests.cleanup.stock import NOW


def one(digest: str, *, children: tuple[str, ...] = (), **blobs: int) -> Stored:
    return Stored(
        digest=digest, media_type="", kind="index" if children else "image", size=1, children=children, blobs=blobs
    )


def picture(tags: dict[str, str], *manifests: Stored) -> Picture:
    return Picture(repository="r/a", taken=NOW, tags=tags, manifests={found.digest: found for found in manifests})


def test_what_is_shared_counts_once() -> None:
    found = sizes_of(picture({"1": "a", "2": "b", "3": "b"}, one("a", base=100, own=10), one("b", base=100, other=20)))
    assert (found.tags, found.images, found.manifests) == (3, 2, 2)
    assert found.bytes == 100 + 10 + 20 + 2
    assert found.shared == 100
    assert found.freed is None


def test_platforms_of_one_index_share_within_one_image() -> None:
    parts = (one("i", children=("a", "b")), one("a", base=100), one("b", base=100))
    assert sizes_of(picture({"1": "i"}, *parts)).shared == 0
    assert sizes_of(picture({"1": "i", "amd64": "a"}, *parts)).shared == 0
    assert sizes_of(picture({"1": "i", "2": "j"}, *parts, one("j", children=("a",)))).shared == 101


def test_of_two_repositories_what_both_have_counts_once() -> None:
    first, second = sizes_of(picture({"1": "a"}, one("a", base=5))), sizes_of(picture({"1": "b"}, one("b", base=5)))
    assert bytes_together([first, second]) == 5 + 2


def test_what_a_plan_frees() -> None:
    plan = RepositoryPlan(repository="r/a", verdicts=(), manifests=(), tags=(), freed=7)
    assert sizes_of(picture({}), plan).freed == 7
