"""The sizes of a run's images: asked of registries in memory, through the run's connections."""

from __future__ import annotations

from threading import Barrier
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from imagewright.builds.result import ImageResult
from imagewright.cli.measuring import measured
from imagewright.cli.publishing import Publisher
from imagewright.registry.client import Registry
from imagewright.services.places import Places
from tests.registry.answering import Answering
from tests.registry.memory import Memory, described, put_image, put_index

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from imagewright.registry.model import Manifest

HOST, OTHER = "r.example", "other.example"


class Run:
    """Measures images of registries in memory: `run(("r.example/me/app", digest), …)`, their sizes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memories = {host: Memory(host=host) for host in (HOST, OTHER)}
        self.answers: dict[str, Callable[[httpx.Request], httpx.Response]] = {
            host: memory.answer for host, memory in self.memories.items()
        }
        self.connected: list[str] = []

    def connect(self, host: str) -> Registry:
        self.connected.append(host)
        transport = Answering(self.answers[host])
        return Registry(host, credentials=lambda _: None, transport=transport, sleep=lambda _: None)

    def __call__(self, *published: tuple[str, str]) -> list[Any]:
        project: Any = SimpleNamespace(places=Places(cache=self.folder, state=self.folder))
        plan: Any = SimpleNamespace(
            images=[
                SimpleNamespace(name=str(number), image=SimpleNamespace(repository=repository))
                for number, (repository, _) in enumerate(published)
            ]
        )
        results = [
            ImageResult(name=str(number), status="built", reference="", digest=digest, platforms=(), tags=())
            for number, (_, digest) in enumerate(published)
        ]
        with Publisher(frozenset(), self.connect) as publisher:
            return [result.sizes for result in measured(project, plan, results, publisher)]

    def image(self, name: str, host: str = HOST) -> tuple[str, str]:
        return f"{host}/me/{name}", put_image(self.memories[host], f"me/{name}", name).digest


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def weight(manifest: Manifest) -> int:
    return sum(layer.size for layer in manifest.layers)


def test_platforms_of_an_index_and_one_connection_for_each_registry(run: Run) -> None:
    memory = run.memories[HOST]
    amd64, arm64 = (put_image(memory, "me/app", name) for name in ("content", "other content"))
    children = [
        {**described(one), "platform": {"os": "linux", "architecture": name}}
        for one, name in ((amd64, "amd64"), (arm64, "arm64"))
    ]
    index = put_index(memory, "me/app", children)
    lone, elsewhere = run.image("lone"), run.image("app", OTHER)

    sizes = run((f"{HOST}/me/app", index.digest), lone, elsewhere)

    assert sizes[0] == {"linux/amd64": weight(amd64), "linux/arm64": weight(arm64)}
    assert weight(amd64) != weight(arm64)
    assert [sum(found.values()) for found in sizes[1:]] == [
        weight(run.memories[host].manifests[f"me/{name}", digest])
        for host, name, digest in ((HOST, "lone", lone[1]), (OTHER, "app", elsewhere[1]))
    ]
    assert sorted(run.connected) == [OTHER, HOST]


def test_what_is_known_is_not_asked_for(run: Run) -> None:
    image = run.image("app")
    assert run(image) == run(image) != [None]
    assert run.connected == [HOST]


def test_all_are_asked_at_the_same_time(run: Run) -> None:
    everybody = Barrier(4, timeout=30)

    def answer(request: httpx.Request) -> httpx.Response:
        if "/manifests/" in request.url.path:
            everybody.wait()  # broken, and with it the test, where they come one after the other
        return run.memories[HOST].answer(request)

    run.answers[HOST] = answer
    assert None not in run(*(run.image(f"app{number}") for number in range(4)))


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_registry_that_does_not_tell_leaves_its_sizes_out_and_is_asked_again(run: Run, status: int) -> None:
    ours, theirs = run.image("app"), run.image("app2", OTHER)
    run.answers[OTHER] = lambda _: httpx.Response(status)
    assert [found is None for found in run(ours, theirs)] == [False, True]
    run.answers[OTHER] = run.memories[OTHER].answer
    assert None not in run(ours, theirs)


def test_nor_does_one_that_cannot_be_reached_fail_the_run(run: Run) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    run.answers[OTHER] = answer
    assert [found is None for found in run(run.image("app"), run.image("app2", OTHER))] == [False, True]


def test_a_bug_is_not_hidden(run: Run) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError

    run.answers[HOST] = answer
    with pytest.raises(ZeroDivisionError):
        run(run.image("app"))
