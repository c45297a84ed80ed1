"""What goes into a root filesystem, as a value. Imports nothing heavy: every build asks for the key."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from imagewright.errors import ConfigError

# Debian's name of each platform (wiki.debian.org/SupportedArchitectures), and the CPU as qemu and uname call it.
_ARCHITECTURES = {
    "linux/386": ("i386", "i386"),
    "linux/amd64": ("amd64", "x86_64"),
    "linux/arm/v5": ("armel", "arm"),
    "linux/arm/v7": ("armhf", "arm"),
    "linux/arm64": ("arm64", "aarch64"),
    "linux/arm64/v8": ("arm64", "aarch64"),
    "linux/ppc64le": ("ppc64el", "ppc64le"),
    "linux/riscv64": ("riscv64", "riscv64"),
    "linux/s390x": ("s390x", "s390x"),
}

# Left inside the image too, so that later installs stay as slim (dpkg(1), --path-exclude).
DPKG_OPTIONS = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
    "path-exclude=/usr/share/man/*",
    "force-unsafe-io",
)
# No package starts its service while it is installed, neither now nor in a build (invoke-rc.d(8)).
NO_SERVICES = r"""printf '#!/bin/sh\nexit 101\n' > "$1/usr/sbin/policy-rc.d"; chmod 755 "$1/usr/sbin/policy-rc.d" """
_SLIM = Path(__file__).with_name("slim.sh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A Debian suite, packages beyond the minimal set, a platform (`linux/arm64`)."""

    suite: str
    include: tuple[str, ...]
    platform: str

    @property
    def architecture(self) -> str:
        """Debian's name of the platform; ConfigError where Debian has none."""
        return self._names()[0]

    @property
    def cpu(self) -> str:
        """The name that qemu and uname give to the platform's CPU."""
        return self._names()[1]

    @property
    def slim(self) -> str:
        """The shell text that runs when all packages are installed."""
        return _SLIM.read_text()

    @property
    def key(self) -> str:
        """Changes with everything that decides the content, but for the state of Debian's archive."""
        parts = [self.suite, sorted(self.include), self.architecture, DPKG_OPTIONS, NO_SERVICES, self.slim]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]

    def _names(self) -> tuple[str, str]:
        try:
            return _ARCHITECTURES[self.platform]
        except KeyError:
            raise ConfigError(
                f"Debian has no packages for {self.platform}",
                hint=f"Debian's platforms: {', '.join(sorted(_ARCHITECTURES))}",
            ) from None
