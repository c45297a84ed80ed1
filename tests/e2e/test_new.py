"""The Dockerfile that `invoke new` writes is one that builds, and the image keeps what it promises."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

CONFIG = "bases:\n  debian:trixie-slim: {debootstrap: trixie}\n"

PROBE = """\
FROM {registry}/app:probed
RUN test "$(id -u):$(id -g)" = 10001:10001 && test "$PWD" = "$HOME" && touch here
RUN test -f /etc/ssl/certs/ca-certificates.crt && test -z "$(ls -A /var/lib/apt/lists)"
"""


@pytest.mark.e2e
def test_a_new_image_and_one_on_top_of_it_build(
    inv: Callable[..., subprocess.CompletedProcess[str]], engine: Any, tmp_path: Path
) -> None:
    (tmp_path / "tasks.py").write_text("from imagewright import ns\n")
    (tmp_path / "config").mkdir()
    (tmp_path / "config/images.yml").write_text(CONFIG)
    for args in (["new", "base"], ["new", "app", "--base", "base"]):
        assert inv(tmp_path, *args).returncode == 0

    done = inv(tmp_path, "build", "app", "--tag", "probed", "--json")

    assert done.returncode == 0, done.stderr
    assert [image["status"] for image in json.loads(done.stdout)["images"]] == ["built", "built"]
    probe = tmp_path / "probe"
    probe.mkdir()
    (probe / "Dockerfile").write_text(PROBE.format(registry=engine.registry))
    engine.build(probe)
