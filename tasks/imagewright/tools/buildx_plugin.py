"""docker's buildx plugin: where docker finds it, and how docker calls it.

`docker buildx` starts the plugin twice, to ask what it is and to run the command, and does nothing of its own but to
hand on its arguments, streams, signals and the exit code (docker/cli, cli-plugins/manager/manager.go,
`PluginRunCommand`, and cmd/docker/docker.go, `tryPluginRun`; the same from 19.03 to 29). That takes as long again as a
build with nothing to do, so the plugin is called as docker calls it, and docker only where it may mean something else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PLUGIN = "docker-buildx"
PLUGINS = "cli-plugins"
# Where docker looks besides its own folder (cli-plugins/manager/manager_unix.go).
_SYSTEM = tuple(
    Path(folder, "docker", PLUGINS) for folder in ("/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec")
)
# Says to the plugin that it is one, and with what docker can be called (cli-plugins/metadata/metadata.go).
_CALLED_BY = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND"
# By which docker ends its plugin where the signal reaches docker alone; ours go to all processes of the group.
_SOCKET = "DOCKER_CLI_PLUGIN_SOCKET"
# What docker reports about its own calls goes there: those who want that shall have it.
_TELEMETRY = "DOCKER_CLI_OTEL_EXPORTER_OTLP_ENDPOINT"
_ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """How a command line of buildx begins, and what goes with it into its environment (None: what must not)."""

    args: tuple[str, ...]
    env: Mapping[str, str | None] = field(default_factory=dict)


def find(config: Path) -> Path | None:
    """The buildx that docker finds with this configuration folder; None where it finds none."""
    return _first(config, _extra(config) or ())


def call(docker: str, options: Sequence[str], *, config: Path, environ: Mapping[str, str]) -> Call:
    """How buildx is called where `docker` (a path) would be called with `options`; `config` is docker's folder."""
    extra = _extra(config)
    is_certain = extra is not None and all(folder.is_absolute() for folder in (config, *extra))
    is_usual = is_certain and not environ.get(_TELEMETRY) and _is_docker(Path(docker))
    plugin = _first(config, extra or ()) if is_usual else None
    if plugin is None:
        return Call(args=(docker, *options, "buildx"))
    attributes = (environ.get(_ATTRIBUTES, "").strip(), "docker.cli.cobra.command_path=docker%20buildx")
    return Call(
        args=(str(plugin), *options, "buildx"),
        env={_CALLED_BY: docker, _SOCKET: None, _ATTRIBUTES: ",".join(filter(None, attributes))},
    )


def _extra(config: Path) -> tuple[Path, ...] | None:
    """The folders that config.json names; None where it cannot be read."""
    try:
        named = json.loads((config / "config.json").read_bytes()).get("cliPluginsExtraDirs")
        return tuple(map(Path, named or ()))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, AttributeError, TypeError):
        return None


def _first(config: Path, extra: Sequence[Path]) -> Path | None:
    plugins = (folder / PLUGIN for folder in (*extra, config / PLUGINS, *_SYSTEM))
    # docker looks no further than to the first that is there, whatever that is.
    found = next((plugin for plugin in plugins if plugin.exists()), None)
    return found if found and os.access(found, os.X_OK) else None


def _is_docker(program: Path) -> bool:
    """Whether it is docker's own client: no script of somebody's, and nothing else (podman, snap) under its name."""
    try:
        with program.open("rb") as file:
            return file.read(2) != b"#!" and program.resolve().name == "docker"
    except OSError:
        return False
