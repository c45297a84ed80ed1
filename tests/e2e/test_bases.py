"""A base image made from Debian's packages for real, served by the local registry, and built on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imagewright.bases.ensure import ensure_bases
from imagewright.config.models import DebianBase
from imagewright.registry.client import Registry
from imagewright.registry.credentials import find_credential

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from imagewright.bases.ensure import Made
    from tests.e2e.conftest import LocalEngine

pytestmark = pytest.mark.e2e

# A name of its own: other tests are built on the real one at the same time.
NAME = "imagewright-e2e/debian:trixie-slim"
BASES = {NAME: DebianBase(debootstrap="trixie")}
TRIED = f"""\
FROM {NAME}
RUN <<END
set -eux
grep VERSION_CODENAME=trixie /etc/os-release
test "$HOME" = /root
test ! -s /etc/machine-id
test ! -e /usr/share/man/man1
apt-get update
apt-get install --yes --no-install-recommends jq
jq --version
test -e /usr/share/doc/jq/copyright
test ! -e /usr/share/man/man1
test "$(ls /usr/share/doc/jq)" = copyright
test -z "$(find /var/cache/apt -name '*.deb' -o -name '*.bin')"
policy-rc.d && exit 1 || test $? = 101
END
"""


@pytest.fixture
def ensure(engine: LocalEngine, tmp_path: Path) -> Callable[[bool], tuple[Made, ...]]:
    def run(hub: bool) -> tuple[Made, ...]:
        return ensure_bases(
            [NAME],
            BASES,
            platforms=["linux/amd64"],
            connect=lambda: Registry(
                engine.registry,
                credentials=lambda host: find_credential(host, {"DOCKER_CONFIG": str(engine.docker_config)}),
            ),
            state=tmp_path / f"state-{hub}",
            cache=engine.places.cache,
            say=lambda _: None,
            reachable=lambda _: hub,
        )

    return run


def test_an_unchanged_from_line_is_built_on_it_until_docker_hub_answers(
    ensure: Callable[[bool], tuple[Made, ...]], engine: LocalEngine, tmp_path: Path
) -> None:
    [made] = ensure(False)
    assert ensure(False) == (made,)
    (tmp_path / "Dockerfile").write_text(TRIED)
    engine.build(tmp_path, "--no-cache", "--output", "type=cacheonly")
    assert ensure(True) == ()
    tags = engine.docker(
        "buildx", "imagetools", "inspect", "--raw", f"{engine.registry}/docker.io/imagewright-e2e/debian@{made.digest}"
    )
    assert "manifests" in tags.stdout, "the tag alone is deleted: what is being built on the digest goes on"
    with pytest.raises(AssertionError, match="not found"):
        engine.docker("buildx", "imagetools", "inspect", f"{engine.registry}/docker.io/{NAME}")
