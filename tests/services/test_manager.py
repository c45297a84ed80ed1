from __future__ import annotations

import gc
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imagewright.errors import EnvironmentMissingError, UsageError
from imagewright.services import credentials, manager, processes, records
from imagewright.services.catalog import SERVICES
from imagewright.services.records import Process, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.services.conftest import Sandbox

ECHO = "echo"
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process of somebody else's."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def kill(pid: int) -> None:
    """SIGKILL, and wait until the kernel has taken the process apart."""
    descriptor = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert processes._exited(descriptor, 20)
    os.close(descriptor)


def test_names_are_chosen_by_one_word_or_several() -> None:
    assert manager.names("all") == tuple(SERVICES) == ("registry", "s3", "buildkitd")
    assert manager.names("s3, registry,s3") == ("s3", "registry")
    with pytest.raises(UsageError, match="no service 'redis'"):
        manager.names("redis")


def test_start_returns_when_the_service_answers_and_leaves_a_running_one_alone(sandbox: Sandbox) -> None:
    first = sandbox.start()

    assert first.address == f"http://127.0.0.1:{sandbox.places.s3_port}"
    assert first.version == "v2.1.0"
    assert first.pid is not None
    assert Process.of(first.pid)
    assert sandbox.state() == "running"
    assert sandbox.start() == sandbox.ensure() == first
    assert [line for line in sandbox.said if line.startswith("started")] == sandbox.said


def test_stop_ends_it_once(sandbox: Sandbox) -> None:
    pid = sandbox.start().pid
    assert pid

    assert sandbox.stop()

    assert Process.of(pid) is None
    assert sandbox.state() == "stopped"
    assert not sandbox.stop()


def test_a_service_that_ignores_sigterm_is_killed(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_SILENT_SECONDS", 0.1)
    monkeypatch.setattr(processes, "_TERM_SECONDS", 0.1)
    sandbox.folder.mkdir(parents=True)
    (sandbox.folder / "stubborn").touch()
    pid = sandbox.start().pid
    assert pid

    assert sandbox.stop()

    assert Process.of(pid) is None
    assert "echo: waiting for it to finish what it does, ten seconds at most" in sandbox.said


def test_a_service_outlives_the_process_that_started_it(sandbox: Sandbox) -> None:
    daemon = next(Path(folder) / "echod" for folder in sandbox.environ["PATH"].split(os.pathsep))
    code = f"""
from pathlib import Path
from imagewright.services import processes, probes
process = processes.start(
    [{str(daemon)!r}, "{sandbox.places.s3_port}", "/nonexistent"], env={{}}, environ={{}},
    log=Path({str(daemon.parent)!r}) / "log", answers=lambda: probes.listening("127.0.0.1", {sandbox.places.s3_port}),
)
print(process.pid, flush=True)
import os, signal
os.kill(os.getpid(), signal.SIGKILL)  # no farewell of any kind
"""
    starter = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert starter.returncode == -signal.SIGKILL, starter.stderr
    process = Process.of(int(starter.stdout))

    assert process is not None
    assert os.getsid(process.pid) == process.pid, "a terminal's Ctrl-C and hang-up do not reach it"
    assert Path(f"/proc/{process.pid}/cwd").readlink() == Path("/")
    assert processes.stop(process, waiting=pytest.fail)


def test_a_killed_service_is_crashed_and_its_stale_record_is_told(sandbox: Sandbox) -> None:
    pid = sandbox.start().pid
    assert pid
    kill(pid)
    assert sandbox.state() == "crashed"

    again = sandbox.ensure()

    assert again.pid not in (None, pid)
    assert f"echo: pid {pid} is gone, its stale record is removed" in sandbox.said
    assert sandbox.state() == "running"


def test_a_service_that_does_not_answer_is_replaced(sandbox: Sandbox) -> None:
    pid = sandbox.start().pid
    assert pid
    (sandbox.folder / f"mute-{pid}").touch()
    assert sandbox.state() == "unhealthy"

    again = sandbox.ensure()

    assert again.pid != pid
    assert Process.of(pid) is None
    assert f"echo (pid {pid}) does not answer, it is ended" in sandbox.said


@pytest.mark.parametrize("difference", [{"started": 1}, {"boot": "00000000-0000-4000-8000-000000000000"}])
def test_stop_never_touches_another_process_with_the_same_pid(
    sandbox: Sandbox, sleeper: subprocess.Popen[bytes], difference: dict[str, object]
) -> None:
    other = Process.of(sleeper.pid)
    assert other
    sandbox.folder.mkdir(parents=True)
    record = Record(name=ECHO, address="", how="", version="", bound_to="", process=replace(other, **difference))  # type: ignore[arg-type]
    records.write(sandbox.folder, record)

    assert not sandbox.stop()

    assert sleeper.poll() is None
    assert Process.of(sleeper.pid) == other


def test_a_damaged_record_is_told_and_removed(sandbox: Sandbox) -> None:
    sandbox.folder.mkdir(parents=True)
    (sandbox.folder / "process.json").write_text('{"name": "echo", "pro')

    assert sandbox.state() == "crashed"
    sandbox.start()

    assert "echo: its record was damaged and is removed" in sandbox.said


def test_a_taken_port_names_who_has_it(sandbox: Sandbox) -> None:
    with (
        socket.create_server(("127.0.0.1", sandbox.places.s3_port)),
        pytest.raises(EnvironmentMissingError, match=rf"the port is taken by .+ \(pid {os.getpid()}\)") as caught,
    ):
        sandbox.start()
    assert caught.value.exit_code == 3
    assert sandbox.state() == "stopped"


def test_a_crash_at_the_start_shows_exit_code_and_the_end_of_the_log(sandbox: Sandbox) -> None:
    sandbox.folder.mkdir(parents=True)
    (sandbox.folder / "crash").touch()

    with pytest.raises(EnvironmentMissingError, match="ended with exit code 3") as caught:
        sandbox.start()

    assert "cannot read my mind" in caught.value.message
    assert "line 29" in caught.value.message
    assert "line 9\n" not in caught.value.message
    assert str(sandbox.folder / "log") in str(caught.value.hint)
    assert sandbox.state() == "stopped"


def test_the_log_of_the_last_run_is_kept(sandbox: Sandbox) -> None:
    sandbox.start()
    (sandbox.folder / "log").write_text("what the first run said\n")
    sandbox.stop()

    sandbox.start()

    assert (sandbox.folder / "log.old").read_text() == "what the first run said\n"


def test_two_starts_at_once_start_one(sandbox: Sandbox) -> None:
    children = {}
    for _ in range(4):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.write(writer, str(sandbox.start().pid).encode())
                status = 0
            finally:
                os._exit(status)
        os.close(writer)
        children[child] = reader
    pids = []
    for child, reader in children.items():
        with os.fdopen(reader) as pipe:
            pids.append(pipe.read())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    assert len(set(pids)) == 1, pids
    assert Process.of(int(pids[0]))


def test_a_running_service_of_other_settings_is_not_taken_nor_stopped(sandbox: Sandbox) -> None:
    pid = sandbox.start().pid
    elsewhere = replace(sandbox.places, s3_port=sandbox.places.s3_port + 1)

    with pytest.raises(EnvironmentMissingError, match="the configuration says") as caught:
        manager.start(ECHO, elsewhere, environ=sandbox.environ, say=sandbox.said.append)

    assert "invoke stop echo" in str(caught.value.hint)
    (status,) = manager.status(elsewhere, environ=sandbox.environ)
    assert (status.state, status.pid, status.address) == ("running", pid, sandbox.start().address)
    assert sandbox.start().pid == pid


def test_secrets_are_in_no_argument_and_no_other_variable_reaches_the_daemon(sandbox: Sandbox) -> None:
    pid = sandbox.start().pid
    known = credentials.read(sandbox.folder)
    assert known
    assert len(known.password) >= 32

    assert known.password not in Path(f"/proc/{pid}/cmdline").read_text()
    variables = Path(f"/proc/{pid}/environ").read_text()
    assert f"ECHO_PASSWORD={known.password}" in variables
    assert "not-for-daemons" not in variables
    assert known.password not in (sandbox.folder / "process.json").read_text() + "".join(sandbox.said) + repr(known)
    for name in ("credentials.json", "echo.conf"):
        assert stat.S_IMODE((sandbox.folder / name).stat().st_mode) == 0o600
    sandbox.stop()
    sandbox.start()
    assert credentials.read(sandbox.folder) == known, "a restart keeps them: docker knows them"


@NEEDS_ROOT
def test_a_full_disk_is_told(sandbox: Sandbox) -> None:
    sandbox.folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", sandbox.folder], check=True)
    try:
        with pytest.raises(OSError, match="No space"):
            (sandbox.folder / "filler").write_bytes(b"x" * 100_000)
        with pytest.raises(EnvironmentMissingError, match="No space left on device") as caught:
            sandbox.start()
        assert str(sandbox.folder) in str(caught.value.where)
        assert sandbox.state() == "stopped"
    finally:
        subprocess.run(["umount", sandbox.folder], check=True)


def test_purge_shows_sizes_then_removes(sandbox: Sandbox) -> None:
    sandbox.start()
    (sandbox.folder / "data/blob").write_bytes(b"x" * 1_000_000)
    with pytest.raises(EnvironmentMissingError, match="started meanwhile"):
        manager.remove(ECHO, sandbox.places, environ=sandbox.environ, say=sandbox.said.append)
    sandbox.stop()

    (doomed,) = manager.doomed([ECHO], sandbox.places)
    assert doomed.path == sandbox.folder
    assert 1_000_000 <= doomed.size < 1_100_000
    manager.remove(ECHO, sandbox.places, environ=sandbox.environ, say=sandbox.said.append)

    assert not sandbox.folder.exists()
    assert manager.doomed([ECHO], sandbox.places) == ()


@NEEDS_ROOT
def test_purge_unmounts_what_a_killed_daemon_left_and_removes_nothing_behind_it(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    mount = sandbox.folder / "data/a mount"
    mount.mkdir(parents=True)
    subprocess.run(["mount", "--bind", precious, mount], check=True)
    try:
        manager.remove(ECHO, sandbox.places, environ=sandbox.environ, say=sandbox.said.append)

        assert not sandbox.folder.exists()
        assert (precious / "file").exists()
    finally:
        subprocess.run(["umount", mount], capture_output=True)


def test_an_answer_of_somebody_else_does_not_count(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def answered_by_another() -> bool:
        while not log.read_text().endswith("\n"):
            pass
        os.waitid(os.P_PID, int(log.read_text()), os.WEXITED | os.WNOWAIT)  # until ours has ended
        return True

    with pytest.raises(EnvironmentMissingError, match="sh ended with exit code 4"):
        processes.start(["/bin/sh", "-c", "echo $$; exit 4"], env={}, environ={}, log=log, answers=answered_by_another)


def test_python_does_not_warn_of_a_daemon_that_runs_on(sandbox: Sandbox, recwarn: pytest.WarningsRecorder) -> None:
    sandbox.start()
    gc.collect()
    assert not [warning for warning in recwarn if warning.category is ResourceWarning]


def test_the_record_can_be_read_by_others(sandbox: Sandbox) -> None:
    running = sandbox.start()
    record = json.loads((sandbox.folder / "process.json").read_text())
    assert record["process"]["pid"] == running.pid
    assert set(record["process"]) == {"pid", "started", "boot"}
