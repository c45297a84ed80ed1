"""buildx's plugin is called as docker calls it: held against the real docker client."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from imagewright.errors import EnvironmentMissingError
from imagewright.tools import buildx_plugin, process
from imagewright.tools.buildx_plugin import call, find
from imagewright.tools.docker import Docker, NewNode

# A plugin that writes down how it was called; docker asks what it is before.
PLUGIN = """#!/bin/sh
if [ "$1" = docker-cli-plugin-metadata ]; then
  echo '{"SchemaVersion": "0.1.0", "Vendor": "test"}'
  touch "$RECORD.asked"
  exit
fi
printf '%s\\n' "$0" "$@" > "$RECORD.args"
env -0 > "$RECORD.env"
exit 7
"""
DOCKER = shutil.which("docker") or "docker"
SOCKET = "DOCKER_CLI_PLUGIN_SOCKET"


@pytest.fixture(autouse=True)
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder of plugins: this machine's own are not seen."""
    folder = tmp_path / "system"
    monkeypatch.setattr(buildx_plugin, "_SYSTEM", (folder,))
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration folder of docker, with the plugin."""
    plugin(tmp_path / "config/cli-plugins")
    return tmp_path / "config"


def plugin(folder: Path) -> Path:
    folder.mkdir(parents=True)
    file = folder / "docker-buildx"
    file.write_text(PLUGIN)
    file.chmod(0o755)
    return file


@dataclass(frozen=True)
class Seen:
    """What the plugin saw, and how it was called."""

    args: list[str]
    env: dict[str, str]
    code: int


def recorded(args: Sequence[str], env: Mapping[str, str | None], folder: Path) -> Seen:
    done = process.run([*args, "bake", "a b"], env={**env, "RECORD": str(folder / "seen")})
    pairs = (folder / "seen.env").read_text().rstrip("\0").split("\0")
    seen = dict(pair.split("=", 1) for pair in pairs)
    seen.pop("_", None)  # a shell's
    return Seen((folder / "seen.args").read_text().splitlines(), seen, done.code)


@pytest.mark.parametrize("attributes", [None, " a=b "])
def test_the_plugin_sees_what_docker_shows_it(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attributes: str | None
) -> None:
    monkeypatch.setenv(SOCKET, "of another plugin's docker")
    if attributes:
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", attributes)
    options = ["--config", str(config)]
    theirs = recorded([DOCKER, *options, "buildx"], {}, tmp_path)
    ours = call(DOCKER, options, config=config, environ=os.environ)
    seen = recorded(ours.args, ours.env, tmp_path)
    assert ours.args[0] != DOCKER
    assert SOCKET not in seen.env
    theirs.env.pop(SOCKET)  # on which docker itself listens
    assert seen == theirs
    assert seen.code == 7


def test_docker_is_not_started_for_a_build(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECORD", str(tmp_path / "seen"))
    docker = Docker(config)
    file = tmp_path / "bake.json"

    def seen(command: str) -> tuple[str, list[str]]:
        """All arguments, and the environment."""
        arguments = (tmp_path / "seen.args").read_text()
        variables = (tmp_path / "seen.env").read_text().split("\0")
        assert command in arguments.splitlines()
        assert f"DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND={DOCKER}" in variables
        return arguments, variables

    code = docker.bake(file, "app", builder="b", metadata=file, on_line=print, cwd=tmp_path, env={"TOKEN": "s3cret"})
    assert code == 7
    arguments, variables = seen("bake")
    assert "s3cret" not in arguments
    assert {"TOKEN=s3cret", "BUILDX_BAKE_ENTITLEMENTS_FS=0"} <= set(variables)
    with pytest.raises(EnvironmentMissingError):
        docker.create_builder("b", [NewNode(endpoint=None, kubeconfig=tmp_path)])
    assert f"KUBECONFIG={tmp_path}" in seen("create")[1]
    assert docker.executes("b", "linux/arm64", b"") is None
    seen("build")
    assert not (tmp_path / "seen.asked").exists()


@pytest.mark.parametrize("where", ["extra", "config", "system"])
def test_it_is_taken_from_where_docker_takes_it(tmp_path: Path, system: Path, where: str) -> None:
    config, extra = tmp_path / "config", tmp_path / "extra"
    folders = {"extra": extra, "config": config / "cli-plugins", "system": system}
    names = list(folders)
    plugins = {name: plugin(folders[name]) for name in names[names.index(where) :]}
    config.mkdir(exist_ok=True)
    (config / "config.json").write_text(json.dumps({"cliPluginsExtraDirs": [str(extra)]}))
    options = ["--config", str(config)]
    assert find(config) == plugins[where]
    assert call(DOCKER, options, config=config, environ={}).args == (str(plugins[where]), *options, "buildx")
    if where != "system":  # the real docker's own folders are others
        assert recorded([DOCKER, *options, "buildx"], {}, tmp_path).args[0] == str(plugins[where])


def test_a_link_to_nothing_is_passed_over(config: Path, system: Path) -> None:
    first = config / "cli-plugins/docker-buildx"
    first.unlink()
    first.symlink_to("nothing")
    assert find(config) is None
    assert call(DOCKER, [], config=config, environ={}).args == (DOCKER, "buildx")
    other = plugin(system)
    assert find(config) == other


def test_one_that_must_not_be_executed_hides_the_others(config: Path, system: Path) -> None:
    plugin(system)
    (config / "cli-plugins/docker-buildx").chmod(0o644)
    assert find(config) is None
    assert call(DOCKER, [], config=config, environ={}).args == (DOCKER, "buildx")


@pytest.mark.parametrize("text", ["{", "[]", '{"cliPluginsExtraDirs": [1]}', '{"cliPluginsExtraDirs": ["relative"]}'])
def test_a_configuration_of_another_kind_is_left_to_docker(config: Path, text: str) -> None:
    (config / "config.json").write_text(text)
    assert find(config) == config / "cli-plugins/docker-buildx"
    assert call(DOCKER, [], config=config, environ={}).args == (DOCKER, "buildx")


def test_a_folder_that_depends_on_where_one_is_is_left_to_docker(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(config.parent)
    assert call(DOCKER, [], config=Path(config.name), environ={}).args == (DOCKER, "buildx")


def test_what_reports_about_docker_gets_its_report(config: Path) -> None:
    environ = {"DOCKER_CLI_OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}
    assert call(DOCKER, ["--x"], config=config, environ=environ) == buildx_plugin.Call(args=(DOCKER, "--x", "buildx"))


def test_another_program_of_that_name_is_left_alone(config: Path, tmp_path: Path) -> None:
    script = tmp_path / "bin/docker"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\nexec podman\n")
    podman = tmp_path / "bin/podman"
    shutil.copy("/bin/true", podman)
    link = tmp_path / "other/docker"
    link.parent.mkdir()
    link.symlink_to(podman)
    for docker in (str(script), str(link), str(tmp_path / "gone/docker")):
        assert call(docker, [], config=config, environ={}).args == (docker, "buildx")
    link.unlink()
    link.symlink_to(DOCKER)
    assert call(str(link), [], config=config, environ={}).args != (str(link), "buildx")


def test_one_for_another_machine_is_an_error_with_words(config: Path) -> None:
    file = config / "cli-plugins/docker-buildx"
    file.write_bytes(b"\x7fELF of another machine")
    with pytest.raises(EnvironmentMissingError, match="docker-buildx cannot be executed: Exec format error"):
        process.run(call(DOCKER, [], config=config, environ={}).args)
