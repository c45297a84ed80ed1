"""Programs out of Debian packages, below the user's cache folder: no root, nothing of the system is changed.

apt-get itself resolves, downloads and verifies (signed lists, hashes of the packages), with the system's sources and
settings but with lists and archives of its own; `dpkg-deb -x` unpacks, and no maintainer script runs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from imagewright.errors import EnvironmentMissingError
from imagewright.tools.lock import locked
from imagewright.tools.process import Completed, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LISTS_ARE_OLD_SECONDS = 24 * 60 * 60

# What the machine's own configuration adds to an update: commands that work on the system's cache, and indices that
# no download needs. `-c` files are read last, so that they can clear it (apt.conf(5)).
_CONFIGURATION = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
APT::Sandbox::User "root";
Debug::NoLocking "true";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
"""


def unpack(packages: Sequence[str], *, cache: Path, say: Callable[[str], None]) -> Path:
    """The folder in which `packages` lie unpacked (`usr/bin/...` below it), below `cache`; fetched where it is not.

    Their dependencies lie there too as far as this system has not installed them (recommended packages do not).
    What is there stays: a newer version is fetched after the folder was deleted. Concurrent callers wait for each
    other. `say` is told what is fetched. EnvironmentMissingError where there is no apt-get, or apt cannot serve a
    package; it carries what apt said.
    """
    place = cache / "debian" / ",".join(sorted(packages))
    current = place / "current"
    if not current.exists():
        with locked(cache / "debian" / ".lock"):
            if not current.exists():
                place.mkdir(parents=True, exist_ok=True)
                say(f"fetching the Debian package{'s'[: len(packages) - 1]} {', '.join(packages)}")
                _point(current, _fetch(packages, place, cache / "debian" / "apt"))
    return current.resolve()


def library_path(tree: Path) -> str:
    """LD_LIBRARY_PATH for programs of an unpacked tree: the folders of the libraries that came with them."""
    folders = {file.parent for top in ("lib", "usr/lib") for file in (tree / top).glob("*-linux-*/*.so.*")}
    return ":".join(map(str, sorted(folders)))


def _fetch(packages: Sequence[str], place: Path, state: Path) -> Path:
    """Download and unpack; the new folder below `place` is named by the versions, and is complete when it appears."""
    for missing in ("apt-get", "dpkg-deb"):
        if not shutil.which(missing):
            raise EnvironmentMissingError(
                f"{' and '.join(packages)} cannot be fetched: there is no {missing}, this is no Debian",
                hint=f"install {' and '.join(packages)} with the package manager of your distribution",
            )
    with tempfile.TemporaryDirectory(prefix=".new-", dir=place) as scratch:
        archives = Path(scratch) / "archives"
        _download(packages, archives, state)
        tree = Path(scratch) / "tree"
        tree.mkdir()
        debs = sorted(archives.glob("*.deb"))
        named = [deb.name.rpartition("_")[0] for deb in debs if deb.name.partition("_")[0] in packages]
        if len(named) < len(packages):  # apt uses what a `file:` source holds where it lies
            raise EnvironmentMissingError(
                f"apt-get brought {', '.join(named) or 'nothing'} where {', '.join(packages)} was asked for",
                hint=f"install it: `apt-get install {' '.join(packages)}`",
            )
        for deb in debs:
            unpacked = run(["dpkg-deb", "-x", str(deb), str(tree)])
            if unpacked.code:
                raise EnvironmentMissingError(
                    f"the Debian package {deb.name} cannot be unpacked: {unpacked.error_text}",
                    hint=f"look at the free space of {place}",
                )
        target = place / ",".join(named)
        if target.exists():  # left by a `current` that somebody deleted
            shutil.rmtree(target)
        return tree.rename(target)


def _download(packages: Sequence[str], archives: Path, state: Path) -> None:
    (archives / "partial").mkdir(parents=True)
    lists = state / "lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    configuration = state / "apt.conf"
    configuration.write_text(_CONFIGURATION)
    stamp = state / "updated"

    def apt_get(*arguments: str) -> Completed:
        directories = {"Dir::State::lists": lists, "Dir::Cache": state, "Dir::Cache::archives": archives}
        options = [part for name, value in directories.items() for part in ("-o", f"{name}={value}")]
        return run(["apt-get", "-q", "-c", str(configuration), *options, *arguments], env={"LC_ALL": "C"})

    def download() -> Completed:
        return apt_get("install", "-y", "--download-only", "--reinstall", "--no-install-recommends", *packages)

    def update() -> Completed:
        updated = apt_get("update")
        stamp.touch()
        return updated

    fresh = stamp.exists() and time.time() - stamp.stat().st_mtime < _LISTS_ARE_OLD_SECONDS
    if fresh and download().code == 0:
        return
    # One source of many that fails is no matter as long as the packages are to be had from another.
    updated = update()
    downloaded = download()
    if downloaded.code:
        stamp.unlink()
        raise EnvironmentMissingError(
            f"apt-get cannot fetch {' and '.join(packages)}:\n{_complaints(updated, downloaded)}",
            hint=f"try `apt-get update && apt-get install {' '.join(packages)}`, or look at the network and at "
            "the sources in /etc/apt",
        )


def _complaints(*runs: Completed) -> str:
    """The lines in which apt says what is wrong, or its last line."""
    lines = [line for done in runs for line in (done.text + "\n" + done.error_text).splitlines() if line.strip()]
    marked = dict.fromkeys(line for line in lines if line.startswith(("E:", "W:", "Err:")))
    return "\n".join(f"    {line}" for line in list(marked)[:8] or lines[-1:])


def _point(link: Path, target: Path) -> None:
    fresh = link.with_name(f".{link.name}-{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target.name)
    fresh.replace(link)
