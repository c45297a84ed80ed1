"""The real buildx says and does the same whether docker calls it or this package does, in docker's stead."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from imagewright.tools import buildx_plugin, process
from tests.e2e.conftest import BUILDER, LocalEngine

pytestmark = pytest.mark.e2e

BAKE = ("bake", "--progress", "quiet", "--file", "bake.json")
TARGETS = {
    "app": "FROM scratch\nCOPY bake.json /\n",
    "broken": "FROM scratch\nCOPY nothing /\n",
}


@pytest.mark.parametrize(
    ("command", "code", "env"),
    [
        (("version",), 0, {}),
        (("bake", "--nosuchflag"), 125, {}),
        (("inspect", "nosuch"), 1, {}),
        ((*BAKE, "--print", "app"), 0, {}),
        ((*BAKE, "--print", "nosuch"), 1, {}),
        ((*BAKE, "--builder", "nosuch", "app"), 1, {}),
        ((*BAKE, "--builder", BUILDER, "--metadata-file", "metadata.json", "app"), 0, {}),
        ((*BAKE, "--builder", BUILDER, "broken"), 1, {}),
        ((*BAKE, "--builder", "default", "app"), 1, {"DOCKER_HOST": "tcp://127.0.0.1:1"}),
        ((*BAKE, "app"), 1, {"DOCKER_CONTEXT": "nosuch"}),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, tuple) else None,
)
def test_it_is_the_same(
    engine: LocalEngine, tmp_path: Path, command: tuple[str, ...], code: int, env: dict[str, str]
) -> None:
    targets = {name: {"dockerfile-inline": text, "output": ["type=cacheonly"]} for name, text in TARGETS.items()}
    (tmp_path / "bake.json").write_text(json.dumps({"target": targets}))
    docker, options = shutil.which("docker") or "docker", ["--config", str(engine.docker_config)]
    ours = buildx_plugin.call(docker, options, config=engine.docker_config, environ=engine.env)
    assert ours.args[0] != docker

    ends = []
    for args, more in (((docker, *options, "buildx"), {}), (ours.args, ours.env)):
        metadata = tmp_path / "metadata.json"
        metadata.unlink(missing_ok=True)
        done = process.run([*args, *command], cwd=tmp_path, env={**engine.env, **env, **more})
        said = re.sub(r"of ref \S+", "of ref …", done.error_text)
        ends.append((done.code, done.text, said, metadata.exists()))
    assert ends[0] == ends[1]
    assert ends[0][0] == code
