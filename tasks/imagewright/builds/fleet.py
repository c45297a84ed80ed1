"""A builder as the configuration describes it, held against what buildx keeps of it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

from imagewright.errors import ConfigError
from imagewright.platforms import normal
from imagewright.tools.docker import NewNode

if TYPE_CHECKING:
    from imagewright.config.build_models import Builder as BuilderSettings
    from imagewright.config.build_models import BuilderNode, Tls
    from imagewright.tools.buildx_store import StoredBuilder, StoredNode

Action = Literal["none", "create", "replace", "refused"]

_CONFIG = "buildkitd.toml"
_DEFAULT_CONTEXT = "default"

# Whose values are not shown: variables, and what is named like a secret. The remote driver's `key` is a path.
_SECRET_OPTION = re.compile(r"env\..*|(?!key$).*(token|secret|passw|credential|key).*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A builder to be: every node has its name, every file is there, and its path is absolute."""

    name: str
    driver: str
    nodes: tuple[NewNode, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What is another thing than the configuration says. `node` is empty where it is about the builder."""

    node: str
    what: str  # "driver", "node", "endpoint", "platforms", "options", "config"
    stands: str  # as it is shown: without values that may be secret
    described: str

    def __str__(self) -> str:
        name = f"{self.node}: " if self.node else ""
        return f"{name}{self.what}: {self.stands or 'none'} -> {self.described or 'none'}"


def describe(settings: BuilderSettings, root: Path, *, default_config: Path | None = None) -> Described:
    """The builder of `builder:`, whose `nodes` are not empty; relative paths are from the repository root.

    `default_config` is the buildkitd.toml that buildx takes where none is given. ConfigError, with the key, for a file
    that is not there, and for what buildx would refuse or silently change.
    """
    if settings.driver is None:
        raise ConfigError("no builder is described", where="builder", hint="`driver` and `nodes` describe one")
    nodes = []
    for number, node in enumerate(settings.nodes):
        where = f"builder.nodes[{number}]"
        is_kubernetes = settings.driver == "kubernetes"
        config = _file(node.config, root, f"{where}.config") if node.config else None
        nodes.append(
            NewNode(
                name=node.name or f"{settings.name}{number}",
                endpoint=None if is_kubernetes else node.endpoint,
                platforms=tuple(dict.fromkeys(map(normal, node.platforms))),
                options={**node.options, **(_tls_options(node.tls, root, f"{where}.tls") if node.tls else {})},
                config=config or (default_config if settings.driver != "remote" else None),
                kubeconfig=_kubeconfig(node, root, f"{where}.endpoint") if is_kubernetes else None,
            )
        )
    _refuse_twice("name", [(node.name or "",) for node in nodes])
    if settings.driver != "kubernetes":
        _refuse_twice("endpoint", [(node.endpoint or "of docker's current context",) for node in nodes])
    _refuse_twice("platforms", [node.platforms for node in nodes])  # buildx takes it from the first one of them
    return Described(name=settings.name, driver=settings.driver, nodes=tuple(nodes))


def decide(stored: StoredBuilder | None, found: Sequence[Difference], *, is_ours: bool, replace: bool) -> Action:
    """What is to be done: a builder that differs, and that was not made here, is another's; `replace` says do it."""
    if stored is None:
        return "create"
    if not found:
        return "none"
    return "replace" if is_ours or replace else "refused"


def differences(described: Described, stored: StoredBuilder, *, docker_host: str) -> tuple[Difference, ...]:
    """All that is otherwise; `docker_host` is the address of the engine in docker's default context."""
    if described.driver != stored.driver:
        return (Difference(node="", what="driver", stands=stored.driver, described=described.driver),)
    found: list[Difference] = []
    by_name = {node.name: node for node in stored.nodes}
    for node in described.nodes:
        known = by_name.pop(node.name or "", None)
        if known is None:
            found.append(Difference(node=node.name or "", what="node", stands="", described=_place(node)))
        else:
            found += _of_node(node, known, docker_host)
    for left in by_name.values():
        found.append(Difference(node=left.name, what="node", stands=left.endpoint, described=""))
    if not found and [node.name for node in described.nodes] != [node.name for node in stored.nodes]:
        order = (", ".join(str(node.name) for node in nodes) for nodes in (stored.nodes, described.nodes))
        found.append(Difference(node="", what="order of nodes", stands=next(order), described=next(order)))
    return tuple(found)


def _of_node(node: NewNode, known: StoredNode, docker_host: str) -> list[Difference]:
    pairs: list[tuple[str, str, str]] = []
    if node.kubeconfig:
        kept = parse_qs(urlsplit(known.endpoint).query).get("kubeconfig", [""])
        pairs.append(("kubeconfig", kept[0], str(node.kubeconfig)))
    elif node.endpoint:
        described = docker_host if node.endpoint == _DEFAULT_CONTEXT else node.endpoint
        pairs.append(("endpoint", known.endpoint, described))
    pairs.append(("platforms", ", ".join(map(normal, known.platforms)), ", ".join(node.platforms)))
    found = [(what, stands, described) for what, stands, described in pairs if stands != described]
    if known.options != node.options:
        found.append(("options", _listed(known.options), _listed(node.options, known.options)))
    if not _is_same_config(node.config, known.files):
        stands = f"a {_CONFIG} of {len(known.files[_CONFIG])} bytes" if _CONFIG in known.files else ""
        found.append(("config", stands, f"as {node.config} has it" if node.config else ""))
    return [
        Difference(node=known.name, what=what, stands=stands, described=described) for what, stands, described in found
    ]


def _is_same_config(config: Path | None, files: Mapping[str, bytes]) -> bool:
    """Whether buildx keeps this configuration. It writes it anew, with other paths for certificates, which it keeps."""
    if config is None or _CONFIG not in files:
        return config is None and not files
    certificates: list[str] = []
    try:
        ours = _without_certificates(tomllib.loads(config.read_text()), certificates)
        theirs = _without_certificates(tomllib.loads(files[_CONFIG].decode()), [])
        kept = [content for name, content in files.items() if name != _CONFIG]
        return ours == theirs and sorted(kept) == sorted(Path(one).read_bytes() for one in dict.fromkeys(certificates))
    except (OSError, ValueError):  # for buildx to complain about, when it is made anew
        return False


def _without_certificates(config: dict[str, Any], paths: list[str]) -> dict[str, Any]:
    registries = {}
    for name, registry in config.get("registry", {}).items():
        rest = {key: value for key, value in registry.items() if key not in ("ca", "keypair")}
        paths += registry.get("ca", [])
        paths += [path for pair in registry.get("keypair", []) for path in pair.values()]
        registries[name] = rest
    return {**{key: value for key, value in config.items() if key != "registry"}, "registry": registries}


def _tls_options(tls: Tls, root: Path, where: str) -> Mapping[str, str]:
    """As the remote driver has them (buildx, driver/remote/factory.go)."""
    if tls.ca is None:
        raise ConfigError("must have a `ca`: buildx trusts no other authority", where=where)
    files = {
        option: str(_file(path, root, f"{where}.{key}"))
        for option, key, path in (("cacert", "ca", tls.ca), ("cert", "cert", tls.cert), ("key", "key", tls.key))
        if path
    }
    return {**files, **({"servername": tls.server_name} if tls.server_name else {})}


def _kubeconfig(node: BuilderNode, root: Path, where: str) -> Path | None:
    return _file(node.endpoint, root, where) if node.endpoint else None


def _file(path: str, root: Path, where: str) -> Path:
    found = (root / Path(path).expanduser()).absolute()
    if not found.is_file():
        raise ConfigError(f"there is no file {path}", where=where, hint=f"relative paths are from {root}")
    return found


def _refuse_twice(key: str, values: Sequence[Sequence[str]]) -> None:
    seen: dict[str, int] = {}
    for number, several in enumerate(values):
        for value in several:
            if value in seen:
                where = f"builder.nodes[{number}].{key}"
                raise ConfigError(f"{value} is that of nodes[{seen[value]}], too", where=where)
            seen[value] = number


def _listed(options: Mapping[str, str], before: Mapping[str, str] | None = None) -> str:
    """The options, without values that may be secret: whether those are others than `before` is said."""

    def shown(key: str, value: str) -> str:
        if not _SECRET_OPTION.fullmatch(key):
            return f"{key}={value}"
        return f"{key} (another value)" if before and before.get(key, value) != value else key

    return ", ".join(shown(key, value) for key, value in sorted(options.items()))


def _place(node: NewNode) -> str:
    return node.endpoint or str(node.kubeconfig or "there")
