"""Credentials as docker keeps them: its config.json and the credential helpers that it names.

Format and precedence: github.com/docker/cli, cli/config/configfile (credHelpers, then credsStore, then auths);
protocol of the helpers: github.com/docker/docker-credential-helpers.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from imagewright.errors import ConfigError, EnvironmentMissingError
from imagewright.references import DOCKER_HUB
from imagewright.tools import process

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCKER_HUB_KEY = "https://index.docker.io/v1/"  # the name that docker keeps Docker Hub's credentials under
_DOCKER_HUB_HOSTS = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
_IDENTITY_TOKEN_USER = "<token>"  # noqa: S105 - what a helper answers as user when the secret is an identity token
_HELPER_SECONDS = 60  # a helper may ask the person to unlock a keychain


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A user with a password, or an identity token (an OAuth2 refresh token). Its repr shows no secret."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


def find_credential(host: str, environ: Mapping[str, str] | None = None) -> Credential | None:
    """What docker's store has for a registry's host (`ghcr.io`, `localhost:5050`); None where it has nothing.

    ConfigError where docker's config.json cannot be read, EnvironmentMissingError where a helper is not installed.
    """
    path = config_path(os.environ if environ is None else environ)
    document = _load(path)
    helper = _helper(document, host, path)
    if helper:
        return _ask(helper, server_key(host), path)
    auths = _mapping(document, "auths", path)
    for key in sorted(auths, key=lambda key: key != server_key(host)):  # the exact name before its other spellings
        if _host_of(key) == _host_of(host):
            found = _read(auths[key], key, path)
            if found:
                return found
    return None


def where_kept(host: str, environ: Mapping[str, str]) -> str:
    """Where docker keeps a host's credentials, for people to read."""
    path = config_path(environ)
    helper = _helper(_load(path), host, path)
    return f"docker's credential helper {helper}" if helper else f"{path}, unencrypted"


def config_path(environ: Mapping[str, str]) -> Path:
    """docker's config.json: in $DOCKER_CONFIG, else in ~/.docker."""
    folder = environ.get("DOCKER_CONFIG")
    return (Path(folder) if folder else Path(environ.get("HOME") or Path.home()) / ".docker") / "config.json"


def server_key(host: str) -> str:
    """The name that docker keeps a registry's credentials under."""
    return DOCKER_HUB_KEY if host in _DOCKER_HUB_HOSTS else host


def _helper(document: Mapping[str, Any], host: str, path: Path) -> str | None:
    helper = _mapping(document, "credHelpers", path).get(server_key(host)) or document.get("credsStore")
    return str(helper) if helper else None


def _host_of(key: str) -> str:
    """`https://ghcr.io/v2/` and `ghcr.io` are the same registry."""
    host = urlsplit(key).netloc if "://" in key else key.partition("/")[0]
    return DOCKER_HUB if host in _DOCKER_HUB_HOSTS else host


def _load(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"docker's configuration cannot be read: {error.strerror}", where=str(path)) from error
    except ValueError as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        # `from None`: the decoder's exception carries the whole document, secrets included.
        raise ConfigError("docker's configuration is no JSON", where=f"{path}:{line}") from None
    if not isinstance(document, dict):
        raise ConfigError("docker's configuration is no JSON object", where=str(path))
    return document


def _mapping(document: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    value = document.get(key) or {}
    if not isinstance(value, dict):
        raise ConfigError(f"{key} is no JSON object", where=str(path))
    return value


def _read(entry: Any, key: str, path: Path) -> Credential | None:
    broken = ConfigError(
        f"the entry of {key} is malformed", where=str(path), hint=f"`invoke login {_host_of(key)}` writes it anew"
    )
    if not isinstance(entry, dict):
        raise broken
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if entry.get("auth"):
        try:
            decoded = base64.b64decode(entry["auth"], validate=True).decode()
        except (TypeError, ValueError, binascii.Error):
            raise broken from None
        username, colon, password = decoded.partition(":")
        if not colon:
            raise broken
        password = password.strip("\0")
    token = str(entry.get("identitytoken") or "")
    if not token and not username:
        return None  # docker leaves an empty entry for credentials that a helper keeps
    return Credential(username=username, password=password, identity_token=token)


def _ask(helper: str, key: str, path: Path) -> Credential | None:
    program = f"docker-credential-{helper}"
    try:
        answer = process.run([program, "get"], stdin=key.encode(), seconds=_HELPER_SECONDS)
    except EnvironmentMissingError as error:
        raise EnvironmentMissingError(
            f"docker's credential helper {program} is not installed",
            where=str(path),
            hint="install it, or take credsStore or credHelpers out of that file and log in again",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise EnvironmentMissingError(
            f"docker's credential helper {program} did not answer in {_HELPER_SECONDS} seconds", where=key
        ) from error
    if answer.code != 0:
        if "credentials not found" in answer.text.lower():  # the protocol's own words for "I have none"
            return None
        # Its output is not shown: a helper that half worked may have printed the secret.
        raise EnvironmentMissingError(
            f"docker's credential helper {program} failed (exit {answer.code})",
            where=key,
            hint=f"`printf %s {key} | {program} get` shows why",
        )
    try:
        document = json.loads(answer.stdout)
        username, secret = str(document["Username"]), str(document["Secret"])
    except (KeyError, TypeError, ValueError):
        raise EnvironmentMissingError(f"docker's credential helper {program} gave no credentials", where=key) from None
    if username == _IDENTITY_TOKEN_USER:
        return Credential(identity_token=secret)
    return Credential(username=username, password=secret)
