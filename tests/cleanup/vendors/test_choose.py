from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import pytest

from imagewright.cleanup.vendors.choose import deleter_for
from imagewright.cleanup.vendors.hosts import github_api, kind_of
from imagewright.cleanup.vendors.model import KINDS, Deleter
from imagewright.config.sections import RegistryKind
from imagewright.errors import ConfigError, EnvironmentMissingError, RegistryError, UsageError
from imagewright.registry.client import Registry
from tests.cleanup.vendors.server import Answer, Request, Server, serving

HEADER = {"Docker-Distribution-Api-Version": "registry/2.0"}
INVALID = {"errors": [{"code": "PAGINATION_NUMBER_INVALID", "message": "invalid number of results requested"}]}


def door(answers: Mapping[str, Answer], kind: str | None = None, environ: Mapping[str, str] | None = None) -> Deleter:
    """The door to a registry that answers to these paths."""
    with serving(lambda request: answers.get(request.path, Answer(404, headers=HEADER)), has_root=True) as server:
        return chosen(server, kind, environ)


def chosen(server: Server, kind: str | None, environ: Mapping[str, str] | None = None) -> Deleter:
    with (
        server.registry() as registry,
        deleter_for(registry, "me/app", environ or {"HOME": "/nonexistent"}, kind) as found,
    ):
        assert all(request.method in ("GET", "HEAD") for request in server.log)
        return found


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("ghcr.io", "ghcr"),
        ("docker.io", "dockerhub"),
        ("registry.gitlab.com", "gitlab"),
        ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", "ecr"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "ecr"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "ecr"),
        ("123456789012.dkr-ecr.eu-central-1.on.aws", "ecr"),
        ("123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example", None),
        ("europe-docker.pkg.dev", "google"),
        ("eu.gcr.io", "google"),
        ("gcr.io", "google"),
        ("notgcr.io", None),
        ("quay.io", "unknown"),
        ("me.azurecr.io", "unknown"),
        ("public.ecr.aws", "unknown"),
        ("registry.fly.io", "unknown"),
        ("localhost:5050", None),
        ("ghcr.io.evil.example", None),
        ("", None),
    ],
)
def test_the_kind_by_the_hosts_name(host: str, kind: str | None) -> None:
    assert kind_of(host, {"CI_REGISTRY": ""}) == kind


def test_the_jobs_own_registry_is_gitlabs() -> None:
    assert kind_of("registry.example:5050", {"CI_REGISTRY": "registry.example:5050"}) == "gitlab"
    assert kind_of("other.example", {"CI_REGISTRY": "registry.example:5050"}) is None


def test_githubs_api() -> None:
    assert github_api("ghcr.io") == ("api.github.com", "")
    assert github_api("containers.git.example.com") == ("git.example.com", "/api/v3")
    assert github_api("containers.octo.ghe.com") == ("api.octo.ghe.com", "")
    assert github_api("evil.example") is None


@pytest.mark.parametrize(
    "host",
    [
        "ghcr.io",
        "docker.io",
        "registry.gitlab.com",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
        "eu.gcr.io",
        "quay.io",
    ],
)
def test_a_known_host_is_not_asked(host: str) -> None:
    with Registry(host, credentials=lambda _: None) as registry:
        with deleter_for(registry, "me/app", {"HOME": "/nonexistent"}) as found:
            assert found.can.kind == kind_of(host, {})
        assert registry.requests == 0


def test_an_unknown_kind_is_a_wrong_usage() -> None:
    with pytest.raises(UsageError, match="'nexus'") as caught:
        door({}, "nexus")
    assert caught.value.hint is not None
    assert all(kind in caught.value.hint for kind in KINDS)


@pytest.mark.parametrize("kind", ["ghcr", "ecr"])
def test_a_kind_that_the_host_cannot_be(kind: str) -> None:
    with pytest.raises(ConfigError):
        door({}, kind)


@pytest.mark.parametrize("kind", ["gitlab", "harbor", "zot", "google", "unknown", "dockerhub"])
def test_a_kind_that_was_told_is_taken(kind: str) -> None:
    assert door({}, kind).can.kind == kind


def test_gitlab_by_its_header() -> None:
    assert (
        door({"/v2/": Answer(200, {}, {**HEADER, "Gitlab-Container-Registry-Version": "4.9.0"})}).can.kind == "gitlab"
    )


@pytest.mark.parametrize("text", ["Pong", '"Pong"\n'])
def test_harbor_by_its_ping(text: str) -> None:
    assert door({"/api/v2.0/ping": Answer(200, text=text)}).can.kind == "harbor"


def test_zot_by_its_management() -> None:
    assert door({"/v2/_zot/ext/mgmt": Answer(200, {"distSpecVersion": "1.1.1"})}).can.kind == "zot"


def test_distribution_3_by_its_refusal_of_a_page() -> None:
    found = door({"/v2/me/app/tags/list": Answer(400, INVALID, HEADER)}).can
    assert (found.kind, found.deletes_tags, found.deletes_manifests) == ("distribution", True, True)


def test_distribution_2_by_its_having_none() -> None:
    found = door({"/v2/me/app/tags/list": Answer(200, {"name": "me/app", "tags": ["a"]}, HEADER)}).can
    assert (found.kind, found.deletes_tags, found.deletes_manifests) == ("distribution", False, True)


def test_nothing_was_pushed_yet() -> None:
    found = door({"/v2/me/app/tags/list": Answer(404, {}, HEADER)}).can
    assert (found.kind, found.deletes_tags, found.deletes_manifests) == ("distribution", False, True)


def test_the_configuration_knows_the_kinds() -> None:
    assert get_args(RegistryKind) == KINDS


@pytest.mark.parametrize("kind", [None, "distribution"])
@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {"tags": ["a"]}),
        Answer(400, INVALID),
        Answer(400, {"errors": [{"code": "OTHER"}]}, HEADER),
        Answer(404, {}),
        Answer(204, {}, HEADER),
    ],
)
def test_whatever_else_is_only_planned_for(answer: Answer, kind: str | None) -> None:
    found = door({"/v2/me/app/tags/list": answer}, kind).can
    assert (found.kind, found.deletes_tags, found.deletes_manifests) == ("unknown", False, False)
    assert found.notes


def test_odd_answers_at_other_vendors_addresses_do_not_matter() -> None:
    answers = {
        "/api/v2.0/ping": Answer(401),
        "/v2/_zot/ext/mgmt": Answer(302, headers={"Location": "ftp://elsewhere.example/"}),
        "/v2/me/app/tags/list": Answer(400, INVALID, HEADER),
    }
    assert door(answers).can.kind == "distribution"


def test_a_registry_that_fails_is_an_error() -> None:
    with pytest.raises(RegistryError):
        door({"/v2/me/app/tags/list": Answer(500)})


def test_a_registry_that_cannot_be_reached_is_an_error() -> None:
    with serving(lambda _: Answer(404)) as server:
        pass
    with pytest.raises(EnvironmentMissingError):
        chosen(server, None)


def test_refused_reads_are_an_error() -> None:
    def answer(request: Request) -> Answer:
        return Answer(401) if "tags/list" in request.path else Answer(404)

    with serving(answer) as server, pytest.raises(RegistryError):
        chosen(server, None)
