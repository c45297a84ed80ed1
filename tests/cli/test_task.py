"""How a task ends: in words, with an exit code, and with a traceback in a file only."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Invoke = Callable[..., subprocess.CompletedProcess[str]]

TASKS = """\
from invoke import Collection, Exit
from imagewright import errors
from imagewright.cli.task import task


@task(positional=["name"], iterable=["item"], help={"name": "What to greet.", "item": "Something to carry."})
def greet(c, name, loud=False, item=None):
    \"\"\"Greet somebody.

    A second paragraph.
    \"\"\"
    print(f"hello {name}{'!' * loud}", *(item or ()))


@task(defaults={"where": "here"})
def look(c, where):
    print(f"looking {where}")


@task()
def fail(c, kind="ImagewrightError"):
    raise getattr(errors, kind)("the thing is broken", where="config/images.yml:7", hint="mend it")


@task()
def crash(c):
    raise ZeroDivisionError("secret of the universe")


@task()
def shell(c):
    c.run("echo to-stdout; exit 7", hide=True)


@task()
def leave(c):
    raise Exit("enough", code=5)


@task()
def wait(c):
    import time
    print("waiting", flush=True)
    time.sleep(60)


@task()
def talk(c, lines=1):
    for number in range(lines):
        print(f"line {number}")


ns = Collection(greet, look, fail, crash, shell, leave, wait, talk)
"""


@pytest.fixture
def tasks(project: Path) -> Path:
    (project / "tasks.py").write_text(TASKS)
    return project


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("ImagewrightError", 1),
        ("BuildError", 1),
        ("RegistryError", 1),
        ("DockerfileError", 1),
        ("UsageError", 2),
        ("ConfigError", 2),
        ("EnvironmentMissingError", 3),
    ],
)
def test_an_expected_error_is_told_in_words(tasks: Path, invoked: Invoke, kind: str, code: int) -> None:
    done = invoked("fail", "--kind", kind)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == "error: config/images.yml:7: the thing is broken\n  mend it\n"


def test_a_bug_is_told_with_the_file_that_has_the_details(tasks: Path, invoked: Invoke) -> None:
    done = invoked("crash")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    found = re.fullmatch(
        r"error: this is a bug of imagewright: ZeroDivisionError: secret of the universe\n  .* in (\S+)\n", done.stderr
    )
    assert found
    log = Path(found[1])
    text, mode = log.read_text(), log.stat().st_mode
    log.unlink()
    assert text.startswith("task: crash\n")
    assert 'raise ZeroDivisionError("secret of the universe")' in text
    assert mode & 0o077 == 0


def test_what_invoke_itself_raises_keeps_its_meaning(tasks: Path, invoked: Invoke) -> None:
    done = invoked("shell")
    assert done.returncode == 7
    assert "to-stdout" in done.stderr
    assert "bug of imagewright" not in done.stderr
    done = invoked("leave")
    assert (done.returncode, done.stderr) == (5, "enough\n")


def test_ctrl_c(tasks: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "-m", "invoke", "wait"],
        cwd=tasks,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert run.stdout
    try:
        assert run.stdout.readline() == "waiting\n"
        os.killpg(run.pid, signal.SIGINT)
        _, told = run.communicate(timeout=30)
    finally:
        run.kill()
        run.wait()
    assert (run.returncode, told) == (130, "interrupted\n")


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_goes_away(tasks: Path, lines: int, buffered: bool) -> None:
    """`invoke talk | head`: no traceback, whether the output was written at once or is still in a buffer."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "talk", "--lines", str(lines)],
        cwd=tasks,
        env=os.environ | {"PYTHONUNBUFFERED": "" if buffered else "1"},
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode != 0


@pytest.mark.parametrize(
    "args",
    [
        ("greet", "--help"),
        ("greet", "-h"),
        ("greet", "you", "--help"),
        ("greet", "--loud", "--help"),
        ("--help", "greet"),
    ],
)
def test_help_helps_wherever_it_stands(tasks: Path, invoked: Invoke, args: tuple[str, ...]) -> None:
    done = invoked(*args)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: inv" in done.stdout
    for words in (
        "Greet somebody.",
        "A second paragraph.",
        "--loud",
        "What to greet.",
        "Something to carry.",
    ):
        assert words in done.stdout
    assert "\n    A second" not in done.stdout
    assert "hello" not in done.stdout


def test_a_list_of_values(tasks: Path, invoked: Invoke) -> None:
    assert invoked("greet", "you", "--item", "a=1", "--item", "b").stdout == "hello you a=1 b\n"


def test_a_positional_argument_that_may_be_left_out(tasks: Path, invoked: Invoke) -> None:
    assert invoked("look").stdout == "looking here\n"
    assert invoked("look", "there").stdout == "looking there\n"
    assert "Usage: invoke look [WHERE] [--options]" in invoked("look", "--help").stdout


def test_a_positional_argument_that_is_missing(tasks: Path, invoked: Invoke) -> None:
    done = invoked("greet")
    assert done.returncode != 0
    assert "name" in done.stderr
    assert "Traceback" not in done.stderr
