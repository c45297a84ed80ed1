"""Platforms as they are written, `os/architecture[/variant]`: one spelling of each, and what runs what.

Source: github.com/containerd/platforms, database.go (the spelling) and compare.go (`Only`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PATTERN = r"^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9_.]+)?$"
"""What the configuration and our own files take for a platform."""

_ARM_VERSIONS = 5  # the oldest that an arm of another version runs


@lru_cache(maxsize=1000)
def normalized(platform: str) -> tuple[str, str, str]:
    """OS, architecture and variant (or nothing) in their usual spelling (containerd's `Normalize`)."""
    system, architecture, variant = (*platform.lower().split("/"), "", "")[:3]
    system = "darwin" if system == "macos" else system
    match architecture, variant:
        case "i386", _:
            return system, "386", ""
        case "armhf", _:
            return system, "arm", "v7"
        case "armel", _:
            return system, "arm", "v6"
        case (("x86_64" | "x86-64" | "amd64"), _):
            return system, "amd64", "" if variant == "v1" else variant
        case (("aarch64" | "arm64"), _):
            variant = "" if variant in ("8", "v8", "v8.0") else variant
            return system, "arm64", "v9" if variant in ("9", "9.0", "v9.0") else variant
        case "arm", ("" | "5" | "6" | "7" | "8"):
            return system, "arm", f"v{variant or 7}"
    return system, architecture, variant


def normal(platform: str) -> str:
    """The usual spelling: `linux/arm64/v8` is `linux/arm64`, `linux/arm` is `linux/arm/v7`."""
    return "/".join(part for part in normalized(platform) if part)


def runs(platform: str) -> tuple[str, ...]:
    """What a machine of this platform runs by itself, the best match first (containerd's `Only`)."""
    system, architecture, variant = normalized(platform)

    def spelled(name: str, versions: Iterable[str]) -> tuple[str, ...]:
        return tuple(f"{system}/{name}/{version}" if version else f"{system}/{name}" for version in versions)

    match architecture:
        case "amd64":
            level = int(variant[1:]) if re.fullmatch(r"v\d+", variant) else 1
            lower = [f"v{number}" if number > 1 else "" for number in range(level - 1, 0, -1)]
            return (*spelled("amd64", [variant, *lower]), f"{system}/386")
        case "arm":
            return spelled("arm", _arm_versions(variant))
        case "arm64":
            own = _arm64_versions(variant)
            return (*spelled("arm64", own), *spelled("arm", _arm_versions("v8"))) if own else ()
    return (normal(platform),)


def has(platforms: Sequence[str], wanted: str) -> bool:
    """Whether an image for `platforms` has one for `wanted`: that, or an older variant of the same architecture.

    BuildKit takes `linux/amd64` out of an index for `linux/amd64/v3` (containerd's `Only`). What it would take of
    another architecture, 386 for amd64 and arm for arm64, is another image.
    """
    taken = [one for one in runs(wanted) if normalized(one)[:2] == normalized(wanted)[:2]]
    return any(normal(one) in taken for one in platforms)


def _arm_versions(variant: str) -> list[str]:
    if not re.fullmatch(r"v\d+", variant):
        return [variant]
    newest = int(variant[1:])
    return [variant, *(f"v{number}" for number in range(newest - 1, _ARM_VERSIONS - 1, -1))]


def _arm64_versions(variant: str) -> list[str]:
    """The versions of the architecture that one of them runs: v9.N has all of v8 up to v8.(N+5)."""
    matched = re.fullmatch(r"v([89])(?:\.(\d))?", variant or "v8")
    if not matched:
        return []
    major, minor = matched[1], int(matched[2] or 0)
    steps = [(9, minor), (8, minor + 5)] if major == "9" else [(8, minor)]
    spelled = [f"v{main}.{step}" if step else f"v{main}" for main, highest in steps for step in range(highest, -1, -1)]
    return ["" if one == "v8" else one for one in spelled]
