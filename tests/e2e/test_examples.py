"""The images of this repository, built by the product, each with a command run inside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.e2e.conftest import Inv, LocalEngine

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
IS_APP = 'test "$(id -un)" = app'
LUA = ("5.1.5", "5.3.6", "5.4.7")
COMMANDS = {
    "snapcast": """
        test "$(id -un)" = _snapserver
        shairport-sync -V
        snapserver --version
        timeout 2 snapserver --tcp.enabled=false --http.enabled=false --stream.port=0 > /tmp/log 2>&1 || true
        grep 'Adding source: airplay:///usr/bin/shairport-sync' /tmp/log
        """,
    "snapclient": """
        test "$(id -un)" = _snapclient
        snapclient --version
        """,
    "base": """
        curl --version
        install-packages xxd
        xxd --version
        test -z "$(ls /var/lib/apt/lists)"
        """,
    "tooling": """
        age --version
        rsync --version
        echo '{"a": 1}' | jq --exit-status '.a == 1'
        """,
    "app": """
        test "$(id -un)" = app
        report | jq --exit-status 'has("disk") and has("load")'
        ! wait-for 127.0.0.1 1 0
        """,
    "python-base": """
        test "$(id -un)" = app
        python3 -c 'import astral, paho.mqtt.client, sys; assert sys.prefix == "/opt/venv"'
        """,
    "backup-toolbox": """
        test "$(id -un)" = toolbox
        for program in bash curl jq pg_dump psql zstd; do $program --version; done
        rclone version
        mkdir dumps
        echo dump | zstd | rclone rcat dumps/one.zst
        test "$(rclone cat dumps/one.zst | zstd -d)" = dump
        """,
    "postgresql-vector": """
        test "$(id -un)" = postgres
        echo password > /tmp/password
        export POSTGRES_PASSWORD_FILE=/tmp/password
        start-postgresql -c listen_addresses= > /tmp/log 2>&1 &
        for _ in $(seq 100); do pg_isready && break || sleep 0.1; done
        createdb things
        test "$(psql --tuples-only --no-align --command "SELECT '[0,3]'::vector <-> '[4,0]'" things)" = 5
        pg_ctl stop --mode=immediate
        """,
    "runtime-base:2025.09": "tini --version",
    "runtime-base:2025.10": "test -e /usr/share/zoneinfo/Europe/Berlin",
    **{f"lua:{version}": f"{IS_APP}\nlua -v 2>&1 | grep 'Lua {version} '" for version in LUA},
    **{
        f"lua:{version}-net": f"""{IS_APP}
        test "$(lua -e "print(require('cjson').encode({{1}}), require('socket')._VERSION)" | cut -c 1-3)" = '[1]'
        """
        for version in LUA
    },
}


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> None:
    """Fails where another process of this run builds the images, too: pytest-xdist shall keep a file's tests together.

    They are a quarter of all that the tests do. `--dist loadgroup` of pytest-xdist 3.8 makes no groups with pytest 9.2.
    """
    if worker_id != "master":
        (tmp_path_factory.getbasetemp().parent / "examples").touch(exist_ok=False)


@pytest.fixture(scope="session")
def examples(once: None, engine: LocalEngine, inv: Inv, tell: Callable[[str], None]) -> Mapping[str, str]:
    """References with digests, by name."""
    tell("building the example images")
    done = inv(ROOT, "build", "all", "--json")
    assert done.returncode == 0, done.stderr[-4000:]
    result = json.loads(done.stdout)
    assert result["ok"]
    return {one["name"]: f"{one['reference'].rpartition(':')[0]}@{one['digest']}" for one in result["images"]}


def test_every_dockerfile_is_built_and_tried(examples: Mapping[str, str]) -> None:
    dockerfiles = {path.suffix.removeprefix(".") for path in (ROOT / "Dockerfiles").iterdir()}
    families = {name for name in examples if ":" in name}
    assert {name.partition(":")[0] for name in families} == {
        file.parent.name for file in ROOT.glob("images/*/image.yml")
    }
    assert {*COMMANDS, "wait-for"} == {*dockerfiles, *families} == set(examples)


@pytest.mark.parametrize("name", COMMANDS)
def test_its_programs_run(name: str, examples: Mapping[str, str], engine: LocalEngine, tmp_path: Path) -> None:
    lines = "\n".join(line.strip() for line in COMMANDS[name].strip().splitlines())
    (tmp_path / "Dockerfile").write_text(f"FROM {examples[name]}\nRUN <<END\nset -eux\n{lines}\nEND\n")
    engine.build(tmp_path, "--no-cache", "--output", "type=cacheonly")


def test_the_static_program_runs_without_anything_beside_it(
    examples: Mapping[str, str], engine: LocalEngine, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(f'FROM {examples["wait-for"]}\nRUN ["/wait-for", "--help"]\n')
    engine.build(tmp_path, "--no-cache", "--output", "type=cacheonly")
