from __future__ import annotations

from imagewright.cli.cleanup_doors import Doors
from imagewright.registry.client import Registry


def test_the_configuration_names_a_hosts_kind() -> None:
    registries: list[Registry] = []

    def connect(host: str) -> Registry:
        registries.append(Registry(host, credentials=lambda _: None))
        return registries[-1]

    kinds = {"harbor.example": "harbor", "ghcr.io": "unknown"}
    with Doors({"HOME": "/nonexistent"}, kinds=kinds, connect=connect) as doors:
        found = [doors.deleter(doors.place(name)).can.kind for name in ("harbor.example/team/app", "ghcr.io/me/app")]
    assert found == ["harbor", "unknown"]
    assert [registry.requests for registry in registries] == [0, 0]
