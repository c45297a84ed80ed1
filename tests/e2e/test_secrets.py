"""Where the values of secrets are after runs that used them, and while they ran: at home, and nowhere else."""

from __future__ import annotations

import os
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imagewright.services import credentials
from tests.e2e.repository import Repository
from tests.e2e.store_proxy import before_store, warnings

if TYPE_CHECKING:
    from tests.e2e.conftest import Inv, LocalEngine

pytestmark = pytest.mark.e2e


@contextmanager
def watched() -> Iterator[set[bytes]]:
    """The command lines of all processes that are seen in the meantime."""
    seen: set[bytes] = set()
    end = threading.Event()

    def look() -> None:
        while not end.wait(0.02):
            for folder in Path("/proc").iterdir():
                if folder.name.isdigit():
                    try:
                        seen.add((folder / "cmdline").read_bytes())
                    except OSError:
                        continue

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        end.set()
        watcher.join()


def homes(engine: LocalEngine) -> frozenset[Path]:
    """The files that are there to keep the services' credentials; only their owner can read them."""
    services = (engine.places.service("registry"), engine.places.service("s3"))
    docker = Path(engine.env["DOCKER_CONFIG"]) / "config.json"
    return frozenset({*(folder / "credentials.json" for folder in services), docker})


def kept_by_others(engine: LocalEngine) -> tuple[Path, ...]:
    """What the registry, the store and BuildKit keep: images, blobs, and BuildKit's own records of its builds.

    BuildKit's log is among them: it has the path of a COPY that failed, and whoever puts a secret there has told it.
    """
    services = engine.places.service
    return *(services(name) / "data" for name in ("registry", "s3", "buildkitd")), services("buildkitd") / "log"


def found_in(folder: Path, values: Mapping[str, bytes], leave_out: tuple[Path, ...]) -> list[tuple[str, Path]]:
    """The values that stand in files below a folder."""
    found = []
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if Path(path, name) not in leave_out]
        for name in files:
            file = Path(path, name)
            if file in leave_out or file.is_symlink() or not file.is_file():
                continue
            content = file.read_bytes()
            found += [(what, file) for what, value in values.items() if value in content]
    return found


def test_no_secret_leaves_its_home(engine: LocalEngine, inv: Inv, base_image: str, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "tmp").mkdir()
    r = Repository(tmp_path / "project", engine, inv, base_image)
    secret_file = tmp_path / "secret.txt"
    secret_file.write_text("fr0m-a-secret-file")
    given = {"TOKEN": "a-t0ken-given-by-name", "NPM_TOKEN": "npm-t0ken-of-a-mount"}
    registry, store_keys = (credentials.read(engine.places.service(name)) for name in ("registry", "s3"))
    assert registry
    assert store_keys
    values = {
        **given,
        "file": secret_file.read_text(),
        "registry": registry.password,
        "registry, as docker keeps it": b64encode(f"{registry.user}:{registry.password}".encode()).decode(),
        "s3": store_keys.password,
        "wrong key": "an0ther-key-that-is-wrong",
        "session": "a-session-t0ken-of-other-keys",
    }
    sought = {what: value.encode() for what, value in values.items()}
    said: dict[str, str] = {}

    mount = "RUN --mount=type=secret,id=npm --mount=type=secret,id=file cat /run/secrets/npm /run/secrets/file"
    r.dockerfile("good", "FROM BASE", "ARG TOKEN", mount, 'RUN echo "PREFIX $TOKEN" && test -n "$TOKEN"')
    r.dockerfile("bad", "FROM BASE", "ARG TOKEN", mount, 'RUN echo "PREFIX $TOKEN" && exit 3')
    r.dockerfile("worse", "FROM BASE", "ARG TOKEN", mount, "COPY nothere-$TOKEN /")
    r.dockerfile("unpublished", "FROM PREFIX/good", "COPY tasks.py /")
    secrets = f"[{{id: npm, env: NPM_TOKEN}}, {{id: file, src: '{secret_file}'}}]"
    images = "".join(
        f"  {name}: {{secret_build_args: [TOKEN], secrets: {secrets}}}\n" for name in ("good", "bad", "worse")
    )
    refused = "  unpublished: {repository: 'localhost:1/nobody/there'}\n"

    with before_store(engine) as store, watched() as arguments:
        env = {**given, **store.env, "TMPDIR": str(tmp_path / "tmp")}
        for name, settings in (
            ("works", store.settings()),
            ("wrong keys", store.settings()),
            ("local", store.settings(endpoint_url="local")),
        ):
            r.configure(f"{settings}images:\n{images}{refused}")
            if name == "wrong keys":
                env["AWS_SECRET_ACCESS_KEY"] = values["wrong key"]
            if name == "local":  # where the keys are is known, and no other's are taken
                env["AWS_SESSION_TOKEN"] = values["session"]
            reports = ("--summary", str(tmp_path / "summary.md"), "--timeline", str(tmp_path / "timeline.html"))
            done = r.invoke("build", "all", "--json", "--progress", "plain", "--no-cache", *reports, env=env)
            assert done.returncode == 1, done.stderr
            assert bool(warnings(done.stderr)) == (name == "wrong keys"), done.stderr
            said[name] = done.stdout + done.stderr
        for args in (("plan", "all", "--json"), ("plan", "all", "--bake"), ("doctor",), ("status", "--json")):
            done = r.invoke(*args, env=env)
            said[" ".join(args)] = done.stdout + done.stderr

    assert "***" in next(iter((engine.places.state / "logs").rglob("good.log"))).read_text()
    assert any(b"buildx\0bake" in line for line in arguments)
    for what, value in sought.items():
        assert [name for name, text in said.items() if value.decode() in text] == [], what
        assert [line for line in arguments if value in line] == [], what
    secret_file.unlink()
    left_out = (*kept_by_others(engine), engine.places.tools)
    for folder in (tmp_path, engine.places.state.parent, engine.places.cache):
        found = [(what, file) for what, file in found_in(folder, sought, left_out) if file not in homes(engine)]
        assert found == [], folder
    for file in homes(engine):
        assert file.stat().st_mode & 0o077 == 0, file
