"""`invoke doctor` in real repositories, whatever this machine has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from imagewright.cli.doctor import show
from imagewright.services.doctor import Check

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Invoke = Callable[..., subprocess.CompletedProcess[str]]


def checks(invoked: Invoke, name: str) -> list[dict[str, Any]]:
    done = invoked("doctor", "--json")
    document = json.loads(done.stdout)
    missing = any(check["verdict"] == "missing" for check in document["checks"])
    assert document["ok"] is not missing
    assert done.returncode == int(missing)
    return [check for check in document["checks"] if check["name"] == name]


def test_a_sound_repository(project: Path, invoked: Invoke) -> None:
    invoked("new", "app")
    done = invoked("doctor")
    lines = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines() if not line.startswith(" ")}
    assert lines["python"] == lines["configuration"] == lines["images"] == "ok"
    assert done.stderr == ""
    (git,) = checks(invoked, "git repository")
    assert git == {"name": "git repository", "verdict": "ok", "found": str(project.resolve()), "mend": None}


def test_a_wrong_configuration_is_told_and_the_machine_is_checked_all_the_same(project: Path, invoked: Invoke) -> None:
    (project / "config").mkdir()
    (project / "config/images.yml").write_text("\nregistri: x\n")
    (found,) = checks(invoked, "configuration")
    assert found["verdict"] == "missing"
    assert found["found"].startswith("config/images.yml:2: ")
    assert "registry" in found["mend"]
    assert checks(invoked, "git")


def test_dockerfiles_that_are_broken_forgotten_or_aim_past_their_parent(project: Path, invoked: Invoke) -> None:
    invoked("new", "base")
    (project / "Dockerfiles/Dockerfile.bad").write_text("FROM scratch\nCOPI a b\n")
    (project / "Dockerfiles/Dockerfile.slip").write_text("FROM ghcr.io/me/base\n")
    (project / "sub").mkdir()
    (project / "sub/Dockerfile").write_text("FROM scratch\n")
    (project / ".gitignore").write_text("ignored/\n")
    (project / "ignored").mkdir()
    (project / "ignored/Dockerfile").write_text("FROM scratch\n")
    broken, forgotten = checks(invoked, "Dockerfile")
    assert broken["verdict"] == "missing"
    assert broken["found"].startswith("Dockerfiles/Dockerfile.bad:2: ")
    assert forgotten["verdict"] == "warning"
    assert forgotten["found"].startswith("sub/Dockerfile: ")
    (slip,) = checks(invoked, "reference")
    assert slip["found"].startswith("Dockerfiles/Dockerfile.slip:1: ghcr.io/me/base is not built here")


def test_no_images_at_all_says_how_to_begin(project: Path, invoked: Invoke) -> None:
    (found,) = checks(invoked, "images")
    assert found["verdict"] == "missing"
    assert "invoke new" in found["mend"]


def test_long_texts_and_hints_keep_their_column(capsys: pytest.CaptureFixture[str]) -> None:
    show(
        [
            Check(name="git", verdict="ok", found="2.0"),
            Check(name="graph", verdict="missing", found="a cycle:\na -> b", mend="break it\n  there"),
        ]
    )
    assert capsys.readouterr().out == (
        "ok       git    2.0\n"
        "missing  graph  a cycle:\n"
        "                a -> b\n"
        "                -> break it\n"
        "                there\n"
    )


def test_a_layer_cache_that_does_not_answer(project: Path, invoked: Invoke) -> None:
    (project / "config").mkdir()
    config = project / "config/images.yml"
    config.write_text("cache: {type: s3, bucket: layers, endpoint_url: 'http://127.0.0.1:1'}\n")
    (found,) = checks(invoked, "layer cache")
    assert found["verdict"] == "warning"
    config.write_text("cache: {type: s3, bucket: layers, endpoint_url: 'http://127.0.0.1:1', required: true}\n")
    (found,) = checks(invoked, "layer cache")
    assert found["verdict"] == "missing"
    config.write_text("cache: {type: registry}\n")
    assert checks(invoked, "layer cache") == []
    config.write_text("cache: {type: s3, bucket: layers, endpoint_url: local}\n")
    (found,) = checks(invoked, "layer cache")
    assert found["verdict"] == "ok"
