"""`builder:` and `cache:`: what is taken, and what is said of the rest."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from imagewright.config.build_models import Builder, Cache
from imagewright.config.sizes import parse_size

NODE = {"endpoint": "tcp://arm.example.com:1234"}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"driver": "remote"}, "must have both `driver` and `nodes`"),
        ({"nodes": [NODE], "name": "fleet"}, "must have both `driver` and `nodes`"),
        ({"driver": "remote", "nodes": [NODE]}, "`auto` means another one"),
        ({"driver": "remote", "name": "default", "nodes": [NODE]}, "`default` means another one"),
        ({"driver": "remote", "name": "fleet", "nodes": [{}]}, "`nodes[0]` must have an `endpoint`"),
        ({"driver": "remote", "name": "f", "nodes": [{**NODE, "config": "b.toml"}]}, "not for a remote one"),
        ({"driver": "kubernetes", "name": "f", "nodes": [{"tls": {"ca": "x"}}]}, "for the driver `remote` alone"),
        ({"driver": "remote", "name": "f", "nodes": [{**NODE, "tls": {"cert": "x"}}]}, "both `cert` and `key`"),
        ({"driver": "remote", "name": "f", "nodes": [{**NODE, "platforms": ["arm64"]}]}, "is no platform"),
        ({"driver": "ssh", "name": "f", "nodes": [NODE]}, "docker-container"),
        ({"jobs": 0}, "greater than or equal to 1"),
    ],
)
def test_a_builder_that_cannot_be_is_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(problem)):
        Builder.model_validate(given)


def test_a_fleet_is_taken() -> None:
    tls = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem", "server_name": "arm"}
    nodes = [{"endpoint": "unix:///run/buildkit.sock", "platforms": ["linux/amd64"]}, {**NODE, "tls": tls}]
    made = Builder.model_validate({"name": "fleet", "driver": "remote", "nodes": nodes})
    assert [node.endpoint for node in made.nodes] == ["unix:///run/buildkit.sock", "tcp://arm.example.com:1234"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"type": "s3"}, "must have a `bucket`"),
        ({"type": "s3", "bucket": "b", "endpoint_url": "minio:9000"}, "`http://` or `https://`"),
        ({"type": "s3", "bucket": "b", "endpoint_url": "https://h/path"}, "nothing behind it"),
        ({"type": "s3", "bucket": "b", "prefix": "/x"}, "is no prefix of keys"),
        ({"type": "gha"}, "registry"),
        ({"type": "registry", "ref": "{repository}:cache"}, "must have `{key}` in it"),
        ({"type": "registry", "ref": "{repository}:{branch}-{key}"}, "`{branch}` means nothing"),
        ({"type": "inline", "mode": "all"}, "max"),
        ({"timeout": "60"}, "no length of time"),
        ({"prune": {"budget": "50"}}, "no amount of bytes"),
        ({"prune": {"budget": "0GB"}}, "nothing at all"),
        ({"prune": {"unused": "0d"}}, "no time at all"),
    ],
)
def test_a_cache_that_cannot_be_is_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(problem)):
        Cache.model_validate(given)


def test_keys_in_an_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(ValidationError) as error:
        Cache.model_validate({"type": "s3", "bucket": "b", "endpoint_url": "https://AKIA:hunter2@host"})
    (problem,) = error.value.errors()
    assert "hunter2" not in problem["msg"]
    assert "AWS chain" in problem["msg"]


@given(st.integers(0, 10**12), st.sampled_from(["B", "KB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"]))
def test_amounts_of_bytes_are_read(number: int, unit: str) -> None:
    base, powers = (1024, "KMGT") if "i" in unit else (1000, "KMGT")
    expected = number * base ** (powers.index(unit[0]) + 1 if unit != "B" else 0)
    if len(str(number)) <= 12:
        assert parse_size(f"{number}{unit}") == expected


@pytest.mark.parametrize("text", ["", "50", "GB", "5 GB", "-1GB", "1.5GB", "50gb", "1Gb"])
def test_other_spellings_of_amounts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no amount of bytes"):
        parse_size(text)
