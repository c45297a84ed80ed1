from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from imagewright.cleanup.vendors.credentials import basic, credential_for, credential_source, github_token
from imagewright.registry.credentials import Credential

ALL = {
    "GH_TOKEN": "gh",
    "GITHUB_TOKEN": "github",
    "GH_ENTERPRISE_TOKEN": "enterprise",
    "CI_REGISTRY": "registry.corp.example",
    "CI_REGISTRY_USER": "ci-user",
    "CI_REGISTRY_PASSWORD": "ci-password",
    "CI_JOB_TOKEN": "job",
    "GITLAB_TOKEN": "gitlab",
    "DOCKERHUB_USERNAME": "hub-user",
    "DOCKERHUB_TOKEN": "hub",
    "GOOGLE_OAUTH_ACCESS_TOKEN": "google",
}


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path)}


def login(home: dict[str, str], host: str, user: str, password: str) -> None:
    path = Path(home["HOME"]) / ".docker/config.json"
    path.parent.mkdir()
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    path.write_text(json.dumps({"auths": {host: {"auth": auth}}}))


@pytest.mark.parametrize(
    ("host", "user", "password"),
    [
        ("ghcr.io", "token", "gh"),
        ("registry.corp.example", "ci-user", "ci-password"),
        ("registry.gitlab.com", "token", "gitlab"),
        ("docker.io", "hub-user", "hub"),
        ("eu.gcr.io", "oauth2accesstoken", "google"),
    ],
)
def test_the_environment_where_docker_has_nothing(home: dict[str, str], host: str, user: str, password: str) -> None:
    assert credential_for(host, ALL | home) == Credential(username=user, password=password)


@pytest.mark.parametrize(
    "host", ["ghcr.io.evil.example", "containers.evil.example", "evil.example", "quay.io", "localhost:5050"]
)
def test_no_other_host_gets_any_of_it(home: dict[str, str], host: str) -> None:
    assert credential_for(host, ALL | home) is None


def test_docker_comes_first(home: dict[str, str]) -> None:
    login(home, "ghcr.io", "me", "mine")
    assert credential_source(ALL | home)("ghcr.io") == Credential(username="me", password="mine")


def test_the_jobs_token_is_for_the_jobs_registry(home: dict[str, str]) -> None:
    job = {"CI_REGISTRY": "registry.corp.example", "CI_JOB_TOKEN": "job"} | home
    assert credential_for("registry.corp.example", job) == Credential(username="gitlab-ci-token", password="job")
    assert credential_for("registry.gitlab.com", job) is None


@pytest.mark.parametrize("host", ["ghcr.io", "docker.io", "registry.gitlab.com", "eu.gcr.io"])
def test_nothing_anywhere(home: dict[str, str], host: str) -> None:
    assert credential_for(host, home) is None


def test_githubs_token(home: dict[str, str]) -> None:
    assert github_token("ghcr.io", home) is None
    login(home, "ghcr.io", "me", "docker")
    assert github_token("ghcr.io", home) == "docker"
    assert github_token("ghcr.io", {"GITHUB_TOKEN": "github"} | home) == "github"
    assert github_token("ghcr.io", ALL | home) == "gh"
    assert github_token("containers.git.example.com", ALL | home) == "enterprise"


def test_basic() -> None:
    assert basic(None) is None
    assert basic(Credential(identity_token="x")) is None
    assert basic(Credential(username="robot$a", password="p:w")) == "Basic " + base64.b64encode(b"robot$a:p:w").decode()
