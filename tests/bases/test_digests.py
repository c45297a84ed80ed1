"""Digests asked for in the background, of registries in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Lock

import pytest

from imagewright.bases.digests import Digests
from imagewright.errors import EnvironmentMissingError, RegistryError
from imagewright.registry.model import Descriptor

HUB = "docker.io/library"


class Registries:
    """Registries by host: digests by `path:tag`, or what asking them raises."""

    def __init__(self, **hosts: Mapping[str, str | Exception]) -> None:
        self.hosts: dict[str, Mapping[str, str | Exception]] = dict(hosts)
        self.down: set[str] = set()
        self.slow: dict[str, Event] = {}  # hosts that answer when the event is set
        self.asked: list[str] = []
        self.connected: list[str] = []
        self._lock = Lock()

    @contextmanager
    def connect(self, host: str) -> Iterator[_Registry]:
        self.connected.append(host)
        if host in self.down:
            raise EnvironmentMissingError("the registry cannot be reached")
        yield _Registry(self, host)

    def answer(self, host: str, repository: str, reference: str) -> Descriptor | None:
        with self._lock:
            self.asked.append(f"{host}/{repository}:{reference}")
        if host in self.slow:
            self.slow[host].wait()
        found = self.hosts.get(host, {}).get(f"{repository}:{reference}")
        if isinstance(found, Exception):
            raise found
        return Descriptor(media_type="", digest=found, size=1) if found else None


class _Registry:
    def __init__(self, all_of_them: Registries, host: str) -> None:
        self._all, self._host = all_of_them, host

    def resolve(self, repository: str, reference: str) -> Descriptor | None:
        return self._all.answer(self._host, repository, reference)


@pytest.fixture
def registries() -> Registries:
    found = Registries(mirror={"docker.io/library/made:1": "sha256:made", "docker.io/me/x:1": "sha256:x"})
    found.hosts["docker.io"] = {"library/made:1": "sha256:original", "library/debian:12": "sha256:debian"}
    found.hosts["ghcr.io"] = {"me/base:1": "sha256:base"}
    return found


def test_each_registry_is_asked_for_its_own_and_once(registries: Registries) -> None:
    wanted = [f"{HUB}/debian:12", f"{HUB}/debian:12", "ghcr.io/me/base:1"]
    found = Digests(wanted, registries.connect, seconds=60)
    assert [found.digest(one) for one in wanted] == ["sha256:debian", "sha256:debian", "sha256:base"]
    assert sorted(registries.asked) == ["docker.io/library/debian:12", "ghcr.io/me/base:1"]


def test_the_mirror_comes_first_and_docker_hub_for_what_it_has_not(registries: Registries) -> None:
    wanted = [f"{HUB}/made:1", f"{HUB}/debian:12", "docker.io/me/x:1", "ghcr.io/me/base:1"]
    found = Digests(wanted, registries.connect, mirror="mirror", seconds=60)
    assert [found.digest(one) for one in wanted] == ["sha256:made", "sha256:debian", "sha256:x", "sha256:base"]
    assert [one for one in registries.asked if one.startswith("docker.io/")] == ["docker.io/library/debian:12"]


def test_docker_hub_is_not_even_connected_to_where_the_mirror_has_all(registries: Registries) -> None:
    found = Digests([f"{HUB}/made:1"], registries.connect, mirror="mirror", seconds=60)
    assert found.digest(f"{HUB}/made:1") == "sha256:made"
    assert registries.connected == ["mirror"]


def test_what_will_be_withdrawn_from_the_mirror_is_docker_hubs(registries: Registries) -> None:
    wanted = [f"{HUB}/made:1"]
    found = Digests(wanted, registries.connect, mirror="mirror", not_in_mirror=wanted, seconds=60)
    assert found.digest(wanted[0]) == "sha256:original"


def test_a_mirror_that_is_down_does_no_harm(registries: Registries) -> None:
    registries.down.add("mirror")
    found = Digests([f"{HUB}/debian:12"], registries.connect, mirror="mirror", seconds=60)
    assert found.digest(f"{HUB}/debian:12") == "sha256:debian"


def test_what_is_not_to_be_had_says_why(registries: Registries) -> None:
    registries.down.add("docker.io")
    registries.hosts["ghcr.io"] = {"me/secret:1": RegistryError("the registry refuses")}
    wanted = [f"{HUB}/debian:12", "ghcr.io/me/secret:1", "ghcr.io/me/none:1"]
    found = Digests(wanted, registries.connect, mirror="mirror", seconds=60)
    assert [found.digest(one) for one in wanted] == [None, None, None]
    assert [found.problem(one) for one in wanted] == [
        "the registry cannot be reached",
        "the registry refuses",
        "the registry does not have it",
    ]


def test_nothing_is_waited_for_longer_than_it_may_take(registries: Registries) -> None:
    gate = registries.slow["docker.io"] = Event()
    try:
        found = Digests([f"{HUB}/debian:12", f"{HUB}/made:1"], registries.connect, mirror="mirror", seconds=1)
        assert found.digest(f"{HUB}/made:1") == "sha256:made"
        assert found.digest(f"{HUB}/debian:12") is None
        assert found.problem(f"{HUB}/debian:12")
    finally:
        gate.set()


def test_one_registry_that_does_not_answer_holds_up_no_other(registries: Registries) -> None:
    gate = registries.slow["docker.io"] = Event()
    try:
        wanted = [f"{HUB}/debian:12", f"{HUB}/made:1", "ghcr.io/me/base:1"]
        found = Digests(wanted, registries.connect, mirror="mirror", seconds=60)
        assert found.digest("ghcr.io/me/base:1") == "sha256:base"
        assert found.digest(f"{HUB}/made:1") == "sha256:made"
    finally:
        gate.set()
    assert found.digest(f"{HUB}/debian:12") == "sha256:debian"


def test_many_references(registries: Registries) -> None:
    registries.hosts["ghcr.io"] = {f"me/{number}:1": f"sha256:{number}" for number in range(100)}
    found = Digests([f"ghcr.io/me/{number}:1" for number in range(100)], registries.connect, seconds=60)
    assert [found.digest(f"ghcr.io/me/{number}:1") for number in range(100)] == [f"sha256:{n}" for n in range(100)]
    assert registries.connected == ["ghcr.io"]
