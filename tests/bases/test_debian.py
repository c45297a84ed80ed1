"""mmdebstrap as a stand-in that makes a small tarball: what is asked of it, and what becomes of what it makes."""

from __future__ import annotations

import io
import os
import tarfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from imagewright.bases import debian
from imagewright.bases.recipe import Recipe
from imagewright.errors import BuildError, EnvironmentMissingError, ImagewrightError

HERE = next(
    platform
    for platform in ("linux/amd64", "linux/arm64")
    if debian._is_native(Recipe(suite="x", include=(), platform=platform))
)
TRIXIE = Recipe(suite="trixie", include=("jq",), platform=HERE)
OLD, NEWEST = 1_000_000_000, 1_500_000_000

STAND_IN = """\
#!/bin/sh
printf '%s\\n' "$@" > "$CALLED.arguments"
echo x >> "$CALLED"
echo "I: downloading packages with apt..." >&2
for argument; do
    last=$argument
done
[ ! -e "$FAIL" ] || { cat "$FAIL" >&2; exit 25; }
cp "$TARBALL" "$last"
"""


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with one line for each call of mmdebstrap; its arguments lie beside it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "mmdebstrap").write_text(STAND_IN)
    (programs / "mmdebstrap").chmod(0o755)
    with tarfile.open(tmp_path / "tarball", "w") as tar:
        for name, mtime in (("./old", OLD), ("./newest", NEWEST), ("./written", time.time())):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uname = 3, mtime, "somebody"
            tar.addfile(member, io.BytesIO(b"abc"))
        device = tarfile.TarInfo("./dev/null")
        device.type = tarfile.CHRTYPE
        tar.addfile(device)
        link = tarfile.TarInfo("./hard")
        link.type, link.linkname = tarfile.LNKTYPE, "./old"
        tar.addfile(link)
    values = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "CALLED": str(tmp_path / "called"),
        "TARBALL": str(tmp_path / "tarball"),
        "FAIL": str(tmp_path / "fail"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "called"


def test_no_file_is_newer_than_the_packages_and_no_device_is_left(called: Path, tmp_path: Path) -> None:
    made = debian.make(TRIXIE, cache=tmp_path / "cache", say=lambda _: None)
    assert made.created == NEWEST
    with tarfile.open(made.tar) as tar:
        members = {member.name: member for member in tar}
        assert list(members) == ["./old", "./newest", "./written", "./hard"]
        assert members["./old"].mtime == OLD
        assert members["./written"].mtime == NEWEST
        assert members["./written"].uname == ""
        assert members["./hard"].islnk()
        content = tar.extractfile("./written")
        assert content
        assert content.read() == b"abc"


def test_it_is_asked_for_the_suite_the_packages_and_the_platform(called: Path, tmp_path: Path) -> None:
    said: list[str] = []
    debian.make(TRIXIE, cache=tmp_path / "cache", say=said.append)
    arguments = Path(f"{called}.arguments").read_text()
    for expected in ("--variant=minbase\n", "--include=jq\n", f"--architectures={TRIXIE.architecture}\n", "\ntrixie\n"):
        assert expected in arguments
    assert f"--mode={'root' if os.geteuid() == 0 else 'unshare'}\n" in arguments
    assert said == [
        f"making a root filesystem of Debian trixie for {HERE} with mmdebstrap",
        "  downloading packages with apt...",
    ]


def test_it_is_made_once_whoever_asks(called: Path, tmp_path: Path) -> None:
    def call() -> None:
        debian.make(TRIXIE, cache=tmp_path / "cache", say=lambda _: None)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert called.read_text() == "x\n"


def test_one_that_is_too_old_is_made_anew_and_gives_the_same_tarball(called: Path, tmp_path: Path) -> None:
    made = debian.make(TRIXIE, cache=tmp_path / "cache", say=lambda _: None)
    before = made.tar.read_bytes()
    debian.make(TRIXIE, cache=tmp_path / "cache", say=lambda _: None, max_age=3600)
    assert called.read_text() == "x\n"
    os.utime(made.tar, (0, 0))
    again = debian.make(TRIXIE, cache=tmp_path / "cache", say=lambda _: None, max_age=3600)
    assert called.read_text() == "x\nx\n"
    assert again.tar.read_bytes() == before


@pytest.mark.parametrize(
    ("output", "kind", "hint"),
    [
        ("E: cannot find newuidmap", EnvironmentMissingError, "/etc/subuid"),
        ("E: Failed to fetch http://x", EnvironmentMissingError, "network"),
        ("E: Unable to locate package jqq", BuildError, "include"),
        ("E: The repository has no Release file", BuildError, "trixie"),
    ],
)
def test_a_failure_shows_the_last_lines_and_leaves_nothing(
    called: Path, tmp_path: Path, output: str, kind: type[ImagewrightError], hint: str
) -> None:
    (tmp_path / "fail").write_text(output)
    with pytest.raises(kind) as caught:
        debian.make(TRIXIE, cache=tmp_path / "cache", say=lambda _: None)
    assert caught.value.message.splitlines()[1:] == [f"    {output}"]
    assert hint in str(caught.value.hint)
    assert [path.name for path in (tmp_path / "cache/bases").iterdir()] == [".lock"]


def test_a_platform_that_this_machine_cannot_run_is_refused_before_anything_is_fetched(
    called: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "_BINFMT", tmp_path)
    foreign = Recipe(suite="trixie", include=(), platform="linux/s390x")
    for content in (None, "disabled\n"):
        if content:
            (tmp_path / "qemu-s390x").write_text(content)
        with pytest.raises(EnvironmentMissingError, match="linux/s390x") as caught:
            debian.make(foreign, cache=tmp_path / "cache", say=lambda _: None)
        assert "qemu-user-static" in str(caught.value.hint)
    assert not called.exists()


@pytest.mark.parametrize(
    ("suite", "files", "fetched"),
    [
        ("trixie", ["debian-archive-keyring.gpg", "debian-archive-trixie-stable.gpg"], False),
        ("trixie", ["debian-archive-keyring.gpg", "debian-archive-bookworm-stable.gpg"], True),
        ("sid", ["debian-archive-keyring.pgp"], False),
        ("sid", ["other.gpg"], True),
    ],
)
def test_keys_that_the_machine_lacks_are_fetched(
    called: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suite: str, files: list[str], fetched: bool
) -> None:
    keyrings = tmp_path / "keyrings"
    keyrings.mkdir()
    for name in files:
        (keyrings / name).touch()
    monkeypatch.setattr(debian, "_KEYRINGS", keyrings)
    monkeypatch.setattr(debian, "unpack", lambda packages, **_: tmp_path / packages[0])
    debian.make(replace(TRIXIE, suite=suite), cache=tmp_path / "cache", say=lambda _: None)
    given = f"--keyring={tmp_path}/debian-archive-keyring/usr/share/keyrings/debian-archive-keyring.gpg\n"
    assert (given in Path(f"{called}.arguments").read_text()) == fetched
