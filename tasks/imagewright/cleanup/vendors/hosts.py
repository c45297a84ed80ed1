"""Which vendor a registry's host belongs to, as far as its name tells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagewright.references import DOCKER_HUB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imagewright.cleanup.vendors.model import Kind

GHCR = "ghcr.io"
GITLAB = "registry.gitlab.com"

# docs.aws.amazon.com, "Amazon ECR endpoints": an account's registry, also of FIPS and of the partition of China
ECR = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws)"
)
_GOOGLE = re.compile(r"(?:[a-z0-9-]+\.)?gcr\.io|[a-z0-9-]+-docker\.pkg\.dev|docker\.pkg\.dev")
_ENTERPRISE = re.compile(r"containers\.(?P<server>[a-z0-9.-]+\.[a-z0-9-]+)")

# Registries that delete in ways of their own, which nothing here knows: nothing is tried on them.
_PLAN_ONLY = re.compile(r"quay\.io|public\.ecr\.aws|registry\.fly\.io|[a-z0-9]+\.azurecr\.(?:io|cn|us)")


def kind_of(host: str, environ: Mapping[str, str]) -> Kind | None:
    """The vendor by its host's name, or by the CI job that runs here; None where neither tells."""
    if host == GHCR:
        return "ghcr"
    if host == DOCKER_HUB:
        return "dockerhub"
    if host == GITLAB or (host and host == environ.get("CI_REGISTRY")):
        return "gitlab"
    if ECR.fullmatch(host):
        return "ecr"
    if _GOOGLE.fullmatch(host):
        return "google"
    return "unknown" if _PLAN_ONLY.fullmatch(host) else None


def github_api(host: str) -> tuple[str, str] | None:
    """The host and the path of GitHub's API for a registry; None where the host is none of GitHub's.

    An Enterprise Server has its API at `/api/v3`, an enterprise with data residency at `api.` (docs.github.com).
    """
    if host == GHCR:
        return "api.github.com", ""
    found = _ENTERPRISE.fullmatch(host)
    if found is None:
        return None
    server = found["server"]
    return (f"api.{server}", "") if server.endswith(".ghe.com") else (server, "/api/v3")
