"""Who we are to a registry and to its vendor's API: docker's store, then the vendor's environment variables."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from imagewright.cleanup.vendors import hosts
from imagewright.references import DOCKER_HUB
from imagewright.registry.credentials import Credential, find_credential

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def credential_source(environ: Mapping[str, str]) -> Callable[[str], Credential | None]:
    """What a Registry asks for its credentials."""
    return lambda host: credential_for(host, environ)


def credential_for(host: str, environ: Mapping[str, str]) -> Credential | None:
    """docker's own credential of a registry, else the environment's. Raises as find_credential does."""
    return find_credential(host, environ) or _from_environment(host, environ)


def github_token(host: str, environ: Mapping[str, str]) -> str | None:
    """The token for GitHub's API: as `gh` takes it (GH_TOKEN, then GITHUB_TOKEN), else docker's password for ghcr.io.

    A GitHub Enterprise Server's is in GH_ENTERPRISE_TOKEN or GITHUB_ENTERPRISE_TOKEN.
    """
    token = _first(environ, *_github_variables(host))
    if token:
        return token
    found = find_credential(host, environ)
    return found.password or None if found else None


def basic(credential: Credential | None) -> str | None:
    """A Basic Authorization header (RFC 7617); None without a password."""
    if credential is None or not credential.username:
        return None
    pair = f"{credential.username}:{credential.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _from_environment(host: str, environ: Mapping[str, str]) -> Credential | None:
    kind = hosts.kind_of(host, environ)
    if kind == "ghcr":
        token = _first(environ, *_github_variables(host))
        return Credential(username=environ.get("GITHUB_ACTOR") or "token", password=token) if token else None
    if kind == "gitlab":
        return _gitlab(host, environ)
    if kind == "dockerhub" and host == DOCKER_HUB:
        user, token = environ.get("DOCKERHUB_USERNAME"), environ.get("DOCKERHUB_TOKEN")
        return Credential(username=user, password=token) if user and token else None
    if kind == "google":
        token = environ.get("GOOGLE_OAUTH_ACCESS_TOKEN")
        return Credential(username="oauth2accesstoken", password=token) if token else None
    if kind == "ecr":
        from imagewright.cleanup.vendors.ecr import registry_credential

        return registry_credential(host)
    return None


def _github_variables(host: str) -> tuple[str, ...]:
    if host == hosts.GHCR:
        return "GH_TOKEN", "GITHUB_TOKEN"
    return "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"


def _gitlab(host: str, environ: Mapping[str, str]) -> Credential | None:
    # The job's own registry alone may see the job's own secrets.
    if environ.get("CI_REGISTRY") == host:
        user, password = environ.get("CI_REGISTRY_USER"), environ.get("CI_REGISTRY_PASSWORD")
        if user and password:
            return Credential(username=user, password=password)
        if environ.get("CI_JOB_TOKEN"):
            return Credential(username="gitlab-ci-token", password=environ["CI_JOB_TOKEN"])
    if environ.get("GITLAB_TOKEN") and host in (hosts.GITLAB, environ.get("CI_REGISTRY")):
        return Credential(username="token", password=environ["GITLAB_TOKEN"])
    return None


def _first(environ: Mapping[str, str], *names: str) -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)
