"""Random credentials of the local services: in files of mode 0600, and the registry's in docker's own store."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from typing import TYPE_CHECKING

from imagewright.errors import EnvironmentMissingError
from imagewright.services.docker_folders import docker_folder
from imagewright.services.model import Secrets
from imagewright.tools.process import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Literal

    from imagewright.services.places import Places

_FILE = "credentials.json"
_LOGIN_SECONDS = 60
NONE = Secrets("", "")


def ensure(folder: Path, kind: Literal["password", "s3-keys"] | None) -> Secrets:
    """The credentials of the service in `folder`, made on the first call."""
    if kind is None:
        return NONE
    if known := read(folder):
        return known
    import secrets

    if kind == "s3-keys":  # shaped like AWS's own: some clients check
        made = Secrets(f"AKIA{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30))
    else:
        made = Secrets("imagewright", secrets.token_urlsafe(24))
    write_private(folder / _FILE, json.dumps({"user": made.user, "password": made.password}) + "\n")
    return made


def read(folder: Path) -> Secrets | None:
    """The credentials of the service in `folder`, where there are some."""
    try:
        data = json.loads((folder / _FILE).read_text())
        return Secrets(data["user"], data["password"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def s3_environment(places: Places) -> dict[str, str]:
    """The variables with which the AWS SDKs find the local S3 store's keys; empty where it was never started here."""
    known = read(places.service("s3"))
    return {"AWS_ACCESS_KEY_ID": known.user, "AWS_SECRET_ACCESS_KEY": known.password} if known else {}


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner ever could read."""
    fresh = path.with_name(f".{path.name}-{os.getpid()}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123 - the mode
        file.write(text)
    fresh.replace(path)


def logged_in(host: str, environ: Mapping[str, str], secrets: Secrets | None = None) -> bool:
    """Whether docker's configuration knows credentials for `host`: these, where `secrets` is given.

    A credential helper does not show what it keeps without being run: its word is taken.
    """
    try:
        entry = json.loads((docker_folder(environ) / "config.json").read_text())["auths"][host]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    kept = entry.get("auth") if isinstance(entry, dict) else None
    return not (kept and secrets) or kept == _basic(secrets)


def _basic(secrets: Secrets) -> str:
    return b64encode(f"{secrets.user}:{secrets.password}".encode()).decode()


def login(host: str, secrets: Secrets, environ: Mapping[str, str]) -> None:
    """Make docker, and all that read its credential store, know them; the password goes through standard input."""
    args = ["docker", "login", host, "--username", secrets.user, "--password-stdin"]
    done = run(args, env=environ, stdin=secrets.password.encode(), seconds=_LOGIN_SECONDS)
    if done.code:
        raise EnvironmentMissingError(
            f"docker login {host} failed: {done.error_text.strip() or done.text}",
            hint=f"look at {docker_folder(environ) / 'config.json'} and at the credential helper that it names",
        )


def logout(host: str, environ: Mapping[str, str]) -> None:
    """Make docker forget them."""
    run(["docker", "logout", host], env=environ, seconds=_LOGIN_SECONDS)
