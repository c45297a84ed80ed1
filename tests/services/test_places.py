from __future__ import annotations

from pathlib import Path

import pytest

from imagewright.config.models import Services, Settings
from imagewright.services.places import Places

HOME = {"HOME": "/home/me"}
ROOT = Path("/repository")


def test_the_folders_are_those_of_xdg() -> None:
    places = Places.of(Settings(), HOME, ROOT)
    assert places.cache == Path("/home/me/.cache/imagewright")
    assert places.state == Path("/home/me/.local/state/imagewright")
    assert places.service("s3") == Path("/home/me/.local/state/imagewright/services/s3")

    moved = Places.of(Settings(), {**HOME, "XDG_CACHE_HOME": "/c", "XDG_STATE_HOME": "relative"}, ROOT)
    assert moved.cache == Path("/c/imagewright")
    assert moved.state == places.state, "a relative path is invalid by the specification"


def test_the_environment_is_stronger_than_the_file() -> None:
    settings = Settings(services=Services(state="state"))
    assert Places.of(settings, HOME, ROOT).state == Path("/repository/state")
    named = {**HOME, "IMAGEWRIGHT_STATE_DIR": "/s", "IMAGEWRIGHT_CACHE_DIR": "/c"}
    assert Places.of(settings, named, ROOT).state == Path("/s")
    assert Places.of(settings, named, ROOT).cache == Path("/c")


@pytest.mark.parametrize(
    ("registry", "address", "host", "port"),
    [
        ("localhost:6000", "localhost:6000", "127.0.0.1", 6000),
        ("localhost:6000/team", "localhost:6000", "127.0.0.1", 6000),
        ("127.0.0.1:6000", "127.0.0.1:6000", "127.0.0.1", 6000),
        ("[::1]:6000", "[::1]:6000", "::1", 6000),
        ("localhost", "localhost", "127.0.0.1", 80),
        ("ghcr.io/me", "localhost:5050", "127.0.0.1", 5050),
        ("localhost.example.com:6000", "localhost:5050", "127.0.0.1", 5050),
        ("0.0.0.0:6000", "localhost:5050", "127.0.0.1", 5050),
    ],
)
def test_the_registry_listens_on_loopback_whatever_the_settings_say(
    registry: str, address: str, host: str, port: int
) -> None:
    places = Places.of(Settings(registry=(registry,)), HOME, ROOT)
    assert (places.registry, places.registry_host, places.registry_port) == (address, host, port)


def test_of_several_registries_the_one_of_this_machine_is_ours() -> None:
    assert Places.of(Settings(registry=("ghcr.io/me", "localhost:6000/me")), HOME, ROOT).registry == "localhost:6000"


def test_a_socket_fits_the_kernels_limit() -> None:
    short, deep = Path("/state"), Path("/state") / ("deep/" * 30)
    assert Places(cache=short, state=short).socket("buildkitd") == Path("/state/services/buildkitd/buildkitd.sock")
    sockets = {Places(cache=deep, state=deep / name).socket("buildkitd") for name in ("a", "b")}
    assert len(sockets) == 2
    assert all(len(str(path)) < 100 for path in sockets)
