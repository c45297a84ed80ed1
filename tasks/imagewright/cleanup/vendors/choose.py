"""Which door a repository's registry has: by configuration, by the host's name, or by what its answers show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.cleanup.vendors import hosts
from imagewright.cleanup.vendors.credentials import credential_for, github_token
from imagewright.cleanup.vendors.model import KINDS, Deleter, Kind
from imagewright.errors import ConfigError, RegistryError, UsageError
from imagewright.registry.session import explanation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imagewright.registry.answer import Answer
    from imagewright.registry.client import Registry

_NOTHING_KNOWN = (
    "how this registry deletes is not known, so nothing can be deleted here: `cleanup.kinds` may name its kind"
)


def deleter_for(registry: Registry, repository: str, environ: Mapping[str, str], kind: str | None = None) -> Deleter:
    """The door to a repository's deletions. Sends nothing but reads, and only where neither `kind` nor the host tells.

    UsageError for an unknown kind, ConfigError for one that the host cannot be; whatever a read may raise.
    """
    if kind is not None and kind not in KINDS:
        raise UsageError(f"no kind of registry is called {kind!r}", hint=f"there are {', '.join(KINDS)}")
    told = kind or hosts.kind_of(registry.host, environ)
    found: Kind = told or _kind_by_answers(registry)
    if found == "ghcr":
        return _ghcr(registry, repository, environ)
    if found == "dockerhub":
        from imagewright.cleanup.vendors.hub import HubDoor

        return HubDoor(registry, repository, credential_for(registry.host, environ))
    if found == "ecr":
        from imagewright.cleanup.vendors.ecr import EcrDoor

        return EcrDoor(registry, repository)
    if found == "harbor":
        from imagewright.cleanup.vendors.harbor import HarborDoor

        return HarborDoor(registry, repository, credential_for(registry.host, environ))
    if found == "gitlab":
        from imagewright.cleanup.vendors.gitlab import GitLabDoor

        return GitLabDoor(registry, repository)
    return _by_specification(registry, repository, found)


def _ghcr(registry: Registry, repository: str, environ: Mapping[str, str]) -> Deleter:
    from imagewright.cleanup.vendors.ghcr import GhcrDoor

    place = hosts.github_api(registry.host)
    if place is None:
        raise ConfigError(
            "this is no host of GitHub's registry", where=registry.host, hint="ghcr.io, or containers.<server>"
        )
    api, prefix = place
    return GhcrDoor(registry, repository, github_token(registry.host, environ), api=api, prefix=prefix)


def _by_specification(registry: Registry, repository: str, kind: Kind) -> Deleter:
    from imagewright.cleanup.vendors import oci

    if kind == "zot":
        return oci.ZotDoor(registry, repository)
    if kind == "google":
        return oci.GoogleDoor(registry, repository)
    if kind == "distribution":
        generation = _generation(registry, repository)
        if generation == 3:
            return oci.OciDoor(registry, repository, "distribution")
        if generation == 2:
            return oci.Distribution2Door(registry, repository)
    return oci.UnknownDoor(registry, repository, _NOTHING_KNOWN)


def _kind_by_answers(registry: Registry) -> Kind:
    """What the answers to reads show; `distribution` still has to be one."""
    if "gitlab-container-registry-version" in registry.ask("GET", "/v2/").headers:
        return "gitlab"
    # goharbor/harbor, api/v2.0/swagger.yaml, getPing: needs no credentials
    if _answer(registry, "/api/v2.0/ping").strip().strip('"') == "Pong":
        return "harbor"
    # project-zot/zot, pkg/extensions/extension_mgmt.go
    if '"distSpecVersion"' in _answer(registry, "/v2/_zot/ext/mgmt"):
        return "zot"
    return "distribution"


def _answer(registry: Registry, path: str) -> str:
    """What stands at an address that most registries do not have; nothing for whatever a registry makes of that."""
    try:
        response = registry.ask("GET", path)
    except RegistryError:
        return ""
    return response.text if response.status_code == 200 else ""


def _generation(registry: Registry, repository: str) -> int | None:
    """2 or 3 for what answers as distribution does; None for anything else.

    Only distribution 3 and its relatives refuse a page of -1 tags by this code; distribution 2 has no pages and sends
    all tags, or 404 where nothing was pushed (distribution/distribution, registry/handlers/tags.go). Its door makes
    sure before it deletes.
    """
    response = registry.ask("GET", f"/v2/{repository}/tags/list?n=-1", scopes=(f"repository:{repository}:pull",))
    if not _is_distribution(response):
        return None
    if response.status_code == 400 and "PAGINATION_NUMBER_INVALID" in explanation(response):
        return 3
    return 2 if response.status_code in (200, 404) else None


def _is_distribution(response: Answer) -> bool:
    return bool(response.headers.get("docker-distribution-api-version") == "registry/2.0")
