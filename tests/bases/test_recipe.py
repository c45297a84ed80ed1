from __future__ import annotations

from dataclasses import replace

import pytest

from imagewright.bases.recipe import Recipe
from imagewright.errors import ConfigError

TRIXIE = Recipe(suite="trixie", include=("jq", "curl"), platform="linux/amd64")


@pytest.mark.parametrize(
    "other",
    [
        replace(TRIXIE, suite="bookworm"),
        replace(TRIXIE, include=("jq",)),
        replace(TRIXIE, platform="linux/arm64"),
    ],
)
def test_the_key_changes_with_everything_that_decides_the_content(other: Recipe) -> None:
    assert other.key != TRIXIE.key


def test_the_key_does_not_change_with_the_order_of_packages_or_another_name_of_the_platform() -> None:
    assert replace(TRIXIE, include=("curl", "jq")).key == TRIXIE.key
    assert replace(TRIXIE, platform="linux/arm64/v8").key == replace(TRIXIE, platform="linux/arm64").key


def test_debian_has_its_own_names_of_platforms() -> None:
    assert replace(TRIXIE, platform="linux/arm/v7").architecture == "armhf"
    with pytest.raises(ConfigError, match="windows/amd64"):
        _ = replace(TRIXIE, platform="windows/amd64").key
