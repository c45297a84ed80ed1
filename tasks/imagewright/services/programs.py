"""The programs behind the services, and the ways to come by them: on PATH, built before, built now, from Debian."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from imagewright.errors import EnvironmentMissingError
from imagewright.services import golang
from imagewright.services.docker_folders import buildx_plugin
from imagewright.services.model import Provided
from imagewright.tools import apt
from imagewright.tools.process import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from imagewright.services.golang import Module

_CHECK_SECONDS = 20
_VERSION = re.compile(r"\bv?(\d+)\.(\d+)\.(\d+)")
_ADMIN_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # not on every user's PATH

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program, and how it is recognized."""

    name: str
    check: tuple[str, ...] = ("--version",)  # prints the version, exits with 0
    oldest: tuple[int, int] = (0, 0)  # major, minor: what this package relies on came with it
    module: str | None = None  # the folder of services/modules that builds it
    package: str | None = None  # Debian's


PROGRAMS: Mapping[str, Program] = {
    program.name: program
    for program in (
        Program(name="buildkitd", module="buildkit", oldest=(0, 17)),  # reservedSpace, maxUsedSpace
        Program(name="buildctl", module="buildkit"),
        Program(name="runc", package="runc"),
        Program(name="buildx", check=("version",), module="buildx", oldest=(0, 13)),
        Program(name="registry", module="registry", oldest=(3, 0)),  # deletes tags, not only digests
        Program(name="versitygw", module="versitygw", oldest=(1, 0)),
    )
}


class Unavailable(Exception):  # noqa: N818 - not an error by itself: the next way is tried
    """One way does not lead there; the message says why."""


def provide(name: str, *, tools: Path, environ: Mapping[str, str], say: Callable[[str], None]) -> Provided:
    """The program, by the first way that works; EnvironmentMissingError lists why none does."""
    return first_of(name, ways(name, tools=tools, environ=environ, say=say))


def ways(
    name: str, *, tools: Path, environ: Mapping[str, str], say: Callable[[str], None]
) -> list[tuple[str, Callable[[], Provided]]]:
    """The ways to a program, the quickest first; the last one is the one that takes minutes."""
    program = PROGRAMS[name]
    result: list[tuple[str, Callable[[], Provided]]] = [("on PATH", lambda: _on_path(program, environ))]
    if program.module:
        module = golang.module(program.module)
        result += [
            ("built before", lambda: _built_before(program, module, tools, say)),
            ("built from Go modules", lambda: _built_now(program, module, tools, say)),
        ]
    if package := program.package:
        result.append(("Debian package", lambda: _unpacked(program, package, tools, say)))
    return result


def first_of(what: str, ways: Iterable[tuple[str, Callable[[], T]]]) -> T:
    """The result of the first way that is not Unavailable."""
    reasons = []
    for way, take in ways:
        try:
            return take()
        except Unavailable as reason:
            reasons.append(f"  {way}: {reason}")
    raise EnvironmentMissingError(
        f"{what} cannot be provided:\n" + "\n".join(reasons),
        hint="any one of these ways is enough: install it, start Docker, or install Go with a C compiler",
    )


def _on_path(program: Program, environ: Mapping[str, str]) -> Provided:
    folders = [*environ.get("PATH", os.defpath).split(os.pathsep), *_ADMIN_PATH]
    path: str | Path | None = shutil.which(program.name, path=os.pathsep.join(folders))
    if program.name == "buildx" and path is None:
        path = buildx_plugin(environ)
    if path is None:
        raise Unavailable("not there")
    return Provided(path=Path(path), how=f"on PATH ({path})", version=_version(program, Path(path)))


def _built_before(program: Program, module: Module, tools: Path, say: Callable[[str], None]) -> Provided:
    path = module.folder(tools) / program.name
    if not path.exists():
        raise Unavailable(f"not in {path.parent}")
    try:
        version = _version(program, path)
    except Unavailable as reason:
        say(f"{path} is damaged, it is made again: {reason}")
        raise
    return Provided(path=path, how="built before", version=version if version != "unknown" else module.version)


def _built_now(program: Program, module: Module, tools: Path, say: Callable[[str], None]) -> Provided:
    def usable() -> bool:
        path = module.folder(tools) / program.name
        try:
            return path.exists() and bool(_version(program, path))
        except Unavailable:
            return False

    try:
        path = golang.build(module, tools, usable=usable, say=say) / program.name
    except golang.GoError as error:
        raise Unavailable(str(error)) from error
    return Provided(path=path, how="built from Go modules", version=module.version)


def _unpacked(program: Program, package: str, tools: Path, say: Callable[[str], None]) -> Provided:
    try:
        tree = apt.unpack([package], cache=tools, say=say)
    except EnvironmentMissingError as error:
        raise Unavailable(error.message) from error
    path = next(
        (tree / folder / program.name for folder in ("usr/sbin", "usr/bin") if (tree / folder / program.name).exists()),
        None,
    )
    if path is None:
        raise Unavailable(f"the package {package} in {tree} has no {program.name}")
    libraries = apt.library_path(tree)
    env = {"LD_LIBRARY_PATH": libraries} if libraries else {}
    return Provided(path=path, how="Debian package", version=_version(program, path, env), env=env)


def _version(program: Program, path: Path, env: Mapping[str, str] | None = None) -> str:
    """`v1.2.3`, or `unknown` for a build that does not know its own; Unavailable where it does not run or is old."""
    try:
        checked = run([str(path), *program.check], env=env, seconds=_CHECK_SECONDS)
    except (OSError, EnvironmentMissingError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{path} does not run: {error}") from error
    if checked.code:
        said = (checked.error_text or checked.text).strip().splitlines()[-1:]
        raise Unavailable(f"{path} {' '.join(program.check)} fails with {checked.code}: {''.join(said)}")
    found = _VERSION.search(checked.text)
    if not found or found[0].lstrip("v") == "0.0.0":
        return "unknown"
    if (int(found[1]), int(found[2])) < program.oldest:
        raise Unavailable(f"{path} is {found[0]}, and {'.'.join(map(str, program.oldest))} is needed")
    return f"v{found[0].lstrip('v')}"
