"""The real apt-get and dpkg-deb, on a package source made in the test's folder: no network."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from imagewright.errors import EnvironmentMissingError
from imagewright.tools import apt

pytestmark = pytest.mark.skipif(not shutil.which("apt-get"), reason="apt-get is Debian's")


class Source:
    """A package source (`deb copy:...`), and apt configured to know it alone."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "source"
        self.folder.mkdir()
        sources = folder / "sources.list"
        sources.write_text(f"deb [trusted=yes] copy:{self.folder} ./\n")
        status = folder / "status"
        status.write_text("")
        configuration = folder / "apt.conf"
        configuration.write_text(
            f'Dir::Etc::sourcelist "{sources}"; Dir::Etc::sourceparts "/dev/null"; Dir::State::status "{status}";\n'
            'Acquire::Retries "0";\n'
        )
        monkeypatch.setenv("APT_CONFIG", str(configuration))
        self.stanzas: list[str] = []
        self._index()

    def add(self, name: str, version: str, file: str, *, depends: str = "", broken: bool = False) -> None:
        tree = self.folder.parent / f"{name}-{version}"
        (tree / "DEBIAN").mkdir(parents=True)
        control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: x <x@example.com>\n"
        control += (f"Depends: {depends}\n" if depends else "") + "Description: for a test\n"
        (tree / "DEBIAN/control").write_text(control)
        (tree / "DEBIAN/postinst").write_text("#!/bin/sh\nexit 1\n")
        (tree / "DEBIAN/postinst").chmod(0o755)
        (tree / file).parent.mkdir(parents=True)
        (tree / file).write_text(version)
        deb = self.folder / f"{name}_{version}_all.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, deb], check=True, capture_output=True)
        digest = hashlib.sha256(b"other" if broken else deb.read_bytes()).hexdigest()
        self.stanzas.append(f"{control}Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n")
        self._index()

    def _index(self) -> None:
        with gzip.open(self.folder / "Packages.gz", "wt") as index:
            index.write("\n".join(self.stanzas))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    return Source(tmp_path, monkeypatch)


def test_a_package_and_what_it_depends_on_lie_unpacked_side_by_side(source: Source, tmp_path: Path) -> None:
    source.add("tool", "1.0-1", "usr/bin/tool", depends="libtool-of-it")
    source.add("libtool-of-it", "2", "usr/lib/x86_64-linux-gnu/libit.so.2")
    said: list[str] = []
    tree = apt.unpack(["tool"], cache=tmp_path / "cache", say=said.append)
    assert (tree / "usr/bin/tool").read_text() == "1.0-1"
    assert tree.name == "tool_1.0-1"
    assert tree.is_relative_to(tmp_path / "cache")
    assert apt.library_path(tree) == str(tree / "usr/lib/x86_64-linux-gnu")
    assert said == ["fetching the Debian package tool"]


def test_what_is_there_is_not_fetched_again(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source.add("tool", "1", "usr/bin/tool")
    first = apt.unpack(["tool"], cache=tmp_path / "cache", say=lambda _: None)
    source.add("tool", "2", "usr/bin/tool")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert apt.unpack(["tool"], cache=tmp_path / "cache", say=pytest.fail) == first


def test_a_deleted_folder_is_fetched_anew_and_newer_lists_are_read_when_the_old_ones_do_not_serve(
    source: Source, tmp_path: Path
) -> None:
    source.add("tool", "1", "usr/bin/tool")
    tree = apt.unpack(["tool"], cache=tmp_path / "cache", say=lambda _: None)
    shutil.rmtree(tree)
    (source.folder / "tool_1_all.deb").unlink()
    source.stanzas.clear()
    source.add("tool", "2", "usr/bin/tool")
    assert apt.unpack(["tool"], cache=tmp_path / "cache", say=lambda _: None).name == "tool_2"


def test_a_package_that_nobody_has_is_an_error_with_what_apt_says(source: Source, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentMissingError, match="Unable to locate package nosuch") as caught:
        apt.unpack(["nosuch"], cache=tmp_path / "cache", say=lambda _: None)
    assert caught.value.hint
    assert "apt-get install nosuch" in caught.value.hint


def test_a_package_that_is_not_what_the_list_says_is_refused(source: Source, tmp_path: Path) -> None:
    source.add("tool", "1", "usr/bin/tool", broken=True)
    with pytest.raises(EnvironmentMissingError, match=r"(?i)hash sum mismatch"):
        apt.unpack(["tool"], cache=tmp_path / "cache", say=lambda _: None)
    assert not [path for path in (tmp_path / "cache/debian/tool").iterdir() if path.name != ".lock"]


def test_a_network_that_is_down_is_an_error_with_what_apt_says(source: Source, tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb [trusted=yes] http://127.0.0.1:9/debian ./\n")
    with pytest.raises(EnvironmentMissingError, match=r"127\.0\.0\.1"):
        apt.unpack(["tool"], cache=tmp_path / "cache", say=lambda _: None)


def test_without_apt_the_error_names_the_other_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(EnvironmentMissingError, match="no apt-get") as caught:
        apt.unpack(["runc"], cache=tmp_path / "cache", say=lambda _: None)
    assert caught.value.hint == "install runc with the package manager of your distribution"


def test_callers_at_the_same_time_fetch_once(source: Source, tmp_path: Path) -> None:
    source.add("tool", "1", "usr/bin/tool")
    said: list[str] = []
    trees: list[Path] = []

    def call() -> None:
        trees.append(apt.unpack(["tool"], cache=tmp_path / "cache", say=said.append))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 1
    assert len(set(trees)) == 1
    assert len(trees) == 4
