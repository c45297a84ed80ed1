"""`./inv`: the launcher at the root of the repository, run the way people run it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ("sh", "cat", "chmod", "cmp", "dirname", "flock", "mkdir", "mv", "readlink", "rm")

# Stands for the environment's Python: shows what the launcher starts, and in which folder.
FAKE_PYTHON = """\
#!/bin/sh
[ "$1" != -m ] || exit 0
pwd
printf '<%s>\\n' "$@"
"""

# Stands for uv: notes what it is asked for, and "makes" an environment. `uv.before` is what a test lets happen first.
FAKE_UV = """\
#!/bin/sh
echo "$@" >>"{home}/uv.log"
echo "uv talks on standard output"
[ ! -f "{home}/uv.before" ] || . "{home}/uv.before"
if [ "$1" = venv ]; then
    mkdir -p "$PWD_OF_CHECKOUT/.venv/bin"
    cat "{home}/python" >"$PWD_OF_CHECKOUT/.venv/bin/python"
    chmod +x "$PWD_OF_CHECKOUT/.venv/bin/python"
fi
"""


class Checkout:
    """A copy of the repository with programs of its own on PATH: the fewest that the launcher needs, and a fake uv."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root = home / "check out"  # a space, as people have them
        self.bin = home / "bin"
        self.bin.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, f"{tool} is missing on this machine"
            (self.bin / tool).symlink_to(found)
        self.program("uv", FAKE_UV.format(home=home))
        (home / "python").write_text(FAKE_PYTHON)
        self.root.mkdir()
        for name in ("inv", "requirements.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, self.root)

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)

    @property
    def env(self) -> dict[str, str]:
        return {"PATH": str(self.bin), "PWD_OF_CHECKOUT": str(self.root)}

    def inv(self, *args: str, cwd: Path | None = None, program: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(program or self.root / "inv"), *args],
            cwd=cwd or self.root,
            env=self.env,
            capture_output=True,
            text=True,
        )

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.root / "inv")],
            cwd=self.root,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def times_made(self) -> int:
        log = self.home / "uv.log"
        return sum(line.startswith("venv ") for line in log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_arguments_pass_through_as_they_are(checkout: Checkout) -> None:
    args = ("build", "a b", "", "*", "$HOME", "it's", 'say "x"', "back\\slash", "--", "-l")

    done = checkout.inv(*args)

    shown = [
        f"<{checkout.root}/.venv/bin/invoke>",
        "<--search-root>",
        f"<{checkout.root}>",
        *(f"<{arg}>" for arg in args),
    ]
    assert done.stdout.splitlines() == [str(checkout.root), *shown]
    assert done.returncode == 0


def test_works_from_any_folder_and_leaves_the_folder_alone(checkout: Checkout, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    done = checkout.inv("list", cwd=elsewhere)

    assert done.stdout.splitlines() == [
        str(elsewhere),
        f"<{checkout.root}/.venv/bin/invoke>",
        "<--search-root>",
        f"<{checkout.root}>",
        "<list>",
    ]


def test_works_through_symlinks(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "absolute").symlink_to(checkout.root / "inv")
    (tmp_path / "links" / "relative").symlink_to("absolute")
    (tmp_path / "folder").symlink_to(checkout.root)

    for program in (tmp_path / "links" / "relative", tmp_path / "folder" / "inv"):
        done = checkout.inv(program=program, cwd=tmp_path)
        assert f"<{checkout.root}>" in done.stdout.splitlines(), done.stderr


def test_works_by_its_bare_name(checkout: Checkout) -> None:
    done = subprocess.run(["sh", "inv"], cwd=checkout.root, env=checkout.env, capture_output=True, text=True)

    assert f"<{checkout.root}>" in done.stdout.splitlines(), done.stderr


def test_says_in_one_line_what_it_makes_and_then_nothing(checkout: Checkout) -> None:
    first, second = checkout.inv(), checkout.inv()

    assert first.stderr.splitlines()[0] == "inv: making .venv from requirements.lock with uv"
    assert "uv talks" not in first.stdout  # standard output is for the task's result: `./inv plan --json | jq`
    assert second.stderr == ""
    assert checkout.times_made == 1


def test_installs_with_hashes_and_without_build_isolation(checkout: Checkout) -> None:
    checkout.inv()

    _, dependencies, itself = (checkout.home / "uv.log").read_text().splitlines()
    assert "--require-hashes" in dependencies
    assert f"-r {checkout.root}/requirements.lock" in dependencies
    assert "--no-deps --no-build-isolation" in itself


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_makes_again_what_was_made_from_other_contents(checkout: Checkout, name: str) -> None:
    checkout.inv()
    file = checkout.root / name
    before = file.stat()
    file.write_text(file.read_text() + "# changed\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as an unpacked archive has it: changed, but not newer

    checkout.inv()
    assert checkout.times_made == 2
    checkout.inv()
    assert checkout.times_made == 2


def test_makes_again_when_the_folder_was_moved(checkout: Checkout, tmp_path: Path) -> None:
    checkout.inv()
    checkout.root = checkout.root.rename(tmp_path / "moved")

    done = checkout.inv()

    assert checkout.times_made == 2
    assert f"<{tmp_path}/moved>" in done.stdout.splitlines()


def test_makes_again_when_its_python_is_gone(checkout: Checkout) -> None:
    checkout.inv()
    (checkout.root / ".venv/bin/python").unlink()

    assert checkout.inv().returncode == 0
    assert checkout.times_made == 2


def test_a_failed_step_exits_3_and_is_made_again(checkout: Checkout) -> None:
    before = checkout.home / "uv.before"
    before.write_text('case "$*" in *requirements.lock*) echo "no such package" >&2; exit 1 ;; esac\n')

    failed = checkout.inv()
    before.unlink()
    mended = checkout.inv()

    assert failed.returncode == 3
    assert "no such package" in failed.stderr
    assert failed.stderr.splitlines()[-1] == "inv: .venv could not be made, see above"
    assert failed.stdout == ""
    assert mended.returncode == 0
    assert checkout.times_made == 2


def test_an_interrupted_one_is_made_again(checkout: Checkout, tmp_path: Path) -> None:
    checkout.inv()
    lock = checkout.root / "requirements.lock"
    complete = lock.read_text()
    lock.write_text(complete + "# changed\n")
    os.mkfifo(tmp_path / "reached")
    before = checkout.home / "uv.before"
    before.write_text(f'case "$*" in *requirements.lock*) echo >"{tmp_path}/reached"; kill -STOP $$ ;; esac\n')

    child = checkout.start()
    (tmp_path / "reached").read_text()  # it is in the middle of the installation now
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    before.unlink()
    lock.write_text(complete)  # what it was last made from in full: not what is there now

    assert checkout.inv().returncode == 0
    assert checkout.times_made == 3


def test_two_at_once_make_it_once(checkout: Checkout, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "reached")
    os.mkfifo(tmp_path / "go on")
    (checkout.home / "uv.before").write_text(
        f'[ "$1" != venv ] || {{ echo >"{tmp_path}/reached"; cat "{tmp_path}/go on" >/dev/null; }}\n'
    )

    first = checkout.start()
    (tmp_path / "reached").read_text()  # the first is making it
    second = checkout.start()
    assert second.stderr
    waits = second.stderr.readline()
    (tmp_path / "go on").write_text("")

    for child in (first, second):
        output, _ = child.communicate()
        assert child.returncode == 0
        assert f"<{checkout.root}>" in output.splitlines()
    assert waits == "inv: waiting for another ./inv that makes .venv\n"
    assert checkout.times_made == 1


def test_without_a_python_that_is_new_enough(checkout: Checkout) -> None:
    (checkout.bin / "uv").unlink()
    checkout.program("python3", "#!/bin/sh\nexit 1\n")

    done = checkout.inv()

    assert done.returncode == 3
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "apt-get install" in done.stderr
    assert "not found" not in done.stderr


def test_takes_the_first_python_that_is_new_enough(checkout: Checkout) -> None:
    (checkout.bin / "uv").unlink()
    checkout.program("python3", "#!/bin/sh\nexit 1\n")
    checkout.program("python3.12", '#!/bin/sh\n[ "$1" != -m ] || echo "made with 3.12" >&2\n[ "$1" = -c ]\n')

    done = checkout.inv()

    assert done.stderr.splitlines()[0] == "inv: making .venv from requirements.lock with python3.12 and pip"
    assert "made with 3.12" in done.stderr


@pytest.mark.e2e
@pytest.mark.parametrize("installer", ["pip", *(["uv"] if shutil.which("uv") else [])])
def test_a_real_installation_lists_the_tasks(tmp_path: Path, installer: str) -> None:
    """With real packages. uv where this machine has it; pip always."""
    root = tmp_path / "checkout"
    shutil.copytree(
        ROOT, root, ignore=lambda _, names: {*names} & {".venv", ".git", "tests", "docs", "bench", ".hypothesis"}
    )
    folders = os.environ["PATH"].split(os.pathsep)
    path = [folder for folder in folders if installer == "uv" or not (Path(folder) / "uv").exists()]
    # Bytecode would be half of the work, and next to nothing of it is run.
    env = {**os.environ, "PATH": os.pathsep.join(path), "PIP_COMPILE": "0"}

    first = subprocess.run([root / "inv", "-l"], cwd=tmp_path, env=env, capture_output=True, text=True)
    second = subprocess.run([root / "inv", "-l"], cwd=tmp_path, env=env, capture_output=True, text=True)

    assert first.returncode == 0, first.stderr
    assert f"with {'uv' if installer == 'uv' else 'python3 and pip'}" in first.stderr
    assert "dev.test" in first.stdout
    assert "build" in first.stdout
    assert (second.returncode, second.stdout, second.stderr) == (0, first.stdout, "")
