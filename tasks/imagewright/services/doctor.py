"""What a build needs from the machine: each thing found or not, and the command that mends it.

Every check is a function from the machine's answers and the configuration's needs to findings; none of them changes
anything. They run side by side, and one that gets no answer in time is a warning: nothing hangs.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from imagewright.errors import EnvironmentMissingError, ImagewrightError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Verdict = Literal["ok", "warning", "missing"]

GIB = 2**30
WARN_FREE = 10 * GIB  # a handful of images with their cache
LEAST_FREE = 2 * GIB

_DOCKER_HUB = "docker.io"
# What Linux runs without an emulator (and QEMU's name for each architecture, as binfmt-support registers it).
_NATIVE = {"amd64": {"386"}, "arm64": {"arm"}}
_QEMU = {"amd64": "x86_64", "arm64": "aarch64", "386": "i386"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing: `missing` means that builds will fail without it. `mend` is a command, or what to do."""

    name: str
    verdict: Verdict
    found: str
    mend: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the configuration asks of the machine."""

    registry: str = "localhost:5050"  # the host of it
    local_registry: bool = True  # on loopback, so that `invoke start` provides it
    builder: str = "auto"
    host_platform: str = "linux/amd64"
    platforms: frozenset[str] = frozenset()
    bases: bool = False  # the configuration says how to make base images


class Machine(Protocol):
    """What the checks ask. No method takes longer than a few seconds, but for `login_needed`."""

    def python(self) -> str:
        """The version and the path of this Python."""

    def program(self, *argv: str) -> str | None:
        """The first line that a program prints, with its path; None where it is missing, fails, or takes too long."""

    def engine(self) -> str | None:
        """The version of the Docker engine of docker's current context; None where none answers."""

    def builder(self, name: str) -> bool:
        """Whether buildx knows a builder of this name."""

    def provided(self, name: str) -> str | None:
        """How a program of the local services is here already: its version and place."""

    def running(self, service: str) -> str | None:
        """The address of a local service that runs and is healthy."""

    def login_needed(self, registry: str) -> bool:
        """Ask a registry; whether it wants credentials. Errors are those of `Registry.ping`."""

    def logged_in(self, registry: str) -> bool:
        """Whether docker's credential store has something for a registry."""

    def free_bytes(self) -> int:
        """The space left where images are built and programs are kept."""

    def emulators(self) -> frozenset[str]:
        """The architectures, in QEMU's names, whose programs the kernel hands to an emulator."""

    def is_root(self) -> bool:
        """Whether buildkitd and mmdebstrap may do their work."""


def python(machine: Machine, _needs: Needs) -> Iterator[Check]:
    """The Python that runs this is new enough, or nothing would run."""
    yield Check(name="python", verdict="ok", found=machine.python())


def git(machine: Machine, _needs: Needs) -> Iterator[Check]:
    """git, for revision labels and for telling what changed."""
    yield _needed("git", machine.program("git", "--version"), "apt-get install git")


def docker(machine: Machine, _needs: Needs) -> Iterator[Check]:
    """The docker client, whose plugin buildx is."""
    mend = "apt-get install docker-cli (Debian 12: docker.io), or see docs.docker.com/engine/install"
    yield _needed("docker client", machine.program("docker", "--version"), mend)


def buildx(machine: Machine, _needs: Needs) -> Iterator[Check]:
    """The plugin that every build goes through."""
    mend = "apt-get install docker-buildx, or Docker's own docker-buildx-plugin"
    yield _provided(machine, "buildx", name="buildx plugin", service=False, mend=mend)


def builder(machine: Machine, needs: Needs) -> Iterator[Check]:
    """Who executes the builds."""
    if needs.builder != "auto":
        known = f"{needs.builder}, as the configuration says" if machine.builder(needs.builder) else None
        mend = f"docker buildx create --name {needs.builder}, or `builder: {{name: auto}}` in the configuration"
        yield _needed("builder", known, mend)
    elif version := machine.engine():
        yield Check(name="builder", verdict="ok", found=f"Docker engine {version}")
    elif address := machine.running("buildkitd"):
        yield Check(name="builder", verdict="ok", found=f"buildkitd at {address}")
    elif not machine.is_root():
        mend = "start Docker, or work as root, or name a builder in the configuration"
        yield Check(name="builder", verdict="missing", found="no Docker engine, and buildkitd needs root", mend=mend)
    else:
        yield _provided(machine, "buildkitd", name="builder", service=True, mend="start Docker, or install buildkitd")
        runc = machine.provided("runc")
        mend = "apt-get install runc (the first build fetches it, too, where there is apt)"
        yield Check(
            name="runc",
            verdict="ok" if runc else "warning" if machine.program("apt-get", "--version") else "missing",
            found=runc or "not found",
            mend=None if runc else mend,
        )


def registry(machine: Machine, needs: Needs) -> Iterator[Check]:
    """Where images are pushed to, and whether it lets us in."""
    if needs.local_registry:
        if machine.running("registry"):
            yield Check(name="registry", verdict="ok", found=f"{needs.registry}, running here")
        else:
            mend = "start Docker, or name another registry in the configuration"
            yield _provided(machine, "registry", name="registry", service=True, mend=mend)
        return
    login = f"invoke login {needs.registry}"
    try:
        asked = machine.login_needed(needs.registry)
    except EnvironmentMissingError as error:
        mend = "check the name in the configuration, the network, and HTTPS_PROXY"
        yield Check(name="registry", verdict="missing", found=f"{needs.registry}: {error.message}", mend=mend)
        return
    except ImagewrightError as error:
        yield Check(name="registry", verdict="ok", found=f"{needs.registry}, reachable")
        yield Check(name="credentials", verdict="missing", found=f"refused: {error.message}", mend=login)
        return
    yield Check(name="registry", verdict="ok", found=f"{needs.registry}, reachable")
    if machine.logged_in(needs.registry):
        yield Check(name="credentials", verdict="ok", found="in docker's credential store")
    else:
        found = "none, and the registry asks for them" if asked else "none, and the registry asks for none to read"
        yield Check(name="credentials", verdict="missing" if asked else "warning", found=found, mend=login)


def base_images(machine: Machine, needs: Needs) -> Iterator[Check]:
    """Docker Hub, or what makes base images without it."""
    try:
        machine.login_needed(_DOCKER_HUB)
    except ImagewrightError:
        reason = "Docker Hub cannot be reached"
    else:
        yield Check(name="base images", verdict="ok", found="Docker Hub, reachable")
        return
    if not needs.bases:
        mend = "say under `bases:` in the configuration how to make them, or use a registry that can be reached"
        yield Check(name="base images", verdict="warning", found=reason, mend=mend)
        return
    tool = machine.program("mmdebstrap", "--version")
    if tool is None and machine.program("apt-get", "--version"):
        tool = "mmdebstrap, which the first build fetches with apt"
    found = f"{reason}; they are made from Debian packages with {tool}" if tool else f"{reason}, and no mmdebstrap"
    yield Check(
        name="base images",
        verdict="ok" if tool else "missing",
        found=found,
        mend=None if tool else "apt-get install mmdebstrap",
    )


def disk(machine: Machine, _needs: Needs) -> Iterator[Check]:
    """Room for filesystem layers and for the build cache."""
    free = machine.free_bytes()
    yield Check(
        name="disk space",
        verdict="ok" if free >= WARN_FREE else "warning" if free >= LEAST_FREE else "missing",
        found=f"{free / GIB:.1f} GiB free",
        mend=None if free >= WARN_FREE else "docker buildx prune, invoke stop --purge, docker system prune",
    )


def emulators(machine: Machine, needs: Needs) -> Iterator[Check]:
    """QEMU for the platforms that this machine cannot run; a named builder has machines of its own."""
    host = needs.host_platform.split("/")[1]
    foreign = {platform.split("/")[1] for platform in needs.platforms} - {host} - _NATIVE.get(host, set())
    if not foreign or needs.builder != "auto":
        return
    lacking = sorted(name for name in foreign if _QEMU.get(name, name) not in machine.emulators())
    yield Check(
        name="emulators",
        verdict="missing" if lacking else "ok",
        found=f"none for {', '.join(lacking)}" if lacking else f"for {', '.join(sorted(foreign))}",
        mend="apt-get install qemu-user-static binfmt-support, or: "
        "docker run --privileged --rm tonistiigi/binfmt --install all"
        if lacking
        else None,
    )


MACHINE_CHECKS: Sequence[Callable[[Machine, Needs], Iterable[Check]]] = (
    python,
    git,
    docker,
    buildx,
    builder,
    registry,
    base_images,
    emulators,
    disk,
)


def examine(
    machine: Machine,
    needs: Needs,
    *,
    seconds: float,
    checks: Sequence[Callable[[Machine, Needs], Iterable[Check]]] = MACHINE_CHECKS,
) -> tuple[Check, ...]:
    """All findings, in the order of the checks. A check that takes longer than `seconds` is a warning."""
    found: dict[int, list[Check] | Exception] = {}

    def look(number: int) -> None:
        try:
            found[number] = list(checks[number](machine, needs))
        except ImagewrightError as error:
            found[number] = [_warning(checks[number], error.message, error.hint)]
        except Exception as error:  # noqa: BLE001 (raised again below, where it can be seen)
            found[number] = error

    # A daemon does not keep the program from ending, however long the network lets it wait.
    threads = [threading.Thread(target=look, args=(number,), daemon=True) for number in range(len(checks))]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    results: list[Check] = []
    for number, thread in enumerate(threads):
        thread.join(max(0.0, deadline - time.monotonic()))
        result = found.get(number, [_warning(checks[number], f"no answer within {seconds:g} s", None)])
        if isinstance(result, Exception):
            raise result
        results += result
    return tuple(results)


def _needed(name: str, found: str | None, mend: str) -> Check:
    if found is None:
        return Check(name=name, verdict="missing", found="not found", mend=mend)
    return Check(name=name, verdict="ok", found=found)


def _warning(check: Callable[[Machine, Needs], Iterable[Check]], found: str, mend: str | None) -> Check:
    return Check(name=check.__name__.replace("_", " "), verdict="warning", found=found, mend=mend)


def _provided(machine: Machine, program: str, *, name: str, service: bool, mend: str) -> Check:
    """A program that this package finds, runs as a container, or makes, in that order."""
    if here := machine.provided(program):
        later = "; the next build starts it" if service else ""
        return Check(name=name, verdict="ok", found=f"{program} {here}{later}")
    if service and machine.engine():
        return Check(name=name, verdict="ok", found=f"{program}; the next build starts it as a container")
    if go := machine.program("go", "version"):
        found = f"{program} is not here yet; the first build makes it, in minutes ({go})"
        return Check(name=name, verdict="warning", found=found, mend="`invoke start` does that now")
    found = f"{program} is not here, and there is no Go to make it with"
    return Check(name=name, verdict="missing", found=found, mend=f"{mend}, or apt-get install golang")
