"""Images for two platforms on one builder: one index, whole or not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.repository import Repository

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Inv, LocalEngine

pytestmark = pytest.mark.e2e

BOTH = ["linux/amd64", "linux/arm64"]


@pytest.fixture
def repository(engine: LocalEngine, inv: Inv, tmp_path: Path) -> Repository:
    """Two platforms, of which no step runs anything: no emulator is needed."""
    (tmp_path / "project").mkdir()
    r = Repository(tmp_path / "project", engine, inv)
    r.configure("platforms: [linux/amd64, linux/arm64]\nimages: {narrow: {platforms: [linux/amd64]}}\n")
    for architecture in ("amd64", "arm64"):
        r.write(f"for-{architecture}", f"{r.prefix} {architecture}\n")
    r.dockerfile("whole", "FROM scratch", "ARG TARGETARCH", "COPY for-${TARGETARCH} /arch")
    r.dockerfile("narrow", "FROM scratch", "COPY tasks.py /")
    return r


def test_one_index_and_an_image_for_one_platform_alone(repository: Repository) -> None:
    r = repository
    r.dockerfile("above", "FROM PREFIX/whole", "COPY tasks.py /")
    first = r.build("all")
    assert {name: sorted(r.images(r.reference(name))) for name in ("whole", "above", "narrow")} == {
        "whole": BOTH,
        "above": BOTH,
        "narrow": BOTH[:1],
    }
    assert {name: first[name]["platforms"] for name in ("whole", "narrow")} == {"whole": BOTH, "narrow": BOTH[:1]}
    for name, digest in first.digests().items():
        assert r.digest(r.reference(name)) == digest
    whole, above = (r.images(r.reference(name)) for name in ("whole", "above"))
    layers = {platform: image["rootfs"]["diff_ids"] for platform, image in above.items()}
    assert {platform: found[:1] for platform, found in layers.items()} == {
        platform: image["rootfs"]["diff_ids"] for platform, image in whole.items()
    }
    assert r.build("all").digests() == first.digests()


def test_an_image_that_fails_on_one_platform_is_not_there_at_all(repository: Repository) -> None:
    r = repository
    r.dockerfile("half", "FROM scratch", "ARG TARGETARCH", "COPY for-${TARGETARCH} /arch", "COPY only-${TARGETARCH} /")
    r.dockerfile("above", "FROM PREFIX/half", "COPY tasks.py /")
    r.write("only-amd64", "here\n")
    outcome = r.build("all", code=1)
    assert {one["name"]: one["status"] for one in outcome.document["images"]} == {
        "half": "failed", "above": "skipped", "whole": "built", "narrow": "built",
    }  # fmt: skip
    assert "/only-arm64 is not there to be copied" in outcome["half"]["error"]
    assert (outcome["half"]["digest"], r.tags("half"), r.tags("above")) == (None, (), ())
    assert sorted(r.images(r.reference("whole"))) == BOTH
    r.write("only-arm64", "here, too\n")
    mended = r.build("half")
    assert sorted(r.images(r.reference("half"))) == BOTH
    assert r.digest(r.reference("half")) == mended["half"]["digest"]


def test_a_parent_without_the_platform_is_refused_before_anything_of_it_is_built(repository: Repository) -> None:
    r = repository
    r.dockerfile("child", "FROM PREFIX/narrow", "COPY for-amd64 /")
    r.dockerfile("above", "FROM PREFIX/child", "COPY for-arm64 /")
    r.dockerfile("made", "FROM --platform=linux/amd64 PREFIX/narrow AS n", "FROM scratch", "COPY --from=n /tasks.py /")
    outcome = r.build("all", code=1)
    assert {one["name"]: one["status"] for one in outcome.document["images"]} == {
        "child": "failed", "above": "skipped", "whole": "built", "narrow": "built", "made": "built",
    }  # fmt: skip
    assert "narrow is built for linux/amd64 only" in outcome["child"]["error"]
    assert (r.tags("child"), r.tags("above")) == ((), ())
    assert sorted(r.images(r.reference("made"))) == BOTH
    r.dockerfile("child", "FROM PREFIX/whole", "COPY for-amd64 /")
    r.build("above")
    assert sorted(r.images(r.reference("above"))) == BOTH
