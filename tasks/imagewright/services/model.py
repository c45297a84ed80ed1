"""What a service is: adding one is a value of `Service`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from imagewright.services.places import Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Provided:
    """A program that runs here."""

    path: Path
    how: str  # for people: "on PATH", "built before"
    version: str
    env: Mapping[str, str] = field(default_factory=dict)  # what it needs to run


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A service as a container: the host's loopback only, its data in the service's own folder."""

    image: str
    args: tuple[str, ...] = ()
    port: int | None = None  # the container's, published on the service's own loopback port
    mounts: Mapping[str, str] = field(default_factory=dict)  # below the service's folder -> in the container
    env: Mapping[str, str] = field(default_factory=dict)  # handed over in a file of mode 0600
    files: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    privileged: bool = False  # with the host's network, too
    check: tuple[str, ...] = ()  # succeeds inside it once it is healthy; else the service's own `answers` tells


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a service is started: its files are written before, relative to its folder, with mode 0600."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One local service. The functions are pure, but for `answers` and `foreign`, which ask the network."""

    name: str
    program: str  # of programs.PROGRAMS
    helpers: tuple[str, ...] = ()  # programs that it starts itself
    address: Callable[[Places], str]  # what clients connect to
    container_address: str | None = None  # the same for the service in a container, where it differs
    port: Callable[[Places], tuple[str, int] | None]  # the loopback host and port; None for a unix socket
    answers: Callable[[Places], bool]  # whether it is healthy
    foreign: Callable[[Places, Mapping[str, str]], str | None]  # the address of a healthy one that others started
    prepare: Callable[[Places, Mapping[str, Provided], Secrets], Launch]
    container: Callable[[Places, Secrets], Container]
    secrets: Literal["password", "s3-keys"] | None = None
    needs_root: bool = False
    bound_to: Callable[[Places], str]  # the setting that a running one was started with, and cannot change
    sweep: Callable[[Places], None] | None = None  # ends what a stopped or crashed one left behind
    login: Callable[[Places], str] | None = None  # the registry host that docker is logged in to
    locked: Callable[[Places], bool] | None = None  # whether a running one wants such a login


@dataclass(frozen=True, slots=True)
class Secrets:
    """The random credentials of a service: kept in a file of mode 0600, shown by nothing."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A service that is running and healthy."""

    name: str
    address: str  # "unix:///…", "localhost:5050", "http://127.0.0.1:3900"
    pid: int | None  # None: a container, or started by others
    how: str
    version: str


State = Literal["running", "unhealthy", "crashed", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What `invoke status` knows about a service."""

    name: str
    state: State
    address: str
    pid: int | None
    version: str | None
    how: str | None
    data_bytes: int
    log: Path
