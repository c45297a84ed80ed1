"""Runs of `invoke` in forks are what they would be in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.forks import Forks

TASKS = """
import atexit, json, os, sys, threading
from invoke import task

loaded = [name for name in sys.modules if name.startswith("imagewright")]
atexit.register(lambda: print("the end"))
last = threading.Thread(target=lambda: (threading.main_thread().join(), print("the end of a thread")))

@task
def tell(_context, more=""):
    about = {
        "folder": os.getcwd(), "path": sys.path[0], "argv": sys.argv, "main": sys.modules["__main__"].__name__,
        "env": dict(os.environ), "loaded": loaded, "stdin": sys.stdin.read(), "tty": sys.stdout.isatty(), "more": more,
    }
    print(json.dumps(about))
    print(hash("seed"), file=sys.stderr)
    last.start()
    sys.exit(7)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tasks.py").write_text(TASKS)
    return tmp_path


def a_process(*args: str, cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "invoke", *args]
    return subprocess.run(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def test_as_a_process_of_its_own(forks: Forks, folder: Path) -> None:
    env = {**os.environ, "TOLD": "ü\n"}
    del env["HOME"]
    fork, process = (run("tell", "--more=ö", cwd=folder, env=env) for run in (forks.invoke, a_process))
    assert (fork.returncode, fork.stdout) == (process.returncode, process.stdout)
    assert fork.returncode == 7
    assert fork.stdout.splitlines()[1:] == ["the end of a thread", "the end"]
    about = json.loads(fork.stdout.splitlines()[0])
    assert about["env"] == env
    assert (about["folder"], about["loaded"]) == (str(folder), [])


def test_one_after_another_has_another_seed(forks: Forks, folder: Path) -> None:
    seeds = [forks.invoke("tell", cwd=folder, env=os.environ).stderr for _ in range(2)]
    assert seeds[0] != seeds[1]


def test_what_python_reads_at_its_start_is_obeyed(forks: Forks, folder: Path) -> None:
    env = {**os.environ, "PYTHONHASHSEED": "1"}
    seeds = [run("tell", cwd=folder, env=env).stderr for run in (forks.invoke, forks.invoke, a_process)]
    assert len(set(seeds)) == 1


def test_an_error_that_nobody_expects(forks: Forks, folder: Path) -> None:
    (folder / "tasks.py").write_text("1 / 0\n")
    fork, process = (run("-l", cwd=folder, env=os.environ) for run in (forks.invoke, a_process))
    assert fork.returncode == process.returncode == 1
    assert fork.stderr.splitlines()[-1] == process.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"
