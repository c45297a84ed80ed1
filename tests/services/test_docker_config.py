from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from imagewright.services import credentials
from imagewright.services.docker_config import docker_config as folder_for
from imagewright.services.model import Secrets
from imagewright.services.places import Places
from imagewright.tools import buildx_plugin

SECRETS = Secrets("imagewright", "a-long-random-password")


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A user without buildx, on whose PATH there is one that is no plugin."""
    monkeypatch.setattr(buildx_plugin, "_SYSTEM", (tmp_path / "none",))
    (tmp_path / "bin").mkdir()
    buildx = tmp_path / "bin/buildx"
    buildx.write_text(
        '#!/bin/sh\n[ "$1" = docker-cli-plugin-metadata ] && echo \'{"SchemaVersion":"0.1.0","Vendor":"x"}\' '
        '|| echo "buildx v0.37.0"\n'
    )
    buildx.chmod(0o755)
    return {"HOME": str(tmp_path), "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(cache=tmp_path / "cache", state=tmp_path / "state")


def test_the_users_own_folder_serves_where_it_has_buildx(
    environ: dict[str, str], places: Places, tmp_path: Path
) -> None:
    plugin = tmp_path / ".docker/cli-plugins/docker-buildx"
    plugin.parent.mkdir(parents=True)
    shutil.copy(tmp_path / "bin/buildx", plugin)

    assert folder_for(places, environ=environ, say=pytest.fail) is None
    assert not places.state.exists()


def test_ours_has_buildx_and_everything_of_the_users(environ: dict[str, str], places: Places, tmp_path: Path) -> None:
    theirs = tmp_path / ".docker"
    (theirs / "contexts/meta").mkdir(parents=True)
    (theirs / "cli-plugins").mkdir()
    (theirs / "cli-plugins/docker-compose").touch()
    (theirs / "config.json").write_text('{"psFormat": "mine"}')

    ours = folder_for(places, environ=environ, say=pytest.fail)

    assert ours is not None
    assert json.loads((ours / "config.json").read_text()) == {"psFormat": "mine"}
    assert (ours / "contexts/meta").is_dir()
    assert (ours / "cli-plugins/docker-compose").exists()
    assert not (theirs / "cli-plugins/docker-buildx").exists(), "nothing is put into the user's folder"
    (theirs / "features.json").touch()
    assert folder_for(places, environ=environ, say=pytest.fail) == ours
    assert (ours / "features.json").exists(), "what comes later is linked, too"


def test_within_ours_nothing_is_to_be_done(environ: dict[str, str], places: Places) -> None:
    ours = folder_for(places, environ=environ, say=pytest.fail)
    assert folder_for(places, environ={**environ, "DOCKER_CONFIG": str(ours)}, say=pytest.fail) is None


def test_docker_finds_buildx_there_and_a_login_goes_to_the_users_file(
    environ: dict[str, str], places: Places, tmp_path: Path
) -> None:
    ours = folder_for(places, environ=environ, say=pytest.fail)
    env = {**environ, "DOCKER_CONFIG": str(ours)}
    version = subprocess.run(["docker", "buildx", "version"], env=env, capture_output=True, text=True)
    assert "v0.37.0" in version.stdout
    config = tmp_path / ".docker/config.json"

    # docker logs in at a registry that answers; without one, its own way of writing the file is seen by logging out
    config.write_text(json.dumps({"auths": {"localhost:1": {"auth": credentials._basic(SECRETS)}}, "psFormat": "mine"}))
    assert credentials.logged_in("localhost:1", env, SECRETS)
    credentials.logout("localhost:1", env)

    assert not credentials.logged_in("localhost:1", env)
    assert json.loads(config.read_text()) == {"auths": {}, "psFormat": "mine"}
    assert ours is not None
    assert (ours / "config.json").is_symlink()


def test_a_login_is_compared_with_the_password(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    config = tmp_path / ".docker/config.json"
    for text, known in [
        ("{}", False),
        ("broken", False),
        ('{"auths": {"localhost:1": {}}, "credsStore": "pass"}', True),
        ('{"auths": {"localhost:1": {"auth": "b3RoZXI6b25l"}}}', False),
        (json.dumps({"auths": {"localhost:1": {"auth": credentials._basic(SECRETS)}}}), True),
    ]:
        config.write_text(text)
        assert credentials.logged_in("localhost:1", environ, SECRETS) is known, text
