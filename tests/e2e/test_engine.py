"""The docker-container driver on a real engine, with a BuildKit image that is made here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.engines import Engine, buildkit_image
from tests.e2e.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.conftest import Inv, Isolated, LocalEngine

pytestmark = pytest.mark.e2e

NAME = "in-a-container"
CONFIG = """\
debug = {debug}
[cdi]
disabled = true
[worker.containerd]
enabled = false
[registry."docker.io"]
mirrors = ["{registry}/docker.io"]
[registry."{registry}"]
http = true
"""


@pytest.fixture(scope="module")
def docker_engine(isolated: Isolated, on_disk: Callable[[], Path]) -> Iterator[Engine]:
    engine = Engine(folder=on_disk(), isolated=isolated)
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def image(engine: LocalEngine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A BuildKit image in the registry."""
    reference = f"{engine.registry}/buildkit:test"
    context = tmp_path_factory.mktemp("buildkit")
    buildkit_image(context, engine)
    output = f"type=image,name={reference},push=true,compression=uncompressed"
    engine.build(context, "--provenance=false", "--output", output)
    return reference


def test_a_container_of_buildkit_is_made_builds_and_is_made_anew_with_its_cache(
    docker_engine: Engine, image: str, engine: LocalEngine, inv: Inv, base_image: str, tmp_path: Path
) -> None:
    (tmp_path / "project").mkdir()
    r = Repository(tmp_path / "project", engine, inv, base_image)
    r.write("config/buildkitd.toml", CONFIG.format(debug="false", registry=engine.registry))
    r.configure(
        f"""\
builder:
  name: {NAME}
  driver: docker-container
  nodes:
    - endpoint: {docker_engine.address}
      config: config/buildkitd.toml
      options: {{image: "{image}", network: host, cgroup-parent: /{docker_engine.cgroup}}}
"""
    )
    r.dockerfile("app", "FROM BASE", "RUN od -N 16 -x /dev/urandom > /app")

    made = shown(r)
    assert (made["action"], [node["status"] for node in made["nodes"]]) == ("create", ["inactive"])
    booted = shown(r, "--bootstrap")
    assert (booted["action"], [node["answers"] for node in booted["nodes"]]) == ("none", [True])

    first = r.build("app")
    assert first["app"]["digest"] == r.digest(r.reference("app"))
    assert r.image(r.reference("app"))["architecture"]

    r.write("config/buildkitd.toml", CONFIG.format(debug="true", registry=engine.registry))
    dry = r.invoke("builder", "--dry-run")
    assert f"{NAME}0: config: " in dry.stderr
    anew = shown(r)
    assert (anew["action"], [one["what"] for one in anew["differences"]]) == ("replace", ["config"])
    again = r.build("app")
    assert again.digests() == first.digests(), "its cache was lost"
    assert again["app"]["cached_steps"] == 1

    assert r.invoke("builder", "--remove").returncode == 0
    left = engine.docker("ps", "--all", "--quiet", env={"DOCKER_HOST": docker_engine.address}).stdout
    assert left == "", "the container is still there"


def shown(r: Repository, *args: str) -> Mapping[str, Any]:
    done = r.invoke("builder", *args, "--json")
    assert done.returncode == 0, done.stderr
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found
