from __future__ import annotations

import base64
import io
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from invoke.collection import Collection
from invoke.program import Program

from imagewright.cli.login import login, registry_host
from imagewright.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "s3cr3t-of-mine"
_FAKE_DOCKER = """#!/bin/sh
tr '\\0' ' ' </proc/$$/cmdline >>"$RECORDS/argv"
cat >>"$RECORDS/stdin"
echo Login Succeeded
"""


class Guarded(BaseHTTPRequestHandler):
    """A registry's /v2/ with one user, or open to everybody."""

    open_to_all = False

    def do_GET(self) -> None:
        expected = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()
        allowed = self.open_to_all or self.headers.get("authorization") == expected
        self.send_response(200 if allowed else 401)
        if not allowed:
            self.send_header("www-authenticate", 'Basic realm="x"')
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name for it
        pass


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Guarded, "open_to_all", False)
    server = HTTPServer(("127.0.0.1", 0), Guarded)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker that only writes down what it is given, in an empty repository and a home of its own."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(_FAKE_DOCKER)
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(docker.parent), prepend=os.pathsep)
    monkeypatch.setenv("RECORDS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("DOCKER_CONFIG", "IMAGEWRIGHT_LOGIN_USER", "IMAGEWRIGHT_LOGIN_PASSWORD"):
        monkeypatch.delenv(variable, raising=False)
    repository = tmp_path / "repository"
    (repository / "Dockerfiles").mkdir(parents=True)
    monkeypatch.chdir(repository)
    return tmp_path


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], records: Path) -> Run:
    def invoke(*args: str, stdin: str = "") -> tuple[int, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = 0
        try:
            Program(namespace=Collection(login)).run(["invoke", "login", *args])
        except SystemExit as error:
            code = int(error.code or 0)
        captured = capfd.readouterr()
        return code, captured.out + captured.err

    return invoke


def recorded(records: Path) -> tuple[str, str]:
    assert SECRET not in (records / "argv").read_text()
    return (records / "argv").read_text().strip().split("docker ")[-1], (records / "stdin").read_text()


def test_password_from_standard_input(run: Run, records: Path, host: str) -> None:
    code, output = run(host, "--user", "me", "--password-stdin", stdin=f"{SECRET}\n")
    assert code == 0, output
    argv, stdin = recorded(records)
    assert argv.split()[0] == "login"
    assert {host, "me", "--password-stdin"} <= set(argv.split())
    assert stdin == SECRET
    assert f"logged in to {host} as me" in output
    assert SECRET not in output


def test_both_from_the_environment_and_the_registry_from_the_configuration(
    run: Run, records: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (records / "repository/config").mkdir()
    (records / "repository/config/images.yml").write_text(f"registry: {host}/team\n")
    monkeypatch.setenv("IMAGEWRIGHT_LOGIN_USER", "me")
    monkeypatch.setenv("IMAGEWRIGHT_LOGIN_PASSWORD", SECRET)
    code, output = run()
    assert code == 0, output
    assert host in recorded(records)[0]
    assert recorded(records)[1] == SECRET
    assert SECRET not in output


def test_both_asked_for_at_a_terminal(records: Path, host: str) -> None:
    ours, theirs = pty.openpty()
    script = f"""if True:
        from invoke.collection import Collection
        from invoke.program import Program
        from imagewright.cli.login import login
        Program(namespace=Collection(login)).run(["invoke", "login", "{host}"])
    """
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as child:
        os.close(theirs)
        shown = until(ours, f"User at {host}: ")
        os.write(ours, b"me\n")
        shown += until(ours, f"Password (or token) of me at {host}: ")
        os.write(ours, f"{SECRET}\n".encode())
        shown += until(ours, None)
    os.close(ours)
    assert child.returncode == 0, shown
    assert f"logged in to {host} as me" in shown
    assert SECRET not in shown
    assert recorded(records)[1] == SECRET


def until(terminal: int, text: str | None) -> str:
    """What the terminal shows up to `text`, or up to its end."""
    shown = ""
    while text is None or text not in shown:
        try:
            part = os.read(terminal, 1024).decode()
        except OSError:  # Linux's way to say that the other side was closed
            part = ""
        if not part:
            assert text is None, shown
            break
        shown += part
    return shown


def test_refused_credentials_are_not_kept(run: Run, records: Path, host: str) -> None:
    code, output = run(host, "--user", "me", "--password-stdin", stdin=f"wrong-{SECRET}")
    assert code == 1
    assert f"error: {host}: the registry refuses the credentials" in output
    assert SECRET not in output
    assert not (records / "argv").exists()


def test_an_unreachable_registry(run: Run, records: Path) -> None:
    code, output = run("127.0.0.1:1", "--user", "me", "--password-stdin", stdin=SECRET)
    assert code == 3
    assert "cannot be reached" in output
    assert not (records / "argv").exists()


def test_unchecked_credentials_are_said_to_be(
    run: Run, records: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Guarded, "open_to_all", True)
    code, output = run(host, "--user", "me", "--password-stdin", stdin=SECRET)
    assert code == 0
    assert "unchecked" in output


@pytest.mark.parametrize(
    ("args", "stdin", "said"),
    [
        ((), "", "no user for"),
        (("--user", "me"), "", "no password for me"),
        (("--password-stdin",), SECRET, "--password-stdin needs --user"),
        (("--user", "me", "--password-stdin"), "\n", "no password for me"),
    ],
)
def test_without_a_terminal_the_ways_are_told(
    run: Run, records: Path, args: tuple[str, ...], stdin: str, said: str
) -> None:
    code, output = run("ghcr.io", *args, stdin=stdin)
    assert code == 2
    assert said in output
    assert "IMAGEWRIGHT_LOGIN_" in output
    assert SECRET not in output


@pytest.mark.parametrize("option", [("--password", SECRET), (f"--password={SECRET}",)])
def test_there_is_no_password_option(run: Run, records: Path, option: tuple[str, ...]) -> None:
    code, output = run("ghcr.io", "--user", "me", *option)
    assert code != 0
    assert SECRET not in output
    assert not (records / "argv").exists()


def test_the_help_says_so(run: Run) -> None:
    code, output = run("--help")
    assert code == 0
    assert "there is no --password" in output


def test_a_docker_that_fails(run: Run, records: Path, host: str) -> None:
    (records / "bin/docker").write_text("#!/bin/sh\ncat >/dev/null\necho error storing credentials >&2\nexit 1\n")
    code, output = run(host, "--user", "me", "--password-stdin", stdin=SECRET)
    assert code == 3
    assert "error storing credentials" in output


@pytest.mark.parametrize("helper", [None, "pass"])
def test_it_says_where_they_are_kept(run: Run, records: Path, host: str, helper: str | None) -> None:
    (records / ".docker").mkdir()
    (records / ".docker/config.json").write_text(json.dumps({"credsStore": helper} if helper else {}))
    _, output = run(host, "--user", "me", "--password-stdin", stdin=SECRET)
    kept = f"docker's credential helper {helper}" if helper else f"{records}/.docker/config.json, unencrypted"
    assert f"kept in {kept}" in output


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("ghcr.io", "ghcr.io"),
        ("ghcr.io/me", "ghcr.io"),
        ("https://ghcr.io/", "ghcr.io"),
        ("localhost:5050", "localhost:5050"),
        ("nas:5000", "nas:5000"),
        ("docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
    ],
)
def test_registry_hosts(text: str, host: str) -> None:
    assert registry_host(text) == host


@pytest.mark.parametrize("text", ["nas", "me", "a b.io", "https://", "gh_cr.io", "docker.io.evil/../x"])
def test_no_registry_hosts(text: str) -> None:
    with pytest.raises(UsageError, match="no registry's host"):
        registry_host(text)
