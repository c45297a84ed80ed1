"""Root filesystems made from Debian's packages with mmdebstrap, like the `-slim` images.

Without documentation, manuals and translations, and later installs inside the image leave them out as well. What is
written while packages are installed gets the date of the newest file out of a package, so that equal packages give
equal tarballs.
"""

from __future__ import annotations

import math
import os
import platform as machine
import shutil
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imagewright.bases.recipe import DPKG_OPTIONS, NO_SERVICES, Recipe
from imagewright.errors import BuildError, EnvironmentMissingError, ImagewrightError
from imagewright.tools.apt import unpack
from imagewright.tools.lock import locked
from imagewright.tools.process import stream

if TYPE_CHECKING:
    from collections.abc import Callable

_RUNS_ALSO = {"x86_64": {"i386"}, "aarch64": {"arm"}}

_KEYRINGS = Path("/usr/share/keyrings")
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_TAIL = 15  # lines of mmdebstrap's output that an error shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Rootfs:
    """An uncompressed tarball; `created` is the date of the newest file out of a package, in seconds since 1970."""

    tar: Path
    created: int


def make(recipe: Recipe, *, cache: Path, say: Callable[[str], None], max_age: float = math.inf) -> Rootfs:
    """The root filesystem, from the cache where it was made less than `max_age` seconds ago.

    EnvironmentMissingError where this machine cannot run the platform's programs, has no mmdebstrap and no apt, or
    does not reach Debian's archive; BuildError where mmdebstrap fails otherwise. Takes about 15 s.
    """
    place = cache / "bases" / f"{recipe.suite}-{recipe.architecture}-{recipe.key}"
    with locked(cache / "bases" / ".lock"):
        if not place.exists() or time.time() - (place / "rootfs.tar").stat().st_mtime > max_age:
            _can_run(recipe)
            with tempfile.TemporaryDirectory(prefix=".new-", dir=place.parent) as scratch:
                folder = Path(scratch) / "base"
                folder.mkdir()
                _bootstrap(recipe, folder, cache=cache, say=say)
                if place.exists():
                    shutil.rmtree(place)
                folder.rename(place)
    return Rootfs(tar=place / "rootfs.tar", created=int((place / "created").read_text()))


def normalize(source: Path, target: Path, *, begin: float) -> int:
    """Copy a root filesystem's tarball without what depends on the time and the machine; the newest date left.

    Files not older than `begin`, when packages were first installed, get the date of the newest older one. Device
    nodes are left out: a runtime makes its own.
    """
    with tarfile.open(source) as old, tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as new:
        members = [member for member in old.getmembers() if not member.isdev()]
        created = int(max((member.mtime for member in members if member.mtime < begin), default=0))
        for member in members:
            member.mtime = min(int(member.mtime), created)
            member.uname = member.gname = ""
            member.pax_headers = {k: v for k, v in member.pax_headers.items() if k.startswith("SCHILY.xattr.")}
            new.addfile(member, old.extractfile(member) if member.isreg() else None)
    return created


def _bootstrap(recipe: Recipe, folder: Path, *, cache: Path, say: Callable[[str], None]) -> None:
    path = os.environ.get("PATH", os.defpath)
    needed = ["mmdebstrap"] if _is_native(recipe) else ["mmdebstrap", "arch-test"]
    if not all(map(shutil.which, needed)):
        tree = unpack(needed, cache=cache, say=say)
        path = f"{tree / 'usr/bin'}:{path}"
    raw = folder / "raw.tar"
    command = [
        *("mmdebstrap", "--variant=minbase", "--format=tar", f"--architectures={recipe.architecture}"),
        f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
        *(f"--include={package}" for package in recipe.include),
        *(f"--dpkgopt={option}" for option in DPKG_OPTIONS),
        *_keyring(recipe.suite, cache, say),
        "--skip=chroot/policy-rc.d",
        f"--essential-hook={NO_SERVICES}",
        f"--customize-hook={recipe.slim}",
        *(recipe.suite, str(raw)),
    ]
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        if line.startswith("I: ") and line.endswith("...") and "tempdir" not in line:
            say(f"  {line.removeprefix('I: ')}")

    begin = time.time() - 1  # tar's dates are whole seconds
    say(f"making a root filesystem of Debian {recipe.suite} for {recipe.platform} with mmdebstrap")
    code = stream(["env", f"PATH={path}", *command], on_line, env={"LC_ALL": "C"})
    if code:
        raise _failure(recipe, code, [line for line in lines if not line.startswith("I: ")])
    created = normalize(raw, folder / "rootfs.tar", begin=begin)
    (folder / "created").write_text(f"{created}\n")
    raw.unlink()


def _keyring(suite: str, cache: Path, say: Callable[[str], None]) -> list[str]:
    """None where the machine knows the suite's keys; a suite that is newer has them in a newer keyring package."""
    known = "keyring" if suite in {"stable", "testing", "unstable", "sid"} else suite
    if any(_KEYRINGS.glob(f"debian-archive-{known}[-.]*")):
        return []
    tree = unpack(["debian-archive-keyring"], cache=cache, say=say)
    return [f"--keyring={tree / 'usr/share/keyrings/debian-archive-keyring.gpg'}"]


def _failure(recipe: Recipe, code: int, lines: list[str]) -> ImagewrightError:
    text = "\n".join(lines)
    kind: type[ImagewrightError] = EnvironmentMissingError
    if "newuidmap" in text or "unshare" in text:
        hint = "without root it needs user namespaces: `apt-get install uidmap`, and a line for you in /etc/subuid"
    elif "Could not resolve" in text or "Failed to fetch" in text or "Unable to connect" in text:
        hint = "Debian's archive has to be reachable: look at the network and at http_proxy"
    elif "Unable to locate package" in text:
        kind, hint = BuildError, f"look at `bases:`: a package of `include:` is not in Debian {recipe.suite}"
    else:
        kind, hint = BuildError, f"look at `bases:`: is {recipe.suite} a Debian suite?"
    tail = "\n".join(f"    {line}" for line in lines[-_TAIL:])
    return kind(f"mmdebstrap ended with {code}:\n{tail}", where=f"Debian {recipe.suite}, {recipe.platform}", hint=hint)


def _is_native(recipe: Recipe) -> bool:
    here = machine.machine()
    return recipe.cpu == here or recipe.cpu in _RUNS_ALSO.get(here, ()) or (recipe.cpu == "arm" and here[:3] == "arm")


def _can_run(recipe: Recipe) -> None:
    if _is_native(recipe):
        return
    try:
        emulated = (_BINFMT / f"qemu-{recipe.cpu}").read_text().startswith("enabled")
    except OSError:
        emulated = False
    if not emulated:
        raise EnvironmentMissingError(
            f"a base for {recipe.platform} cannot be made here: this {machine.machine()} machine does not run its "
            "programs",
            hint=f"`apt-get install qemu-user-static binfmt-support`, or leave {recipe.platform} out of `platforms`",
        )
