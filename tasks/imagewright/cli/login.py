"""`invoke login`: check a user and a password against a registry, and let docker keep them."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING, Any

from imagewright.cli.project import Project
from imagewright.cli.task import task
from imagewright.errors import RegistryError, UsageError
from imagewright.references import DOCKER_HUB, InvalidReferenceError, Reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imagewright.registry.credentials import Credential

_USER = "IMAGEWRIGHT_LOGIN_USER"
_PASSWORD = "IMAGEWRIGHT_LOGIN_PASSWORD"  # noqa: S105 - the variable's name
_WAYS = f"pipe it to --password-stdin, set {_PASSWORD}, or run this at a terminal"


@task(
    defaults={"registry": ""},
    help={
        "registry": "The registry's host (ghcr.io); the default is the configuration's.",
        "user": f"The user name; else {_USER}, else it is asked for.",
        "password-stdin": "Read the password or token from standard input.",
    },
)
def login(c: Any, registry: str, user: str = "", password_stdin: bool = False) -> None:
    """Log in to a registry; docker's own credential store keeps what is checked.

    The password comes from standard input (--password-stdin), from IMAGEWRIGHT_LOGIN_PASSWORD, or is asked for at the
    terminal. It is never taken from the command line, where other users could read it: there is no --password.
    """
    project = Project.open(c)
    host = registry_host(registry) if registry else Reference.parse(f"{project.settings.registry[0]}/image").domain
    credential = _credential(host, user, password_stdin, project.environ)
    asked = _check(host, credential)
    _keep(host, credential, project.environ)
    project.say(_told(host, credential, project.environ, asked=asked))


def registry_host(text: str) -> str:
    """The host of `ghcr.io`, `ghcr.io/me` or `https://ghcr.io/`; UsageError where there is none."""
    bare = text.removeprefix("https://").removeprefix("http://").strip("/")
    try:
        host = Reference.parse(f"{bare}/image").domain
    except InvalidReferenceError:
        host = ""
    # `nas/image` would be an image of the user `nas` at Docker Hub: that password is not for Docker Hub.
    if not host or (host == DOCKER_HUB and bare.partition("/")[0] not in (DOCKER_HUB, "index.docker.io")):
        raise UsageError(
            f"{text!r} is no registry's host", hint="hosts look like ghcr.io, localhost:5050 or nas:5000; or docker.io"
        )
    return host


def _credential(host: str, user: str, password_stdin: bool, environ: Mapping[str, str]) -> Credential:
    from imagewright.registry.credentials import Credential

    user = user or environ.get(_USER, "")
    if password_stdin:
        if not user:
            raise UsageError("--password-stdin needs --user", hint=f"or {_USER}")
        password = sys.stdin.read().rstrip("\r\n")
    else:
        user = user or _ask_user(host)
        password = environ.get(_PASSWORD, "") or _ask_password(host, user)
    if not password:
        raise UsageError(f"no password for {user} at {host}", hint=_WAYS)
    return Credential(username=user, password=password)


def _ask_user(host: str) -> str:
    if not sys.stdin.isatty():
        raise UsageError(f"no user for {host}", hint=f"give --user or set {_USER}; as to the password, {_WAYS}")
    print(f"User at {host}: ", end="", file=sys.stderr, flush=True)  # noqa: T201
    user = sys.stdin.readline().strip()
    if not user:
        raise UsageError(f"no user for {host}")
    return user


def _ask_password(host: str, user: str) -> str:
    if not sys.stdin.isatty():  # getpass would read, and echo, whatever standard input is
        raise UsageError(f"no password for {user} at {host}", hint=_WAYS)
    try:
        return getpass.getpass(f"Password (or token) of {user} at {host}: ")
    except EOFError:
        return ""


def _check(host: str, credential: Credential) -> bool:
    from imagewright.registry.authentication import RefusedError
    from imagewright.registry.client import Registry

    with Registry(host, credentials=lambda _host: credential) as registry:
        try:
            return registry.ping()
        except RefusedError as error:
            hint = "check the user and the password; many registries want a token with the right to packages"
            raise RegistryError(error.message, where=host, hint=hint) from None


def _keep(host: str, credential: Credential, environ: Mapping[str, str]) -> None:
    from imagewright.services import credentials
    from imagewright.services.model import Secrets

    credentials.login(host, Secrets(credential.username, credential.password), environ)


def _told(host: str, credential: Credential, environ: Mapping[str, str], *, asked: bool) -> str:
    from imagewright.registry.credentials import where_kept

    checked = "" if asked else "; the registry did not ask for them, so they are unchecked"
    return f"logged in to {host} as {credential.username}, kept in {where_kept(host, environ)}{checked}"
