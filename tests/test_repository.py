"""What holds for the files of this repository itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LARGEST_BYTES = 500_000
# Where packages come from is the machine's business: a host name here would bypass a mirror.
PACKAGE_HOSTS = re.compile(
    r"\b(?:(?:files\.)?pythonhosted|(?:test\.)?pypi|(?:proxy|sum)\.golang|registry\.npmjs|(?:deb|ftp\.\w+)\.debian)\.org\b"
)


def tracked() -> list[Path]:
    """The files that are committed, or will be with the next `git add --all`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    found = {str(path.relative_to(ROOT)): path.read_text(errors="replace") for path in tracked()}
    assert len(found) > 20
    return found


def test_no_file_names_this_machine_or_a_package_host(texts: dict[str, str]) -> None:
    places = {str(ROOT), sys.base_prefix} - {"/usr", "/usr/local"}
    machine = re.compile("|".join(map(re.escape, places)))

    found = [
        f"{name}:{number}: {match[0]}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if (match := machine.search(line) or PACKAGE_HOSTS.search(line))
    ]

    assert not found


def test_no_file_is_large() -> None:
    assert not [str(path) for path in tracked() if path.stat().st_size > LARGEST_BYTES]


def test_scripts_can_be_started_and_are_read_by_their_shell() -> None:
    for name, shell in (("inv", "sh"), (".ci/run", "bash")):
        assert os.access(ROOT / name, os.X_OK), name
        subprocess.run([shell, "-n", ROOT / name], check=True)


def test_every_page_is_linked_from_the_readme(texts: dict[str, str]) -> None:
    pages = [name for name in texts if name.startswith("docs/") and name.endswith(".md")]

    assert not [page for page in pages if f"]({page}" not in texts["README.md"]]


def test_links_between_pages_lead_somewhere(texts: dict[str, str]) -> None:
    broken = [
        f"{name}: {target}"
        for name, text in texts.items()
        if name.endswith(".md")
        for target in re.findall(r"\]\((?!\w+:)([^)#\s]+)", text)
        if not (ROOT / name).parent.joinpath(target).exists()
    ]

    assert not broken


def test_the_changelog_has_a_place_for_what_comes(texts: dict[str, str]) -> None:
    assert re.search(r"^## \[?Unreleased\b", texts["CHANGELOG.md"], re.MULTILINE)


def test_the_readme_names_every_task(texts: dict[str, str]) -> None:
    from imagewright import ns

    rows = [line for line in texts["README.md"].splitlines() if line.startswith("|")]
    missing = [name for name in ns.task_names if not any(re.search(rf"`(?:invoke )?{name}\b", row) for row in rows)]

    assert not missing


def test_the_page_on_development_names_every_chore(texts: dict[str, str]) -> None:
    import dev

    assert not [name for name in dev.ns.task_names if f"dev.{name}" not in texts["docs/development.md"]]


@pytest.fixture(scope="module")
def lock() -> dict[str, str]:
    """Each requirement of the lock file by its name: `name==version ; marker` with the lines of its hashes."""
    text = (ROOT / "requirements.lock").read_text()
    entries = re.finditer(r"^(?P<name>\w\S*?)==.*(?:\n +.*)*", text, re.MULTILINE)
    return {canonicalize_name(entry["name"]): entry[0] for entry in entries}


def test_the_lock_has_what_the_project_needs(lock: dict[str, str]) -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = [
        *pyproject["project"]["dependencies"],
        *pyproject["dependency-groups"]["dev"],
        *pyproject["build-system"]["requires"],
    ]
    for requirement in map(Requirement, named):
        version = re.match(r"\S+?==([^\s;]+)", lock.get(canonicalize_name(requirement.name), ""))
        assert version, f"{requirement} is not in it: run `./inv dev.lock`"
        assert version[1] in requirement.specifier, f"{requirement} is not met: run `./inv dev.lock`"


def test_the_lock_has_a_hash_for_everything(lock: dict[str, str]) -> None:
    assert len(lock) > 30
    assert not [name for name, entry in lock.items() if "--hash=sha256:" not in entry]


def test_the_lock_names_no_host() -> None:
    text = (ROOT / "requirements.lock").read_text()

    assert not re.search(r"https?:|--(?:extra-)?index-url|--find-links|--trusted-host", text)
