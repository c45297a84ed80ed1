"""Spellings of platforms, and which of them runs what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagewright.platforms import has, normal, normalized, runs


@pytest.mark.parametrize(
    ("spelled", "usual"),
    [
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v2", "linux/amd64/v2"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/i386/sse2", "linux/386"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm64/9.0", "linux/arm64/v9"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("Linux/ARM/v5", "linux/arm/v5"),
        ("macos/arm64", "darwin/arm64"),
        ("linux/s390x", "linux/s390x"),
    ],
)
def test_each_platform_has_one_spelling(spelled: str, usual: str) -> None:
    assert normal(spelled) == usual


@given(
    st.sampled_from(["linux", "windows", "macos"]),
    st.sampled_from(["amd64", "x86_64", "arm64", "aarch64", "arm", "armel", "i386", "riscv64"]),
    st.sampled_from(["", "v1", "5", "v6", "7", "8", "v8", "v8.0", "9", "v9.0"]),
)
def test_the_usual_spelling_is_its_own(system: str, architecture: str, variant: str) -> None:
    usual = normal("/".join(filter(None, (system, architecture, variant))))
    assert normal(usual) == usual
    assert usual == "/".join(filter(None, normalized(usual)))


@pytest.mark.parametrize(
    ("platforms", "wanted", "expected"),
    [
        (["linux/amd64"], "linux/amd64", True),
        (["linux/arm64/v8"], "linux/arm64", True),
        (["linux/arm64"], "linux/arm64/v8", True),
        (["linux/aarch64"], "linux/arm64", True),
        (["linux/arm"], "linux/arm/v7", True),
        (["linux/arm/v6"], "linux/arm/v7", True),
        (["linux/arm/v7"], "linux/arm/v6", False),
        (["linux/amd64"], "linux/amd64/v3", True),
        (["linux/amd64/v3"], "linux/amd64", False),
        (["linux/386"], "linux/amd64", False),
        (["linux/arm/v7"], "linux/arm64", False),
        (["windows/amd64"], "linux/amd64", False),
        (["linux/s390x", "linux/amd64"], "linux/s390x", True),
        ([], "linux/amd64", False),
    ],
)
def test_platforms_are_compared_as_buildkit_compares_them(platforms: list[str], wanted: str, expected: bool) -> None:
    assert has(platforms, wanted) is expected


def test_what_a_machine_runs_by_itself() -> None:
    assert runs("linux/amd64") == ("linux/amd64", "linux/386")
    assert runs("linux/amd64/v3") == ("linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386")
    assert runs("linux/arm64") == ("linux/arm64", *(f"linux/arm/v{number}" for number in (8, 7, 6, 5)))
    assert runs("linux/arm64/v9")[:7] == (
        "linux/arm64/v9",
        "linux/arm64/v8.5",
        "linux/arm64/v8.4",
        "linux/arm64/v8.3",
        "linux/arm64/v8.2",
        "linux/arm64/v8.1",
        "linux/arm64",
    )
    assert runs("linux/arm/v6") == ("linux/arm/v6", "linux/arm/v5")
    assert runs("linux/riscv64") == ("linux/riscv64",)
