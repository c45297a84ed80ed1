"""How Invoke starts with these tasks: from one line in another repository, and without what only some tasks need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("boto3", "e2b_dockerfile_utils", "jinja2", "pydantic", "python_on_whales", "rich", "urllib3", "yaml")

LIST_TASKS = f"""\
import sys
from invoke.main import program
by_invoke = set(sys.modules)  # Invoke's own YAML parser loads a part of PyYAML where that is installed
program.run(["invoke", "-l"], exit=False)
loaded = [name for name in {HEAVY} if name in sys.modules.keys() - by_invoke]
print(*loaded, file=sys.stderr)
"""


def list_tasks(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", LIST_TASKS], cwd=folder, capture_output=True, text=True, check=True)


@pytest.fixture
def other_repository(tmp_path: Path) -> Path:
    (tmp_path / "tasks.py").write_text("from imagewright import ns\n")
    (tmp_path / "deep" / "down").mkdir(parents=True)
    return tmp_path


def test_one_line_brings_the_tasks_into_another_repository(other_repository: Path) -> None:
    done = list_tasks(other_repository)

    tasks = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert {"build", "plan", "list"} <= tasks
    assert not any(task.startswith("dev.") for task in tasks), "the chores of the package's own repository"


def test_tasks_are_found_from_a_folder_below(other_repository: Path) -> None:
    assert list_tasks(other_repository / "deep" / "down").stdout == list_tasks(other_repository).stdout


def test_listing_the_tasks_loads_no_heavy_library(other_repository: Path) -> None:
    assert list_tasks(other_repository).stderr.strip() == ""
    assert list_tasks(ROOT).stderr.strip() == ""


def test_asking_a_registry_loads_no_library_for_terminals() -> None:
    code = """\
import sys
from imagewright.registry.client import Registry
with Registry("localhost:1"):
    pass
assert "urllib3" in sys.modules
print(*{"click", "rich", "pygments"} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_what_carries_builds_out_loads_no_models() -> None:
    code = (
        "import sys, imagewright.cli.apply, imagewright.cli.planning; print(*{'pydantic', 'rich'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
